// Scenarios as text: steps, their words, and what has to come of them.

import { readFileSync, readdirSync } from 'node:fs';

const directory = new URL('../../../conformance/scenarios/', import.meta.url);

export function scenarios() {
  const names = readdirSync(directory).filter((name) => name.endsWith('.txt')).sort();
  return names.map((name) => {
    const lines = readFileSync(new URL(name, directory), 'utf8').split('\n');
    const steps = lines.map((text, at) => ({ text, line: at + 1 }));
    return { name: name.slice(0, -4), steps: steps.filter(({ text }) => text && !text.startsWith('#')).map(step) };
  });
}

function step({ text, line }) {
  const [verb, ...words] = text.split(' ');
  const arrow = words.indexOf('->');
  const left = arrow < 0 ? words : words.slice(0, arrow);
  const expected = arrow < 0 ? [] : words.slice(arrow + 1).map(pair);
  const given = left.filter((word) => word.includes('=')).map(pair);
  const args = left.filter((word) => !word.includes('=')).map((word) => bytes(word).toString());
  return { text, line, verb, args, given, expected };
}

/** A name, and a value's bytes; null where there is no `=`. */
function pair(word) {
  const at = word.indexOf('=');
  return at < 0 ? [word, null] : [word.slice(0, at), bytes(word.slice(at + 1))];
}

/** `%XX` is a byte, and `repeat:x:N` is x, N times. */
function bytes(text) {
  const [, what, times] = /^repeat:(.*):(\d+)$/.exec(text) ?? [undefined, text, 1];
  const latin1 = Buffer.from(what.repeat(Number(times))).toString('latin1');
  const byte = (_, hex) => String.fromCharCode(Number.parseInt(hex, 16));
  return Buffer.from(latin1.replace(/%([0-9A-F]{2})/g, byte), 'latin1');
}

/** `NAME:VALUE` of a header; no colon is a null value. */
export function header(bytes) {
  const at = bytes.indexOf(':');
  return at < 0 ? [bytes.toString(), null] : [bytes.toString('utf8', 0, at), bytes.subarray(at + 1)];
}
