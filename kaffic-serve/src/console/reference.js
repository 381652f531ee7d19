// The API, as /openapi.json describes it.

import { get } from './api.js';
import { el, table } from './dom.js';

export function reference(into, signal) {
  async function refresh() {
    if (into.childNodes.length) return;
    const api = await get('openapi.json', signal);
    const operations = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods)
      .map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })));
    into.append(el('h1', {}, 'API'),
      el('p', {}, api.info.description, ' Programs read ', el('a', { href: 'openapi.json' }, 'openapi.json'), '.'));
    for (const tag of api.tags) {
      const of = operations.filter((operation) => operation.tags?.includes(tag.name));
      into.append(el('h2', {}, tag.name), el('p', { class: 'quiet' }, tag.description), ...of.map((one) => shown(one, api)));
    }
  }
  return { refresh, every: 60000 };
}

function shown(operation, api) {
  const columns = [
    { title: 'Parameter', cell: (given) => given.name },
    { title: 'In', cell: (given) => given.in },
    { title: 'Type', cell: (given) => type(given.schema, api) },
    { title: 'Meaning', cell: (given) => given.description },
  ];
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([kind, content]) => el('div', {},
    el('h3', {}, `Body: ${kind}`), el('pre', { tabindex: 0 }, type(content.schema, api))));
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    return el('div', {}, el('h3', {}, `${status === 'default' ? 'Else' : status}: ${answer.description}`),
      schema ? el('pre', { tabindex: 0 }, type(schema, api)) : null);
  });
  return el('details', { class: 'operation' },
    el('summary', {}, el('code', {}, `${operation.method} ${operation.path}`), ` ${operation.summary ?? ''}`),
    el('p', {}, (operation.description ?? '').replaceAll('`', '')),
    operation.parameters ? table(`Parameters of ${operation.path}`, columns, operation.parameters, '') : null,
    ...bodies, ...answers);
}

// A schema in a few words; what it refers to is written out once.
function type(schema, api, indent = '', within = []) {
  if (!schema) return 'anything';
  if (schema.$ref) {
    const name = schema.$ref.split('/').pop();
    return within.includes(name) ? name : type(api.components.schemas[name], api, indent, [...within, name]);
  }
  const some = schema.oneOf ?? schema.anyOf;
  if (some) return some.map((one) => type(one, api, indent, within)).join(' | ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const kinds = [schema.type ?? 'anything'].flat();
  if (kinds.includes('array')) return `[${type(schema.items, api, indent, within)}, …]`;
  if (!schema.properties) return kinds.join(' | ');
  const deeper = `${indent}  `;
  const lines = Object.entries(schema.properties).map(([name, property]) => {
    const needed = schema.required?.includes(name) ? '' : '?';
    const words = property.description ? `  — ${property.description.replace(/\s+/g, ' ')}` : '';
    return `${deeper}${name}${needed}: ${type(property, api, deeper, within)}${words}`;
  });
  return `{\n${lines.join('\n')}\n${indent}}`;
}
