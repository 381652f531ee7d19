// The scenarios of bindings/conformance. They run on the store that KAFFIC_TEST_URL names, or each in a
// directory; KAFFIC_SCENARIO takes those with that in their name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scenarios } from './conformance/script.mjs';
import { World } from './conformance/world.mjs';

const wanted = scenarios().filter(({ name }) => name.includes(process.env.KAFFIC_SCENARIO ?? ''));
assert.ok(wanted.length > 0, 'no scenario is called so');

for (const { name, steps } of wanted) {
  test(name, { timeout: 180_000 }, async () => {
    const world = await World.open(name);
    try {
      for (const step of steps) {
        await world.take(step).catch((error) => {
          throw new Error(`${name}.txt line ${step.line}: ${error.message}\n  ${step.text}`, { cause: error });
        });
      }
    } finally {
      await world.close();
    }
  });
}
