# frozen_string_literal: true

# What a scenario has made, and what its steps do. A step's method gives the fields that came, if any.
class World
  LONG = 60
  # Steps whose answer has to be compared whole.
  WHOLE = %w[topics groups positions ends lag committed reset].freeze
  class Wrong < StandardError; end

  def initialize(client)
    @client = client
    @producers = {}
    @consumers = {}
    @owned = Hash.new { |owned, name| owned[name] = [] }
  end

  def take(step)
    came = run(step)
    raise Wrong, "it did not fail" if step.expects("error")

    compare(step, came) unless step.verb == "next"
  rescue Kaffic::Error => e
    good = e.status.to_s == step.expects("error") &&
           e.message.include?(Script.text(step.expects("says") || "")) &&
           [nil, e.tail.to_s].include?(step.expects("tail")) &&
           [nil, e.earliest.to_s].include?(step.expects("earliest"))
    raise Wrong, "#{e.status}: #{e.message}" unless good
  end

  private

  def run(step)
    name, *rest = step.words
    return send("make_#{step.verb}", step, name, *rest) if %w[producer consumer].include?(step.verb)
    return share(step) if step.verb == "share"

    if (producer = @producers[name])
      send("producer_#{step.verb}", producer, step, *rest)
    elsif (consumer = @consumers[name])
      send("consumer_#{step.verb}", consumer, step, *rest)
    else
      admin(step, name, *rest)
    end
  end

  def compare(step, came)
    fields = came.is_a?(Hash) ? came : {}
    step.expected.each do |name, value|
      check(fields.key?(name), "#{name} is not there: #{fields}")
      check(fields[name].to_s == value.to_s, "#{name} is #{fields[name].inspect}")
    end
    check(!WHOLE.include?(step.verb) || step.expected.size == fields.size, "there was more: #{fields}")
  end

  def check(good, wrong)
    raise Wrong, wrong unless good
  end

  def make_producer(step, name, topic)
    @producers[name] = @client.producer(topic, **step.settings)
    nil
  end

  def make_consumer(step, name)
    owned = @owned[name]
    gone = ->(partitions) { partitions.each_key { |place| owned.delete(place) } && nil }
    @consumers[name] = @client.consumer(on_assigned: ->(partitions) { owned.concat(partitions.keys) },
                                        on_revoked: gone, on_lost: gone, **step.settings)
    nil
  end

  def number(text) = text && Integer(text)

  def producer_send(producer, step)
    headers = step.given.select { |name, _| name == "header" }.map { |_, header| Script.header(header) }
    numbers = %i[timestamp partition sequence].to_h { |name| [name, number(step[name.to_s])] }
    producer.produce(step["value"], key: step["key"], headers: headers, **numbers).wait.to_h.transform_keys(&:to_s)
  end

  def producer_burst(producer, step, count)
    keys = number(step["keys"])
    Array.new(Integer(count)) { |n| producer.produce(n.to_s, key: keys && "k#{n % keys}") }.each(&:wait)
  end

  def producer_append(producer, step, partition)
    values = step.given.select { |name, _| name == "value" }.map(&:last)
    ack = producer.append(values, partition: Integer(partition), expected_offset: number(step["expected"]))
    { "offset" => ack.offset }
  end

  def producer_flush(producer, _step) = producer.flush
  def producer_fence(producer, _step) = producer.fence_all
  def producer_close(producer, _step) = producer.close
  def producer_epoch(producer, _step) = { "is" => producer.epoch || "none" }
  def producer_last(producer, _step, partition) = { "is" => producer.last_sequence(Integer(partition)) || "none" }

  # Polls consumers in turn until they have so many partitions together.
  def share(step)
    count, *names = step.words
    600.times do
      names.each { |name| @consumers[name].poll(timeout: 0.1) }
      owned = names.map { |name| @owned[name] }
      all = owned.flatten(1)
      return if owned.none?(&:empty?) && all.size == Integer(count) && all.uniq.size == all.size
    end
    raise Wrong, "they did not come to share the partitions: #{@owned}"
  end

  def consumer_subscribe(consumer, _step, *topics) = consumer.subscribe(*topics)
  def consumer_pattern(consumer, _step, pattern) = consumer.subscribe_pattern(pattern)

  def consumer_assign(consumer, _step, *places)
    consumer.assign(places.map { |arg| arg.split("@").then { |place, offset| [*Script.place(place), number(offset)] } })
  end

  def consumer_seek(consumer, _step, place, where) = consumer.seek(*Script.place(place), where)
  def consumer_pause(consumer, _step, place) = consumer.pause(*Script.place(place))
  def consumer_resume(consumer, _step, place) = consumer.resume(*Script.place(place))
  def consumer_positions(consumer, _step) = by_place(consumer.positions)
  def consumer_ends(consumer, _step) = by_place(consumer.end_offsets)
  def consumer_lag(consumer, _step) = by_place(consumer.lag)
  def consumer_committed(consumer, _step) = by_place(consumer.committed)
  def consumer_commit(consumer, step) = consumer.commit(step.given.empty? ? nil : step.offsets)
  def consumer_close(consumer, _step) = consumer.close

  def by_place(offsets) = offsets.to_h { |(topic, partition), offset| ["#{topic}:#{partition}", offset] }

  def next_of(consumer) = consumer.poll(timeout: LONG) || raise(Wrong, "no record came")

  def consumer_next(consumer, step)
    record = next_of(consumer)
    headers = step.expected.select { |name, _| name == "header" }.map { |_, header| Script.header(header) }
    check(headers.empty? || headers == record.headers, "headers are others: #{record}")
    step.expected.each do |name, value|
      case name
      when "header" then next
      when "null" then check(record[value].nil?, "#{value} is not null: #{record}")
      when "headers" then check(record.headers.size == Integer(value), "#{record.headers.size} headers")
      else check(record[name].to_s.b == value && !record[name].nil?, "#{name} is another: #{record}")
      end
    end
    nil
  end

  def consumer_values(consumer, step, *)
    step.args.drop(1).each do |value|
      record = next_of(consumer)
      check(record.value == value, "came #{record}")
    end
  end

  def consumer_count(consumer, _step, count)
    records = Array.new(Integer(count)) { next_of(consumer) }
    records.group_by { |record| [record.topic, record.partition] }.each_value do |of_one|
      check(of_one.each_cons(2).all? { |one, other| one.offset < other.offset }, "offsets do not grow")
    end
  end

  def consumer_ordered(consumer, _step, count, keys)
    of_key = Array.new(Integer(count)) { next_of(consumer) }.group_by(&:key)
    Integer(keys).times do |key|
      expected = (key...Integer(count)).step(Integer(keys)).map(&:to_s)
      check(of_key.fetch("k#{key}", []).map(&:value) == expected, "key k#{key} is out of order")
    end
  end

  def consumer_finished(consumer, _step)
    100.times do
      record = consumer.poll(timeout: LONG)
      check(record.nil?, "there was more: #{record}")
      return if consumer.finished?
    end
    raise Wrong, "it is not finished"
  end

  def consumer_quiet(consumer, _step)
    record = consumer.poll(timeout: 0.2)
    check(record.nil?, "there was more: #{record}")
  end

  def admin(step, name = nil, *rest)
    case step.verb
    when "create" then @client.create_topic(name, **step.settings) && nil
    when "alter" then @client.alter_topic(name, **step.settings) && nil
    when "delete" then @client.delete_topic(name) && nil
    when "topics" then @client.topics.to_h { |topic| [topic[:name], nil] }
    when "topic" then plain(@client.topic(name))
    when "groups" then @client.groups.to_h { |group| [group[:name], nil] }
    when "group" then group(@client.group(name))
    when "commit-group" then @client.commit(name, step.offsets)
    when "reset" then by_place(@client.reset_group(name, *rest))
    when "delete-group" then @client.delete_group(name)
    when "offset" then { "is" => @client.offset(name, Integer(rest[0]), rest[1]) }
    when "verify", "compact" then plain(@client.public_send(step.verb, name))
    when "trim" then plain(@client.trim(name, **step.settings))
    else raise Wrong, "no step: #{step.verb}"
    end
  end

  def plain(answer)
    answer.to_h { |name, value| [name.to_s, value.is_a?(Array) ? value.size : value.nil? ? "null" : value] }
  end

  def group(group)
    committed = group[:partitions].select { |at| at[:committed] }
    by_place(committed.to_h { |at| [[at[:topic], at[:partition]], at[:committed]] })
      .merge("members" => group[:members].size)
  end
end
