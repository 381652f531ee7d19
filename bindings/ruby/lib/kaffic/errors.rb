# frozen_string_literal: true

module Kaffic
  # What kaffic raises. There is a class for each status: `TOPIC_NOT_FOUND` is {TopicNotFound}. Wrong
  # types of arguments raise TypeError and ArgumentError, as everywhere.
  class Error < StandardError
    # @return [Integer, nil] of {OffsetOutOfRange}: the first offset that is there behind the wanted one
    attr_reader :earliest
    # @return [Integer, nil] of {OffsetOutOfRange} and {ConditionFailed}: the offset that the next
    #   record will get
    attr_reader :tail

    # The status's name in every language, `:FENCED` say, and its number.
    class << self
      # @return [Symbol, nil]
      attr_reader :status
      # @return [Integer, nil]
      attr_reader :code
    end

    # @private
    def self.of(status, message, retriable, outcome_unknown, earliest, tail)
      BY_STATUS.fetch(status.to_sym).new(message).tap do |error|
        error.send(:know, retriable, outcome_unknown, earliest, tail)
      end
    end

    # @return [Symbol, nil] the status's name in every language
    def status = self.class.status

    # @return [Integer, nil] the status's number in every language
    def code = self.class.code

    # @return [Boolean] whether the same call may succeed later without anything being changed
    def retriable? = @retriable || false

    # @return [Boolean] whether it can't be known if the records were written; without this they
    #   were not
    def outcome_unknown? = @outcome_unknown || false

    private

    def know(retriable, outcome_unknown, earliest, tail)
      @retriable = retriable
      @outcome_unknown = outcome_unknown
      @earliest = earliest
      @tail = tail
    end
  end

  # A class for each status.
  Error::BY_STATUS = Native.statuses.drop(1).to_h do |status, code, *|
    error = Class.new(Error) do
      @status = status.to_sym
      @code = code
    end
    const_set(status.downcase.gsub(/(?:^|_)(.)/) { Regexp.last_match(1).upcase }, error)
    [status.to_sym, error]
  end.freeze
  Error.private_constant :BY_STATUS
end
