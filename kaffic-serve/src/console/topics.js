// The list of topics, with how much is in them and how fast it grows; and the form for a new one.

import { get, name, post } from './api.js';
import { count, duration, el, field, rate, Rates, say, select, table } from './dom.js';

// Offsets are asked for a few topics at a time.
const AT_ONCE = 4;

export function topics(into, signal) {
  const rates = new Rates();
  const list = el('div');
  // Each look at a topic's offsets takes requests to the store for each of its partitions.
  const counted = el('input', { type: 'checkbox', onchange: () => refresh().catch((error) => say(error.message, true)) });
  into.append(el('h1', {}, 'Topics'), field('Count records', counted, true), list, el('h2', {}, 'New topic'), form(() => refresh()));

  async function refresh() {
    const { topics } = await get('v1/topics', signal);
    const sizes = new Map();
    const waiting = counted.checked ? [...topics] : [];
    const work = async () => {
      for (let topic = waiting.shift(); topic; topic = waiting.shift()) {
        const { offsets } = await get(`v1/topics/${name(topic.name)}/offsets`, signal);
        sizes.set(topic.name, {
          records: offsets.reduce((sum, at) => sum + at.end - at.earliest, 0),
          rate: rates.of(topic.name, offsets.reduce((sum, at) => sum + at.end, 0)),
        });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const columns = [
      { title: 'Topic', cell: (topic) => el('a', { href: `#/topics/${name(topic.name)}` }, topic.name) },
      { title: 'Partitions', number: true, cell: (topic) => count(topic.partitions) },
      { title: 'Records', number: true, cell: (topic) => count(sizes.get(topic.name)?.records) },
      { title: 'Rate', number: true, cell: (topic) => rate(sizes.get(topic.name)?.rate) },
      { title: 'Retention', cell: (topic) => duration(topic.retention_ms) },
      { title: 'Compression', cell: (topic) => topic.compression },
    ];
    list.replaceChildren(table('Topics', columns, topics, 'There is no topic yet.'));
  }

  return { refresh, every: 15000 };
}

function form(made) {
  const codecs = [['', 'default'], ...['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((codec) => [codec, codec])];
  return el('form', {
    class: 'row',
    onsubmit: async (event) => {
      event.preventDefault();
      const form = event.currentTarget;
      const data = new FormData(form);
      try {
        const topic = await post('v1/topics', {
          name: data.get('name'), partitions: Number(data.get('partitions')),
          ...(data.get('compression') && { compression: data.get('compression') }),
        });
        say(`Topic ${topic.name} is there.`);
        form.reset();
        await made();
      } catch (error) {
        say(error.message, true);
      }
    },
  },
  field('Name', el('input', { name: 'name', required: true, maxlength: 249, autocomplete: 'off', spellcheck: 'false' })),
  field('Partitions', el('input', { name: 'partitions', type: 'number', min: 1, max: 10000, value: 1, required: true })),
  field('Compression', select({ name: 'compression' }, codecs)),
  el('button', { class: 'main' }, 'Create'));
}
