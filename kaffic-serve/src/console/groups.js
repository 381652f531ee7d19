// Groups: how far they are, who has what, and how their lag goes over time.

import { get, name } from './api.js';
import { count, duration, el, facts, table, time } from './dom.js';

// What a chart shows, and every how many milliseconds there is a sample.
const SAMPLES = 150;
const EVERY = 2000;
// Samples outlast the page of their group, so that one can go and come back.
const samples = new Map();

export function groups(into, signal) {
  const list = el('div');
  into.append(el('h1', {}, 'Groups'), list);
  async function refresh() {
    const { groups } = await get('v1/groups', signal);
    const columns = [
      { title: 'Group', cell: (group) => el('a', { href: `#/groups/${name(group.name)}` }, group.name) },
      { title: 'Members', number: true, cell: (group) => count(group.members) },
      { title: 'Generation', number: true, cell: (group) => count(group.generation) },
    ];
    list.replaceChildren(table('Groups', columns, groups, 'There is no group yet.'));
  }
  return { refresh, every: 5000 };
}

export function group(into, signal, groupName) {
  const parts = { facts: el('div'), chart: el('div'), partitions: el('div'), members: el('div') };
  into.append(el('h1', {}, groupName), parts.facts, el('h2', {}, 'Lag'), parts.chart,
    el('h2', {}, 'Partitions'), parts.partitions, el('h2', {}, 'Members'), parts.members);

  async function refresh() {
    const group = await get(`v1/groups/${name(groupName)}`, signal);
    const seen = samples.get(groupName) ?? [];
    samples.set(groupName, [...seen, { at: Date.now(), lag: group.lag }].slice(-SAMPLES));
    parts.facts.replaceChildren(facts([
      ['Lag', count(group.lag)], ['Members', count(group.members.length)],
      ['Generation', count(group.generation)], ['Assignor', group.assignor],
    ]));
    parts.chart.replaceChildren(chart(samples.get(groupName)));
    parts.partitions.replaceChildren(table('Partitions', [
      { title: 'Topic', cell: (row) => el('a', { href: `#/topics/${name(row.topic)}` }, row.topic) },
      { title: 'Partition', number: true, cell: (row) => String(row.partition) },
      { title: 'Committed', number: true, cell: (row) => count(row.committed) },
      { title: 'End', number: true, cell: (row) => count(row.end) },
      { title: 'Lag', number: true, cell: (row) => count(row.lag) },
      { title: 'Member', cell: (row) => row.owner },
      { title: 'Metadata', cell: (row) => row.metadata },
    ], group.partitions, 'Nothing is subscribed to or committed.'));
    parts.members.replaceChildren(table('Members', [
      { title: 'Member', cell: (member) => member.name },
      { title: 'Partitions', number: true, cell: (member) => count(member.partitions) },
      { title: 'Topics', cell: (member) => member.topics.join(', ') },
      { title: 'Static', cell: (member) => (member.is_static ? 'yes' : 'no') },
      { title: 'Session', cell: (member) => duration(member.session_timeout_ms) },
      { title: 'Joined (UTC)', cell: (member) => time(member.joined_ms).slice(0, 19) },
    ], group.members, 'The group has no members.'));
  }
  return { refresh, every: EVERY };
}

function chart(points) {
  const most = Math.max(1, ...points.map((point) => point.lag));
  const [first, last] = [points[0].at, points[points.length - 1].at];
  const svg = (tag, attributes, ...children) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const x = (at) => (last > first ? ((at - first) / (last - first)) * 100 : 100);
  const y = (lag) => 96 - (lag / most) * 90;
  const line = points.map((point) => `${x(point.at).toFixed(2)},${y(point.lag).toFixed(2)}`).join(' ');
  const grid = [6, 51, 96].map((at) => svg('line', { x1: 0, x2: 100, y1: at, y2: at }));
  const now = points[points.length - 1].lag;
  const words = `Lag over the last ${duration(Math.max(last - first, 1000))}: now ${count(now)}, at most ${count(most)}`;
  return el('figure', {},
    el('figcaption', {}, el('span', {}, words), el('span', {}, 'since this page is open')),
    svg('svg', { class: 'chart', viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
      ...grid, svg('polyline', { points: line })));
}
