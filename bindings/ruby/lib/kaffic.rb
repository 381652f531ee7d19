# frozen_string_literal: true

require_relative "kaffic/version"

# The native part lies beside the Ruby version it was made for in a precompiled gem, and without one
# where it was built by the installation.
begin
  require "kaffic/#{RUBY_VERSION[/\d+\.\d+/]}/kaffic_ruby"
rescue LoadError
  require "kaffic/kaffic_ruby"
end

require_relative "kaffic/errors"
require_relative "kaffic/record"
require_relative "kaffic/settings"
require_relative "kaffic/unclosed"
require_relative "kaffic/producer"
require_relative "kaffic/consumer"
require_relative "kaffic/client"
require_relative "kaffic/log"

# A message log with no broker: topics, partitions and offsets on any object storage.
#
# @example
#   Kaffic.connect("file:///var/lib/log") do |client|
#     client.ensure_topic("orders", partitions: 3)
#     client.producer("orders") { |producer| producer.produce("paid", key: "customer-7").wait }
#     client.consumer(topics: ["orders"], until: :latest) do |consumer|
#       consumer.each { |record| puts record.value }
#     end
#   end
module Kaffic
  # Connects to a store.
  #
  # @param url [String] `file:///directory`, `s3://bucket/prefix`, `az://…`, `gs://…` or `memory://`
  # @param options [Hash] the store's options (docs/stores.md): endpoint, credentials and so on
  # @yieldparam client [Client] closed after the block
  # @return [Client, Object] the client, or what the block returns
  # @raise [UnsafeStore, Unavailable, Denied, InvalidArgument]
  def self.connect(url, **options, &block)
    client = Native.connect(url, Settings.text(options))
    client.send(:opened)
    block ? Scoped.run(client, &block) : client
  end

  # Closes what a block was given, however the block ends.
  # @private
  module Scoped
    def self.run(what)
      yield what
    rescue Exception => e # rubocop:disable Lint/RescueException
      failed = e
      raise
    ensure
      begin
        what.close
      rescue Error
        # What happened in the block says more than a close that fails after it.
        raise unless failed
      end
    end
  end
  private_constant :Scoped, :Native
end
