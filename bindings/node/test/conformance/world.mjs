// What a scenario has made, and what its steps do.

import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../index.mjs';
import { remove } from '../support.mjs';
import { header } from './script.mjs';

const LONG = 60_000;
const place = (text) => ({ topic: text.replace(/:\d+$/, ''), partition: Number(/\d*$/.exec(text)[0]) });
const settings = (step) => Object.fromEntries(step.given.map(([name, value]) => [name, value.toString()]));
const commits = (step) => step.given.map(([at, offset]) => ({ ...place(at), offset: BigInt(offset.toString()) }));
const offsets = (list, field = 'offset') =>
  Object.fromEntries(list.map((at) => [`${at.topic}:${at.partition}`, String(at[field])]));
const names = (list) => Object.fromEntries(list.map(({ name }) => [name, '']));
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const plain = (value) => String(Array.isArray(value) ? value.length : value);
const fields = (object) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [snake(name), plain(value)]));

export class World {
  producers = new Map();
  consumers = new Map();
  owns = new Map();

  static async open(scenario) {
    const world = new World();
    let url = process.env.KAFFIC_TEST_URL?.replace(/\/*$/, `/node-${process.pid}-${Date.now()}-${scenario}`);
    if (url === undefined) {
      world.directory = mkdtempSync(join(tmpdir(), 'kaffic-'));
      url = `file://${world.directory}`;
    }
    const options = (process.env.KAFFIC_TEST_OPTIONS ?? '').split(',').filter(Boolean);
    const pairs = options.map((option) => /^([^=]*)=(.*)$/s.exec(option).slice(1));
    world.client = await connect(url, Object.fromEntries(pairs));
    return world;
  }

  async close() {
    await this.client.close();
    if (this.directory) await remove(this.directory);
  }

  async take(step) {
    const expected = (name) => step.expected.find(([word]) => word === name)?.[1]?.toString();
    if (expected('error') === undefined) {
      const came = await this.#run(step);
      return step.verb === 'next' ? undefined : compare(step, came ?? {});
    }
    const error = await this.#run(step).then(() => assert.fail('it did not fail'), (error) => error);
    assert.equal(error.code, `ERR_KAFFIC_${expected('error')}`, error.stack);
    assert.ok(error.message.includes(expected('says') ?? ''), error.message);
    for (const name of ['tail', 'earliest']) {
      if (expected(name) !== undefined) assert.equal(error[name], BigInt(expected(name)));
    }
  }

  async #run(step) {
    const [name, ...args] = step.args;
    if (step.verb === 'producer') {
      return void this.producers.set(name, await this.client.producer(args[0], settings(step)));
    }
    if (step.verb === 'consumer') return this.#consumer(name, settings(step));
    if (step.verb === 'share') return this.#share(Number(name), args);
    const [producer, consumer] = [this.producers.get(name), this.consumers.get(name)];
    if (step.verb === 'close') return (consumer ?? producer).close();
    if (producer) return this.#produce(producer, args, step);
    if (consumer) return this.#consume(consumer, args, step);
    return this.#admin(name, args, step);
  }

  #consumer(name, given) {
    const owned = new Set();
    const remove = (partitions) => partitions.forEach((at) => owned.delete(`${at.topic}:${at.partition}`));
    const onAssigned = (partitions) => partitions.forEach((at) => owned.add(`${at.topic}:${at.partition}`));
    const consumer = this.client.consumer({ ...given, onAssigned, onRevoked: remove, onLost: remove });
    this.consumers.set(name, consumer);
    this.owns.set(name, owned);
  }

  async #produce(producer, args, step) {
    const value = (name) => step.given.find(([given]) => given === name)?.[1].toString();
    const burst = () => {
      const [count, keys] = [Number(args[0]), Number(value('keys'))];
      const record = (_, n) => ({ value: String(n), key: keys ? `k${n % keys}` : null });
      return producer.sendBatch(Array.from({ length: count }, record)).then(() => {});
    };
    const append = () => {
      const records = step.given.filter(([name]) => name === 'value').map(([, value]) => ({ value }));
      return producer.append(Number(args[0]), records, { expectedOffset: value('expected') && BigInt(value('expected')) });
    };
    const steps = {
      send: async () => fields(await producer.send(record(step))),
      burst,
      append: async () => fields(await append()),
      flush: () => producer.flush(),
      fence: () => producer.fence(),
      epoch: () => ({ is: String(producer.epoch ?? 'none') }),
      last: async () => ({ is: String((await producer.lastSequence(Number(args[0]))) ?? 'none') }),
    };
    return steps[step.verb]();
  }

  /** Polls consumers in turn until they have so many partitions together. */
  async #share(wanted, names) {
    for (let i = 0; i < 600; i++) {
      for (const name of names) await this.consumers.get(name).poll({ timeoutMs: 100 });
      const each = names.map((name) => [...this.owns.get(name)]);
      const all = each.flat();
      const shared = each.every((owned) => owned.length > 0) && all.length === wanted;
      if (shared && new Set(all).size === wanted) return;
    }
    assert.fail('they did not come to share the partitions');
  }

  async #admin(name, args, step) {
    const { client } = this;
    const { groups, topics } = client;
    const group = async () => {
      const { members, partitions } = await groups.describe(name);
      const committed = partitions.filter((at) => at.committed !== null);
      return { members: String(members.length), ...offsets(committed, 'committed') };
    };
    const steps = {
      create: () => topics.create(name, settings(step)).then(() => {}),
      alter: () => topics.alter(name, settings(step)).then(() => {}),
      delete: () => topics.delete(name).then(() => {}),
      topics: async () => names(await topics.list()),
      topic: async () => fields(await topics.describe(name)),
      groups: async () => names(await groups.list()),
      group,
      'commit-group': () => groups.commit(name, commits(step)),
      reset: async () => offsets(await groups.reset(name, args[0], args[1])),
      'delete-group': () => groups.delete(name),
      offset: async () => ({ is: String(await client.offset(name, Number(args[0]), args[1])) }),
      verify: async () => fields(await client.verify(name)),
      compact: async () => fields(await client.compact(name)),
      trim: async () => fields(await client.trim(name, settings(step))),
    };
    return steps[step.verb]();
  }

  async #consume(consumer, args, step) {
    const { topic, partition } = place(args[0] ?? '');
    const assigned = ([at, from]) => ({ ...place(at), offset: from && BigInt(from) });
    const steps = {
      subscribe: () => consumer.subscribe(args),
      pattern: () => consumer.subscribe({ pattern: args[0] }),
      assign: () => consumer.assign(args.map((arg) => assigned(arg.split('@')))),
      seek: () => consumer.seek(topic, partition, args[1]),
      pause: () => consumer.pause(topic, partition),
      resume: () => consumer.resume(topic, partition),
      positions: async () => offsets(await consumer.positions()),
      ends: async () => offsets(await consumer.endOffsets()),
      lag: async () => offsets(await consumer.lag(), 'lag'),
      committed: async () => offsets(await consumer.committed()),
      commit: () => consumer.commit(step.given.length > 0 ? commits(step) : undefined),
      next: async () => same(step, await next(consumer)),
      values: async () => {
        for (const value of args) assert.equal((await next(consumer)).value.toString(), value);
      },
      count: () => count(consumer, Number(args[0])),
      ordered: () => ordered(consumer, Number(args[0]), Number(args[1])),
      finished: async () => {
        while (!(await consumer.isFinished())) assert.deepEqual(await consumer.poll({ timeoutMs: LONG }), []);
      },
      quiet: async () => assert.deepEqual(await consumer.poll({ timeoutMs: 200 }), []),
    };
    return steps[step.verb]();
  }
}

/** By an iteration that is left after one record, so that others wait in the consumer. */
async function next(consumer) {
  const signal = AbortSignal.timeout(LONG);
  for await (const record of consumer.records({ signal })) return record;
  return assert.fail('no record came');
}

async function count(consumer, wanted) {
  for (const last = {}; wanted > 0; wanted--) {
    const { topic, partition, offset } = await next(consumer);
    assert.ok((last[`${topic}:${partition}`] ?? -1n) < offset, 'offsets do not grow');
    last[`${topic}:${partition}`] = offset;
  }
}

async function ordered(consumer, wanted, keys) {
  const came = Array.from({ length: keys }, () => []);
  for (let i = 0; i < wanted; i++) {
    const { key, value } = await next(consumer);
    came[Number(key.toString().slice(1))].push(Number(value));
  }
  const all = Array.from({ length: wanted }, (_, n) => n);
  came.forEach((values, key) => assert.deepEqual(values, all.filter((n) => n % keys === key)));
}

function record(step) {
  const value = (name) => step.given.find(([given]) => given === name)?.[1];
  const number = (name) => (value(name) === undefined ? undefined : Number(value(name).toString()));
  return {
    key: value('key'),
    value: value('value'),
    headers: step.given.filter(([name]) => name === 'header').map(([, bytes]) => header(bytes)),
    timestamp: number('timestamp'),
    partition: number('partition'),
    sequence: number('sequence'),
  };
}

/** Steps whose answer has to be compared whole. */
const WHOLE = ['topics', 'groups', 'positions', 'ends', 'lag', 'committed', 'reset'];

function compare(step, came) {
  const expected = Object.fromEntries(step.expected.map(([name, value]) => [name, value?.toString() ?? '']));
  const some = Object.fromEntries(Object.entries(came).filter(([name]) => name in expected));
  assert.deepEqual(WHOLE.includes(step.verb) ? came : some, expected);
}

function same(step, record) {
  for (const [name, value] of step.expected) {
    if (name === 'null') assert.equal(record[value.toString()], null);
    else if (name === 'headers') assert.equal(String(record.headers.length), value.toString());
    else if (name === 'key' || name === 'value') assert.deepEqual(record[name], value);
    else if (name !== 'header') assert.equal(String(record[name]), value.toString());
  }
  const headers = step.expected.filter(([name]) => name === 'header').map(([, value]) => header(value));
  if (headers.length > 0) assert.deepEqual(record.headers, headers);
}
