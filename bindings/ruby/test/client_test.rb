# frozen_string_literal: true

require_relative "helper"

# Connecting, settings, errors, and what is closed when.
class ClientTest < Minitest::Test
  def test_there_is_an_exception_for_each_status
    errors = Kaffic.constants.map { |name| Kaffic.const_get(name) }.select { |it| it.is_a?(Class) && it < Kaffic::Error }
    table = Kaffic.const_get(:Native).statuses.drop(1)
    assert_equal table.map { |name, code, *| [name.to_sym, code] }.sort, errors.map { |it| [it.status, it.code] }.sort
    assert_equal [:FENCED, 44], [Kaffic::Fenced.status, Kaffic::Fenced.code]
  end

  def test_errors_tell_what_is_known
    Stores.with_client do |client|
      client.create_topic("t")
      client.producer("t") do |producer|
        producer.append(%w[a b])
        error = assert_raises(Kaffic::ConditionFailed) { producer.append(["c"], expected_offset: 0) }
        assert_equal [2, nil, false, false], [error.tail, error.earliest, error.retriable?, error.outcome_unknown?]
        assert_kind_of StandardError, error
      end
      error = assert_raises(Kaffic::TopicNotFound) { client.topic("nowhere") }
      assert_match(/nowhere/, error.message)
    end
    assert_raises(Kaffic::InvalidArgument) { Kaffic.connect("nowhere") }
    assert_raises(TypeError) { Kaffic.connect(7) }
  end

  def test_settings_are_what_they_are_in_every_language
    Stores.with_client do |client|
      client.create_topic("t", partitions: 2, compression: :zstd, retention: nil)
      assert_equal [2, "zstd", nil], client.topic("t").values_at(:partitions, :compression, :retention_ms)
      error = assert_raises(Kaffic::UnknownSetting) { client.producer("t", lingr: "5ms") }
      assert_match(/linger/, error.message)
      assert_raises(Kaffic::InvalidArgument) { client.producer("t", linger: "soon") }
      assert_raises(TypeError) { client.producer("t", linger: 0.005) }
      half = Struct.new(:in_seconds).new(0.5)
      client.producer("t", linger: half, compaction: false, batch_bytes: 4096, &:close)
      assert_raises(ArgumentError) { client.consumer(topics: ["t"], partitions: { "t" => 0 }) }
    end
  end

  def test_places_are_symbols_numbers_and_times
    Stores.with_client do |client|
      client.create_topic("t")
      client.producer("t") { |producer| 5.times { |n| producer.produce(n.to_s, timestamp: 1000 * (n + 1)) } }
      { earliest: "0", "offset:3": "3", 2 => "2", Time.at(4) => "3", "last:1" => "4" }.each do |start, value|
        client.consumer(topics: ["t"], start: start) { |consumer| assert_equal value, consumer.poll.value }
      end
      client.consumer(topics: ["t"], until: 2) { |consumer| assert_equal %w[0 1], consumer.map(&:value) }
      client.consumer(topics: ["t"]) do |consumer|
        [[3, "3"], [:earliest, "0"], [Time.at(5), "4"]].each do |place, value|
          assert_equal value, consumer.seek("t", 0, place).poll.value
        end
      end
      assert_equal [0, 5, 2], [:earliest, :latest, Time.at(3)].map { |at| client.offset("t", 0, at) }
      client.commit("g", ["t", 0] => [4, "note"])
      assert_equal({ ["t", 0] => 4 }, client.committed("g"))
      assert_equal "note", client.group("g")[:partitions][0][:metadata]
      assert_equal({ ["t", 0] => 1 }, client.reset_group("g", "t", 1, dry_run: true))
      assert_equal({ ["t", 0] => 2 }, client.reset_group("g", "t", Time.at(3), partitions: [0]))
      assert_equal 3, client.trim("t", before_timestamp: Time.at(0)).fetch(:removed) + 3
    end
  end

  def test_blocks_close_and_give_their_value
    Stores.with_client do |client|
      client.create_topic("t")
      kept = []
      assert_equal 7, client.producer("t") { |producer| (kept << producer) && 7 }
      assert_equal 8, client.consumer(topics: ["t"]) { |consumer| (kept << consumer) && 8 }
      assert_raises(IOError) { client.producer("t") { |producer| (kept << producer) && raise(IOError) } }
      assert_equal [true] * 3, kept.map(&:closed?)
      assert_raises(Kaffic::Closed) { kept[0].produce("v") }
      assert_equal 9, catch(:done) { client.producer("t") { |producer| (kept << producer) && throw(:done, 9) } }
      client.producer("t") { |producer| break kept << producer }
      assert_equal [true] * 5, kept.map(&:closed?)
    end
  end

  def test_a_client_closes_what_it_made
    Stores.with_url do |url|
      client = Kaffic.connect(url, **Stores.options)
      client.create_topic("t")
      producer = client.producer("t")
      producer.produce("v")
      consumer = client.consumer(topics: ["t"])
      refute client.closed?
      2.times { client.close }
      assert_equal [true] * 3, [client, producer, consumer].map(&:closed?)
      assert_raises(Kaffic::Closed) { client.producer("t") }
      assert_raises(Kaffic::Closed) { client.consumer }
      Kaffic.connect(url, **Stores.options) { |other| assert_equal 1, other.offset("t", 0, :latest) }
    end
  end

  def test_reports
    Stores.with_client do |client|
      client.create_topic("t")
      client.producer("t") { |producer| 3.times { |n| producer.produce(n.to_s).wait } }
      assert_equal [3, []], client.verify("t").values_at(:records, :issues)
      metrics = client.metrics
      assert_equal 3, metrics[:producer][:records]
      assert_operator metrics[:storage][:put][:bytes], :>, 0
      assert_operator metrics[:storage][:put][:duration_ms][:p50], :<=, metrics[:storage][:put][:duration_ms][:max]
      assert_equal true, client.examine[:usable]
      assert_kind_of Hash, client.compact("t")
      assert_equal 60_000, client.alter_topic("t", min_expiry: "1m")[:min_expiry_ms]
      assert_equal "t", client.ensure_topic("t")[:name]
      assert_raises(Kaffic::TopicExists) { client.create_topic("t") }
      assert_equal [], client.groups
      client.delete_topic("t")
      assert_equal [], client.topics
    end
  end

  def test_nothing_is_made_but_by_its_maker
    [Kaffic::Client, Kaffic::Producer, Kaffic::Consumer, Kaffic::Handle].each do |made|
      assert_raises(NoMethodError, TypeError) { made.new }
      assert_raises(NoMethodError, TypeError) { made.allocate }
    end
  end
end
