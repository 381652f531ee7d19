// The records that every language writes and every other reads:
//   node matrix.mjs produce URL TOPIC
//   node matrix.mjs check URL TOPIC
// The topic is there already. KAFFIC_TEST_OPTIONS are the store's options.

import assert from 'node:assert/strict';
import { connect } from '../index.mjs';

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const BIG = Buffer.from(Uint8Array.from({ length: 5 << 20 }, (_, i) => (i * 31 + 7) % 251));
const FIFTH = 4;
const RECORDS = [
  { key: null, value: null },
  { key: '', value: '' },
  { key: 'k', value: null },
  { key: null, value: 'v' },
  {
    key: Buffer.from([0x00, 0xff, 0x0a]),
    value: 'grüßt 🦀',
    headers: [['a', '1'], ['ü', null], ['a', '']],
    timestamp: 1234567890123,
  },
  { key: 'big', value: BIG },
  { key: 'zero', value: '' },
];

async function produce(client, topic) {
  for (const compression of CODECS) {
    const producer = await client.producer(topic, { compression });
    await producer.sendBatch(RECORDS.map((record) => ({ ...record, partition: 0 })));
    await producer.close();
  }
}

const bytes = (value) => (value == null ? null : Buffer.from(value));

function same(record, expected, number) {
  const what = `record ${number}`;
  // Of 5 MiB a difference is not printed.
  const equal = (a, b) => (a === null || b === null ? a === b : a.equals(b));
  assert.ok(equal(record.key, bytes(expected.key)), `the key of ${what}`);
  assert.ok(equal(record.value, bytes(expected.value)), `the value of ${what}`);
  const headers = (expected.headers ?? []).map(([name, value]) => [name, bytes(value)]);
  assert.deepEqual(record.headers, headers, what);
  if (number % RECORDS.length === FIFTH) assert.equal(record.timestamp, expected.timestamp, what);
}

async function check(client, topic) {
  let count = 0;
  for await (const record of client.consumer({ partitions: [{ topic, partition: 0 }], start: 'earliest', until: 'latest' })) {
    same(record, RECORDS[count % RECORDS.length], count);
    count += 1;
  }
  assert.equal(count, CODECS.length * RECORDS.length);
  console.log(`${count} records, as they should be`);
}

const [what, url, topic] = process.argv.slice(2);
const work = { produce, check }[what];
if (work === undefined || topic === undefined) {
  console.error('usage: matrix.mjs produce|check URL TOPIC');
  process.exit(2);
}
const options = (process.env.KAFFIC_TEST_OPTIONS ?? '').split(',').filter(Boolean);
const client = await connect(url, Object.fromEntries(options.map((option) => /^([^=]*)=(.*)$/s.exec(option).slice(1))));
await work(client, topic);
await client.close();
