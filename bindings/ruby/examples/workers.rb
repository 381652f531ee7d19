# frozen_string_literal: true

# Workers that share a topic's partitions in a group, and stop in good order when the jobs are done or at a signal:
#   ruby workers.rb URL
require "kaffic"

url = ARGV.fetch(0) { abort "ruby workers.rb URL, as in file:///tmp/jobs" }
jobs = 40

Kaffic.connect(url) do |client|
  client.ensure_topic("jobs", partitions: 4)
  client.producer("jobs") do |producer|
    producer.produce_batch(Array.new(jobs) { |n| { value: "job #{n}", key: n.to_s } }).each(&:wait)
  end

  consumers = Array.new(2) { client.consumer(topics: ["jobs"], group: "workers", auto_commit: :never) }
  trap("TERM") { consumers.each(&:wakeup) }

  # Which worker did it, by job: one that comes twice, after a worker died say, is counted once.
  done = {}
  workers = consumers.each_with_index.map do |consumer, number|
    Thread.new do
      consumer.each do |record|
        done[record.value] = number
        consumer.commit(record)
        # Each of them ends its loop after the record that it has at hand.
        consumers.each(&:wakeup) if done.size == jobs
      end
    ensure
      consumer.close
    end
  end

  workers.each(&:join)
  done.each { |job, number| puts "worker #{number} did #{job}" }
end
