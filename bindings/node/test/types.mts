// What the types have to take and what they have to refuse. It is checked, and never run.
import { connect, setLogger, type Client, type Consumer, type Producer } from 'kaffic';

export async function takes(client: Client, producer: Producer, consumer: Consumer): Promise<void> {
  await producer.send({ headers: [['a', '1'], ['a', null]], timestamp: new Date(), sequence: 7n, partition: 0 });
  await producer.send({ headers: new Map([['a', Buffer.of(1)]]) });
  await producer.append(0, [{ value: new Uint8Array(3) }], { expectedOffset: 4n });
  await consumer.seek('t', 0, { last: 5 });
  await consumer.commit([{ topic: 't', partition: 0, offset: 3n, metadata: 'x' }]);
  const lags: bigint[] = (await consumer.lag()).map(({ lag }) => lag);
  for await (const { offset } of consumer.records({ signal: AbortSignal.timeout(5) })) lags.push(offset);
  const settings = { group: 'g', autoCommit: 'never' };
  client.consumer({ ...settings, topics: ['t'], maxRecords: 5 });
  client.consumer({ partitions: [{ topic: 't', partition: 0 }], signal: new AbortController().signal });
  setLogger(({ level, message }) => console.log(level.toUpperCase(), message), { level: 'debug' });
  await (await connect(new URL('memory://'))).close();
  await using scoped = await connect('memory://');
  await scoped.topics.list();
}

export async function refuses(client: Client, producer: Producer, consumer: Consumer): Promise<void> {
  // @ts-expect-error a number is no value
  await producer.send({ value: 5 });
  // @ts-expect-error an offset is no number
  const offset: number = (await producer.send({})).offset;
  // @ts-expect-error a key may be null
  (await consumer.poll())[0]!.key.toString();
  // @ts-expect-error a copy of a record has none of its parts
  ({ ...(await consumer.poll())[0]! }).offset;
  // @ts-expect-error there is no such option
  await consumer.poll({ timeout: 5 });
  // @ts-expect-error what is read is not a number
  client.consumer({ topics: 5 });
  // @ts-expect-error there is no such level
  setLogger(null, { level: 'loud' });
  return void offset;
}
