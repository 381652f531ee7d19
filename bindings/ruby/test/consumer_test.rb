# frozen_string_literal: true

require_relative "helper"

# Reading: what is Enumerable about it, what a commit counts, and rebalances.
class ConsumerTest < Minitest::Test
  def with_records(count = 10, **settings)
    Stores.with_client do |client|
      client.create_topic("t", **settings)
      client.producer("t") { |producer| producer.produce_batch(Array.new(count, &:to_s)).each(&:wait) }
      yield client
    end
  end

  def test_it_is_enumerable
    with_records do |client|
      client.consumer(topics: ["t"], until: :latest) do |consumer|
        assert_equal %w[0 1 2], consumer.first(3).map(&:value)
        assert_equal %w[3 5], consumer.lazy.map(&:value).select { |value| Integer(value).odd? }.first(2)
        assert_equal "6", consumer.each.next.value
        batches = consumer.each_batch(2).to_a
        assert_equal %w[7 8 9], batches.flatten.map(&:value)
        assert batches.all? { |records| (1..2).cover?(records.size) }
        assert_equal [], consumer.to_a
        assert_nil consumer.poll
        assert_predicate consumer, :finished?
      end
    end
  end

  def test_an_idle_timeout_ends_it
    with_records do |client|
      client.consumer(topics: ["t"]) do |consumer|
        assert_equal 10, consumer.first(10).size
        assert_equal [], consumer.each(idle_timeout: 0.1).to_a
        assert_equal [], consumer.each_batch(idle_timeout: 0).to_a
        assert_nil consumer.poll(timeout: 0)
      end
    end
  end

  # A commit within the iteration counts the record in hand, and none that came with it.
  def test_a_commit_counts_what_was_yielded
    with_records do |client|
      settings = { topics: ["t"], group: "g", auto_commit: :never }
      client.consumer(**settings) do |consumer|
        consumer.each { |record| break if record.value == "3" }
        consumer.commit
        assert_equal({ ["t", 0] => 4 }, consumer.committed)
        assert_equal({ ["t", 0] => 4 }, consumer.positions)
        record = consumer.poll
        consumer.poll_batch(3)
        consumer.commit(record)
      end
      assert_equal({ ["t", 0] => 5 }, client.committed("g"))
      client.consumer(topics: ["t"], group: "g") { |consumer| assert_equal "5", consumer.first.value }
      assert_equal({ ["t", 0] => 6 }, client.committed("g"))
      client.consumer(**settings) { |consumer| consumer.poll && consumer.commit(["t", 0] => 2) }
      assert_equal({ ["t", 0] => 2 }, client.committed("g"))
    end
  end

  def test_where_it_is
    with_records do |client|
      client.consumer(partitions: { "t" => [0] }) do |consumer|
        assert_equal 4, consumer.first(4).size
        at = ["t", 0]
        assert_equal [{ at => 4 }, { at => 10 }, { at => 6 }], [consumer.positions, consumer.end_offsets, consumer.lag]
        consumer.pause("t", 0)
        assert_nil consumer.poll(timeout: 0.05)
        assert_equal "4", consumer.resume("t", 0).poll.value
        assert_equal "8", consumer.assign([["t", 0, 8]]).poll.value
        assert_nil consumer.member_name
        assert_raises(Kaffic::InvalidArgument) { consumer.commit }
        assert_raises(TypeError) { consumer.assign([7]) }
      end
    end
  end

  def test_callbacks_hear_of_rebalances_and_say_what_is_committed
    with_records(partitions: 1) do |client|
      heard = []
      tell = ->(what, answer = nil) { ->(partitions) { heard << [what, partitions] and answer } }
      settings = { topics: ["t"], group: "g", auto_commit: :never }
      client.consumer(on_assigned: tell[:assigned], on_revoked: tell[:revoked, { ["t", 0] => 2 }], **settings) do |consumer|
        consumer.take(4)
      end
      assert_equal [[:assigned, { ["t", 0] => 0 }], [:revoked, { ["t", 0] => 4 }]], heard
      assert_equal({ ["t", 0] => 2 }, client.committed("g"))
    end
  end

  def test_what_a_callback_raises_is_raised_and_loses_nothing
    with_records do |client|
      consumer = client.consumer(topics: ["t"], group: "g", on_assigned: ->(_) { raise IOError, "mine" })
      values = []
      error = assert_raises(IOError) { values << consumer.poll.value while values.size < 10 }
      assert_equal "mine", error.message
      values.concat(consumer.first(10 - values.size).map(&:value))
      assert_equal Array.new(10, &:to_s), values
      consumer.close
      wrong = client.consumer(topics: ["t"], group: "h", on_revoked: ->(_) { { "t" => "soon" } })
      wrong.first
      assert_raises(TypeError) { wrong.close }
    end
  end

  def test_what_a_callback_raises_ends_a_read_that_waits
    Stores.with_client do |client|
      client.create_topic("t")
      %w[each each_batch poll].each do |name|
        consumer = client.consumer(topics: ["t"], group: name, on_assigned: ->(_) { raise IOError, "mine" })
        reads = Thread.new { consumer.public_send(name) { flunk } }
        reads.report_on_exception = false
        assert_raises(IOError, name) { assert reads.join(PATIENCE), "#{name} hangs" }
        assert_nil consumer.poll(timeout: 0)
        consumer.close
      end
    end
  end

  def test_a_close_that_fails_may_be_called_again
    with_records do |client|
      producer = client.producer("t")
      consumer = nil
      failed = []
      closes = lambda do |_|
        [producer, consumer, client].each do |what|
          what.close
        rescue Kaffic::InCallback
          failed << what.closed?
        end
      end
      consumer = client.consumer(topics: ["t"], group: "g", on_assigned: closes)
      consumer.first
      assert_equal [false] * 3, failed
      [producer, consumer, client].each do |what|
        what.close
        assert_predicate what, :closed?
      end
      assert_raises(Kaffic::Closed) { client.producer("t") }
    end
  end

  def test_a_callback_may_not_wait
    with_records do |client|
      seen = nil
      waits = lambda do |_|
        client.topics
      rescue Kaffic::Error => e
        seen = e
      end
      client.consumer(topics: ["t"], group: "g", on_assigned: waits, &:first)
      assert_kind_of Kaffic::InCallback, seen
    end
  end

  def test_threads_take_their_turns
    with_records(400, partitions: 1) do |client|
      consumer = client.consumer(topics: ["t"], max_records: 400)
      threads = Array.new(4) { Thread.new { consumer.map(&:value) } }
      assert_equal Array.new(400, &:to_s), threads.flat_map(&:value).sort_by(&:to_i)
      consumer.close
    end
  end
end
