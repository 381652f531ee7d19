import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { connect } from '../index.mjs';
import { failure, folder, memory, text } from './support.mjs';

async function all(client, settings = {}) {
  const records = [];
  for await (const record of client.consumer({ topics: ['t'], until: 'latest', ...settings })) records.push(record);
  return records;
}

test('sends of one turn are written in the order of the calls', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t');
  const count = 20_000;
  const acks = await Promise.all(Array.from({ length: count }, (_, n) => producer.send({ value: `value ${n}` })));
  acks.forEach(({ offset }, n) => assert.equal(offset, BigInt(n)));
  assert.deepEqual(text(await all(client)), Array.from({ length: count }, (_, n) => `value ${n}`));
});

test('values of any size go between small ones', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t');
  const large = Buffer.alloc(5 << 20, 'large');
  const sent = [large, 'a', large.toString(), '', large.subarray(0, 300_000), null, 'b'];
  await producer.sendBatch(sent.map((value) => ({ value })));
  const got = (await all(client)).map(({ value }) => value);
  assert.deepEqual(got, sent.map((value) => (value === null ? null : Buffer.from(value))));
});

test('keys, values and headers may be anything with bytes', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t');
  const numbers = new Uint16Array([1, 2]);
  await producer.sendBatch([
    { key: numbers, value: numbers.buffer, headers: { a: '1', b: null } },
    { key: new DataView(numbers.buffer, 2), headers: new Map([['ü', Buffer.from([0])]]) },
    { value: 'grüßt 🦀', headers: [['a', '1'], ['a', ''], ['a', null]], timestamp: new Date(5) },
  ]);
  const [first, second, third] = await all(client);
  assert.deepEqual([first.key, first.value], [Buffer.from([1, 0, 2, 0]), Buffer.from([1, 0, 2, 0])]);
  assert.deepEqual(first.headers, [['a', Buffer.from('1')], ['b', null]]);
  assert.deepEqual([second.key, second.value], [Buffer.from([2, 0]), null]);
  assert.deepEqual(second.headers, [['ü', Buffer.from([0])]]);
  assert.equal(third.value.toString(), 'grüßt 🦀');
  assert.deepEqual(third.headers, [['a', Buffer.from('1')], ['a', Buffer.alloc(0)], ['a', null]]);
  assert.equal(third.timestamp, 5);
});

test('a record that is not acceptable is refused, and nothing else is lost by that', async (t) => {
  const client = await memory(t, { partitions: 2 });
  const producer = await client.producer('t');
  const sends = [
    [{ value: 5 }, 'a value'],
    [{ value: 'v', key: {} }, 'a key'],
    [{ value: 'v', headers: 'a=b' }, 'headers'],
    [{ value: 'v', headers: [['a', 5]] }, "a header's value"],
    [{ value: 'v', headers: [[5, 'a']] }, "a header's name"],
    [{ value: 'v', headers: ['ab'] }, 'a pair'],
    [{ value: 'v', partition: -1 }, 'a partition'],
    [{ value: 'v', partition: 2 }, '2'],
    [{ value: 'v', partition: 0.5 }, 'a partition'],
    [{ value: 'v', timestamp: new Date(NaN) }, 'a timestamp'],
    [{ value: 'v', timestamp: 1e20 }, 'a timestamp'],
    [{ value: 'v', sequence: 1 }, 'sequence'],
    [{ value: 'v', sequence: 2n ** 63n }, '64 bits'],
    [{ value: 'lone \ud800' }, 'Unicode'],
    [null, 'a record'],
    ['v', 'a record'],
    [Buffer.from('v'), 'a record'],
  ];
  for (const [record, says] of sends) {
    const before = producer.send({ value: 'good', partition: 0 });
    const error = await failure(producer.send(record));
    assert.equal(error.code, 'ERR_KAFFIC_INVALID_ARGUMENT', error.stack);
    assert.ok(error.message.includes(says), error.message);
    await before;
  }
  assert.deepEqual(text(await all(client)), sends.map(() => 'good'));
  assert.equal((await failure(producer.sendBatch('no array'))).code, 'ERR_KAFFIC_INVALID_ARGUMENT');
  assert.equal((await failure(producer.append(0, 'no array'))).code, 'ERR_KAFFIC_INVALID_ARGUMENT');
  assert.equal((await failure(producer.append(0, [{ value: 5 }]))).code, 'ERR_KAFFIC_INVALID_ARGUMENT');
});

test('what waits for room is bounded, and what was taken keeps its order', async (t) => {
  const store = join(folder(t), 'store');
  const client = await connect(`file://${store}`);
  t.after(() => client.close());
  await client.topics.create('t');
  const producer = await client.producer('t', { maxInFlightBytes: '30MiB' });
  // Nothing leaves the buffer while the store is away.
  renameSync(store, `${store}.away`);
  writeFileSync(store, '');
  const value = randomBytes(1 << 20);
  const sends = Array.from({ length: 150 }, () => producer.send({ value }));
  rmSync(store);
  renameSync(`${store}.away`, store);
  const ended = await Promise.allSettled(sends);
  const refused = ended.filter(({ status }) => status === 'rejected');
  assert.ok(refused.length > 0);
  for (const { reason } of refused) {
    assert.equal(reason.code, 'ERR_KAFFIC_QUEUE_FULL');
    assert.ok(reason.retriable && !reason.outcomeUnknown);
  }
  const taken = ended.filter(({ status }) => status === 'fulfilled');
  assert.ok(taken.length >= 60, `${taken.length} were taken`);
  taken.forEach(({ value: { offset } }, n) => assert.equal(offset, BigInt(n)));
  // There is room again.
  const sent = producer.send({ value });
  await producer.flush();
  assert.equal((await sent).offset, BigInt(taken.length));
});

test('a stream has no more under way than may wait', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { maxInFlightBytes: '4MiB', compression: 'gzip' });
  const value = randomBytes(1 << 20);
  await pipeline(Array.from({ length: 80 }, () => ({ value })), producer.writable());
  assert.equal(await client.offset('t', 0, 'latest'), 80n);
});

test('a signal is looked at once for a batch', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t');
  const { signal } = new AbortController();
  const listened = t.mock.method(signal, 'addEventListener');
  await producer.sendBatch(Array.from({ length: 50 }, () => ({ value: 'v' })), { signal });
  assert.equal(listened.mock.callCount(), 1);
});

test('a producer that is not to wait says that it is full', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { maxInFlightBytes: '64KiB', whenFull: 'fail', maxRecordBytes: '40KiB' });
  const sends = Array.from({ length: 20 }, () => producer.send({ value: Buffer.alloc(40_000) }));
  const ended = await Promise.allSettled(sends);
  const codes = new Set(ended.map(({ reason }) => reason?.code));
  assert.deepEqual([...codes].sort(), ['ERR_KAFFIC_QUEUE_FULL', undefined]);
});

test('closing writes what was sent, and refuses what comes after', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { linger: '10s' });
  const sent = [producer.send({ value: 'a' }), producer.send({ value: 'b' })];
  await producer.close();
  await Promise.all(sent);
  assert.deepEqual(text(await all(client)), ['a', 'b']);
  for (const call of [() => producer.send({}), () => producer.append(0, [{}]), () => producer.fence()]) {
    assert.equal((await failure(call())).code, 'ERR_KAFFIC_CLOSED');
  }
  await producer.close();
});

test('a flush does not wait for the linger, and covers what was sent before it', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { linger: '1h', deliveryTimeout: '2h' });
  const sent = producer.send({ value: 'a' });
  await producer.flush();
  assert.deepEqual(text(await all(client)), ['a']);
  await sent;
});

test('an append comes after the sends before it', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t');
  const sent = producer.send({ value: 'a' });
  const appended = producer.append(0, [{ value: 'b' }, { value: 'c' }], { expectedOffset: 1 });
  assert.deepEqual([(await sent).offset, (await appended).offset], [0n, 1n]);
  const error = await failure(producer.append(0, [{ value: 'd' }], { expectedOffset: 0n }));
  assert.deepEqual([error.status, error.tail], ['CONDITION_FAILED', 3n]);
});

test('a signal ends the wait for a send', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { linger: '1h', deliveryTimeout: '2h' });
  const reason = new Error('enough');
  const aborted = AbortSignal.abort(reason);
  for (const call of [
    () => producer.send({ value: 'never' }, { signal: aborted }),
    () => producer.append(0, [{ value: 'never' }], { signal: aborted }),
    () => producer.flush({ signal: aborted }),
  ]) {
    assert.equal(await failure(call()), reason);
  }
  const controller = new AbortController();
  const sent = producer.send({ value: 'perhaps' }, { signal: controller.signal });
  controller.abort(reason);
  assert.equal(await failure(sent), reason);
  await producer.close();
  assert.deepEqual(text(await all(client)), ['perhaps']);
});

test('every send of a failed batch is told so', async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { linger: '1h', deliveryTimeout: '2h' });
  const sends = Promise.allSettled(Array.from({ length: 3000 }, () => producer.send({ value: 'v' })));
  await client.topics.delete('t');
  const flushed = await failure(producer.flush());
  assert.equal(flushed.code, 'ERR_KAFFIC_TOPIC_NOT_FOUND');
  for (const { reason } of await sends) {
    assert.equal(reason?.code, 'ERR_KAFFIC_TOPIC_NOT_FOUND');
    assert.ok(reason.message.includes('t'));
  }
});

test('names fence, and sequences are written once', async (t) => {
  const client = await memory(t);
  const first = await client.producer('t', { name: 'copier' });
  assert.deepEqual([first.epoch, first.partitions, first.topic], [0, 1, 't']);
  await first.send({ value: 'a', sequence: 2n ** 62n });
  const second = await client.producer('t', { name: 'copier' });
  assert.equal(await second.lastSequence(0), 2n ** 62n);
  const error = await failure(first.send({ value: 'b', sequence: 2n ** 62n + 1n }));
  assert.equal(error.code, 'ERR_KAFFIC_FENCED');
  assert.deepEqual(await second.send({ value: 'a', sequence: 7, partition: 0, timestamp: 9 }), {
    partition: 0,
    offset: -1n,
    timestamp: 9,
    duplicate: true,
  });
});
