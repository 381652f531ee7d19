'use strict';
// A record as a consumer gets it: a place in a packed batch, read when it is asked for.

const { inspect } = require('node:util');

const HEADER_BYTES = 32;

class ConsumerRecord {
  #batch;
  #at;
  #key;
  #value;
  #headers;

  constructor(batch, at) {
    this.#batch = batch;
    this.#at = at;
  }

  get topic() {
    return this.#batch.topics[this.#batch.view.getUint32(this.#at + 4, true)];
  }

  get partition() {
    return this.#batch.view.getUint32(this.#at + 8, true);
  }

  get offset() {
    return this.#batch.view.getBigInt64(this.#at + 16, true);
  }

  get timestamp() {
    return this.#batch.view.getFloat64(this.#at + 24, true);
  }

  get key() {
    if (this.#key === undefined) this.#key = this.#batch.blob(this.#at + HEADER_BYTES);
    return this.#key;
  }

  get value() {
    if (this.#value === undefined) {
      this.#value = this.#batch.blob(this.#batch.after(this.#at + HEADER_BYTES));
    }
    return this.#value;
  }

  get headers() {
    if (this.#headers === undefined) this.#headers = this.#readHeaders();
    return this.#headers;
  }

  #readHeaders() {
    const batch = this.#batch;
    const headers = new Array(batch.view.getUint32(this.#at + 12, true));
    let at = headers.length > 0 ? batch.after(batch.after(this.#at + HEADER_BYTES)) : 0;
    for (let i = 0; i < headers.length; i++) {
      const valueAt = batch.after(at);
      headers[i] = [batch.text(at), batch.blob(valueAt)];
      at = batch.after(valueAt);
    }
    return headers;
  }

  #plain() {
    const { topic, partition, offset, timestamp, key, value, headers } = this;
    return { topic, partition, offset, timestamp, key, value, headers };
  }

  toJSON() {
    return { ...this.#plain(), offset: String(this.offset) };
  }

  [inspect.custom](depth, options) {
    return `ConsumerRecord ${inspect(this.#plain(), options)}`;
  }
}

module.exports = { ConsumerRecord };
