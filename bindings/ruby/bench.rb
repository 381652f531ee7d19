# frozen_string_literal: true

# Measures the library, and what limits it, with `PROFILE=dist rake compile` before:
#   ruby bench.rb [URL]              throughput, in a directory if there is no URL
#   ruby bench.rb --leak [URL]       the memory of the process while a million records go in and out
$LOAD_PATH.unshift(File.expand_path("lib", __dir__)) unless ENV["KAFFIC_INSTALLED"]
require "kaffic"
require "securerandom"
require "tmpdir"

VALUE = ("x" * 1024).freeze
BATCH = 1000

def seconds
  before = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  yield
  Process.clock_gettime(Process::CLOCK_MONOTONIC) - before
end

def tell(what, count, runs)
  median = runs.sort[runs.size / 2]
  puts format("%-46s %8d records/s %7.1f MiB/s  %5.2f us a record", what, count / median, count / median / 1024,
              median / count * 1e6)
end

# Three runs of each, of which the median counts.
def measure(what, count)
  tell(what, count, Array.new(3) { seconds { yield } })
end

def produce(producer, count)
  count.times { producer.produce(VALUE) }
  producer.flush
end

def throughput(client, count)
  fresh = -> { "bench-#{SecureRandom.hex(4)}".tap { |topic| client.create_topic(topic) } }
  measure("produce, one call a record", count) { client.producer(fresh.call) { |it| produce(it, count) } }
  measure("produce_batch of #{BATCH}", count) do
    client.producer(fresh.call) { |it| (count / BATCH).times { _handles = it.produce_batch([VALUE] * BATCH) } }
  end
  topic = fresh.call
  client.producer(topic) { |it| produce(it, count) }
  read = ->(&block) { client.consumer(topics: [topic], until: :latest, &block) }
  measure("each", count) { read.call { |it| it.each { |record| record } } }
  measure("each_batch of 500", count) { read.call { |it| it.each_batch { |records| records } } }
  measure("poll", count) { read.call { |it| nil while it.poll } }
  limits(count)
end

# What the same work costs without kaffic: making the objects of which a record consists.
def limits(count)
  bytes = VALUE.b
  measure("limit: the objects of a record, in Ruby", count) do
    count.times { Kaffic::Record.new("t", 0, 0, 0, nil, (bytes + "").freeze, []).freeze }
  end
  measure("limit: a call with keywords and an object", count) { count.times { |n| keywords(VALUE, key: nil, partition: n) } }
end

def keywords(value, key: nil, headers: nil, timestamp: nil, partition: nil, sequence: nil)
  Object.new if [value, key, headers, timestamp, partition, sequence]
end

def resident = File.read("/proc/self/statm").split[1].to_i * 4096 / 1024.0 / 1024

def leak(client, count)
  client.create_topic("leak")
  consumer = client.consumer(topics: ["leak"])
  client.producer("leak") do |producer|
    10.times do |round|
      (count / 10 / BATCH).times do
        producer.produce_batch(Array.new(BATCH) { { value: VALUE, key: "k", headers: { "a" => "1" } } }).each(&:wait)
        consumer.each.first(BATCH)
      end
      GC.start
      puts format("%8d records: %6.1f MiB, %d objects alive", (round + 1) * count / 10, resident, GC.stat(:heap_live_slots))
    end
  end
  consumer.close
end

$stdout.sync = true
leaks = ARGV.delete("--leak")
url = ARGV.first
count = Integer(ENV.fetch("COUNT", leaks ? "1000000" : "200000"))
run = lambda do |store|
  options = ENV.fetch("KAFFIC_TEST_OPTIONS", "").split(",").to_h { |option| option.split("=", 2) }.transform_keys(&:to_sym)
  Kaffic.connect(store, **options) { |client| leaks ? leak(client, count) : throughput(client, count) }
end
url ? run.call(url) : Dir.mktmpdir { |dir| run.call("file://#{dir}") }
