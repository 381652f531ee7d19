// Writes three orders and reads them back: node orders.mjs [STORE], by default in a folder here.
import { connect } from 'kaffic';

const client = await connect(process.argv[2] ?? `file://${process.cwd()}/orders-log`);
await client.topics.ensure('orders', { partitions: 3 });

const producer = await client.producer('orders');
const acks = await producer.sendBatch([
  { key: 'customer-7', value: 'paid' },
  { key: 'customer-9', value: 'sent' },
  { key: 'customer-7', value: 'sent' },
]);
console.log(`${acks.length} orders are durable`);

let count = 0;
for await (const { key, value } of client.consumer({ topics: ['orders'], until: 'latest' })) {
  console.log(`${key}: ${value}`);
  count += 1;
}
console.log(`read ${count}`);
await client.close();
