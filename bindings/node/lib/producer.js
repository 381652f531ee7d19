'use strict';
// A producer. Sends of one turn of the event loop cross together, and their acknowledgements come back
// many at a time.

const { Writable } = require('node:stream');
const { ask, call, ofText, unexpected } = require('./errors.js');
const { abortable, asyncDispose, closed, opened } = require('./lifecycle.js');
const { int64, partition } = require('./options.js');
const { Packer, pack, readAcks } = require('./packed.js');

/** So many bytes cross at once without waiting for the end of the turn. */
const HAND_OVER = 256 * 1024;
/** So many bytes a stream has under way: far less than what may wait to enter the producer's buffer. */
const STREAMED = 4 * 1024 * 1024;

class Producer {
  #native;
  #topic;
  #packer = new Packer();
  /** The number of the next send; they wrap around. */
  #next = 0;
  #pending = new Map();
  /** The bytes of all sends so far, as they are packed. */
  #bytes = 0;
  #scheduled = false;
  #listening = false;

  constructor(native, topic) {
    this.#native = native;
    this.#topic = topic;
    opened(this, `a producer of topic ${topic}`);
  }

  get topic() {
    return this.#topic;
  }

  get partitions() {
    return call(() => this.#native.partitions());
  }

  get epoch() {
    return call(() => this.#native.epoch());
  }

  send(record, { signal } = {}) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const sent = new Promise((resolve, reject) => {
      const before = this.#packer.at;
      this.#packer.add(record);
      this.#bytes += this.#packer.at - before;
      this.#pending.set(this.#next, { resolve, reject });
      this.#next = (this.#next + 1) >>> 0;
    });
    this.#schedule();
    return signal === undefined ? sent : abortable(sent, signal);
  }

  sendBatch(records, options) {
    if (!Array.isArray(records)) return Promise.reject(unexpected('the records', 'an array', records));
    // One look at the signal is enough for all.
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    return abortable(Promise.all(records.map((record) => this.send(record))), options?.signal);
  }

  async append(number, records, { expectedOffset, signal } = {}) {
    signal?.throwIfAborted();
    const expected = expectedOffset == null ? null : String(int64(expectedOffset, 'an expected offset'));
    const packed = pack(records);
    this.#handOver();
    const appended = ask(() => this.#native.append(partition(number), packed, expected));
    let ack;
    readAcks(await abortable(appended, signal), (_, first) => (ack = first));
    return ack;
  }

  async flush({ signal } = {}) {
    signal?.throwIfAborted();
    this.#handOver();
    await abortable(ask(() => this.#native.flush()), signal);
  }

  async fence() {
    await ask(() => this.#native.fence());
  }

  async lastSequence(number) {
    const last = await ask(() => this.#native.lastSequence(partition(number)));
    return last === null ? null : BigInt(last);
  }

  async close() {
    closed(this);
    this.#handOver();
    await ask(() => this.#native.close());
  }

  [asyncDispose]() {
    return this.close();
  }

  /** A stream that writes records, and takes no more than the producer can. */
  writable({ highWaterMark = 1024 } = {}) {
    return new Writable({
      objectMode: true,
      highWaterMark,
      write: (record, _, done) => this.send(record).then(() => done(), done),
      writev: (chunks, done) => this.#write(chunks).then(() => done(), done),
      final: (done) => this.flush().then(() => done(), done),
    });
  }

  /** Sends what a stream has gathered, some of it at a time. */
  async #write(chunks) {
    let [sends, before] = [[], this.#bytes];
    for (const { chunk } of chunks) {
      sends.push(this.send(chunk));
      if (this.#bytes - before < STREAMED) continue;
      await Promise.all(sends);
      [sends, before] = [[], this.#bytes];
    }
    await Promise.all(sends);
  }

  #schedule() {
    if (this.#packer.at >= HAND_OVER) return this.#handOver();
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#handOver();
    });
  }

  #handOver() {
    const packer = this.#packer;
    const { count } = packer;
    if (count === 0) return;
    const first = (this.#next - count) >>> 0;
    try {
      call(() => this.#native.send(first, packer.buffer, packer.at));
    } catch (error) {
      for (let i = 0; i < count; i++) this.#settle((first + i) >>> 0).reject(error);
    }
    packer.clear();
    this.#listen();
  }

  #settle(id) {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    return waiting;
  }

  /** Takes acknowledgements for as long as some are to come. */
  async #listen() {
    if (this.#listening) return;
    this.#listening = true;
    while (this.#pending.size > 0) {
      readAcks(
        await this.#native.acks(),
        (id, ack) => this.#settle(id).resolve(ack),
        (id, failure) => this.#settle(id).reject(ofText(failure)),
      );
    }
    this.#listening = false;
  }
}

module.exports = { Producer };
