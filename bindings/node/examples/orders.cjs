// The same by `require`: node orders.cjs [STORE].
const { connect } = require('kaffic');

async function main() {
  const client = await connect(process.argv[2] ?? `file://${process.cwd()}/orders-log`);
  await client.topics.ensure('orders', { partitions: 3 });

  const producer = await client.producer('orders');
  await producer.send({ key: 'customer-7', value: 'paid' });

  let count = 0;
  for await (const { key, value } of client.consumer({ topics: ['orders'], until: 'latest' })) {
    console.log(`${key}: ${value}`);
    count += 1;
  }
  console.log(`read ${count}`);
  await client.close();
}

main();
