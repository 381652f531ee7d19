# frozen_string_literal: true

# One side of the matrix in which every language reads what every other wrote:
#   ruby matrix.rb produce URL TOPIC    and    ruby matrix.rb check URL TOPIC
# The topic exists. The store's options come from KAFFIC_TEST_OPTIONS.
$LOAD_PATH.unshift(File.expand_path("../lib", __dir__)) unless ENV["KAFFIC_INSTALLED"]
require "kaffic"

CODECS = %i[none gzip snappy lz4 zstd].freeze
BIG = Array.new(5 * 1024 * 1024) { |i| ((i * 31) + 7) % 251 }.pack("C*").freeze

# What {Kaffic::Producer#produce} takes, with the value as `value:`.
RECORDS = [
  { key: nil, value: nil },
  { key: "", value: "" },
  { key: "k", value: nil },
  { key: nil, value: "v" },
  { key: "\x00\xFF\x0A".b, value: "grüßt 🦀", headers: [%w[a 1], ["ü", nil], ["a", ""]], timestamp: 1_234_567_890_123 },
  { key: "big", value: BIG },
  { key: "zero", value: "" }
].freeze

def produce(client, topic)
  CODECS.each do |codec|
    client.producer(topic, compression: codec) do |producer|
      RECORDS.each { |record| producer.produce(record[:value], partition: 0, **record.except(:value)).wait }
    end
  end
end

# What is wrong with a record, if anything.
def wrong(record, expected)
  bytes = ->(text) { text&.b }
  headers = (expected[:headers] || []).map { |name, value| [name, bytes[value]] }
  return "key #{record.key.inspect}" unless record.key == bytes[expected[:key]]
  return "value of #{record.value&.bytesize.inspect} bytes" unless record.value == bytes[expected[:value]]
  return "headers #{record.headers}" unless record.headers == headers

  "timestamp #{record.timestamp}" unless [nil, record.timestamp].include?(expected[:timestamp])
end

def check(client, topic)
  records = client.consumer(partitions: [[topic, 0]], start: :earliest, until: :latest, &:to_a)
  expected = RECORDS * CODECS.size
  abort "there are #{records.size} records, and not #{expected.size}" unless records.size == expected.size
  records.zip(expected).each_with_index do |(record, should), number|
    told = wrong(record, should)
    abort "record #{number} (offset #{record.offset}): #{told}" if told
  end
  puts "#{records.size} records, as they should be"
end

what, url, topic = ARGV
abort "ruby matrix.rb produce|check URL TOPIC" unless %w[produce check].include?(what) && topic
options = ENV.fetch("KAFFIC_TEST_OPTIONS", "").split(",").to_h { |option| option.split("=", 2) }.transform_keys(&:to_sym)
Kaffic.connect(url, **options) { |client| what == "produce" ? produce(client, topic) : check(client, topic) }
