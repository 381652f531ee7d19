# frozen_string_literal: true

require_relative "helper"

# What goes in and what comes out.
class RecordsTest < Minitest::Test
  def with_topic(**settings)
    Stores.with_client do |client|
      client.create_topic("t", **settings)
      yield client
    end
  end

  # Produces with the block, and gives what is in the topic then.
  def round_trip(client, &block)
    client.producer("t", &block)
    client.consumer(topics: "t", until: :latest, &:to_a)
  end

  def test_bytes_come_back_binary_and_frozen
    with_topic do |client|
      latin = "gr\xFC\xDFt".dup.force_encoding(Encoding::ISO_8859_1)
      record, = round_trip(client) { |producer| producer.produce(latin, key: "ü", headers: { "ä" => "ö" }) }
      assert_equal latin.b, record.value
      strings = [record.key, record.value, record.headers[0][1]]
      assert_equal [Encoding::BINARY], strings.map(&:encoding).uniq
      assert_equal ["ä", Encoding::UTF_8], [record.headers[0][0], record.headers[0][0].encoding]
      parts = [record, record.topic, record.headers, record.headers[0], *record.headers[0], *strings]
      assert parts.all?(&:frozen?)
      assert_raises(FrozenError) { record.value = "other" }
    end
  end

  def test_null_is_not_empty
    with_topic do |client|
      records = round_trip(client) do |producer|
        producer.produce
        producer.produce("", key: "")
        producer.produce(nil, key: "k", headers: { "none" => nil, "empty" => "" })
      end
      assert_equal [[nil, nil], ["", ""], ["k", nil]], records.map { |record| [record.key, record.value] }
      assert_equal [["none", nil], ["empty", ""]], records[2].headers
    end
  end

  def test_headers_from_hashes_and_pairs
    with_topic do |client|
      records = round_trip(client) do |producer|
        producer.produce("v", headers: { a: "1", "b" => %w[2 3] })
        producer.produce("v", headers: [["a", "1"], ["a", nil], [:a, "2"]])
      end
      assert_equal [%w[a 1], %w[b 2], %w[b 3]], records[0].headers
      assert_equal [["a", "1"], ["a", nil], ["a", "2"]], records[1].headers
      assert_equal ["3", "2", nil], [records[0].header("b"), records[1].header("a"), records[1].header("c")]
    end
  end

  def test_times
    with_topic do |client|
      at = Time.at(1_234_567_890, 123_999, :microsecond)
      records = round_trip(client) do |producer|
        producer.produce("a", timestamp: at)
        producer.produce("b", timestamp: 1_234_567_890_124)
        producer.produce("c", timestamp: 0)
      end
      assert_equal [1_234_567_890_123, 1_234_567_890_124, 0], records.map(&:timestamp)
      assert_equal Time.utc(2009, 2, 13, 23, 31, 30.124r), records[1].time
      assert_predicate records[0].time, :utc?
    end
  end

  def test_a_record_matches_patterns
    with_topic do |client|
      record, = round_trip(client) { |producer| producer.produce("v", key: "k") }
      case record
      in { key: "k", value:, offset: Integer => offset }
        assert_equal ["v", 0], [value, offset]
      end
    end
  end

  def test_batches_take_values_hashes_and_records
    with_topic do |client|
      first, = round_trip(client) { |producer| producer.produce("v", key: "k", headers: { a: "1" }, timestamp: 7) }
      records = round_trip(client) do |producer|
        handles = producer.produce_batch(["w", nil, { value: "x", timestamp: Time.at(8) }, first])
        assert_equal [1, 2, 3, 4], handles.map { |handle| handle.wait.offset }
        assert_equal 5, producer.append([first, { value: "y" }], expected_offset: 5).offset
        producer << "z" << "zz"
      end
      assert_equal ["v", "w", nil, "x", "v", "v", "y", "z", "zz"], records.map(&:value)
      assert_equal [["k", 7, [%w[a 1]]]] * 2, records.values_at(4, 5).map { |r| [r.key, r.timestamp, r.headers] }
      assert_equal 8000, records[3].timestamp
    end
  end

  def test_a_refused_record_of_a_batch_keeps_no_other_out
    with_topic(max_record_bytes: "1KiB") do |client|
      client.producer("t") do |producer|
        handles = producer.produce_batch(["a", "x" * 1025, "b"])
        assert_raises(Kaffic::RecordTooLarge) { handles[1].wait }
        assert_equal [0, 1], handles.values_at(0, 2).map { |handle| handle.value.offset }
        assert_raises(Kaffic::RecordTooLarge) { producer.produce("x" * 1025) }
        assert_raises(Kaffic::RecordTooLarge) { producer.append(["a", "x" * 1025]) }
      end
      assert_equal 2, client.offset("t", 0, :latest)
    end
  end

  def test_what_is_no_record_is_refused_and_nothing_is_produced
    with_topic do |client|
      client.producer("t") do |producer|
        [7, :symbol, Object.new, 1.5].each { |wrong| assert_raises(TypeError) { producer.produce(wrong) } }
        assert_raises(TypeError) { producer.produce("v", key: 7) }
        assert_raises(TypeError) { producer.produce("v", headers: "a") }
        assert_raises(TypeError) { producer.produce("v", headers: { "a" => 1 }) }
        assert_raises(TypeError) { producer.produce("v", timestamp: "now") }
        assert_raises(ArgumentError) { producer.produce("v", kye: "k") }
        assert_raises(ArgumentError) { producer.produce_batch(["a", { valeu: "v" }]) }
        assert_raises(TypeError) { producer.produce_batch(["a", 7]) }
        assert_raises(RangeError) { producer.produce("v", partition: -1) }
        assert_raises(Kaffic::InvalidArgument) { producer.produce("v", partition: 1) }
        assert_raises(Kaffic::InvalidArgument) { producer.produce("v", sequence: 1) }
        assert_raises(Kaffic::InvalidUtf8) { producer.produce("v", headers: { "\xFF" => "1" }) }
      end
      assert_equal 0, client.offset("t", 0, :latest)
    end
  end

  def test_offsets_of_64_bits
    with_topic do |client|
      places = { ["t", 0] => 1 << 62 }
      error = assert_raises(Kaffic::OffsetOutOfRange) { client.consumer(partitions: places, reset: :error) }
      assert_equal [0, 0], [error.earliest, error.tail]
      assert_match(/#{1 << 62}/, error.message)
      assert_raises(RangeError) { client.consumer(partitions: { ["t", 0] => 1 << 64 }) }
    end
  end
end
