'use strict';
// A client: the way to producers, consumers, topics, groups and upkeep.

const { ask, call, invalid } = require('./errors.js');
const { asyncDispose, closedError } = require('./lifecycle.js');
const { answer, commits, partition, place, positions, settings, string } = require('./options.js');
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
  describe(name) {
    return this.#ask('topics.describe', [string(name, 'a topic')]);
  }
  list() {
    return this.#ask('topics.list', []);
  }
  delete(name) {
    return this.#ask('topics.delete', [string(name, 'a topic')]);
  }
}

class Groups {
  #ask;
  constructor(ask) {
    this.#ask = ask;
  }
  list() {
    return this.#ask('groups.list', []);
  }
  describe(name) {
    return this.#ask('groups.describe', [string(name, 'a group')]);
  }
  async committed(name) {
    return positions(await this.#ask('groups.committed', [string(name, 'a group')]));
  }
  commit(name, offsets) {
    return this.#ask('groups.commit', [string(name, 'a group'), commits(offsets)]);
  }
  async reset(name, topic, to, { partitions = [], dryRun = false } = {}) {
    const words = [string(name, 'a group'), string(topic, 'a topic'), place(to), String(dryRun)];
    return positions(await this.#ask('groups.reset', [...words, ...partitions.map((at) => String(partition(at)))]));
  }
  delete(name) {
    return this.#ask('groups.delete', [string(name, 'a group')]);
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
    return this.#track(new Producer(await ask(() => this.#native.producer(name, settings(options))), name));
  }

  consumer(options) {
    this.#check();
    return this.#track(new Consumer(this.#native, options));
  }

  async offset(topic, number, at) {
    return BigInt(await this.#ask('offset', [string(topic, 'a topic'), String(partition(number)), place(at)]));
  }

  async verify(topic) {
    return this.#ask('verify', [string(topic, 'a topic')]);
  }

  async compact(topic) {
    return this.#ask('compact', [string(topic, 'a topic')]);
  }

  async trim(topic, options) {
    return this.#ask('trim', [string(topic, 'a topic')], options);
  }

  async adopt(topic, { dryRun = false } = {}) {
    return this.#ask('adopt', [string(topic, 'a topic'), String(dryRun)]);
  }

  async examine() {
    return this.#ask('examine', []);
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
    return answer(await ask(() => this.#native.ask(what, words, settings(given))));
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
  return new Client(await ask(() => native.connect(store, settings(options, 'the options'))));
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
