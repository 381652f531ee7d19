# frozen_string_literal: true

require_relative "helper"

# Under a fiber scheduler a wait holds up its fiber, and no other.
class FibersTest < Minitest::Test
  # The least that a scheduler has to do: runs fibers in turn, wakes those that others unblock, and sleeps.
  class Scheduler
    def initialize
      @lock = Thread::Mutex.new
      @changed = Thread::ConditionVariable.new
      @ready = []
      @waiting = {}
    end

    def fiber(&block)
      Fiber.new(blocking: false, &block).tap(&:resume)
    end

    def block(_blocker, timeout = nil)
      @waiting[Fiber.current] = timeout && (now + timeout)
      Fiber.yield
    end

    def unblock(_blocker, fiber)
      @lock.synchronize do
        @ready << fiber
        @changed.signal
      end
    end

    def kernel_sleep(duration = nil) = block(:sleep, duration)

    def io_wait(_io, events, _timeout) = events

    def close
      until @waiting.empty?
        woken = @lock.synchronize { next_ones }
        woken.each do |fiber|
          @waiting.delete(fiber)
          fiber.resume if fiber.alive?
        end
      end
    end

    private

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    def next_ones
      due = @waiting.select { |_, at| at && at <= now }.keys
      if due.empty? && @ready.empty?
        at = @waiting.values.compact.min
        @changed.wait(@lock, at && [at - now, 0].max)
      end
      (due + @ready.slice!(0..)).uniq
    end
  end

  # Runs the block in a thread of its own under a scheduler; fails if that hangs.
  def scheduled
    thread = Thread.new do
      Fiber.set_scheduler(Scheduler.new)
      yield
    end
    assert thread.join(PATIENCE), "the scheduler hangs"
  end

  def test_fibers_run_while_others_wait
    Stores.with_client do |client|
      client.create_topic("t", partitions: 2)
      happened = []
      scheduled do
        consumer = client.consumer(partitions: [["t", 0]])
        other = client.consumer(partitions: [["t", 1]], max_records: 3)
        Fiber.schedule { happened << "poll #{consumer.poll.value}" }
        Fiber.schedule { other.each { |record| happened << "each #{record.value}" } && happened << "finished" }
        Fiber.schedule do
          happened << "produces"
          client.producer("t") do |producer|
            %w[a b c].each { |value| producer.produce(value, partition: 1).wait }
            sleep 0.01
            producer.produce("d", partition: 0).wait
          end
        end
        happened << "all wait"
      end
      assert_equal ["produces", "all wait"], happened.first(2)
      assert_equal ["each a", "each b", "each c", "finished"], happened.grep(/each|finished/)
      assert_includes happened, "poll d"
    end
  end

  def test_what_is_raised_comes_to_the_fiber
    Stores.with_client do |client|
      client.create_topic("t")
      errors = []
      scheduled do
        Fiber.schedule do
          client.topic("nowhere")
        rescue Kaffic::Error => e
          errors << e
        end
        consumer = client.consumer(topics: ["t"])
        Fiber.schedule do
          consumer.poll
        rescue Kaffic::Error => e
          errors << e
        end
        Fiber.schedule { consumer.close }
      end
      assert_equal [Kaffic::Closed, Kaffic::TopicNotFound], errors.map(&:class).sort_by(&:name)
    end
  end

  # A wait's thread is none of the program's.
  def test_what_is_raised_in_a_fiber_ends_no_program
    Thread.abort_on_exception = true
    Stores.with_client do |client|
      error = nil
      thread = Thread.new { Fiber.new { error = assert_raises(Kaffic::TopicNotFound) { client.topic("nowhere") } }.resume }
      assert thread.join(PATIENCE), "the fiber hangs"
      assert_match(/fibers_test/, error.backtrace.join)
    end
  ensure
    Thread.abort_on_exception = false
  end

  def test_callbacks_may_use_the_scheduler
    Stores.with_client do |client|
      client.create_topic("t")
      client.producer("t") { |producer| producer.produce("v") }
      heard = nil
      scheduled do
        Fiber.schedule do
          assigned = ->(partitions) { sleep(0.001) && heard = partitions }
          client.consumer(topics: ["t"], group: "g", on_assigned: assigned, &:first)
        end
      end
      assert_equal({ ["t", 0] => 0 }, heard)
    end
  end
end
