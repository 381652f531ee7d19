# frozen_string_literal: true

require_relative "helper"

# That sig/kaffic.rbs has what the library has. (`rake types` runs other tests with their types checked.)
class TypesTest < Minitest::Test
  SIGNATURES = File.read(File.expand_path("../sig/kaffic.rbs", __dir__))

  def declared(name)
    body = SIGNATURES[/^  class #{name}\b.*?^  end/m]
    body.scan(/^    (?:def|attr_reader) (?:self\.)?([\w<]+[?=]?):?/).flatten.map(&:to_sym).uniq.sort
  end

  def test_each_public_method_has_a_signature_and_each_signature_a_method
    %i[Client Producer Handle Consumer].each do |name|
      assert_equal Kaffic.const_get(name).public_instance_methods(false).sort, declared(name), name
    end
    %i[Record Ack].each do |name|
      assert_empty declared(name) - Kaffic.const_get(name).public_instance_methods, name
    end
    assert_empty declared(:Error) - Kaffic::Error.public_instance_methods
  end

  def test_each_exception_has_a_signature
    errors = Kaffic.constants.select { |name| Kaffic.const_get(name).then { |it| it.is_a?(Class) && it < Kaffic::Error } }
    assert_equal errors.sort, SIGNATURES.scan(/^  class (\w+) < Error$/).flatten.map(&:to_sym).sort
  end
end
