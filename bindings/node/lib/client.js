'use strict';
// A client: the way to producers, consumers, topics, groups and upkeep.

const { ask, call, invalid } = require('./errors.js');
const { abortable, asyncDispose, closedError } = require('./lifecycle.js');
const { answer, commits, partition, place, positions, string, withSignal } = require('./options.js');
const native = require('./native.js');
const { Consumer } = require('./consumer.js');
const { Producer } = require('./producer.js');

const LEVELS = { error: 3, warning: 4, info: 6, debug: 7, trace: 8 };

class Topics {
  #ask;
  constructor(ask) {
    this.#ask = ask;
  }
  create(name, config) {
    return this.#ask('topics.create', [string(name, 'a topic')], config);
  }
  ensure(name, config) {
    return this.#ask('topics.ensure', [string(name, 'a topic')], config);
  }
  alter(name, change) {
    return this.#ask('topics.alter', [string(name, 'a topic')], change);
  }
  describe(name, options) {
    return this.#ask('topics.describe', [string(name, 'a topic')], options);
  }
  list(options) {
    return this.#ask('topics.list', [], options);
  }
  delete(name, options) {
    return this.#ask('topics.delete', [string(name, 'a topic')], options);
  }
}

class Groups {
  #ask;
  constructor(ask) {
    this.#ask = ask;
  }
  list(options) {
    return this.#ask('groups.list', [], options);
  }
  describe(name, options) {
    return this.#ask('groups.describe', [string(name, 'a group')], options);
  }
  async committed(name, options) {
    return positions(await this.#ask('groups.committed', [string(name, 'a group')], options));
  }
  commit(name, offsets, options) {
    return this.#ask('groups.commit', [string(name, 'a group'), commits(offsets)], options);
  }
  async reset(name, topic, to, { partitions = [], dryRun = false, ...options } = {}) {
    const words = [string(name, 'a group'), string(topic, 'a topic'), place(to), String(dryRun)];
    words.push(...partitions.map((at) => String(partition(at))));
    return positions(await this.#ask('groups.reset', words, options));
  }
  delete(name, options) {
    return this.#ask('groups.delete', [string(name, 'a group')], options);
  }
}

class Client {
  #native;
  #opened = new Set();
  #closed = false;

  constructor(native) {
    this.#native = native;
    const ask = (...words) => this.#ask(...words);
    const guarded = (what) => async (...words) => ask(...words).then(what);
    this.topics = new Topics(guarded((found) => found));
    this.groups = new Groups(guarded((found) => found));
  }

  async producer(topic, options) {
    this.#check();
    const name = string(topic, 'a topic');
    const { signal, pairs } = withSignal(options);
    signal?.throwIfAborted();
    const made = await abortable(ask(() => this.#native.producer(name, pairs)), signal);
    return this.#track(new Producer(made, name));
  }

  consumer(options) {
    this.#check();
    return this.#track(new Consumer(this.#native, options));
  }

  async offset(topic, number, at, options) {
    const words = [string(topic, 'a topic'), String(partition(number)), place(at)];
    return BigInt(await this.#ask('offset', words, options));
  }

  async verify(topic, options) {
    return this.#ask('verify', [string(topic, 'a topic')], options);
  }

  async compact(topic, options) {
    return this.#ask('compact', [string(topic, 'a topic')], options);
  }

  async trim(topic, options) {
    return this.#ask('trim', [string(topic, 'a topic')], options);
  }

  async adopt(topic, { dryRun = false, ...options } = {}) {
    return this.#ask('adopt', [string(topic, 'a topic'), String(dryRun)], options);
  }

  async examine(options) {
    return this.#ask('examine', [], options);
  }

  metrics() {
    return answer(call(() => this.#native.metrics()));
  }

  /** Closes all producers and consumers that are open still. */
  async close() {
    this.#closed = true;
    const open = [...this.#opened].map((weak) => weak.deref()).filter(Boolean);
    this.#opened.clear();
    const ended = await Promise.allSettled(open.map((each) => each.close()));
    const failed = ended.find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  [asyncDispose]() {
    return this.close();
  }

  #check() {
    if (this.#closed) throw closedError('client');
  }

  async #ask(what, words, given) {
    this.#check();
    const { signal, pairs } = withSignal(given);
    signal?.throwIfAborted();
    return answer(await abortable(ask(() => this.#native.ask(what, words, pairs)), signal));
  }

  #track(made) {
    for (const weak of this.#opened) if (weak.deref() === undefined) this.#opened.delete(weak);
    this.#opened.add(new WeakRef(made));
    return made;
  }
}

/** Connects to a store. */
async function connect(url, options) {
  const store = url instanceof URL ? url.href : string(url, 'the URL');
  const { signal, pairs } = withSignal(options, 'the options');
  signal?.throwIfAborted();
  return new Client(await abortable(ask(() => native.connect(store, pairs)), signal));
}

/** Says who gets log lines. */
function setLogger(logger, { level = 'info' } = {}) {
  const least = LEVELS[level];
  if (least === undefined) throw invalid(`a level is one of ${Object.keys(LEVELS).join(', ')}; not ${level}`);
  if (logger == null) return call(() => native.setLogger(least, null));
  const names = new Map(Object.entries(LEVELS).map(([name, number]) => [number, name]));
  return call(() => native.setLogger(least, (level, target, message) => {
    logger({ level: names.get(level), target, message });
  }));
}

module.exports = { Client, connect, setLogger };
