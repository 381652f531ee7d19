import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import native from '../lib/native.js';
import { failure, memory, produce, text } from './support.mjs';

const at = (partition, offset) => ({ topic: 't', partition, offset: BigInt(offset) });

async function take(consumer, count) {
  const records = [];
  for await (const record of consumer) {
    records.push(record);
    if (records.length === count) break;
  }
  return text(records);
}

test('a commit counts what was handed out, not what was fetched', async (t) => {
  const client = await memory(t, { partitions: 2 });
  await produce(client, ['a', 'b', 'c', 'd'], 0);
  await produce(client, ['w', 'x', 'y', 'z'], 1);
  const partitions = [{ topic: 't', partition: 0 }, { topic: 't', partition: 1 }];
  const consumer = client.consumer({ partitions, group: 'g', autoCommit: 'never' });
  const first = await take(consumer, 2);
  const touched = first[0] === 'a' ? 0 : 1;
  await consumer.commit();
  assert.deepEqual(await consumer.committed(), [at(touched, 2)]);
  const positions = await consumer.positions();
  assert.deepEqual(positions.find(({ partition }) => partition === touched), at(touched, 2));
  assert.deepEqual(positions.find(({ partition }) => partition !== touched), at(1 - touched, 0));
  const lag = await consumer.lag();
  assert.equal(lag.reduce((sum, { lag }) => sum + lag, 0n), 6n);
  await take(consumer, 6);
  await consumer.commit();
  const committed = await consumer.committed();
  assert.deepEqual(committed.sort((a, b) => a.partition - b.partition), [at(0, 4), at(1, 4)]);
});

test('closing with automatic commits counts what was handed out', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c', 'd']);
  const first = client.consumer({ topics: ['t'], group: 'g' });
  assert.deepEqual(await take(first, 2), ['a', 'b']);
  await first.close();
  const second = client.consumer({ topics: ['t'], group: 'g' });
  assert.deepEqual(text(await second.poll()), ['c', 'd']);
  await second.close();
  assert.deepEqual(await client.groups.committed('g'), [at(0, 4)]);
});

test('calls do not wait for a poll that waits, and do not count what it brings', async (t) => {
  const client = await memory(t);
  const consumer = client.consumer({ topics: ['t'], group: 'g', autoCommit: 'never' });
  await consumer.poll({ timeoutMs: 1 });
  const polled = consumer.poll();
  while ((await consumer.positions()).length === 0) await turn();
  await consumer.commit();
  const producer = await client.producer('t');
  // Commits and records come at the same time, in every order.
  let seen = 0;
  const commits = (async () => {
    for (let n = 0; n < 200; n++) {
      // What was seen before the commit is the most that it may count.
      const most = seen;
      await consumer.commit();
      const [committed] = await consumer.committed();
      assert.ok((committed?.offset ?? 0n) <= BigInt(seen), `${committed?.offset} were committed, ${most} seen`);
    }
  })();
  const reads = (async () => {
    seen += (await polled).length;
    for await (const { offset } of consumer) {
      assert.equal(offset, BigInt(seen));
      seen += 1;
      if (seen === 400) break;
    }
  })();
  for (let n = 0; n < 400; n++) await producer.send({ value: `${n}` });
  await Promise.all([commits, reads]);
  await consumer.commit();
  assert.deepEqual(await consumer.committed(), [at(0, 400)]);
});

test('a poll takes as many as it is told, and the rest comes after', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c']);
  const consumer = client.consumer({ topics: 't', until: 'latest' });
  assert.deepEqual(text(await consumer.poll({ max: 2 })), ['a', 'b']);
  assert.equal(await consumer.isFinished(), false);
  assert.deepEqual(await take(consumer, 1), ['c']);
  assert.deepEqual(await consumer.poll(), []);
  assert.equal(await consumer.isFinished(), true);
  assert.throws(() => consumer.records({ max: 0 }), { code: 'ERR_KAFFIC_INVALID_ARGUMENT' });
  for (const options of [{ max: 0 }, { max: '5' }, { timeoutMs: -1 }, { timeoutMs: 'soon' }]) {
    assert.equal((await failure(consumer.poll(options))).code, 'ERR_KAFFIC_INVALID_ARGUMENT');
  }
});

test('a loop fetches as many at a time as it is told', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c']);
  const poll = t.mock.method(native.NativeConsumer.prototype, 'poll');
  const seen = [];
  for await (const { value } of client.consumer({ topics: ['t'] }).records({ max: 2 })) {
    seen.push(String(value));
    if (seen.length === 3) break;
  }
  assert.deepEqual(seen, ['a', 'b', 'c']);
  const calls = poll.mock.calls.map(({ arguments: [max] }) => max);
  assert.ok(calls.length >= 2 && calls.every((max) => max === 2), `${calls}`);
});

test('the event loop turns while a loop takes long over what it has', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c', 'd']);
  const poll = t.mock.method(native.NativeConsumer.prototype, 'poll');
  const turns = [];
  let seen = 0;
  for await (const _ of client.consumer({ topics: ['t'] })) {
    const begun = performance.now();
    while (performance.now() - begun < 20);
    setImmediate(() => turns.push(seen));
    seen += 1;
    if (seen === 4) break;
  }
  // All came at once, and yet there were turns between them.
  assert.equal(poll.mock.callCount(), 1);
  assert.deepEqual(turns, [1, 2, 3]);
});

test('a poll ends when its time is over', async (t) => {
  const client = await memory(t);
  const consumer = client.consumer({ topics: ['t'] });
  assert.deepEqual(await consumer.poll({ timeoutMs: 0 }), []);
  assert.deepEqual(await consumer.poll({ timeoutMs: 30 }), []);
  await produce(client, ['a']);
  assert.deepEqual(text(await consumer.poll({ timeoutMs: 10_000 })), ['a']);
});

test('a signal ends a wait, and nothing is lost by that', async (t) => {
  const client = await memory(t);
  const consumer = client.consumer({ topics: ['t'] });
  const reason = new Error('enough');
  const controller = new AbortController();
  const polled = consumer.poll({ signal: controller.signal });
  const iterated = consumer.records({ signal: controller.signal }).next();
  await turn();
  controller.abort(reason);
  assert.equal(await failure(polled), reason);
  assert.equal(await failure(iterated), reason);
  await produce(client, ['a', 'b']);
  assert.equal(await failure(consumer.poll({ signal: controller.signal })), reason);
  assert.deepEqual(text(await consumer.poll()), ['a', 'b']);
});

test('the signal of a consumer ends all its waits', async (t) => {
  const client = await memory(t);
  const controller = new AbortController();
  const consumer = client.consumer({ topics: ['t'], signal: controller.signal });
  const loop = take(consumer, 1);
  await turn();
  controller.abort();
  assert.equal((await failure(loop)).name, 'AbortError');
  assert.equal((await failure(consumer.poll())).name, 'AbortError');
  await consumer.close();
});

test('a wake-up ends one poll', async (t) => {
  const client = await memory(t);
  const consumer = client.consumer({ topics: ['t'] });
  const polled = consumer.poll();
  await turn();
  consumer.wakeup();
  const error = await failure(polled);
  assert.deepEqual([error.code, error.retriable], ['ERR_KAFFIC_INTERRUPTED', true]);
  await produce(client, ['a']);
  consumer.wakeup();
  assert.equal((await failure(consumer.poll())).code, 'ERR_KAFFIC_INTERRUPTED');
  assert.deepEqual(text(await consumer.poll()), ['a']);
});

test('a wake-up ends a loop that has records', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c']);
  const consumer = client.consumer({ topics: ['t'] });
  const seen = [];
  for (let round = 0; round < 2; round++) {
    const loop = async () => {
      for await (const record of consumer) {
        seen.push(String(record.value));
        consumer.wakeup();
      }
    };
    assert.equal((await failure(loop())).code, 'ERR_KAFFIC_INTERRUPTED');
  }
  assert.deepEqual(seen, ['a', 'b']);
  assert.deepEqual(text(await consumer.poll()), ['c']);
});

test('closing ends what waits, and no rejection is unhandled', async (t) => {
  const unhandled = t.mock.fn();
  process.on('unhandledRejection', unhandled);
  t.after(() => process.off('unhandledRejection', unhandled));
  const client = await memory(t);
  const consumer = client.consumer({ topics: ['t'], group: 'g' });
  const loop = take(consumer, 1);
  const stream = consumer.readable();
  stream.resume();
  const polled = consumer.poll();
  await turn();
  await consumer.close();
  for (let n = 0; n < 5; n++) await turn();
  assert.equal(unhandled.mock.callCount(), 0);
  assert.equal((await failure(polled)).code, 'ERR_KAFFIC_CLOSED');
  assert.deepEqual(await loop, []);
  assert.ok(stream.destroyed || stream.readableEnded);
  await consumer.close();
  for (const call of ['poll', 'positions', 'commit', 'lag', 'committed', 'endOffsets', 'memberName']) {
    assert.equal((await failure(consumer[call]())).code, 'ERR_KAFFIC_CLOSED', call);
  }
  assert.throws(() => consumer.records(), { code: 'ERR_KAFFIC_CLOSED' });
  assert.equal(await consumer.isFinished(), true);
});

test('what waits of a partition is left out after a seek, and the rest is not', async (t) => {
  const client = await memory(t, { partitions: 2 });
  await produce(client, ['a', 'b', 'c'], 0);
  await produce(client, ['x', 'y', 'z'], 1);
  const consumer = client.consumer({ topics: ['t'], until: 'latest' });
  assert.equal((await take(consumer, 1)).length, 1);
  await consumer.seek('t', 0, 1);
  await consumer.seek('t', 1, { last: 1 });
  assert.deepEqual((await take(consumer, 3)).sort(), ['b', 'c', 'z']);
  assert.deepEqual(await consumer.poll(), []);
});

test('a paused partition is silent at once, and goes on where it was', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c']);
  const consumer = client.consumer({ topics: ['t'] });
  assert.deepEqual(await take(consumer, 1), ['a']);
  await consumer.pause('t', 0);
  assert.deepEqual(await consumer.poll({ timeoutMs: 30 }), []);
  await consumer.resume('t', 0);
  assert.deepEqual(await take(consumer, 2), ['b', 'c']);
  assert.equal((await failure(consumer.pause('t', 7))).code, 'ERR_KAFFIC_INVALID_ARGUMENT');
});

test('what is read may change, and what waited does not count as read', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c']);
  const consumer = client.consumer({ topics: ['t'], group: 'g' });
  assert.deepEqual(await take(consumer, 1), ['a']);
  await consumer.subscribe(/t/);
  assert.deepEqual(await take(consumer, 2), ['b', 'c']);
  await consumer.assign([{ topic: 't', partition: 0, offset: 2n }]);
  assert.deepEqual(await take(consumer, 1), ['c']);
});

test('what is wrong with the options is told where they are given', async (t) => {
  const client = await memory(t);
  const wrong = [
    [{ topics: ['t'], pattern: 't' }, 'one of'],
    [{ topics: 5 }, 'a topic'],
    [{ pattern: /t/i }, 'flags'],
    [{ partitions: 't' }, 'an array'],
    [{ partitions: [{ topic: 't' }] }, 'a partition'],
    [{ onLost: 'no' }, 'a function'],
    [{ start: 'tomorrow' }, 'earliest'],
    [{ autoCommit: {} }, 'autoCommit'],
    [null, 'an object'],
  ];
  for (const [options, says] of wrong) {
    assert.throws(() => client.consumer(options), (error) => {
      assert.equal(error.code, 'ERR_KAFFIC_INVALID_ARGUMENT', error.stack);
      return error.message.includes(says) || assert.fail(error.message);
    });
  }
  assert.throws(() => client.consumer({ grup: 'g' }), { code: 'ERR_KAFFIC_UNKNOWN_SETTING' });
  // What can't be read is told by whatever reads first, again and again.
  const consumer = client.consumer({ topics: ['nowhere'] });
  for (let n = 0; n < 2; n++) {
    assert.equal((await failure(consumer.poll())).code, 'ERR_KAFFIC_TOPIC_NOT_FOUND');
    assert.equal((await failure(consumer.positions())).code, 'ERR_KAFFIC_TOPIC_NOT_FOUND');
  }
});

test('listeners are told, and their commits are made before a partition goes', async (t) => {
  const client = await memory(t, { partitions: 2 });
  await produce(client, ['a', 'b'], 0);
  await produce(client, ['x', 'y'], 1);
  const told = [];
  const settings = { topics: ['t'], group: 'g', autoCommit: 'never', heartbeatInterval: '1s', sessionTimeout: '6s' };
  const first = client.consumer({
    ...settings,
    onAssigned: (partitions) => told.push(['assigned', ...partitions.map(({ partition }) => partition)]),
    onRevoked: (partitions) => {
      told.push(['revoked', ...partitions.map(({ partition }) => partition)]);
      return partitions.map((at) => ({ ...at, offset: 1n, metadata: 'by the listener' }));
    },
  });
  await take(first, 4);
  const assigned = told.splice(0);
  assert.ok(assigned.every(([what]) => what === 'assigned'));
  assert.deepEqual(assigned.flatMap(([, ...partitions]) => partitions).sort(), [0, 1]);
  const got = [];
  const second = client.consumer({ ...settings, onAssigned: (partitions) => got.push(...partitions) });
  while (got.length === 0) {
    await first.poll({ timeoutMs: 50 });
    await second.poll({ timeoutMs: 50 });
  }
  const [[what, partition]] = told;
  assert.equal(what, 'revoked');
  assert.deepEqual(got, [at(partition, 1)]);
  const committed = await client.groups.committed('g');
  assert.deepEqual(committed, [{ ...at(partition, 1), metadata: 'by the listener' }]);
});

test('what a listener throws comes out of the poll, and no record is lost', async (t) => {
  const client = await memory(t);
  await produce(client, ['a']);
  const onAssigned = () => {
    throw new Error('of the listener');
  };
  const consumer = client.consumer({ topics: ['t'], group: 'g', onAssigned });
  assert.equal((await failure(consumer.poll())).message, 'of the listener');
  assert.deepEqual(text(await consumer.poll()), ['a']);
});

test('what a listener throws ends a poll that waits', async (t) => {
  const client = await memory(t);
  const onAssigned = () => {
    throw new Error('of the listener');
  };
  const consumer = client.consumer({ topics: ['t'], group: 'g', onAssigned });
  assert.equal((await failure(consumer.poll())).message, 'of the listener');
  await produce(client, ['a']);
  assert.deepEqual(text(await consumer.poll()), ['a']);
});

test('what a listener throws while the consumer closes comes out of that', async (t) => {
  const client = await memory(t);
  await produce(client, ['a']);
  const onRevoked = () => {
    throw new Error('of the listener');
  };
  const consumer = client.consumer({ topics: ['t'], group: 'g', onRevoked });
  await consumer.poll();
  assert.equal((await failure(consumer.close())).message, 'of the listener');
  await consumer.close();
  assert.deepEqual((await client.groups.describe('g')).members, []);
});

test('the lag is what was not handed out, and comes to the metrics', async (t) => {
  const client = await memory(t);
  await produce(client, ['a', 'b', 'c', 'd']);
  const consumer = client.consumer({ topics: ['t'] });
  await take(consumer, 1);
  assert.deepEqual(await consumer.lag(), [{ topic: 't', partition: 0, lag: 3n }]);
  const [{ topic, partition }] = client.metrics().consumer.lag;
  assert.deepEqual([topic, partition], ['t', 0]);
  await take(consumer, 3);
  assert.deepEqual(await consumer.lag(), [{ topic: 't', partition: 0, lag: 0n }]);
});

test('several loops share the records', async (t) => {
  const client = await memory(t);
  const values = Array.from({ length: 5000 }, (_, n) => `${n}`);
  await produce(client, values);
  const consumer = client.consumer({ topics: ['t'], until: 'latest' });
  const seen = [];
  const loop = async () => {
    for await (const record of consumer) seen.push(Number(record.offset));
  };
  await Promise.all([loop(), loop(), loop()]);
  assert.deepEqual(seen.sort((a, b) => a - b), values.map(Number));
});
