// The same in TypeScript, with a group and streams: tsc --strict orders.ts && node orders.js [STORE].
import { pipeline } from 'node:stream/promises';
import { connect, KafficError, type Ack, type ConsumerRecord, type ProducerRecord } from 'kaffic';

async function main(store: string): Promise<void> {
  const client = await connect(store, { requestTimeout: '10s' });
  await client.topics.ensure('orders', { partitions: 3, compression: 'zstd' });

  const producer = await client.producer('orders', { linger: '5ms' });
  const order: ProducerRecord = { key: 'customer-7', value: Buffer.from('paid'), headers: { source: 'shop' } };
  const ack: Ack = await producer.send(order, { signal: AbortSignal.timeout(10_000) });
  const next: bigint = ack.offset + 1n;
  await pipeline([{ value: 'by a stream' }], producer.writable());

  const consumer = client.consumer({
    topics: ['orders'],
    group: 'billing',
    autoCommit: 'never',
    until: 'latest',
    onRevoked: (partitions) => partitions.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
  });
  let count = 0;
  for await (const record of consumer) {
    print(record);
    count += 1;
  }
  await consumer.commit();
  await consumer.close();
  console.log(`read ${count}; the next of partition ${ack.partition} is ${next}`);

  try {
    await client.topics.describe('nothing');
  } catch (error) {
    if (!(error instanceof KafficError) || error.code !== 'ERR_KAFFIC_TOPIC_NOT_FOUND') throw error;
  }
  await client.close();
}

function print({ key, value, headers }: ConsumerRecord): void {
  const named: string[] = headers.map(([name]) => name);
  console.log(`${key?.toString() ?? 'nobody'}: ${value?.toString() ?? 'nothing'} (${named.join(', ')})`);
}

main(process.argv[2] ?? `file://${process.cwd()}/orders-log`).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
