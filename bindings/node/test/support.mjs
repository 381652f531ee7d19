// What tests share.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../index.mjs';

/** A client in memory with a topic `t`, which is closed after the test. */
export async function memory(t, config = {}) {
  const client = await connect('memory://');
  await client.topics.create('t', config);
  t.after(() => client.close());
  return client;
}

/** An empty folder, which is removed after the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'kaffic-'));
  t.after(() => remove(path));
  return path;
}

/** What is in the background still may write while it is removed. */
export async function remove(path) {
  for (let tries = 0; tries < 50; tries++) {
    try {
      return rmSync(path, { recursive: true, force: true });
    } catch (error) {
      if (error.code !== 'ENOTEMPTY') throw error;
      await sleep(20);
    }
  }
  throw new Error(`${path} does not become empty`);
}

/** Appends values to a partition of `t` as one batch, so that one poll brings them all. */
export async function produce(client, values, partition = 0) {
  const producer = await client.producer('t');
  await producer.append(partition, values.map((value) => ({ value })));
  await producer.close();
}

/** The error that a promise is rejected with. */
export async function failure(promise) {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error) => error,
  );
}

export const text = (records) => records.map(({ value }) => String(value));
