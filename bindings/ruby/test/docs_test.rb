# frozen_string_literal: true

require_relative "helper"
require "open3"

# Runs the examples of the guide and of the README, a page as one program in a directory of its own. What is
# behind a `# =>` has to be what the line comes to.
class DocsTest < Minitest::Test
  ROOT = File.expand_path("../../..", __dir__)

  CHECK = <<~'RUBY'
    def came_to(line, value, expected)
      $checked = $checked.to_i + 1
      abort "line #{line}: #{value.inspect}, and not #{expected.inspect}" unless value == expected
      value
    end
  RUBY

  def program(page)
    ruby = false
    lines = File.readlines(page, chomp: true).each.with_index(1).map do |line, number|
      fence = line.start_with?("```")
      ruby = line == "```ruby" if fence
      next "" if fence || !ruby

      line.sub(/\A(\s*)(\S.*) # => (.+)\z/) { "#{$1}came_to(#{number}, (#{$2}), (#{$3}))" }
    end
    lines.join("\n")
  end

  def run_page(page, checks)
    Stores.with_directory do |dir|
      text = program(page).gsub("file:///var/lib/shop", "file://#{dir}/shop")
      text = "#{CHECK.tr("\n", ";").gsub(";;", ";")}#{text}\nputs \"\#{$checked.to_i} checked\""
      File.write("#{dir}/page.rb", text)
      flags = ENV["KAFFIC_INSTALLED"] ? [] : ["-I#{ROOT}/bindings/ruby/lib"]
      out, err, status = Open3.capture3(RbConfig.ruby, "-W:no-experimental", *flags, "#{dir}/page.rb")
      assert status.success?, "#{page}: #{out}#{err}"
      assert_empty err
      assert_equal "#{checks} checked", out.lines(chomp: true).last
    end
  end

  def test_the_guide
    page = "#{ROOT}/docs/ruby.md"
    run_page(page, File.read(page).scan(/ # => /).size)
  end

  def test_the_readme
    run_page("#{ROOT}/bindings/ruby/README.md", 0)
  end

  def test_the_examples
    Dir["#{ROOT}/bindings/ruby/examples/*.rb"].sort.each do |example|
      Stores.with_directory do |dir|
        flags = ENV["KAFFIC_INSTALLED"] ? [] : ["-I#{ROOT}/bindings/ruby/lib"]
        out, err, status = Open3.capture3(RbConfig.ruby, "-w", *flags, example, "file://#{dir}")
        assert_equal [true, ""], [status.success?, err], out
        assert_match(/\S/, out)
      end
    end
  end
end
