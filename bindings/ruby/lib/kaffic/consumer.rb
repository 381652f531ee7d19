# frozen_string_literal: true

module Kaffic
  # Reads records. Made by {Client#consumer}. Any number of threads may use it: they take their turns,
  # and {#wakeup} and {#close} end another's wait.
  #
  # Records count as processed when the next is asked for, or at {#commit} and {#close}; in a group
  # that is what is committed. What {#each} has not yielded yet never counts.
  class Consumer
    include Enumerable

    # Yields records as they come: for ever, or up to what the settings `until`, `max_records` and
    # `max_bytes` say. Also ends when {#wakeup} or {#close} is called meanwhile.
    #
    # @param idle_timeout [Numeric, nil] ends when none came for so many seconds
    # @yieldparam record [Record]
    # @return [self, Enumerator]
    # @example
    #   consumer.lazy.reject { |record| record.value.nil? }.first(10)
    def each(idle_timeout: nil)
      return to_enum(:each, idle_timeout: idle_timeout) unless block_given?

      native_each(idle_timeout) { |record| yield record }
      self
    end

    # Yields arrays of the records that are there, as {#each} does.
    #
    # @param max [Integer] at most so many at once
    # @param idle_timeout [Numeric, nil] ends when none came for so many seconds
    # @yieldparam records [Array<Record>] never empty
    # @return [self, Enumerator]
    def each_batch(max = 500, idle_timeout: nil)
      return to_enum(:each_batch, max, idle_timeout: idle_timeout) unless block_given?

      raise Closed, "the consumer was closed" if closed?

      while (records = next_batch(max, idle_timeout))
        yield records
      end
      self
    end

    # The next record.
    #
    # @param timeout [Numeric, nil] in seconds
    # @return [Record, nil] nil if none came, if the consumer is finished, or was woken
    # @raise [Error] what stopped a partition; the position stays, so polling again tries again
    def poll(timeout: nil) = native_poll_batch(1, timeout).first

    # Up to `max` records: waits for the first, and takes what is there with it.
    #
    # @param max [Integer]
    # @param timeout [Numeric, nil] in seconds
    # @return [Array<Record>] empty if none came, if the consumer is finished, or was woken
    def poll_batch(max = 500, timeout: nil) = native_poll_batch(max, timeout)

    # Reads topics instead of what was read before.
    # @param topics [Array<String>]
    # @return [self]
    def subscribe(*topics)
      native_topics(topics.flatten.map(&:to_s))
      self
    end

    # Reads all topics whose whole name fits. Only in a group.
    # @param pattern [Regexp, String] in the syntax of Rust's regex, which has no look-around
    # @return [self]
    def subscribe_pattern(pattern)
      native_pattern(pattern.is_a?(Regexp) ? pattern.source : pattern)
      self
    end

    # Reads these partitions.
    # @param partitions [Hash, Array] `{ "orders" => [0, 1] }` or `[["orders", 0]]`; with the offset
    #   where to start `{ ["orders", 0] => 42 }` or `[["orders", 0, 42]]`
    # @return [self]
    def assign(partitions)
      native_partitions(places(partitions))
      self
    end

    # Goes on elsewhere in a partition.
    # @param to [Symbol, Integer, Time, String] `:earliest`, `:latest`, an offset, a time, or a text as
    #   the setting `start` has it
    # @return [self]
    # @raise [InvalidArgument, OffsetOutOfRange]
    def seek(topic, partition, to)
      native_seek(topic, partition, Settings.place(to))
      self
    end

    # Stops delivering a partition.
    # @return [self]
    def pause(topic, partition)
      native_pause(topic, partition, true)
      self
    end

    # Delivers a paused partition again, from where it was.
    # @return [self]
    def resume(topic, partition)
      native_pause(topic, partition, false)
      self
    end

    # @return [Hash{Array(String, Integer) => Integer}] the offset of the next record of each partition
    def positions = native_positions

    # @return [Hash{Array(String, Integer) => Integer}] where each partition ends now
    def end_offsets = native_end_offsets

    # @return [Hash{Array(String, Integer) => Integer}] how far behind the end each partition is
    def lag = native_lag

    # @return [Hash{Array(String, Integer) => Integer}] what is committed of the partitions it has
    def committed = native_committed

    # Commits all positions, a record (so that what comes after it is next), or offsets.
    # @param offsets [nil, Record, Hash] `{ ["orders", 0] => 42 }`, or with metadata
    #   `{ ["orders", 0] => [42, "note"] }`
    # @return [self]
    # @raise [Fenced] a partition went to another meanwhile; InvalidArgument without a group
    def commit(offsets = nil)
      offsets = { [offsets.topic, offsets.partition] => offsets.offset + 1 } if offsets.is_a?(Record)
      native_commit(offsets)
      self
    end

    # Begins to commit all positions, and does not wait. What goes wrong is logged.
    # @return [self]
    def commit_async
      native_commit_async
      self
    end

    # @return [String, nil] its name in its group
    def member_name = native_member_name

    # @return [Boolean] whether everything that was asked for has been delivered
    def finished? = native_finished?

    # Ends another thread's wait for records, or the next one: {#poll} returns nil, {#each} ends.
    # @return [self]
    def wakeup
      native_wakeup
      self
    end

    # Commits what was read if it does that by itself, and leaves its group. One that has failed may be
    # called again; closing again after one that has not does nothing.
    # @return [void]
    def close
      native_close
      @unclosed.closed
      raise_of_callbacks
    end

    # @return [Boolean] whether a {#close} has come to its end
    def closed? = !@unclosed.open?

    private

    # Nil at the end, which is also when another closes the consumer.
    def next_batch(max, idle_timeout)
      records = native_poll_batch(max, idle_timeout)
      records unless records.empty?
    rescue Closed
      nil
    end

    def opened(callbacks)
      @unclosed = Unclosed.watch(self, "a consumer")
      @callbacks = callbacks
    end

    def places(partitions)
      partitions.flat_map do |place, what, offset|
        case place
        when Array then [[*place, what]]
        when String, Symbol then Array(what).map { |partition| [place.to_s, partition, offset] }
        else raise TypeError, "partitions are named as [topic, partition], and not as #{place.inspect}"
        end
      end
    end

    # Called by the native part. A fiber scheduler must not switch fibers amid the core's work.
    def rebalanced(what, partitions)
      callback = @callbacks[what]
      Fiber.new(blocking: true) { callback.call(partitions) }.resume if callback
    rescue Exception => e # rubocop:disable Lint/RescueException
      rebalance_failed(e)
    end

    def rebalance_failed(error)
      @raised ||= error
      native_raised
    end

    # What a callback raised is raised by the read or the close during which it was called. Records that
    # came meanwhile are for the next read.
    def raise_of_callbacks
      raised = @raised or return
      @raised = nil
      raise raised
    end
  end
end
