// Uses the console as people do, in a real browser: makes a topic, produces, browses, filters, follows, sees a
// group's lag; by the keyboard too, in light and in dark. Any error of the page, and anything that it wants from
// elsewhere, is a failure.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [url, guarded, pictures] = process.argv.slice(2);
const api = (path, body, method = 'POST') => fetch(new URL(path, url), {
  method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
}).then(async (response) => {
  assert.ok(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
  return response.status === 204 ? null : response.json();
});

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1180, height: 860 } });
const faults = [];
page.on('pageerror', (error) => faults.push(String(error)));
page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
page.on('request', (request) => {
  if (![url, guarded].some((own) => request.url().startsWith(own))) faults.push(`asked for ${request.url()}`);
});
const picture = async (name) => {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png` });
  }
};
const notice = page.getByRole('status').first();

console.log('a topic is made');
await page.goto(url);
await page.getByText('There is no topic yet.').waitFor();
assert.equal(await page.getByLabel('Token').isVisible(), false);
await page.getByRole('textbox', { name: 'Name' }).fill('orders');
await page.getByLabel('Partitions').fill('3');
await page.getByRole('button', { name: 'Create' }).click();
await notice.getByText('Topic orders is there.').waitFor();
await page.getByRole('textbox', { name: 'Name' }).fill('no such name');
await page.getByRole('button', { name: 'Create' }).click();
await notice.getByText('has a character that is not allowed').waitFor();
faults.splice(0); // the browser itself reports the 400

console.log('a record is produced by the keyboard');
await page.getByRole('link', { name: 'orders' }).click();
await page.getByRole('heading', { name: 'orders' }).waitFor();
await page.getByRole('textbox', { name: 'Value', exact: true }).fill('{"order": 1, "state": "<b>paid</b>"}');
await page.getByLabel('Headers').fill('source: shop');
await page.getByRole('textbox', { name: 'Key' }).fill('customer-7');
await page.getByRole('textbox', { name: 'Key' }).press('Enter');
await notice.getByText('Stored in partition').waitFor();

console.log('records are browsed');
const records = [];
for (let number = 2; number <= 120; number += 1) {
  records.push({
    key: `customer-${number % 9}`, headers: [{ name: 'source', value: number % 2 ? 'shop' : 'till' }],
    value: number % 10 ? { json: { order: number, state: ['paid', 'sent', 'returned'][number % 3], total: number * 3.5 } }
      : { base64: Buffer.from([0, 255, number]).toString('base64') },
  });
}
await api('v1/topics/orders/records', { records });
await page.getByRole('combobox', { name: 'From' }).selectOption('earliest');
await page.getByRole('button', { name: 'Show', exact: true }).click();
const rows = page.locator('tr.record');
await page.getByText('103 shown.').waitFor(); // a page of 50 of each partition
await page.getByRole('button', { name: 'More' }).click();
await page.getByText('120 shown; that is all.').waitFor();
assert.equal(await rows.count(), 120);
await page.getByLabel('Filter').fill('<b>paid</b>');
await page.getByRole('button', { name: 'Show', exact: true }).click();
await page.getByText('1 shown').waitFor();
await rows.first().getByRole('button').press('Enter');
await page.locator('pre').getByText('"state": "<b>paid</b>"').waitFor(); // as text, not as a part of the page
for (const way of ['Hex', 'Text', 'JSON']) await page.getByRole('button', { name: way, exact: true }).last().click();
assert.match(await page.locator('tr.detail').innerText(), /source\s+shop/);
await page.getByLabel('Filter').fill('');
await page.getByRole('combobox', { name: 'From' }).selectOption('last');
await page.getByLabel('How many').fill('4');
await page.getByRole('button', { name: 'Show', exact: true }).click();
await page.getByText(/^1[0-2] shown/).waitFor();
await rows.first().getByRole('button').click();
await page.getByRole('button', { name: 'Measure' }).click();
await page.getByText(/in \d+ objects/).waitFor();
await picture('topic');
await rows.first().getByRole('button').click();

console.log('records are followed');
await page.getByLabel('Follow').check();
await page.getByText('Following; the newest is on top.').waitFor();
await api('v1/topics/orders/records', { key: 'k', value: 'first' });
await page.getByText('Following; 1 came').waitFor();
await api('v1/topics/orders/records', { key: 'k', value: 'second' });
await page.getByText('Following; 2 came').waitFor();
assert.match(await rows.first().innerText(), /second/);
await page.getByLabel('Follow').uncheck();
await page.getByRole('combobox', { name: 'From' }).selectOption('earliest');
await page.getByRole('button', { name: 'Show', exact: true }).click();
await page.getByRole('button', { name: 'More' }).click();
await page.getByText('122 shown; that is all.').waitFor();

console.log('lag is seen');
await api('v1/groups/billing/commits', {
  offsets: [0, 1, 2].map((partition) => ({ topic: 'orders', partition, offset: 2, metadata: `run ${partition}` })),
});
await page.getByRole('link', { name: 'Groups' }).click();
await page.getByRole('link', { name: 'billing' }).click();
await page.getByText(/now 116/).waitFor();
const member = await api('v1/groups/billing/members', { topics: ['orders'] });
await page.getByRole('region', { name: 'Members' }).getByText(member.name).waitFor();
const path = `v1/groups/billing/members/${member.id}`;
for (let after = 0; ;) {
  const { records, next } = await api(`${path}/records?max_records=40&wait_ms=1000&after=${after}`, null, 'GET');
  if (!records.length) break;
  after = next;
  await api(`${path}/commits`, { after });
  await page.waitForTimeout(700);
}
await page.getByText(/now 0/).waitFor();
await picture('group');
await api(path, null, 'DELETE');
await page.getByText('The group has no members.').waitFor();

console.log('the list of topics');
await api('v1/topics', { name: 'audit', retention_ms: 604800000, compression: 'zstd' });
await page.getByRole('link', { name: 'Topics' }).click();
await page.getByLabel('Count records').check();
await page.getByRole('cell', { name: '122', exact: true }).waitFor();
await picture('topics');

console.log('the API is described');
await page.goto(`${url}docs`);
await page.getByText('POST /v1/topics/{topic}/records').click();
await page.locator('details[open]').getByText('Body: application/json').waitFor();
assert.ok(await page.locator('details.operation').count() > 20);
await page.getByText('"none" | "gzip"').first().waitFor({ state: 'attached' });

await picture('api');

console.log('it fits a telephone, and every control has a name');
await page.setViewportSize({ width: 390, height: 800 });
for (const hash of ['#/topics', '#/topics/orders', '#/groups/billing', '#/api']) {
  await page.goto(`${url}${hash}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.waitForLoadState('networkidle');
  const { wide, unnamed } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth > innerWidth,
    unnamed: [...document.querySelectorAll('input, select, textarea, button')]
      .filter((control) => !control.labels?.length && !control.textContent && !control.ariaLabel)
      .map((control) => control.outerHTML),
  }));
  assert.equal(wide, false, `${hash} is too wide`);
  assert.deepEqual(unnamed, []);
}

assert.deepEqual(faults, []);

console.log('a server that wants a token');
await page.goto(guarded);
await page.getByText('This server wants a token.').waitFor();
await page.getByLabel('Token').fill('wrong');
await page.getByRole('button', { name: 'Use it' }).click();
await page.getByText('This server wants a token.').waitFor();
await page.getByLabel('Token').fill('secret');
await page.getByRole('button', { name: 'Use it' }).click();
await page.getByRole('link', { name: 'audit' }).waitFor();
await browser.close();
console.log('the console works');
