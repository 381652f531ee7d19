// Bytes as people read them: JSON, text, or hexadecimal.

import { bytes, el } from './dom.js';

const strict = new TextDecoder('utf-8', { fatal: true });
const SHORT = 200;
// More than this is not shown at once.
const LONG = 256 * 1024;

function raw(data) {
  return data == null ? null : Uint8Array.from(atob(data.base64), (character) => character.charCodeAt(0));
}

function text(data) {
  try {
    return strict.decode(data);
  } catch {
    return null;
  }
}

// A record with its bytes, and all of its text, by which it is filtered.
export function decode(record) {
  const headers = record.headers.map((header) => ({ name: header.name, value: raw(header.value) }));
  const [key, value] = [raw(record.key), raw(record.value)];
  const parts = [key, value, ...headers.map((header) => header.value)];
  const words = parts.map((part) => (part ? text(part) ?? '' : ''));
  return { ...record, key, value, headers, text: [...words, ...headers.map((header) => header.name)].join('\n') };
}

export function preview(data) {
  if (data == null) return el('span', { class: 'quiet' }, 'null');
  return text(data.subarray(0, SHORT))?.replace(/\s+/g, ' ') ?? text(data)?.slice(0, SHORT) ?? hex(data.subarray(0, 16), false);
}

export function detail(record) {
  const headers = record.headers.map((header) => el('div', {},
    el('dt', {}, header.name), el('dd', {}, header.value == null ? 'null' : preview(header.value))));
  return el('div', {},
    headers.length ? el('dl', {}, headers) : el('p', { class: 'quiet' }, 'No headers.'),
    record.key == null ? null : el('div', {}, el('p', { class: 'quiet' }, `Key, ${bytes(record.key.length)}`), views(record.key)),
    el('p', { class: 'quiet' }, record.value == null ? 'The value is null: a tombstone.' : `Value, ${bytes(record.value.length)}`),
    record.value == null ? null : views(record.value));
}

// The ways to show some bytes, of which the best is chosen.
function views(data) {
  const words = text(data);
  const ways = { Hex: () => hex(data.subarray(0, LONG), true) };
  if (words != null) ways.Text = () => words.slice(0, LONG);
  const json = words != null && parsed(words);
  if (json) ways.JSON = () => JSON.stringify(json.value, null, 2).slice(0, LONG);
  const shown = el('pre', { tabindex: 0 });
  const buttons = Object.keys(ways).reverse().map((way) => el('button', { type: 'button', onclick: () => choose(way) }, way));
  function choose(way) {
    shown.textContent = ways[way]() + (data.length > LONG ? '\n…' : '');
    shown.classList.toggle('hex', way === 'Hex');
    buttons.forEach((button) => button.setAttribute('aria-pressed', String(button.textContent === way)));
  }
  choose(buttons[0].textContent);
  return el('div', {}, el('div', { class: 'views', role: 'group', 'aria-label': 'Shown as' }, buttons), shown);
}

function parsed(words) {
  try {
    const value = JSON.parse(words);
    // Numbers that JavaScript can't hold would be shown wrong; as text they are right.
    return /\d{16}/.test(words) ? null : { value };
  } catch {
    return null;
  }
}

function hex(data, lines) {
  const pair = (byte) => byte.toString(16).padStart(2, '0');
  if (!lines) return [...data].map(pair).join(' ');
  const out = [];
  for (let at = 0; at < data.length; at += 16) {
    const row = [...data.subarray(at, at + 16)];
    const letters = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    out.push(`${at.toString(16).padStart(8, '0')}  ${row.map(pair).join(' ').padEnd(47)}  ${letters}`);
  }
  return out.join('\n');
}
