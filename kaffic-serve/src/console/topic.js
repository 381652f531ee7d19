// One topic: its settings and partitions, its records, and a form to produce.

import { get, name } from './api.js';
import { browser } from './browser.js';
import { bytes, count, duration, el, facts, rate, Rates, say, table, time } from './dom.js';
import { produce } from './produce.js';

export function topic(into, signal, topicName) {
  const rates = new Rates();
  const path = `v1/topics/${name(topicName)}`;
  const [about, partitions] = [el('div'), el('div')];
  const size = sizeButton(path);
  let described = null;

  async function refresh() {
    described ??= await draw();
    const { offsets } = await get(`${path}/offsets`, signal);
    const rows = offsets.map((at) => ({ ...at, rate: rates.of(at.partition, at.end) }));
    const sum = (of) => rows.reduce((sum, row) => sum + of(row), 0);
    about.replaceChildren(facts([
      ['Records', count(sum((row) => row.end - row.earliest))],
      ['Rate', rate(rows.some((row) => row.rate == null) ? null : sum((row) => row.rate))],
      ['Size', size],
      ['Partitions', count(described.partitions)],
      ['Retention', duration(described.retention_ms)],
      ['Retained bytes', described.retention_bytes == null ? '–' : bytes(described.retention_bytes)],
      ['Least age of expiry', described.min_expiry_ms == null ? 'never' : duration(described.min_expiry_ms)],
      ['Compression', described.compression ?? '–'],
      ['Largest record', described.max_record_bytes == null ? '–' : bytes(described.max_record_bytes)],
      ['Created', time(described.created_ms).slice(0, 16)],
    ]));
    const columns = [
      { title: 'Partition', cell: (row) => String(row.partition) },
      { title: 'Earliest', number: true, cell: (row) => count(row.earliest) },
      { title: 'End', number: true, cell: (row) => count(row.end) },
      { title: 'Records', number: true, cell: (row) => count(row.end - row.earliest) },
      { title: 'Rate', number: true, cell: (row) => rate(row.rate) },
    ];
    partitions.replaceChildren(table('Partitions', columns, rows, ''));
  }

  async function draw() {
    const described = await get(path, signal);
    into.replaceChildren(
      el('h1', {}, topicName), about,
      el('h2', {}, 'Records'), browser(path, described, signal),
      el('h2', {}, 'Produce'), produce(path, described),
      el('h2', {}, 'Partitions'), partitions);
    return described;
  }

  return { refresh, every: 10000 };
}

// What the objects weigh is asked for on demand: it takes a look at each of them.
function sizeButton(path) {
  const shown = el('span');
  shown.append(el('button', {
    onclick: async (event) => {
      event.currentTarget.disabled = true;
      try {
        const size = await get(`${path}/size`);
        shown.textContent = `${size.complete ? '' : 'more than '}${bytes(size.bytes)} in ${count(size.objects)} objects`;
      } catch (error) {
        say(error.message, true);
      }
    },
  }, 'Measure'));
  return shown;
}
