'use strict';
// A consumer. A poll brings a packed batch, of which records are handed out one by one; what still
// waits in it counts neither for commits nor for positions. Calls take their turns: the native
// library has taken the records of a poll for processed at the next, so nothing may come between
// a poll and its records.

const { Readable } = require('node:stream');
const { setImmediate: turn } = require('node:timers/promises');
const { KafficError, ask, call, unexpected } = require('./errors.js');
const { abortable, asyncDispose, closed, closedError, opened } = require('./lifecycle.js');
const { commits, int64, partition, place, positions, settings, string, wait } = require('./options.js');
const { Batch } = require('./packed.js');

/** The most records that one crossing may bring. */
const MOST = 1000;
/** After so many ms a loop over what is there already lets the event loop turn. */
const TURN_MS = 8;

const read = (json) => JSON.parse(json);
const keyOf = ({ topic, partition }) => `${partition}:${topic}`;

class Consumer {
  #native;
  #signal;
  /** What is to be read, until that was said to the native library. */
  #wanted;
  #batch;
  /** Partitions of which records were handed out since the last commit. */
  #touched = new Set();
  /** The end of the queue of turns, and how many wait there for a poll to step back. */
  #turns = Promise.resolve();
  #asking = 0;
  #polling = false;
  /** When the event loop is known to have turned last. */
  #turnedAt = 0;
  #woken = false;
  #closed = false;
  #closing;
  #handlers;

  constructor(client, options = {}) {
    if (options === null || typeof options !== 'object') throw unexpected('the options', 'an object', options);
    const { topics, pattern, partitions, signal, onAssigned, onRevoked, onLost, ...rest } = options;
    this.#wanted = wanted({ topics, pattern, partitions });
    this.#signal = signal;
    this.#handlers = handlers({ onAssigned, onRevoked, onLost });
    const listens = onAssigned ?? onRevoked ?? onLost;
    const listen = listens === undefined ? null : listener(this.#handlers, () => this.#polling && this.#native.wake());
    this.#native = call(() => client.consumer(settings(rest), listen));
    opened(this, 'a consumer');
  }

  async subscribe(topics, { signal } = {}) {
    const isPattern = topics instanceof RegExp || topics?.pattern !== undefined;
    await this.#read(wanted(isPattern ? { pattern: topics.pattern ?? topics } : { topics }), signal);
  }

  async assign(partitions, { signal } = {}) {
    await this.#read(wanted({ partitions }), signal);
  }

  poll({ max = MOST, timeoutMs, signal } = {}) {
    const polled = new Promise((resolve, reject) => {
      this.#poll(max, timeoutMs, signal).then(resolve, (error) => {
        // A poll that waits while the consumer is closed is told so; a program that does not look is
        // not at fault.
        if (this.#closed) polled.catch(() => {});
        reject(error);
      });
    });
    return polled;
  }

  async #poll(max, timeoutMs, signal) {
    checkMax(max);
    await this.#fetch(max, wait(timeoutMs, 'timeoutMs'), signal);
    const records = [];
    while (records.length < max) {
      const record = this.#batch?.take();
      if (record === undefined) break;
      records.push(record);
    }
    return records;
  }

  [Symbol.asyncIterator]() {
    return this.records();
  }

  /** Iterates over the records. Leaving the loop leaves the consumer open. */
  records({ max = MOST, signal } = {}) {
    if (this.#closed) throw closedError('consumer');
    checkMax(max);
    return {
      next: () => {
        // Most are there already, and cost no more than this.
        const record = this.#atHand(signal);
        if (record !== undefined) return Promise.resolve({ done: false, value: record });
        return this.#nextOrEnd(max, signal).then((record) =>
          record === null ? { done: true, value: undefined } : { done: false, value: record },
        );
      },
      // What waits stays for the next loop or poll.
      return: async () => ({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** A stream of records; it reads nothing ahead. Destroying it leaves the consumer open. */
  readable() {
    const ending = new AbortController();
    const stream = new Readable({
      objectMode: true,
      highWaterMark: 0,
      read: () => {
        this.#nextOrEnd(MOST, ending.signal).then((record) => stream.push(record), (error) => stream.destroy(error));
      },
      destroy: (error, done) => {
        ending.abort();
        done(error);
      },
    });
    return stream;
  }

  #isTurnDue() {
    return performance.now() - this.#turnedAt > TURN_MS;
  }

  /** A record that waits, unless there is something else to be done first. */
  #atHand(signal) {
    const ended = this.#closed || this.#woken || this.#signal?.aborted || signal?.aborted;
    return ended || this.#isTurnDue() ? undefined : this.#batch?.take();
  }

  /** The next record; null once there are no more, or the consumer is closed. */
  async #nextOrEnd(max, signal) {
    try {
      return await this.#next(max, signal);
    } catch (error) {
      if (this.#closed && error.status === 'CLOSED') return null;
      throw error;
    }
  }

  async #next(max, signal) {
    for (;;) {
      this.#check();
      this.#signal?.throwIfAborted();
      signal?.throwIfAborted();
      this.#throwIfWoken();
      if (this.#batch?.left > 0 && this.#isTurnDue()) {
        await turn();
        this.#turnedAt = performance.now();
        continue;
      }
      const record = this.#batch?.take();
      if (record !== undefined) return record;
      if (await this.#fetch(max, undefined, signal)) return null;
    }
  }

  /** Makes sure that records wait; returns whether there are no more to come. */
  async #fetch(max, timeoutMs, signal) {
    const until = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    const signals = [this.#signal, signal].filter(Boolean);
    for (;;) {
      const batch = await this.#turn(() => this.#pollOnce(max, until, signals));
      for (const signal of signals) signal.throwIfAborted();
      this.#throwIfWoken();
      this.#handlers.rethrow();
      if (batch.left > 0 || batch.finished) return batch.finished && batch.left === 0;
      if (performance.now() >= until) return false;
    }
  }

  async #pollOnce(max, until, signals) {
    this.#check();
    await this.#readWanted();
    if (this.#batch?.left > 0 || this.#woken || signals.some((signal) => signal.aborted)) {
      return this.#batch ?? { left: 0 };
    }
    this.#forget();
    const wake = () => this.#native.wake();
    signals.forEach((signal) => signal.addEventListener('abort', wake));
    this.#polling = true;
    try {
      const left = this.#asking > 0 ? 0 : Math.max(0, until - performance.now());
      const packed = await ask(() => this.#native.poll(Math.min(max, MOST), left === Infinity ? null : left));
      this.#batch = new Batch(packed);
      this.#turnedAt = performance.now();
      return this.#batch;
    } finally {
      this.#polling = false;
      signals.forEach((signal) => signal.removeEventListener('abort', wake));
    }
  }

  /** The batch is through. */
  #forget() {
    this.#batch?.touched().forEach((partition) => this.#touched.add(partition));
    this.#batch = undefined;
  }

  #throwIfWoken() {
    if (!this.#woken) return;
    this.#woken = false;
    throw new KafficError('INTERRUPTED', 'the poll was ended by wakeup()', { retriable: true });
  }

  wakeup() {
    this.#woken = true;
    if (this.#polling) this.#native.wake();
  }

  async seek(topic, number, to, { signal } = {}) {
    const [name, at, where] = [string(topic, 'a topic'), partition(number), place(to)];
    await this.#interrupt(signal, async () => {
      await ask(() => this.#native.seek(name, at, where));
      this.#batch?.drop(name, at);
    });
  }

  async pause(topic, number) {
    const [name, at] = [string(topic, 'a topic'), partition(number)];
    await this.#interrupt(undefined, async () => {
      const first = this.#waiting().get(keyOf({ topic: name, partition: at }));
      if (first !== undefined) await ask(() => this.#native.seek(name, at, place(first.offset)));
      await ask(() => this.#native.pause(name, at, true));
      this.#batch?.drop(name, at);
    });
  }

  async resume(topic, number) {
    const [name, at] = [string(topic, 'a topic'), partition(number)];
    await this.#interrupt(undefined, () => ask(() => this.#native.pause(name, at, false)));
  }

  async positions() {
    return this.#interrupt(undefined, () => this.#positions());
  }

  async endOffsets({ signal } = {}) {
    return this.#interrupt(signal, async () => positions(read(await ask(() => this.#native.endOffsets()))));
  }

  async lag({ signal } = {}) {
    return this.#interrupt(signal, async () => {
      // Of what was polled, and the batch lags behind that.
      const lags = positions(read(await ask(() => this.#native.lag())));
      const polled = positions(read(await ask(() => this.#native.positions())));
      const waiting = this.#waiting();
      const behind = new Map();
      for (const position of polled) {
        const first = waiting.get(keyOf(position));
        if (first !== undefined) behind.set(keyOf(position), position.offset - first.offset);
      }
      return lags.map(({ topic, partition, offset }) => {
        return { topic, partition, lag: offset + (behind.get(keyOf({ topic, partition })) ?? 0n) };
      });
    });
  }

  async commit(offsets, { signal } = {}) {
    const given = offsets === undefined ? undefined : commits(offsets);
    await this.#interrupt(signal, async () => {
      if (given !== undefined) return ask(() => this.#native.commit(given));
      const waits = this.#waiting().size > 0;
      this.#batch?.touched().forEach((partition) => this.#touched.add(partition));
      if (!waits) {
        await ask(() => this.#native.commit(null));
      } else {
        const read = (await this.#positions()).filter((position) => this.#touched.has(keyOf(position)));
        await ask(() => this.#native.commit(commits(read)));
      }
      this.#touched.clear();
    });
  }

  async committed() {
    return this.#interrupt(undefined, async () => positions(read(await ask(() => this.#native.committed()))));
  }

  async memberName() {
    return this.#interrupt(undefined, async () => read(await ask(() => this.#native.memberName())));
  }

  async isFinished() {
    if (this.#closed) return true;
    return this.#interrupt(undefined, async () => {
      if (this.#waiting().size > 0) return false;
      return read(await ask(() => this.#native.isFinished()));
    });
  }

  close() {
    this.#closed = true;
    this.#closing ??= this.#close().catch((error) => {
      this.#closing = undefined;
      throw error;
    });
    return this.#closing;
  }

  async #close() {
    closed(this);
    await this.#step(async () => {
      const waiting = [...this.#waiting().values()];
      await ask(() => this.#native.close(commits(waiting)));
      this.#batch = undefined;
    });
    this.#handlers.clear();
    this.#handlers.rethrow();
  }

  [asyncDispose]() {
    return this.close();
  }

  /** The first record that waits, of each partition that has some. */
  #waiting() {
    return this.#batch?.waiting() ?? new Map();
  }

  /** The offsets of the next records to be handed out. */
  async #positions() {
    const polled = positions(read(await ask(() => this.#native.positions())));
    const waiting = this.#waiting();
    return polled.map((at) => ({ ...at, offset: waiting.get(keyOf(at))?.offset ?? at.offset }));
  }

  /** Gives what waits back, so that it does not count as read. */
  async #rewind() {
    for (const { topic, partition, offset } of this.#waiting().values()) {
      try {
        await ask(() => this.#native.seek(topic, partition, place(offset)));
      } catch (error) {
        // A partition that went to another can't be committed either.
        if (error.status !== 'INVALID_ARGUMENT') throw error;
      }
    }
    this.#batch = undefined;
  }

  async #read(wanted, signal) {
    await this.#interrupt(signal, async () => {
      await this.#rewind();
      this.#touched.clear();
      this.#wanted = wanted;
      await this.#readWanted().catch((error) => {
        this.#wanted = undefined;
        throw error;
      });
    }, false);
  }

  async #readWanted() {
    if (this.#wanted === undefined) return;
    await ask(() => this.#native.read(this.#wanted));
    this.#wanted = undefined;
  }

  #check() {
    if (this.#closed) throw closedError('consumer');
  }

  /** Does something between polls, once a poll that waits has stepped back. */
  async #interrupt(signal, work, reads = true) {
    signal?.throwIfAborted();
    const done = this.#step(async () => {
      this.#check();
      if (reads) await this.#readWanted();
      return work();
    });
    return abortable(done, signal);
  }

  async #step(work) {
    this.#asking += 1;
    if (this.#polling) this.#native.wake();
    try {
      return await this.#turn(work);
    } finally {
      this.#asking -= 1;
    }
  }

  #turn(work) {
    const turn = this.#turns.then(work);
    this.#turns = turn.catch(() => {});
    return turn;
  }
}

function checkMax(max) {
  if (!Number.isSafeInteger(max) || max < 1) throw unexpected('max', 'a whole number from 1', max);
}

/** What is to be read, as JSON; undefined if nothing is said. */
function wanted({ topics, pattern, partitions }) {
  const given = [topics, pattern, partitions].filter((what) => what !== undefined);
  if (given.length === 0) return undefined;
  if (given.length > 1) throw unexpected('what is read', 'one of topics, pattern and partitions', given);
  if (topics !== undefined) {
    const list = Array.isArray(topics) ? topics : [topics];
    return JSON.stringify({ topics: list.map((topic) => string(topic, 'a topic')) });
  }
  if (pattern !== undefined) {
    if (pattern instanceof RegExp) {
      if (/[^u]/.test(pattern.flags)) throw unexpected('a pattern', 'a RegExp without flags', pattern);
      return JSON.stringify({ pattern: pattern.source });
    }
    return JSON.stringify({ pattern: string(pattern, 'a pattern') });
  }
  if (!Array.isArray(partitions)) throw unexpected('partitions', 'an array', partitions);
  const list = partitions.map((at) => {
    const offset = at?.offset == null ? null : String(int64(at.offset, 'an offset'));
    return [string(at?.topic, 'a topic'), partition(at.partition), offset];
  });
  return JSON.stringify({ partitions: list });
}

/** The program's listeners. What they throw comes out of the poll, or of the close. */
function handlers({ onAssigned, onRevoked, onLost }) {
  let thrown = [];
  const listeners = { assigned: onAssigned, revoked: onRevoked, lost: onLost };
  for (const [what, listener] of Object.entries(listeners)) {
    if (listener !== undefined && typeof listener !== 'function') {
      throw unexpected(`the listener for ${what} partitions`, 'a function', listener);
    }
  }
  return {
    tell(what, partitions) {
      try {
        const said = listeners[what]?.(positions(partitions));
        return { said: what === 'revoked' && said !== undefined && said !== null ? commits(said) : '[]' };
      } catch (error) {
        thrown.push(error);
        return { said: '[]', threw: true };
      }
    },
    rethrow() {
      const [error] = thrown.splice(0);
      if (error !== undefined) throw error;
    },
    clear() {
      for (const what of Object.keys(listeners)) delete listeners[what];
    },
  };
}

/** What the native library calls. A poll that waits for more does not keep to itself what a listener threw. */
const listener = (handlers, wake) => (what, partitions) => {
  const { said, threw } = handlers.tell(what, read(partitions));
  if (threw) wake();
  return said;
};

module.exports = { Consumer };
