# frozen_string_literal: true

require_relative "helper"
require "io/wait"
require "open3"

# Forks, the program's end, the garbage collector and signals.
class ProcessTest < Minitest::Test
  LIB = File.expand_path("../lib", __dir__)

  # Runs a program of its own in a directory; gives its output, its errors and its status.
  def program(text)
    Stores.with_directory do |dir|
      flags = ENV["KAFFIC_INSTALLED"] ? [] : ["-I#{LIB}"]
      script = "require 'kaffic'\nURL = 'file://#{dir}'\n#{text}"
      Open3.capture3(RbConfig.ruby, "-W:no-experimental", *flags, "-e", script)
    end
  end

  def line(out)
    assert out.wait_readable(PATIENCE), "no line comes"
    out.gets
  end

  def test_a_child_makes_its_own_and_is_told_so
    out, err, status = program(<<~RUBY)
      client = Kaffic.connect(URL)
      client.create_topic("t")
      producer = client.producer("t")
      consumer = client.consumer(topics: ["t"])
      handle = producer.produce("parent")
      calls = [-> { client.topics }, -> { client.producer("t") }, -> { producer.produce("v") }, -> { producer.close },
               -> { consumer.poll }, -> { consumer.each { } }, -> { consumer.close }, -> { handle.wait }]
      child = fork do
        calls.each do |call|
          call.call
          puts "no error"
        rescue Kaffic::Forked
          puts "forked"
        end
        client.close
        producer = consumer = handle = calls = nil
        GC.start
        Kaffic.connect(URL) { |own| own.producer("t") { |mine| mine.produce("child").wait } }
        puts "done"
      end
      Process.wait(child)
      handle.wait
      puts $?.exitstatus
      puts client.consumer(topics: ["t"], until: :latest) { |all| all.map(&:value).sort.join(" ") }
      client.close
    RUBY
    assert_equal ["", true], [err, status.success?]
    assert_equal ["forked"] * 8 + ["done", "0", "child parent"], out.lines(chomp: true)
  end

  def test_what_is_not_closed_is_told
    out, err, status = program(<<~RUBY)
      client = Kaffic.connect(URL)
      client.create_topic("t")
      def forget(client)
        client.producer("t").produce("v").wait
        client.consumer(topics: ["t"]).first
        nil
      end
      forget(client)
      64.times { +"fresh" * 1000 }
      GC.start
      client.producer("t") { |producer| producer.produce("w") }
      puts "alive"
    RUBY
    assert_equal ["alive\n", true], [out, status.success?], err
    assert_equal 2, err.scan("was not closed").size, err
    assert_match(/a producer of the topic t was not closed/, err)
  end

  def test_a_program_ends_with_waits_under_way
    10.times do
      out, err, status = program(<<~RUBY)
        client = Kaffic.connect(URL)
        client.create_topic("t", partitions: 2)
        consumer = client.consumer(topics: ["t"], group: "g")
        Thread.new { consumer.each { |record| puts record.value } }
        Thread.new { client.consumer(topics: ["t"]).poll }
        client.producer("t").produce("v")
        exit 7
      RUBY
      assert_equal 7, status.exitstatus, "#{out} #{err} #{status}"
    end
  end

  # As Ctrl-C does.
  def test_an_interrupt_ends_a_program_that_waits
    Stores.with_directory do |dir|
      flags = ENV["KAFFIC_INSTALLED"] ? [] : ["-I#{LIB}"]
      script = <<~RUBY
        require "kaffic"
        Kaffic.connect("file://#{dir}") do |client|
          client.ensure_topic("t")
          client.consumer(topics: ["t"]) do |consumer|
            $stdout.sync = true
            puts "reads"
            consumer.each { }
          end
        rescue Interrupt
          puts "interrupted"
        end
      RUBY
      # Ruby 3.1 ends such a wait in another way where there is one thread only.
      5.times do
        Open3.popen2(RbConfig.ruby, *flags, "-e", script) do |_in, out, wait|
          assert_equal "reads\n", line(out)
          Process.kill("INT", wait.pid)
          assert_equal "interrupted\n", line(out)
          assert wait.join(PATIENCE), "the program hangs"
          assert_equal 0, wait.value.exitstatus
        ensure
          Process.kill("KILL", wait.pid) if wait.alive?
        end
      end
    end
  end
end
