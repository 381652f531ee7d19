# frozen_string_literal: true

require_relative "helper"
require_relative "conformance/script"
require_relative "conformance/world"

# The scenarios that every language runs (bindings/conformance).
class ConformanceTest < Minitest::Test
  Script.all.each do |name, steps|
    define_method("test_#{name}") do
      Stores.with_client do |client|
        world = World.new(client)
        steps.each do |step|
          world.take(step)
          pass
        rescue World::Wrong => e
          flunk "#{step.file} line #{step.line}: #{e.message}\n  #{step.text}"
        end
      end
    end
  end
end
