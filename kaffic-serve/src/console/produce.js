// The form to produce a record.

import { post } from './api.js';
import { count, el, field, say, select } from './dom.js';

export function produce(path, described) {
  const kinds = [['text', 'text'], ['json', 'JSON'], ['base64', 'base64'], ['null', 'null (a tombstone)']];
  const partitions = [['', 'by key'], ...Array.from({ length: described.partitions }, (_, n) => [n, String(n)])];
  return el('form', { onsubmit: submit },
    el('div', { class: 'grid' },
      field('Value', el('textarea', { name: 'value', rows: 5, spellcheck: 'false' })),
      field('Headers, one a line: name: value', el('textarea', { name: 'headers', rows: 5, spellcheck: 'false' }))),
    fields(kinds, partitions));

  async function submit(event) {
    event.preventDefault();
    const form = event.currentTarget;
    try {
      const stored = (await post(`${path}/records`, record(new FormData(form)))).records[0];
      say(`Stored in partition ${stored.partition} at offset ${count(stored.offset)}.`);
    } catch (error) {
      say(error.message, true);
    }
  }
}

function fields(kinds, partitions) {
  return el('div', { class: 'row' },
    field('Value is', select({ name: 'kind' }, kinds)),
    field('Key', el('input', { name: 'key', autocomplete: 'off', spellcheck: 'false' })),
    field('Partition', select({ name: 'partition' }, partitions)),
    el('button', { class: 'main' }, 'Produce'));
}

function record(data) {
  const value = data.get('value');
  const headers = data.get('headers').split('\n').filter((line) => line.trim()).map((line) => {
    const at = line.indexOf(':');
    if (at < 1) throw new Error(`The header "${line}" is not of the form name: value.`);
    return { name: line.slice(0, at).trim(), value: line.slice(at + 1).trim() };
  });
  const made = { value, headers };
  switch (data.get('kind')) {
    case 'null': made.value = null; break;
    case 'base64': made.value = { base64: value.replace(/\s/g, '') }; break;
    // It is sent as it was typed, if it is JSON at all.
    case 'json': JSON.parse(value); break;
    default:
  }
  if (data.get('key')) made.key = data.get('key');
  if (data.get('partition') !== '') made.partition = Number(data.get('partition'));
  return made;
}
