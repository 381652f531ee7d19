// Asking the server. The token, where it wants one, is kept for this tab alone.

const base = new URL('.', location.href);

export class Problem extends Error {
  constructor(body) {
    super(body.detail ?? body.title ?? 'something went wrong');
    this.code = body.code;
    this.status = body.status;
  }
}

export function useToken(token) {
  sessionStorage.setItem('token', token);
}

function headers(more = {}) {
  const token = sessionStorage.getItem('token');
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem({ code: 'unreachable', detail: 'The server does not answer.' });
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({ title: `${response.status} ${response.statusText}` }));
  throw new Problem({ status: response.status, ...body });
}

export async function get(path, signal) {
  const response = await answered(fetch(new URL(path, base), { headers: headers(), signal }));
  return response.json();
}

export async function post(path, body) {
  const options = {
    method: 'POST', headers: headers({ 'Content-Type': 'application/json' }), body: JSON.stringify(body),
  };
  return (await answered(fetch(new URL(path, base), options))).json();
}

// The records of a stream, until the signal. `EventSource` can't send a token, so this reads the
// events itself, and goes on where it was when the connection breaks. `opened` is told when what
// comes from then on will be seen.
export async function* follow(path, signal, opened) {
  let last = '';
  while (!signal.aborted) {
    try {
      const request = fetch(new URL(path, base), { headers: headers({ 'Last-Event-ID': last }), signal });
      const reader = (await answered(request)).body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const events = text.split('\n\n');
        text = events.pop();
        for (const event of events.map(parse)) {
          last = event.id ?? last;
          if (event.event === 'error') throw new Problem(JSON.parse(event.data));
          if (event.id && !event.data) opened();
          if (event.data) yield JSON.parse(event.data);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.code !== 'unreachable' && error instanceof Problem) throw error;
    }
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

function parse(block) {
  const event = {};
  for (const line of block.split('\n')) {
    const at = line.indexOf(': ');
    if (at > 0) event[line.slice(0, at)] = line.slice(at + 2);
  }
  return event;
}

export const name = encodeURIComponent;
