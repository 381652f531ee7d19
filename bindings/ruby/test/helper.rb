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

    Dir.mktmpdir("kaffic") { |dir| yield "file://#{dir}" }
  end

  # Yields a client of an empty store.
  def with_client(&block)
    with_url { |url| Kaffic.connect(url, **options, &block) }
  end
end
