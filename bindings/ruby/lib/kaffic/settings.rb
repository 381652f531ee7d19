# frozen_string_literal: true

require "time"

module Kaffic
  # Settings as text. Which there are, and what is acceptable, is the core's to say.
  # @private
  module Settings
    module_function

    # `nil` leaves a setting out.
    def text(settings)
      settings.compact.to_h { |name, value| [name.to_s, value(value)] }
    end

    # What is true, a number, a symbol or a text is written as it is; a time as RFC 3339; and what
    # knows its length in seconds, as durations of Active Support do, in milliseconds.
    def value(value)
      case value
      when Time then value.getutc.iso8601(3)
      when String, Symbol, Integer, true, false then value.to_s
      else
        return "#{(value.in_seconds * 1000).round}ms" if value.respond_to?(:in_seconds)

        raise TypeError, "a setting is a String, Symbol, Integer, Time, true or false, and no #{value.class}"
      end
    end

    # Where in a partition: `:earliest`, `:latest`, an offset, a time, or a text as the setting `start`
    # has it.
    def place(at)
      case at
      when Integer then "offset:#{at}"
      when Time then "timestamp:#{milliseconds(at)}"
      else value(at)
      end
    end

    # Milliseconds since the Unix epoch.
    def milliseconds(time)
      time.is_a?(Time) ? (time.to_r * 1000).floor : time
    end
  end
  private_constant :Settings
end
