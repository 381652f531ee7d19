# frozen_string_literal: true

# Workers that share a topic's partitions in a group, and stop in good order on a signal: ruby workers.rb URL
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

  done = Queue.new
  workers = consumers.each_with_index.map do |consumer, number|
    Thread.new do
      consumer.each do |record|
        done << "worker #{number} did #{record.value}"
        consumer.commit(record)
      end
    end
  end

  jobs.times { puts done.pop }
  consumers.each(&:close)
  workers.each(&:join)
end
