'use strict';
// Many records in one buffer, so that crossing to the native library costs little for each. The other
// side is src/packed.rs. Numbers are little-endian; a length of −1 is a null.

const { toUSVString } = require('node:util');
const { invalid, unexpected } = require('./errors.js');
const { int64, partition, timestamp } = require('./options.js');
const { ConsumerRecord } = require('./record.js');

const SMALL = 64 * 1024;
const FIXED = 1 + 4 + 8 + 4 + 8;
const [TIMESTAMP, PARTITION, SEQUENCE] = [1, 2, 4];

function viewOf(buffer) {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** Gathers records to be sent. */
class Packer {
  at = 0;
  count = 0;

  constructor() {
    this.#use(Buffer.allocUnsafeSlow(SMALL));
  }

  #use(buffer) {
    this.buffer = buffer;
    this.view = viewOf(buffer);
  }

  #room(bytes) {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.at);
    this.#use(larger);
  }

  /** Adds a record, or throws and leaves everything as it was. */
  add(record) {
    const start = this.at;
    try {
      this.#add(record);
      this.count += 1;
    } catch (error) {
      this.at = start;
      throw error;
    }
  }

  #add(record) {
    if (record === null || typeof record !== 'object' || ArrayBuffer.isView(record)) {
      throw unexpected('a record', 'an object with key, value and so on', record);
    }
    this.#room(FIXED);
    const { view, at } = this;
    let flags = 0;
    if (record.timestamp != null) {
      flags |= TIMESTAMP;
      view.setFloat64(at + 5, timestamp(record.timestamp), true);
    }
    if (record.partition != null) {
      flags |= PARTITION;
      view.setUint32(at + 13, partition(record.partition), true);
    }
    if (record.sequence != null) {
      flags |= SEQUENCE;
      view.setBigInt64(at + 17, int64(record.sequence, 'a sequence'), true);
    }
    const headers = record.headers == null ? [] : pairs(record.headers);
    view.setUint8(at, flags);
    view.setUint32(at + 1, headers.length, true);
    this.at += FIXED;
    this.#blob(record.key, 'a key');
    this.#blob(record.value, 'a value');
    for (const header of headers) {
      const [name, value] = header;
      if (typeof name !== 'string') throw unexpected("a header's name", 'a string', name);
      this.#blob(name, "a header's name");
      this.#blob(value, "a header's value");
    }
  }

  #blob(value, what) {
    if (typeof value === 'string') return this.#text(value, what);
    this.#room(4);
    if (value === null || value === undefined) {
      this.view.setInt32(this.at, -1, true);
      this.at += 4;
      return;
    }
    const bytes = bytesOf(value, what);
    if (bytes.length > 0x7fff_ffff) throw invalid(`${what} of ${bytes.length} bytes is too large`);
    this.#room(4 + bytes.length);
    this.view.setInt32(this.at, bytes.length, true);
    this.buffer.set(bytes, this.at + 4);
    this.at += 4 + bytes.length;
  }

  #text(value, what) {
    // Written all the same, a lone surrogate would come out as something else.
    if (!isWellFormed(value)) throw invalid(`${what} is a string that is not well-formed Unicode: give its bytes`);
    const most = value.length < SMALL ? value.length * 3 : Buffer.byteLength(value);
    this.#room(4 + most);
    const written = this.buffer.write(value, this.at + 4);
    this.view.setInt32(this.at, written, true);
    this.at += 4 + written;
  }

  clear() {
    this.at = 0;
    this.count = 0;
    // One that grew is not kept for the small ones that follow.
    if (this.buffer.length > 16 * SMALL) this.#use(Buffer.allocUnsafeSlow(SMALL));
  }
}

/** Node 18 has no such method of strings. */
const isWellFormed =
  typeof ''.isWellFormed === 'function' ? (text) => text.isWellFormed() : (text) => toUSVString(text) === text;

function bytesOf(value, what) {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw unexpected(what, 'a string, a Buffer, another view of bytes, or null', value);
}

function pairs(headers) {
  if (Array.isArray(headers)) {
    for (const pair of headers) {
      if (!Array.isArray(pair)) throw unexpected('a header', 'a pair of a name and a value', pair);
    }
    return headers;
  }
  if (headers instanceof Map) return [...headers];
  if (typeof headers === 'object' && !ArrayBuffer.isView(headers)) return Object.entries(headers);
  throw unexpected('headers', 'an object, a Map or an array of pairs', headers);
}

/** A buffer with these records. */
function pack(records) {
  if (typeof records?.[Symbol.iterator] !== 'function' || typeof records === 'string') {
    throw unexpected('the records', 'an array', records);
  }
  const packer = new Packer();
  for (const record of records) packer.add(record);
  return packer.buffer.subarray(0, packer.at);
}

/** What a poll came to: records that wait to be handed out. */
class Batch {
  topics = [];
  left;
  #at = 12;
  #names;
  /** Up to here its partitions are known to have been touched. */
  #touched = 12;
  #dropped = new Set();

  constructor(bytes) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = viewOf(bytes);
    this.left = this.view.getUint32(0, true);
    const flags = this.view.getUint32(4, true);
    this.woken = (flags & 1) !== 0;
    this.finished = (flags & 2) !== 0;
    this.#names = this.view.getUint32(8, true);
    for (let at = this.#names; at < bytes.length; at = this.after(at)) this.topics.push(this.text(at));
  }

  after(at) {
    return at + 4 + Math.max(0, this.view.getInt32(at, true));
  }

  blob(at) {
    const length = this.view.getInt32(at, true);
    return length < 0 ? null : this.bytes.subarray(at + 4, at + 4 + length);
  }

  text(at) {
    return this.bytes.utf8Slice(at + 4, this.after(at));
  }

  /** The next record, or undefined. */
  take() {
    while (this.left > 0) {
      const at = this.#at;
      this.#at += this.view.getUint32(at, true);
      this.left -= 1;
      if (this.#dropped.size === 0 || !this.#dropped.has(this.#partition(at))) {
        return new ConsumerRecord(this, at);
      }
    }
    return undefined;
  }

  #partition(at) {
    return `${this.view.getUint32(at + 8, true)}:${this.topics[this.view.getUint32(at + 4, true)]}`;
  }

  *#between(from, to) {
    for (let at = from; at < to; at += this.view.getUint32(at, true)) {
      const partition = this.#partition(at);
      if (!this.#dropped.has(partition)) yield [partition, at];
    }
  }

  /** The partitions of which records were handed out since this was asked last. */
  touched() {
    const touched = new Set();
    for (const [partition] of this.#between(this.#touched, this.#at)) touched.add(partition);
    this.#touched = this.#at;
    return touched;
  }

  /** The first of the records that wait, of each partition that has some. */
  waiting() {
    const waiting = new Map();
    for (const [partition, at] of this.#between(this.#at, this.#names)) {
      if (!waiting.has(partition)) waiting.set(partition, new ConsumerRecord(this, at));
    }
    return waiting;
  }

  /** Leaves the rest of a partition's records out. */
  drop(topic, partition) {
    this.#dropped.add(`${partition}:${topic}`);
  }
}

/** Tells what became of sends: their number, and an acknowledgement or a failure's JSON. */
function readAcks(bytes, acknowledged, failed) {
  const view = viewOf(bytes);
  const count = view.getUint32(0, true);
  let failures;
  for (let i = 0, at = 4; i < count; i++, at += 28) {
    const id = view.getUint32(at, true);
    const kind = view.getUint32(at + 4, true);
    const partition = view.getUint32(at + 8, true);
    if (kind === 2) {
      failures ??= texts(bytes, 4 + count * 28);
      failed(id, failures[partition]);
      continue;
    }
    const offset = view.getBigInt64(at + 12, true);
    acknowledged(id, { partition, offset, timestamp: view.getFloat64(at + 20, true), duplicate: kind === 1 });
  }
}

function texts(bytes, from) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = from; at < buffer.length; ) {
    const end = at + 4 + buffer.readInt32LE(at);
    found.push(buffer.utf8Slice(at + 4, end));
    at = end;
  }
  return found;
}

module.exports = { Batch, Packer, pack, readAcks };
