# frozen_string_literal: true

module Kaffic
  # A connection to a store. Made by {Kaffic.connect}. Any number of threads may use it. After a fork the
  # child needs a new one.
  #
  # Descriptions and reports are hashes with symbols as keys; times in them are in milliseconds.
  class Client
    # Makes a producer. What settings there are is in docs/configuration.md.
    #
    # @param topic [String]
    # @param settings [Hash] `linger: "5ms"`, `compression: :zstd`, `name: "billing"` …
    # @yieldparam producer [Producer] closed after the block
    # @return [Producer, Object] the producer, or what the block returns
    # @raise [TopicNotFound, UnknownSetting, InvalidArgument]
    def producer(topic, **settings, &block)
      check_open
      producer = native_producer(topic, Settings.text(settings))
      producer.send(:opened, topic)
      made(producer, &block)
    end

    # Makes a consumer, of topics, of a pattern or of partitions. What settings there are is in
    # docs/configuration.md.
    #
    # @param topics [Array<String>, String, nil]
    # @param pattern [Regexp, String, nil] as for {Consumer#subscribe_pattern}
    # @param partitions [Hash, Array, nil] as for {Consumer#assign}
    # @param on_assigned [#call, nil] gets the partitions that are the member's now, with the offsets
    #   from which they will be read: `{ ["orders", 0] => 42 }`
    # @param on_revoked [#call, nil] gets partitions that are about to go to others, with the offsets up
    #   to which they were read. If it returns such a hash, that is committed before
    # @param on_lost [#call, nil] gets partitions that others have already
    # @param settings [Hash] `group: "billing"`, `start: :latest`, `auto_commit: :never` …
    # @yieldparam consumer [Consumer] closed after the block
    # @return [Consumer, Object] the consumer, or what the block returns
    # @raise [TopicNotFound, UnknownSetting, InvalidArgument]
    def consumer(topics: nil, pattern: nil, partitions: nil,
                 on_assigned: nil, on_revoked: nil, on_lost: nil, **settings, &block)
      check_open
      if [topics, pattern, partitions].compact.size > 1
        raise ArgumentError, "a consumer reads topics:, a pattern: or partitions:, one of them"
      end

      consumer = native_consumer(Settings.text(with_places(settings)))
      consumer.send(:opened, { assigned: on_assigned, revoked: on_revoked, lost: on_lost }.compact)
      begin
        consumer.subscribe(*topics) if topics
        consumer.subscribe_pattern(pattern) if pattern
        consumer.assign(partitions) if partitions
      rescue Exception # rubocop:disable Lint/RescueException
        consumer.close
        raise
      end
      made(consumer, &block)
    end

    # @return [Array<Hash>] all topics
    def topics = native_topics

    # @return [Hash] a topic's description
    # @raise [TopicNotFound]
    def topic(name) = native_topic(name)

    # Creates a topic.
    # @param settings [Hash] `partitions: 3`, `retention: "7d"` …
    # @return [Hash] its description
    # @raise [TopicExists, InvalidArgument, UnknownSetting]
    def create_topic(name, **settings) = native_create_topic(name, Settings.text(settings))

    # Creates a topic unless it exists; one that does is left as it is.
    # @return [Hash] its description
    def ensure_topic(name, **settings) = native_ensure_topic(name, Settings.text(settings))

    # Changes a topic's settings.
    # @return [Hash] its description
    def alter_topic(name, **settings) = native_alter_topic(name, Settings.text(settings))

    # Deletes a topic with its records.
    # @return [Hash] what was removed, and what is left for later
    def delete_topic(name) = native_delete_topic(name)

    # An offset of a partition.
    # @param at [Symbol, Time, String] `:earliest`, `:latest`, or the first record from a time on
    # @return [Integer]
    def offset(topic, partition, at) = native_offset(topic, partition, Settings.place(at))

    # Reads everything of a topic, and says what is wrong.
    # @return [Hash]
    def verify(topic) = native_verify(topic)

    # Joins small objects of a topic to large ones.
    # @return [Hash]
    def compact(topic) = native_compact(topic)

    # Removes a topic's oldest records: what the settings say, or what its retention does.
    # @param settings [Hash] `before_offset: 1000`, `before_timestamp: Time.now - 86_400` …
    # @return [Hash]
    def trim(topic, **settings) = native_trim(topic, Settings.text(settings))

    # Makes a copy of a store fit to be written to.
    # @return [Hash] what it did, or would do
    def adopt(topic, dry_run: false) = native_adopt(topic, dry_run)

    # Tries on the store what kaffic rests on, and measures it.
    # @return [Hash]
    def examine = native_examine

    # @return [Hash] what the client has done so far, and how long it took: `:storage`, `:producer`
    #   and `:consumer`, as docs/operations.md says
    def metrics = native_metrics

    # @return [Array<Hash>] all groups
    def groups = native_groups

    # @return [Hash] a group: its members, and what is committed
    # @raise [GroupNotFound]
    def group(name) = native_group(name)

    # @return [Hash{Array(String, Integer) => Integer}] what is committed in a group
    def committed(group) = native_group_committed(group)

    # Commits from outside a group that has no members.
    # @param offsets [Hash{Array(String, Integer) => Integer}]
    # @return [void]
    # @raise [GroupNotEmpty]
    def commit(group, offsets) = native_commit_group(group, offsets)

    # Resets a group that has no members, in one topic.
    # @param to [Symbol, Integer, Time, String] `:earliest`, `:latest`, an offset, a time, or a text
    #   such as `shift:-10`
    # @param partitions [Array<Integer>, nil] nil is all
    # @param dry_run [Boolean] only says what would be committed
    # @return [Hash{Array(String, Integer) => Integer}]
    def reset_group(name, topic, to, partitions: nil, dry_run: false)
      native_reset_group(name, topic, Settings.place(to), partitions, dry_run)
    end

    # Deletes a group that has no members.
    # @return [void]
    def delete_group(name) = native_delete_group(name)

    # Closes the producers and consumers that were made by the client and are open still, and makes no
    # more. One that has failed may be called again; closing again after one that has not does nothing.
    # @return [void]
    # @raise [Error] the first failure of a close
    def close
      return if @closed

      failures = (native_here? ? @made.values : []).reject(&:closed?).filter_map do |open|
        open.close
        nil
      rescue Error => e
        e
      end
      raise failures.first unless failures.empty?

      @closed = true
      nil
    end

    # @return [Boolean] whether a {#close} has come to its end
    def closed? = @closed

    private

    def opened
      @closed = false
      # Weak, so that the garbage collector can find what nobody uses.
      @made = ObjectSpace::WeakMap.new
    end

    def made(what, &block)
      @made[what] = what
      block ? Scoped.run(what, &block) : what
    end

    def check_open
      raise Closed, "the client was closed" if @closed
    end

    def with_places(settings)
      places = settings.slice(:start, :until).compact
      settings.merge(places.transform_values { |at| Settings.place(at) })
    end
  end
end
