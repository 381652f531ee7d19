'use strict';
// From JavaScript's manner to kaffic's and back: names by rule, values as text, 64-bit numbers as
// BigInt. Which settings there are is not known here.

const { invalid, unexpected } = require('./errors.js');

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

function text(name, value) {
  switch (typeof value) {
    case 'string':
      return value;
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'number':
      if (Number.isSafeInteger(value)) return String(value);
  }
  throw unexpected(`setting ${name}`, 'text, a whole number, true or false', value);
}

/** Settings as pairs of names and text. Those that are undefined are left out. */
function settings(given, what = 'the settings') {
  if (given === undefined || given === null) return [];
  if (typeof given !== 'object' || Array.isArray(given)) throw unexpected(what, 'an object', given);
  return Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [snake(name), text(name, value)]);
}

/** Settings as pairs, and the signal that may be among them. */
function withSignal(given, what) {
  const { signal, ...rest } = given !== null && typeof given === 'object' && !Array.isArray(given) ? given : {};
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw unexpected('a signal', 'an AbortSignal', signal);
  return { signal, pairs: settings(signal === undefined ? given : rest, what) };
}

function string(value, what) {
  if (typeof value !== 'string') throw unexpected(what, 'a string', value);
  return value;
}

/** A partition's number. */
function partition(value) {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw unexpected('a partition', 'a whole number from 0', value);
  }
  return value;
}

/** A number of 64 bits, as BigInt. */
function int64(value, what) {
  const whole = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!whole) throw unexpected(what, 'a BigInt or a whole number', value);
  const big = BigInt(value);
  if (BigInt.asIntN(64, big) !== big) throw invalid(`${what} does not fit into 64 bits: ${big}`);
  return big;
}

/** Milliseconds since the Unix epoch, of a Date or a number. */
function timestamp(value) {
  const ms = value instanceof Date ? value.getTime() : typeof value === 'bigint' ? Number(value) : value;
  if (!Number.isSafeInteger(ms)) {
    throw unexpected('a timestamp', 'a Date or a whole number of milliseconds', value);
  }
  return ms;
}

/** Milliseconds to wait, or undefined for as long as it takes. */
function wait(value, what) {
  if (value === undefined || value === Infinity) return undefined;
  if (typeof value !== 'number' || !(value >= 0)) throw unexpected(what, 'a number of milliseconds', value);
  return value;
}

/** A place in a partition, as the setting `start` says it. */
function place(to) {
  if (typeof to === 'string') return to;
  if (to instanceof Date) return `timestamp:${timestamp(to)}`;
  if (to !== null && typeof to === 'object') {
    if (to.timestamp !== undefined) return `timestamp:${timestamp(to.timestamp)}`;
    if (to.last !== undefined) return `last:${int64(to.last, 'last')}`;
    if (to.shift !== undefined) return `shift:${int64(to.shift, 'shift')}`;
    throw unexpected('a place', "an offset, a Date, 'earliest', 'latest', { timestamp } or { last }", to);
  }
  return `offset:${int64(to, 'an offset')}`;
}

/** Offsets to commit, as JSON. */
function commits(offsets) {
  if (!Array.isArray(offsets)) throw unexpected('the offsets', 'an array', offsets);
  return JSON.stringify(
    offsets.map((at) => [
      string(at?.topic, 'a topic'),
      partition(at.partition),
      String(int64(at.offset, 'an offset')),
      at.metadata == null ? null : string(at.metadata, 'metadata'),
    ]),
  );
}

/** `[[topic, partition, offset, metadata]…]` as objects. */
function positions(list) {
  return list.map(([topic, partition, offset, metadata]) => {
    const at = { topic, partition, offset: BigInt(offset) };
    return metadata == null ? at : { ...at, metadata };
  });
}

const OFFSETS = new Set(['offset', 'committed', 'end', 'lag', 'nextOffset']);

/** An answer in JSON, with names and offsets as JavaScript has them. */
function answer(json) {
  const read = (value) => {
    if (Array.isArray(value)) return value.map(read);
    if (value === null || typeof value !== 'object') return value;
    const entries = Object.entries(value).map(([name, field]) => {
      const key = camel(name);
      return [key, OFFSETS.has(key) && typeof field === 'string' ? BigInt(field) : read(field)];
    });
    return Object.fromEntries(entries);
  };
  return read(JSON.parse(json));
}

module.exports = { answer, commits, int64, partition, place, positions, settings, string, timestamp, wait, withSignal };
