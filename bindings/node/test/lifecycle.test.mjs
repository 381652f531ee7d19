// How things end: in order, forgotten, with their thread, with the process.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { connect, setLogger } from '../index.mjs';
import { failure, folder, memory, produce, text } from './support.mjs';

const INDEX = new URL('../index.mjs', import.meta.url).href;
const limit = { timeout: 300_000 };

/** Runs a program; it has `connect` and a client in memory with a topic. */
async function run(code, ...flags) {
  const program = `
    import { connect } from ${JSON.stringify(INDEX)};
    const client = await connect('memory://');
    await client.topics.create('t');
    ${code}`;
  const args = [...flags, '--input-type=module', '--eval', program];
  return promisify(execFile)(process.execPath, args, { timeout: 120_000 });
}

test('closing a client closes what was made by it', limit, async (t) => {
  const client = await memory(t);
  const producer = await client.producer('t', { linger: '1m' });
  const consumer = client.consumer({ topics: ['t'], group: 'g' });
  const sent = producer.send({ value: 'a' });
  await client.close();
  assert.equal((await sent).offset, 0n);
  assert.equal((await failure(producer.send({}))).code, 'ERR_KAFFIC_CLOSED');
  assert.equal((await failure(consumer.poll())).code, 'ERR_KAFFIC_CLOSED');
  assert.equal((await failure(client.topics.list())).code, 'ERR_KAFFIC_CLOSED');
  assert.equal((await failure(client.producer('t'))).code, 'ERR_KAFFIC_CLOSED');
  assert.throws(() => client.consumer(), { code: 'ERR_KAFFIC_CLOSED' });
  await client.close();
});

test('a program ends when it is through, also with a consumer that is open', limit, async () => {
  const { stdout, stderr } = await run(`
    const producer = await client.producer('t');
    const consumer = client.consumer({ topics: ['t'], group: 'g' });
    producer.send({ value: 'a' }).then(({ offset }) => console.log('sent', offset));
    const [record] = await consumer.poll();
    console.log('got', record.offset);`);
  assert.deepEqual([stdout, stderr], ['sent 0n\ngot 0n\n', '']);
});

test('a program that exits amid everything exits as it says', limit, async () => {
  for (let n = 0; n < 5; n++) {
    const { stdout, stderr } = await run(`
      const producer = await client.producer('t');
      const consumer = client.consumer({ topics: ['t'], group: 'g' });
      for (let n = 0; n < 1000; n++) producer.send({ value: 'v' });
      consumer.poll({ timeoutMs: 60_000 });
      consumer.commit().catch(() => {});
      setTimeout(() => { console.log('out'); process.exit(0); }, ${n});`);
    assert.deepEqual([stdout, stderr], ['out\n', '']);
  }
});

test('a send whose failure nobody looks at is not silent', limit, async () => {
  const error = await failure(run(`
    const producer = await client.producer('t');
    await producer.close();
    producer.send({ value: 'lost' });`));
  assert.equal(error.code, 1);
  assert.ok(error.stderr.includes('ERR_KAFFIC_CLOSED'), error.stderr);
});

test('what becomes garbage before it is closed is told', limit, async () => {
  const { stderr } = await run(
    `
    await (async () => {
      await client.producer('t');
      client.consumer({ topics: ['t'] });
      await (await client.producer('t')).close();
      await client.consumer({ topics: ['t'] }).close();
    })();
    for (let n = 0; n < 20; n++) { await new Promise((go) => setTimeout(go, 5)); gc(); }`,
    '--expose-gc',
  );
  const warnings = stderr.match(/KafficWarning: .*/g).sort();
  assert.deepEqual(warnings, [
    'KafficWarning: a consumer was not closed before it became garbage',
    'KafficWarning: a producer of topic t was not closed before it became garbage',
  ]);
});

test('each thread has clients of its own, which end with it', limit, async (t) => {
  const store = `file://${folder(t)}`;
  const program = `
    import { parentPort } from 'node:worker_threads';
    import { connect } from ${JSON.stringify(INDEX)};
    const client = await connect(${JSON.stringify(store)});
    await client.topics.ensure('t');
    const producer = await client.producer('t');
    await producer.send({ value: 'a' });
    const consumer = client.consumer({ topics: ['t'] });
    parentPort.postMessage((await consumer.poll()).length > 0);
    await consumer.poll();`;
  for (let n = 0; n < 5; n++) {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
    assert.deepEqual(await once(worker, 'message'), [true]);
    await worker.terminate();
  }
  const client = await memory(t);
  await produce(client, ['a']);
  assert.deepEqual(text(await client.consumer({ topics: ['t'] }).poll()), ['a']);
});

test('streams take records in and give them out', limit, async (t) => {
  const { pipeline } = await import('node:stream/promises');
  const client = await memory(t);
  const producer = await client.producer('t');
  const values = Array.from({ length: 5000 }, (_, n) => `${n}`);
  await pipeline(values.map((value) => ({ value })), producer.writable({ highWaterMark: 64 }));
  const consumer = client.consumer({ topics: ['t'], until: 'latest' });
  const first = await consumer.readable().take(10).toArray();
  assert.deepEqual(text(first), values.slice(0, 10));
  // What was not taken is there still.
  const rest = await consumer.readable().toArray();
  assert.deepEqual(text(rest), values.slice(10));
  const error = await failure(pipeline([{ value: 'good' }, { value: 5 }], producer.writable()));
  assert.equal(error.code, 'ERR_KAFFIC_INVALID_ARGUMENT');
});

test('log lines go to the logger, as far as they matter', limit, async (t) => {
  const client = await memory(t);
  const lines = [];
  const fail = async () => {
    const old = await client.producer('t', { name: 'n' });
    const newer = await client.producer('t', { name: 'n' });
    await newer.send({ value: 'a' });
    await failure(old.send({ value: 'b' }));
  };
  t.after(() => setLogger(null));
  assert.equal(setLogger((line) => lines.push(line), { level: 'error' }), true);
  await fail();
  // Others may come before it.
  const told = new Promise((resolve) => {
    const look = (line) => line.message.startsWith('a batch failed') && resolve(line);
    setLogger(look, { level: 'debug' });
  });
  await fail();
  const { level, target } = await told;
  assert.deepEqual([level, target], ['debug', 'kaffic_core::producer::lane']);
  assert.deepEqual(lines, []);
  assert.throws(() => setLogger(null, { level: 'loud' }), { code: 'ERR_KAFFIC_INVALID_ARGUMENT' });
});

test('an error has the stack of the call, and what is known besides', limit, async (t) => {
  const client = await memory(t);
  async function mine() {
    await client.topics.create('t');
  }
  const error = await failure(mine());
  assert.ok(error.stack.includes('KafficError: '), error.stack);
  assert.ok(error.stack.includes('at async mine'), error.stack);
  const { status, code, retriable, outcomeUnknown, name } = error;
  assert.deepEqual([status, code, retriable, outcomeUnknown, name], [
    'TOPIC_EXISTS',
    'ERR_KAFFIC_TOPIC_EXISTS',
    false,
    false,
    'KafficError',
  ]);
});

test('what is no setting is refused', limit, async (t) => {
  const client = await memory(t);
  for (const [settings, says] of [
    [{ linger: {} }, 'setting linger'],
    [{ batchBytes: 1.5 }, 'setting batchBytes'],
    ['linger=5ms', 'an object'],
    [[['linger', '5ms']], 'an object'],
  ]) {
    const error = await failure(client.producer('t', settings));
    assert.equal(error.code, 'ERR_KAFFIC_INVALID_ARGUMENT');
    assert.ok(error.message.includes(says), error.message);
  }
  const given = { batch_bytes: 65536, batchBytes: undefined, compaction: false, maxRecordBytes: 1024n };
  const producer = await client.producer('t', given);
  assert.equal((await failure(producer.send({ value: Buffer.alloc(1025) }))).code, 'ERR_KAFFIC_RECORD_TOO_LARGE');
});

test('a signal ends every wait for the store', limit, async (t) => {
  const client = await memory(t);
  const consumer = client.consumer({ topics: ['t'], group: 'g' });
  await consumer.poll({ timeoutMs: 0 });
  const reason = new Error('enough');
  const options = { signal: AbortSignal.abort(reason) };
  const at = [{ topic: 't', partition: 0, offset: 0n }];
  const calls = {
    connect: () => connect('memory://', options),
    producer: () => client.producer('t', { linger: '5ms', ...options }),
    create: () => client.topics.create('u', { partitions: 2, ...options }),
    list: () => client.topics.list(options),
    offset: () => client.offset('t', 0, 'latest', options),
    verify: () => client.verify('t', options),
    adopt: () => client.adopt('t', { dryRun: true, ...options }),
    reset: () => client.groups.reset('g', 't', 'latest', { partitions: [0], ...options }),
    commitOfGroup: () => client.groups.commit('g', at, options),
    commit: () => consumer.commit(at, options),
    seek: () => consumer.seek('t', 0, 0, options),
    lag: () => consumer.lag(options),
    subscribe: () => consumer.subscribe(['t'], options),
  };
  for (const [name, call] of Object.entries(calls)) assert.equal(await failure(call()), reason, name);
  // One that comes later ends the wait, too.
  const controller = new AbortController();
  const examined = client.examine({ signal: controller.signal });
  controller.abort(reason);
  assert.equal(await failure(examined), reason);
  assert.equal((await failure(client.verify('t', { signal: 'stop' }))).code, 'ERR_KAFFIC_INVALID_ARGUMENT');
});

test('a member of a group ends with its thread', limit, async (t) => {
  const { stdout } = await run(`
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const store = ${JSON.stringify(`file://${folder(t)}`)};
    const options = "{ topics: ['t'], group: 'g', sessionTimeout: '6s', heartbeatInterval: '1s' }";
    const program = \`
      import { parentPort } from 'node:worker_threads';
      import { connect } from ${JSON.stringify(INDEX)};
      const client = await connect('\${store}');
      await client.topics.ensure('t');
      const consumer = client.consumer(\${options});
      await consumer.poll({ timeoutMs: 1 });
      parentPort.postMessage(await consumer.memberName());
      await consumer.poll();\`;
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(program)));
    const [name] = await once(worker, 'message');
    await worker.terminate();
    const other = (await connect(store)).consumer(eval('(' + options + ')'));
    const there = await connect(store);
    for (let gone = false; !gone; ) {
      await other.poll({ timeoutMs: 500 });
      gone = !(await there.groups.describe('g')).members.some((member) => member.name === name);
    }
    await other.close();
    console.log('gone');`);
  assert.equal(stdout, 'gone\n');
});
