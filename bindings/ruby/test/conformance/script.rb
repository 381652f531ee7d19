# frozen_string_literal: true

# Scenarios as text: steps, their words, and what has to come of them.
module Script
  # `given` has pairs, `args` words without a `=`; `expected` has what is behind the `->`, or nil.
  Step = Struct.new(:file, :line, :text, :verb, :args, :given, :expected) do
    # A value that is given by name.
    def [](name) = given.assoc(name)&.last

    def expects(name) = expected.assoc(name)&.last

    def settings = given.to_h { |name, value| [name.to_sym, Script.text(value)] }

    # The arguments as text.
    def words = args.map { |arg| Script.text(arg) }

    # Given names of partitions, each with its offset.
    def offsets = given.to_h { |place, offset| [Script.place(place), Integer(offset)] }
  end

  module_function

  def all
    Dir[File.expand_path("../../../conformance/scenarios/*.txt", __dir__)].sort.to_h do |path|
      lines = File.readlines(path, chomp: true).each.with_index(1)
      steps = lines.reject { |text, _| text.empty? || text.start_with?("#") }
      [File.basename(path, ".txt"), steps.map { |text, line| step(File.basename(path), line, text) }]
    end
  end

  def step(file, line, text)
    before, behind = text.split(/ ->(?: |\z)/, 2)
    verb, *words = before.split(" ", -1)
    given, args = words.partition { |word| word.include?("=") }
    expected = (behind || "").split.map { |word| pair(word) }
    Step.new(file, line, text, verb, args.map { |arg| bytes(arg) }, given.map { |word| pair(word) }, expected)
  end

  def pair(word)
    name, value = word.split("=", 2)
    [name, value && bytes(value)]
  end

  # A value's bytes: `%XX` is a byte, and `repeat:x:N` is x, N times.
  def bytes(text)
    return bytes(Regexp.last_match(1)) * Integer(Regexp.last_match(2)) if text =~ /\Arepeat:(.*):(\d+)\z/m

    text.b.gsub(/%(\h\h)/n) { Regexp.last_match(1).hex.chr }
  end

  def text(bytes) = bytes.dup.force_encoding(Encoding::UTF_8)

  # `NAME:VALUE` of a header; no colon is a null value.
  def header(bytes)
    name, value = bytes.split(":", 2)
    [text(name), bytes.include?(":") ? value || "" : nil]
  end

  # `TOPIC:PARTITION`.
  def place(text)
    topic, _, partition = text(text).rpartition(":")
    [topic, Integer(partition)]
  end
end
