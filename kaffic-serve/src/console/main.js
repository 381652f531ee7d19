// Which page is shown, and when it looks again.

import { useToken } from './api.js';
import { el, say } from './dom.js';
import { group, groups } from './groups.js';
import { reference } from './reference.js';
import { topic } from './topic.js';
import { topics } from './topics.js';

const main = document.getElementById('main');
const token = document.getElementById('token');
let leave = () => {};

const pages = [
  [/^#\/topics$/, topics, 'Topics'],
  [/^#\/topics\/([^/]+)$/, topic, 'Topics'],
  [/^#\/groups$/, groups, 'Groups'],
  [/^#\/groups\/([^/]+)$/, group, 'Groups'],
  [/^#\/api$/, reference, 'API'],
];

// What a page gets: where to draw, and a signal that it was left.
async function show() {
  leave();
  const left = new AbortController();
  leave = () => left.abort();
  const hash = location.hash || '#/topics';
  const [pattern, page, area] = pages.find(([pattern]) => pattern.test(hash)) ?? pages[0];
  const [, name] = hash.match(pattern) ?? [];
  document.querySelectorAll('nav a').forEach((link) => {
    if (link.textContent === area) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  });
  document.title = name ? `${decodeURIComponent(name)} · kaffic` : `${area} · kaffic`;
  say();
  const into = el('div');
  main.replaceChildren(into);
  const { refresh, every } = page(into, left.signal, name && decodeURIComponent(name));
  while (!left.signal.aborted) {
    if (!document.hidden || !into.childNodes.length) await look(refresh, left.signal);
    await new Promise((resume) => setTimeout(resume, every));
  }
}

async function look(refresh, signal) {
  try {
    await refresh();
    token.hidden = true;
  } catch (error) {
    if (signal.aborted) return;
    token.hidden = error.status !== 401;
    say(error.status === 401 ? 'This server wants a token.' : error.message, true);
  }
}

token.addEventListener('submit', (event) => {
  event.preventDefault();
  useToken(new FormData(token).get('token'));
  token.reset();
  show();
});
addEventListener('hashchange', show);
show();
