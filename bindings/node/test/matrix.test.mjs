// That the two halves of the matrix of languages fit each other, and that a difference is noticed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect } from '../index.mjs';
import { failure, folder } from './support.mjs';

const program = fileURLToPath(new URL('matrix.mjs', import.meta.url));
const run = async (...args) => (await promisify(execFile)(process.execPath, [program, ...args])).stdout;

test('what is produced for others is what is checked of them', { timeout: 120_000 }, async (t) => {
  const store = `file://${folder(t)}`;
  const client = await connect(store);
  t.after(() => client.close());
  await client.topics.create('t');
  await run('produce', store, 't');
  assert.equal(await run('check', store, 't'), '35 records, as they should be\n');
  const producer = await client.producer('t');
  await producer.send({ value: 'one too many' });
  assert.equal((await failure(run('check', store, 't'))).code, 1);
});
