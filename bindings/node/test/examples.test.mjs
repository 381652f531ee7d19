// Every example of the documentation is run.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as kaffic from '../index.mjs';
import { folder } from './support.mjs';

const FILES = ['../index.d.ts', '../README.md', '../../../docs/node.md'];
const AsyncFunction = (async () => {}).constructor;

/** The JavaScript in a file, with the lines that each begins at. */
function examples(file) {
  const source = readFileSync(new URL(file, import.meta.url), 'utf8').replace(/^ +\* ?/gm, '');
  return [...source.matchAll(/^```(js|ts)\n(.*?)^```/gms)].map(({ 1: language, 2: code, index }) => ({
    language,
    code,
    line: source.slice(0, index).split('\n').length + 1,
  }));
}

/** An example as the body of a function: its imports are taken from what the test has. */
function body(code) {
  const own = code.replace(/^import .* from 'kaffic';$/gm, '');
  const imports = own.replace(/^import (.*) from ('node:.*');$/gm, 'const $1 = await import($2);');
  const closing = imports.replace(/^( *)await using (\w+) = (.*);$/gm, '$1const $2 = $3; closing.push($2);');
  // In a block, so that what it declares may have the names that it is given.
  return `{\n${closing}\n}`;
}

for (const file of FILES.filter((name) => existsSync(new URL(name, import.meta.url)))) {
  const found = examples(file);
  assert.ok(found.length > 0, `${file} has no examples`);
  for (const { code, line } of found.filter(({ language }) => language === 'js')) {
    test(`${file} line ${line}`, { timeout: 60_000 }, async (t) => {
      const closing = [];
      const client = await kaffic.connect('memory://');
      t.after(() => client.close());
      await client.topics.create('orders', { partitions: 3 });
      const store = `file://${folder(t)}`;
      // A store of an example is one of its own.
      const connect = (url, options) => kaffic.connect(url.startsWith('memory') ? url : store, options);
      const given = { ...kaffic, connect, assert, client, closing };
      await new AsyncFunction(...Object.keys(given), body(code))(...Object.values(given));
      for (const each of closing.reverse()) await each.close();
    });
  }
}

test('the table of statuses has them all, with what they mean', () => {
  const source = readFileSync(new URL('../../shared/src/failure.rs', import.meta.url), 'utf8');
  const page = readFileSync(new URL('../../../docs/node.md', import.meta.url), 'utf8');
  // These are of languages without exceptions and strings of their own.
  const others = ['OK', 'NULL_ARGUMENT', 'INVALID_UTF8', 'IN_CALLBACK'];
  const statuses = [...source.matchAll(/((?: {4}\/\/\/ .*\n)+) {4}\w+ = \d+, "(\w+)";/g)];
  const rows = statuses
    .map(([, meaning, name]) => [name, meaning.replace(/^ *\/\/\/ /gm, '').trim().replaceAll('\n', ' ')])
    .filter(([name]) => !others.includes(name))
    .map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  assert.ok(rows.length > 20);
  for (const row of rows) assert.ok(page.includes(row), row);
});
