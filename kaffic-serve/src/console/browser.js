// The message browser: records from anywhere in a topic, filtered, and followed as they come.

import { follow, get } from './api.js';
import { count, el, field, say, select, time } from './dom.js';
import { decode, detail, preview } from './value.js';

const PAGE = 50;
// What is kept on the page while following; older ones go.
const MOST = 500;

export function browser(path, described, left) {
  const body = el('tbody');
  const state = el('p', { class: 'quiet', role: 'status' });
  const more = el('button', { hidden: true, type: 'button', onclick: () => attempt(next) }, 'More');
  const form = controls(described);
  let stop = new AbortController();
  // The offset that comes next, of each partition that is shown.
  let positions = new Map();
  left.addEventListener('abort', () => stop.abort());

  const wanted = () => new FormData(form);
  const fits = (record) => {
    const filter = wanted().get('filter').toLowerCase();
    return !filter || record.text.toLowerCase().includes(filter);
  };
  const add = (records, first) => {
    const rows = records.map(decode).filter(fits).map(row);
    first ? body.prepend(...rows.reverse()) : body.append(...rows);
    while (first && body.rows.length > MOST) body.lastChild.remove();
    return rows.length;
  };

  async function start() {
    stop.abort();
    stop = new AbortController();
    body.replaceChildren();
    const data = wanted();
    const partition = data.get('partition');
    const all = Array.from({ length: described.partitions }, (_, number) => number);
    const chosen = partition === '' ? all : [Number(partition)];
    const from = place(data);
    if (data.get('follow')) return live(chosen, from, stop.signal);
    positions = new Map(chosen.map((number) => [number, `from=${encodeURIComponent(from)}`]));
    await next();
  }

  async function next() {
    const pages = await Promise.all([...positions].map(async ([partition, at]) => {
      const url = `${path}/partitions/${partition}/records?${at}&max_records=${PAGE}&show=base64&expired=earliest`;
      const page = await get(url, stop.signal);
      return [partition, page];
    }));
    positions = new Map(pages.map(([partition, page]) => [partition, `offset=${page.next_offset}`]));
    const records = pages.flatMap(([, page]) => page.records);
    records.sort((a, b) => a.timestamp - b.timestamp || a.partition - b.partition || a.offset - b.offset);
    const shown = add(records, false);
    more.hidden = !pages.some(([, page]) => page.records.length === PAGE);
    const hidden = records.length - shown;
    state.textContent = `${count(body.querySelectorAll('tr.record').length)} shown`
      + `${hidden ? `, ${count(hidden)} of this page do not fit the filter` : ''}${more.hidden ? '; that is all' : ''}.`;
  }

  async function live(partitions, from, signal) {
    more.hidden = true;
    const query = `from=${encodeURIComponent(from)}&partitions=${partitions.join(',')}&show=base64`;
    state.textContent = 'One moment…';
    let seen = 0;
    const opened = () => { if (!seen) state.textContent = 'Following; the newest is on top.'; };
    for await (const record of follow(`${path}/stream?${query}`, signal, opened)) {
      seen += 1;
      add([record], true);
      state.textContent = `Following; ${count(seen)} came. The newest is on top.`;
    }
  }

  async function attempt(work) {
    try {
      await work();
      if (!stop.signal.aborted) form.classList.remove('bad');
    } catch (error) {
      if (error.name !== 'AbortError') say(error.message, true);
    }
  }

  form.addEventListener('submit', (event) => { event.preventDefault(); say(); attempt(start); });
  form.elements.follow.addEventListener('change', () => {
    // Whoever follows wants what comes; who wants more says so.
    if (form.elements.follow.checked) form.elements.start.value = 'latest';
    form.elements.start.dispatchEvent(new Event('change'));
    attempt(start);
  });
  attempt(start);
  const head = ['Offset', 'Partition', 'Time (UTC)', 'Key', 'Value']
    .map((title, at) => el('th', { scope: 'col', class: at < 3 ? 'number' : null }, title));
  return el('div', {}, form, state,
    el('div', { class: 'scroll records', tabindex: 0, role: 'region', 'aria-label': 'Records' },
      el('table', {}, el('thead', {}, el('tr', {}, head)), body)),
    el('p', {}, more));
}

function controls(described) {
  const partitions = [['', 'all'], ...Array.from({ length: described.partitions }, (_, n) => [n, String(n)])];
  const starts = [['last', 'the last'], ['earliest', 'the earliest'], ['latest', 'the latest'], ['offset', 'offset'],
    ['time', 'time']];
  const number = el('input', { name: 'number', type: 'number', min: 0, value: PAGE, 'aria-label': 'How many, or which offset' });
  const at = el('input', { name: 'time', type: 'datetime-local', step: 1, hidden: true, 'aria-label': 'Time in UTC' });
  const start = select({
    name: 'start',
    onchange: () => {
      number.hidden = !['last', 'offset'].includes(start.value);
      at.hidden = start.value !== 'time';
    },
  }, starts);
  return el('form', { class: 'row' },
    field('Partition', select({ name: 'partition' }, partitions)), field('From', start), number, at,
    field('Filter', el('input', { name: 'filter', type: 'search', placeholder: 'in keys, values, headers' })),
    el('button', { class: 'main' }, 'Show'),
    field('Follow', el('input', { name: 'follow', type: 'checkbox' }), true));
}

function place(data) {
  const number = Number(data.get('number')) || 0;
  switch (data.get('start')) {
    case 'last': return `last:${number}`;
    case 'offset': return `offset:${number}`;
    case 'time': return `time:${Date.parse(`${data.get('time')}Z`) || 0}`;
    default: return data.get('start');
  }
}

function row(record) {
  const open = el('button', { class: 'open', type: 'button', 'aria-expanded': 'false' }, count(record.offset));
  const line = el('tr', { class: 'record' },
    el('th', { scope: 'row', class: 'number' }, open),
    el('td', { class: 'number' }, String(record.partition)),
    el('td', { class: 'number' }, time(record.timestamp)),
    el('td', { class: 'preview key' }, preview(record.key)),
    el('td', { class: 'preview' }, preview(record.value)));
  let more = null;
  open.addEventListener('click', () => {
    more = more ? more.remove() ?? null : el('tr', { class: 'detail' }, el('td', { colspan: 5 }, detail(record)));
    if (more) line.after(more);
    open.setAttribute('aria-expanded', String(Boolean(more)));
  });
  return line;
}
