// How fast it is, and whether the event loop keeps turning meanwhile:
//   node bench.mjs [--records N] [--bytes N] [--url STORE] [--leak]
// 1 KiB records to one partition by default, in a folder of /tmp. It fails if a turn of the event loop took more than
// 20 ms of processor time. With --leak: four million records in and
// twice as many out, and the memory after each round.

import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect } from './index.mjs';
import { remove } from './test/support.mjs';

const { values: given } = parseArgs({
  options: {
    records: { type: 'string', default: '100000' },
    bytes: { type: 'string', default: '1024' },
    url: { type: 'string' },
    leak: { type: 'boolean', default: false },
  },
});
const [records, bytes] = [Number(given.records), Number(given.bytes)];
const folder = given.url === undefined ? mkdtempSync(join(tmpdir(), 'kaffic-bench-')) : undefined;
const client = await connect(given.url ?? `file://${folder}`);

/** So many tasks send, each one record after the other, so that as many are under way. */
const TASKS = 4000;

async function produce(topic) {
  await within(await client.producer(topic), async (producer) => {
    const value = Buffer.alloc(bytes, 'kaffic ');
    let left = records;
    const task = async () => {
      while (left > 0) {
        left -= 1;
        await producer.send({ value });
      }
    };
    const tasks = [];
    while (tasks.length < TASKS) {
      tasks.push(task());
      if (tasks.length % 500 === 0) await turn();
    }
    await Promise.all(tasks);
  });
}

async function iterate(topic) {
  let [count, total] = [0, 0];
  await within(client.consumer({ topics: [topic], until: 'latest' }), async (consumer) => {
    for await (const record of consumer) {
      count += 1;
      total += record.value.length;
    }
  });
  if (count !== records || total !== records * bytes) throw new Error(`${count} records of ${total} bytes came`);
}

async function poll(topic) {
  let [count, total] = [0, 0];
  await within(client.consumer({ topics: [topic], until: 'latest' }), async (consumer) => {
    for (;;) {
      const batch = await consumer.poll();
      if (batch.length === 0) return;
      count += batch.length;
      for (const record of batch) total += record.value.length;
    }
  });
  if (count !== records || total !== records * bytes) throw new Error(`${count} records of ${total} bytes came`);
}

async function within(closable, work) {
  try {
    await work(closable);
  } finally {
    await closable.close();
  }
}

const ms = (nanoseconds) => (nanoseconds / 1e6).toFixed(1);

async function measured(what, work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const [start, cpu, loop] = [performance.now(), process.cpuUsage(), performance.eventLoopUtilization()];
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const busy = performance.eventLoopUtilization(loop).utilization;
  delay.disable();
  console.log(
    `${what.padEnd(10)} ${Math.round(records / seconds).toLocaleString('en')} records/s, ` +
      `${((records * bytes) / seconds / (1 << 20)).toFixed(0)} MiB/s; ` +
      `the event loop is busy ${(busy * 100).toFixed(0)} % of the time, ` +
      `its delay at most ${ms(delay.max)} ms (p99 ${ms(delay.percentile(99))}); ` +
      `${((user + system) / 1e6 / seconds).toFixed(2)} cores`,
  );
}

/** What the machine does to an event loop that has nothing to do: no delay below can be told from that. */
async function idle() {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await sleep(1000);
  delay.disable();
  console.log(`idle       delay at most ${ms(delay.max)} ms (p99 ${ms(delay.percentile(99))})`);
}

/** The processor time that the event loop's thread has had, in ns; Linux tells. */
const ownTime = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0]);

/** No turn may take more, in ns: the program fails then. */
const LONGEST_TURN = 20e6;

/** The longest turns of the event loop in its own processor time, which others on the machine do not lengthen. */
async function turns(what, work) {
  const took = [];
  let [before, watching] = [ownTime(), true];
  const tick = () => {
    const now = ownTime();
    took.push(now - before);
    before = now;
    if (watching) setImmediate(tick);
  };
  setImmediate(tick);
  await work();
  watching = false;
  took.sort((a, b) => b - a);
  const [most, second, third] = took.map(ms);
  const p99 = ms(took[Math.floor(took.length / 100)]);
  if (took[0] > LONGEST_TURN) process.exitCode = 1;
  console.log(`${what.padEnd(10)} the longest turns take ${most}, ${second} and ${third} ms of processor time (p99 ${p99})`);
}

async function round(number, measured) {
  const topic = `bench-${process.pid}-${number}`;
  await client.topics.create(topic);
  await measured('produce', () => produce(topic));
  await measured('for await', () => iterate(topic));
  await measured('poll', () => poll(topic));
  await client.topics.delete(topic);
}

try {
  // The first warms up; a leak shows in those that follow.
  for (let number = 0; number < (given.leak ? Math.ceil(4_000_000 / records) : 3); number++) {
    await idle();
    await round(number, measured);
    if (given.leak) {
      globalThis.gc?.();
      await sleep(100);
      globalThis.gc?.();
      const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
      const mib = (size) => (size / (1 << 20)).toFixed(1);
      console.log(
        `after ${((number + 1) * records).toLocaleString('en')} records: resident ${mib(rss)} MiB, ` +
          `heap ${mib(heapUsed)}, external ${mib(external)}, array buffers ${mib(arrayBuffers)}`,
      );
    }
  }
  if (process.platform === 'linux') await round('turns', turns);
} finally {
  await client.close();
  if (folder !== undefined) await remove(folder);
}
