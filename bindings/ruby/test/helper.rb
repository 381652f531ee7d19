# frozen_string_literal: true

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__)) unless ENV["KAFFIC_INSTALLED"]

require "kaffic"
require "fileutils"
require "minitest/autorun"
require "securerandom"
require "tmpdir"

# Stores for tests: a prefix of its own each, of the store that KAFFIC_TEST_URL names, or in a directory.
module Stores
  module_function

  def options
    ENV.fetch("KAFFIC_TEST_OPTIONS", "").split(",").to_h { |option| option.split("=", 2) }.transform_keys(&:to_sym)
  end

  # Yields the URL of an empty store.
  def with_url
    if (url = ENV["KAFFIC_TEST_URL"])
      return yield "#{url.chomp("/")}/ruby-#{SecureRandom.hex(6)}"
    end

    with_directory { |dir| yield "file://#{dir}" }
  end

  # Yields an empty directory, and removes it. What is in the background still may write meanwhile.
  def with_directory
    dir = Dir.mktmpdir("kaffic")
    yield dir
  ensure
    remove(dir) if dir
  end

  def remove(dir)
    tries ||= 50
    FileUtils.remove_entry(dir)
  rescue Errno::ENOTEMPTY
    (tries -= 1).positive? or raise
    sleep 0.02
    retry
  end

  # Yields a client of an empty store.
  def with_client(&block)
    with_url { |url| Kaffic.connect(url, **options, &block) }
  end
end

# How long a test waits for what must come, before it is taken for a hang.
PATIENCE = 60

# Waits until the block says so; fails if that does not come.
def eventually(what)
  now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }
  hangs_at = now.call + PATIENCE
  until yield
    raise Minitest::Assertion, "#{what} does not come" if now.call > hangs_at

    Thread.pass
  end
end
