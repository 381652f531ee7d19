# frozen_string_literal: true

module Kaffic
  # A record as a consumer gets it: frozen, its key, value and header values in binary encoding.
  # Patterns match it by keyword: `in {key: nil, value:}`.
  #
  # @!attribute [r] topic
  #   @return [String]
  # @!attribute [r] partition
  #   @return [Integer]
  # @!attribute [r] offset
  #   @return [Integer] grows within the partition; may have gaps
  # @!attribute [r] timestamp
  #   @return [Integer] milliseconds since the Unix epoch
  # @!attribute [r] key
  #   @return [String, nil] nil where it is null, which is not empty
  # @!attribute [r] value
  #   @return [String, nil] nil where it is null, which is not empty
  # @!attribute [r] headers
  #   @return [Array<Array(String, String)>] names and values in order; names may repeat, values may be nil
  Record = Struct.new(:topic, :partition, :offset, :timestamp, :key, :value, :headers) do
    # @return [Time] the timestamp, in UTC
    def time = Time.at(0, timestamp, :millisecond, in: "UTC")

    # @return [String, nil] the value of the last header of that name
    def header(name) = headers.reverse_each.find { |there, _| there == name }&.last
  end

  # Where a record went.
  #
  # @!attribute [r] partition
  #   @return [Integer]
  # @!attribute [r] offset
  #   @return [Integer] of the first record, where several were appended at once; -1 for a duplicate
  # @!attribute [r] timestamp
  #   @return [Integer] milliseconds since the Unix epoch
  # @!attribute [r] duplicate
  #   @return [Boolean] whether the producer's name had written the record's sequence before
  Ack = Struct.new(:partition, :offset, :timestamp, :duplicate) do
    # @return [Boolean]
    alias_method :duplicate?, :duplicate
  end
end
