'use strict';
// What is thrown. The native library throws errors whose message is JSON; programs get KafficErrors.

const { inspect } = require('node:util');

/** A failed call. */
class KafficError extends Error {
  constructor(status, message, known = {}) {
    super(message);
    this.status = status;
    this.code = `ERR_KAFFIC_${status}`;
    this.retriable = known.retriable ?? false;
    this.outcomeUnknown = known.outcomeUnknown ?? false;
    if (known.earliest != null) this.earliest = BigInt(known.earliest);
    if (known.tail != null) this.tail = BigInt(known.tail);
  }
}
// Not a property of each error, so that it is not printed with the others.
Object.defineProperty(KafficError.prototype, 'name', { value: 'KafficError' });

function ofText(text) {
  const known = JSON.parse(text);
  return new KafficError(known.status, known.message, known);
}

/** An error of the native library as programs see it. */
function translated(error) {
  if (error instanceof KafficError) return error;
  if (error?.message?.startsWith('{"')) return ofText(error.message);
  if (error?.code === 'GenericFailure') {
    return new KafficError('PANIC', `a defect in kaffic: it panicked: ${error.message}`);
  }
  return error?.code === undefined ? error : invalid(error.message);
}

/** Calls the native library at once. */
function call(work) {
  try {
    return work();
  } catch (error) {
    throw translated(error);
  }
}

/** Calls the native library and waits for what it promises. */
async function ask(work) {
  try {
    return await work();
  } catch (error) {
    throw translated(error);
  }
}

function invalid(message) {
  return new KafficError('INVALID_ARGUMENT', message);
}

/** That `what` is not what was expected. */
function unexpected(what, expected, value) {
  const shown = typeof value === 'function' ? 'a function' : inspect(value, { depth: 0, maxStringLength: 40 });
  return invalid(`${what} has to be ${expected}; it is ${shown}`);
}

module.exports = { KafficError, ask, call, invalid, ofText, unexpected };
