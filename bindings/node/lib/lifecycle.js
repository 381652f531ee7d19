'use strict';
// What is shared by everything that has to be closed, and by every wait.

const { KafficError } = require('./errors.js');

const asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

const forgotten = new FinalizationRegistry((what) => {
  process.emitWarning(`${what} was not closed before it became garbage`, {
    type: 'KafficWarning',
    code: 'KAFFIC_NOT_CLOSED',
  });
});

/** Warns if `object` becomes garbage before `closed` is called for it. */
function opened(object, what) {
  forgotten.register(object, what, object);
}

function closed(object) {
  forgotten.unregister(object);
}

/** The promise, or the signal's reason if that comes first. The work itself goes on. */
async function abortable(promise, signal) {
  if (signal === undefined || signal === null) return promise;
  let abort;
  const aborted = new Promise((_, reject) => {
    abort = () => reject(signal.reason);
  });
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
    // The work may still fail, and nobody else looks.
    promise.catch(() => {});
  }
}

function closedError(what) {
  return new KafficError('CLOSED', `the ${what} was closed`);
}

module.exports = { abortable, asyncDispose, closed, closedError, opened };
