# frozen_string_literal: true

# Produces orders and reads them from three starting points: ruby orders.rb URL
require "kaffic"

url = ARGV.fetch(0) { abort "ruby orders.rb URL, as in file:///tmp/orders" }

Kaffic.connect(url) do |client|
  client.ensure_topic("orders", partitions: 3)

  client.producer("orders", linger: "5ms") do |producer|
    handles = Array.new(9) { |n| producer.produce("order #{n}", key: "customer-#{n % 3}") }
    handles.each { |handle| handle.wait(timeout: 30) }
  end

  [:earliest, "last:1", Time.now - 60].each do |start|
    client.consumer(topics: ["orders"], start: start, until: :latest) do |consumer|
      puts "from #{start}: #{consumer.map(&:value).sort.join(", ")}"
    end
  end
end
