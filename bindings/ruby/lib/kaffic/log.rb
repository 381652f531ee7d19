# frozen_string_literal: true

module Kaffic
  class << self
    # @return [Logger, nil] where kaffic's log lines go; nowhere to begin with
    attr_reader :logger

    # Sets where log lines go: what happened and matters, such as a commit in the background that failed.
    # The logger's level as it is now decides which come. They are written by a thread, so a logger that
    # is slow holds nothing up; lines are dropped, and that is told, if it can't keep up. A child of the
    # process has to set a logger of its own.
    #
    # @param logger [Logger, nil] anything that has `level` and `add(severity, message, program)`
    # @example
    #   Kaffic.logger = Logger.new($stderr, level: :warn)
    def logger=(logger)
      lines = Native.log(logger&.level)
      @logger = logger
      return unless lines

      Thread.new { write(lines, logger) }.name = "kaffic log"
    end

    private

    def write(lines, logger)
      while (taken = lines.take)
        taken.each { |severity, target, line| logger.add(severity, line, target) }
        dropped = lines.dropped
        logger.add(2, "#{dropped} log lines were dropped", "kaffic") if dropped.positive?
      end
    end
  end
end
