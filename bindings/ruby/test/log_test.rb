# frozen_string_literal: true

require_relative "helper"
require "logger"

# Log lines come to a logger, by a thread of its own.
class LogTest < Minitest::Test
  # Keeps what it is told.
  class Kept
    attr_reader :level, :lines

    def initialize(level)
      @level = level
      @lines = Thread::Queue.new
    end

    def add(*line) = @lines << line
  end

  def teardown
    Kaffic.logger = nil
  end

  def test_lines_come_with_severity_and_module
    Kaffic.logger = logger = Kept.new(Logger::DEBUG)
    assert_same logger, Kaffic.logger
    Stores.with_client do |client|
      client.create_topic("t")
      client.producer("t") { |producer| producer.produce("v").wait }
      client.consumer(topics: ["t"], group: "g", &:first)
    end
    eventually("a line") { !logger.lines.empty? }
    severity, line, target = logger.lines.pop
    assert_includes 0..3, severity
    assert_match(/\Akaffic/, target)
    refute_empty line
  end

  def test_the_level_decides_and_none_is_none
    Kaffic.logger = nil
    assert_nil Kaffic.logger
    assert_raises(ArgumentError) { Kaffic.logger = Kept.new(17) }
    Kaffic.logger = logger = Kept.new(Logger::FATAL)
    Stores.with_client { |client| client.create_topic("t") }
    assert_empty logger.lines
  end
end
