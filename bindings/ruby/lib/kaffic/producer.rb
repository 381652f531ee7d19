# frozen_string_literal: true

module Kaffic
  # Writes records to a topic. Any number of threads may use it. Made by {Client#producer}.
  class Producer
    # Puts a record into the buffer, and returns without waiting until it is in the log. Waits for room
    # while the buffer is full (the setting `when_full`).
    #
    # @param value [String, nil] its bytes, whatever the encoding; nil is null, which is not empty
    # @param key [String, nil] decides the partition, and so the order
    # @param headers [Hash, Array<Array>, nil] names and values; in a hash an array stands for several
    #   values of one name
    # @param timestamp [Time, Integer, nil] milliseconds since the Unix epoch; nil is now
    # @param partition [Integer, nil] nil lets the key decide, or the producer where there is no key
    # @param sequence [Integer, nil] by which a named producer knows what it has written before
    # @return [Handle]
    # @raise [RecordTooLarge, QueueFull, Closed, InvalidArgument, TimedOut]
    # @example
    #   handle = producer.produce("paid", key: "customer-7", headers: { "source" => "shop" })
    #   handle.wait(timeout: 5).offset
    def produce(value = nil, key: nil, headers: nil, timestamp: nil, partition: nil, sequence: nil)
      timestamp = Settings.milliseconds(timestamp)
      native_produce([value, key, headers, timestamp, partition, sequence])
    end

    # Produces a value; for chains: `producer << "a" << "b"`.
    # @return [self]
    def <<(value)
      native_produce(value)
      self
    end

    # Produces many records in one call. A record that is refused does not keep the others out: its
    # handle says why. An interrupt while it waits for room (Timeout, Thread#raise) leaves the rest out;
    # {#flush} tells of those that have entered.
    #
    # @param records [Array<String, Hash, Record, nil>] values, or hashes of what {#produce} takes with
    #   the value as `value:`
    # @return [Array<Handle>]
    # @example
    #   producer.produce_batch(["a", { value: "b", key: "k" }]).each(&:wait)
    def produce_batch(records) = native_produce_batch(parts(records))

    # Appends records to a partition as one batch, all or none, and waits until they are in the log.
    #
    # @param records [Array<String, Hash, Record, nil>] as for {#produce_batch}
    # @param partition [Integer]
    # @param expected_offset [Integer, nil] appends only if the first of them gets just that offset
    # @return [Ack] of the first record
    # @raise [ConditionFailed] with the actual {Error#tail}
    def append(records, partition: 0, expected_offset: nil)
      native_append(partition, parts(records), expected_offset)
    end

    # Waits until everything produced so far is in the log or has failed.
    #
    # @param timeout [Numeric, nil] in seconds
    # @return [self]
    # @raise [Error] the first failure of a record; TimedOut
    def flush(timeout: nil)
      native_flush(timeout)
      self
    end

    # Flushes, and refuses records from then on. One that has failed may be called again; closing again
    # after one that has not does nothing.
    #
    # @param timeout [Numeric, nil] in seconds
    # @return [void]
    # @raise [Error] the first failure of a record; TimedOut
    def close(timeout: nil)
      native_close(timeout)
      @unclosed.closed
      nil
    end

    # @return [Boolean] whether a {#close} has come to its end
    def closed? = !@unclosed.open?

    # @return [Integer] the topic's number of partitions
    def partitions = native_partitions

    # @return [Integer, nil] which instance of its name this is, from 0; nil without a name
    def epoch = native_epoch

    # @return [Integer, nil] the last sequence that the producer's name has written to a partition
    # @raise [Fenced, InvalidArgument]
    def last_sequence(partition) = native_last_sequence(partition)

    # Fences older instances of the producer's name off all partitions, now.
    # @return [void]
    # @raise [Fenced, InvalidArgument]
    def fence_all
      native_fence_all
      nil
    end

    private

    def opened(topic)
      @unclosed = Unclosed.watch(self, "a producer of the topic #{topic}")
    end

    def parts(records)
      Array(records).map do |record|
        case record
        when Hash then parts_of(**record)
        when Record then [record.value, record.key, record.headers, record.timestamp, nil, nil]
        else record
        end
      end
    end

    def parts_of(value: nil, key: nil, headers: nil, timestamp: nil, partition: nil, sequence: nil)
      [value, key, headers, Settings.milliseconds(timestamp), partition, sequence]
    end
  end

  # A record under way to the log. Dropping it does not take the record back.
  class Handle
    # Waits until the record is in the log.
    #
    # @param timeout [Numeric, nil] in seconds
    # @return [Ack]
    # @raise [Error] why it is not, {Error#outcome_unknown?} tells if it may be; TimedOut
    def wait(timeout: nil) = native_wait(timeout)

    # Waits as long as it takes, as Thread#value does.
    # @return [Ack]
    def value = native_wait(nil)

    # @!method done?
    #   @return [Boolean] whether {#wait} would not wait
  end
end
