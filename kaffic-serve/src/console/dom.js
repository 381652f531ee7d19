// Making elements, and words for numbers. Text is always set as text, so nothing in a record can
// become part of the page.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

export function field(label, control, check = false) {
  return check ? el('label', { class: 'check' }, control, label) : el('label', {}, label, control);
}

export function select(attributes, options) {
  return el('select', attributes, options.map(([value, text]) => el('option', { value }, text)));
}

// A table; of each column its title, whether it has numbers, and the cell of a row. The first column
// is the row's heading.
export function table(label, columns, rows, empty) {
  if (!rows.length) return el('p', { class: 'empty scroll' }, empty);
  const cls = (column) => (column.number ? 'number' : null);
  const head = columns.map((column) => el('th', { scope: 'col', class: cls(column) }, column.title));
  const body = rows.map((row) => el('tr', {}, columns.map((column, at) => {
    const cell = column.cell(row) ?? '–';
    return at ? el('td', { class: cls(column) }, cell) : el('th', { scope: 'row', class: cls(column) }, cell);
  })));
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
    el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, body)));
}

export function facts(pairs) {
  return el('dl', {}, pairs.map(([term, value]) => el('div', {}, el('dt', {}, term), el('dd', {}, value))));
}

const numbers = new Intl.NumberFormat('en');
export const count = (number) => (number == null ? '–' : numbers.format(number));

export function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) [number, at] = [number / 1024, at + 1];
  return `${at ? number.toFixed(1) : number} ${units[at]}`;
}

export function rate(perSecond) {
  if (perSecond == null) return '–';
  return `${perSecond >= 10 ? count(Math.round(perSecond)) : perSecond.toFixed(1)}/s`;
}

export function duration(ms) {
  if (ms == null) return '–';
  for (const [unit, size] of [['d', 86400e3], ['h', 3600e3], ['min', 60e3], ['s', 1e3]]) {
    if (ms >= size) return `${+(ms / size).toFixed(1)} ${unit}`;
  }
  return `${ms} ms`;
}

export function time(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString().replace('T', ' ').replace('Z', '');
}

const notice = document.getElementById('notice');

export function say(text, bad = false) {
  notice.textContent = text ?? '';
  notice.hidden = !text;
  notice.classList.toggle('bad', bad);
}

// How fast something grows, from one look to the next.
export class Rates {
  #last = new Map();

  of(key, value, now = performance.now()) {
    const last = this.#last.get(key);
    this.#last.set(key, { value, now });
    return last && now > last.now ? (Math.max(0, value - last.value) * 1000) / (now - last.now) : null;
  }
}
