# frozen_string_literal: true

require_relative "helper"
require "socket"
require "timeout"

# Every wait lets other threads run, and ends for whatever Ruby interrupts threads with.
class WaitsTest < Minitest::Test
  class Stop < StandardError; end

  def setup
    Thread.report_on_exception = false
  end

  def teardown
    Thread.report_on_exception = true
  end

  # Yields the name of each kind of wait and a lambda that waits as good as for ever.
  def each_wait
    silent = TCPServer.new("127.0.0.1", 0) # takes connections, and never answers
    endpoint = "http://127.0.0.1:#{silent.addr[1]}"
    Stores.with_client do |client|
      client.create_topic("empty")
      client.create_topic("slow")
      # Nothing is written before an hour has gone by.
      slow = client.producer("slow", linger: "1h", delivery_timeout: "2h")
      handle = slow.produce("x")
      client.consumer(topics: ["empty"]) do |consumer|
        yield "poll", -> { consumer.poll }
        yield "poll with a timeout", -> { consumer.poll(timeout: 3600) }
        yield "poll_batch", -> { consumer.poll_batch(10) }
        yield "each", -> { consumer.each { flunk } }
        yield "each_batch", -> { consumer.each_batch { flunk } }
        yield "lazy", -> { consumer.lazy.map(&:value).first(1) }
      end
      yield "wait", -> { handle.wait }
      yield "wait with a timeout", -> { handle.wait(timeout: 3600) }
      yield "value", -> { handle.value }
      slow.close
    end
    with_full_producer do |full|
      yield "produce", -> { full.produce("y" * 60_000) }
      yield "produce_batch", -> { full.produce_batch(["y" * 60_000]) }
    end
    options = { endpoint: endpoint, access_key_id: "k", secret_access_key: "s", region: "r", allow_http: true }
    Kaffic.connect("s3://bucket", **options) { |client| yield "topics", -> { client.topics } }
  ensure
    silent&.close
  end

  # Yields a producer with no room left, since its store is away.
  def with_full_producer
    Stores.with_directory do |dir|
      Kaffic.connect("file://#{dir}/store") do |client|
        client.create_topic("t")
        full = client.producer("t", delivery_timeout: "2h", max_in_flight_bytes: "64KiB")
        File.rename("#{dir}/store", "#{dir}/away")
        FileUtils.touch("#{dir}/store")
        full.produce("x" * 60_000)
        yield full
        File.delete("#{dir}/store")
        File.rename("#{dir}/away", "#{dir}/store")
        full.close
      end
    end
  end

  # Starts a thread that waits, and gives it when it does.
  def waiting(work)
    thread = Thread.new(&work)
    eventually("a wait") { thread.status != "run" }
    thread
  end

  def joined(thread, name = "a thread")
    thread.join(PATIENCE) || flunk("#{name} hangs")
  end

  def ended(name, thread)
    joined(thread, name)
    flunk "#{name} did not wait"
  rescue Stop
    pass
  end

  def test_a_raise_ends_it
    each_wait do |name, work|
      thread = waiting(work)
      thread.raise(Stop)
      ended(name, thread)
    end
  end

  def test_a_kill_ends_it
    each_wait do |name, work|
      thread = waiting(work)
      thread.kill
      assert_nil joined(thread, name).value, name
    end
  end

  def test_a_timeout_ends_it
    each_wait do |name, work|
      assert_raises(Stop, name) { Timeout.timeout(0.05, Stop) { work.call } }
    end
  end

  def test_a_signal_ends_it
    each_wait do |name, work|
      main = Thread.current
      before = trap("INT") { raise Stop }
      signaller = Thread.new do
        Thread.pass until main.status == "sleep"
        Process.kill("INT", Process.pid)
      end
      assert_raises(Stop, name) { work.call }
    ensure
      signaller.join
      trap("INT", before)
    end
  end

  # What is put off until a block's end must not end waits in it, nor keep them from ending.
  def test_what_is_put_off_for_longer_ends_no_wait
    Stores.with_client do |client|
      client.create_topic("t")
      ends = []
      thread = Thread.new do
        Thread.handle_interrupt(Stop => :never) do
          Thread.current.raise(Stop)
          ends << Thread.pending_interrupt?
          producer = client.producer("t")
          producer.produce("v").wait
          producer.close
          consumer = client.consumer(topics: ["t"], group: "g")
          ends << consumer.poll.value << consumer.poll(timeout: 0.01)
          consumer.close
        end
      end
      ended("a wait", thread)
      assert_equal [true, "v", nil], ends
    end
  end

  # If the lock were kept, nobody could produce what the other waits for.
  def test_other_threads_run_meanwhile
    Stores.with_client do |client|
      client.create_topic("t")
      consumer = client.consumer(topics: ["t"])
      reads = Array.new(4) { waiting(-> { consumer.poll.value }) }
      client.producer("t") { |producer| producer.produce_batch(%w[a b c d]).each(&:wait) }
      assert_equal %w[a b c d], reads.map { |read| joined(read).value }.sort
    end
  end

  def test_calls_do_not_wait_for_a_read_that_waits
    Stores.with_client do |client|
      client.create_topic("t")
      consumer = client.consumer(topics: ["t"], group: "g")
      reads = waiting(-> { consumer.each { flunk } })
      %i[positions finished? member_name lag committed commit].each do |name|
        joined(Thread.new { consumer.public_send(name) }, name)
      end
      consumer.close
      joined(reads)
    end
  end

  def test_an_interrupted_read_loses_nothing
    interrupted_reads { |read| read.call }
  end

  def test_an_interrupted_read_in_a_fiber_loses_nothing
    interrupted_reads { |read| Fiber.new(&read).resume }
  end

  # Interrupts what the block is to call, a read, again and again.
  def interrupted_reads
    Stores.with_client do |client|
      client.create_topic("t")
      values = Array.new(400, &:to_s)
      seen = []
      writer = Thread.new do
        client.producer("t") { |producer| values.each { |value| producer.produce(value).wait } }
      end
      consumer = client.consumer(topics: ["t"], max_records: values.size)
      until consumer.finished?
        enough = seen.size + 7
        reader = Thread.new do
          Thread.handle_interrupt(Stop => :on_blocking) do
            yield -> { consumer.each { |record| seen << record.value } }
          end
        end
        eventually("a record after #{seen.last}") { seen.size >= enough || !reader.alive? }
        reader.raise(Stop)
        begin
          joined(reader, "the read")
        rescue Stop
          pass
        end
      end
      writer.join
      assert_equal values, seen
    end
  end

  def test_a_signal_handler_may_close_the_consumer_that_waits
    Stores.with_client do |client|
      client.create_topic("t")
      consumer = client.consumer(topics: ["t"], group: "g")
      main = Thread.current
      before = trap("TERM") { consumer.close }
      signaller = Thread.new do
        Thread.pass until main.status == "sleep"
        Process.kill("TERM", Process.pid)
      end
      consumer.each { flunk }
      assert consumer.closed?
      assert_empty client.group("g")[:members]
    ensure
      signaller.join
      trap("TERM", before)
    end
  end

  def test_a_wakeup_and_a_close_end_a_read_quietly
    Stores.with_client do |client|
      client.create_topic("t")
      consumer = client.consumer(topics: ["t"])
      { poll: nil, poll_batch: [], each: consumer, each_batch: consumer }.each do |name, expected|
        thread = waiting(-> { consumer.public_send(name) { flunk } })
        consumer.wakeup
        came = joined(thread).value
        expected.nil? ? assert_nil(came) : assert_equal(expected, came)
      end
      reads = %i[each each_batch].map { |name| waiting(-> { consumer.public_send(name) { flunk } }) }
      polls = waiting(-> { consumer.poll })
      consumer.close
      reads.each { |read| assert_equal consumer, joined(read).value }
      assert_raises(Kaffic::Closed) { joined(polls) }
      assert_raises(Kaffic::Closed) { consumer.each { flunk } }
      assert_raises(Kaffic::Closed) { consumer.each_batch { flunk } }
    end
  end

  def test_a_wakeup_ends_a_read_that_has_records
    Stores.with_client do |client|
      client.create_topic("t")
      client.producer("t") { |producer| producer.produce_batch(%w[a b c]).each(&:wait) }
      consumer = client.consumer(topics: ["t"])
      seen = []
      2.times { consumer.each { |record| seen << record.value && consumer.wakeup } }
      assert_equal %w[a b], seen
      consumer.wakeup
      assert_nil consumer.poll
      assert_equal "c", consumer.poll.value
    end
  end

  def test_a_limit_says_what_took_too_long
    Stores.with_client do |client|
      client.create_topic("t")
      producer = client.producer("t", linger: "1h", delivery_timeout: "2h")
      handle = producer.produce("v")
      error = assert_raises(Kaffic::TimedOut) { handle.wait(timeout: 0.01) }
      assert_match(/way into the log/, error.message)
      assert error.retriable?
      refute handle.done?
      [-1, Float::NAN, Float::INFINITY].each do |wrong|
        assert_raises(ArgumentError) { handle.wait(timeout: wrong) }
      end
      assert_raises(TypeError) { handle.wait(timeout: "soon") }
      producer.close
      assert handle.done?
      assert_equal 0, handle.wait(timeout: 0).offset
    end
  end
end
