// Node's own `http` as server, and `fetch` (undici) as client: one event loop.
'use strict';
const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');
const undici = require('undici');

const { PORT, NEXT } = process.env;
// The `fetch` inside Node takes a dispatcher of its own version only, so the narrow pool goes with its own `fetch`.
const narrow = new undici.Agent({ connections: 2 });

/** Asks for `url` and reads the body to its end. */
async function get(url) {
  const response = await fetch(url);
  await response.text();
  return response.status;
}

async function getThroughNarrowPool(url) {
  const response = await undici.fetch(url, { dispatcher: narrow });
  await response.text();
  return response.status;
}

/** A queue that tasks wait at. */
class Queue {
  #items = [];
  #waiting = [];

  put(item) {
    const taker = this.#waiting.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  async take() {
    return this.#items.length > 0 ? this.#items.shift() : new Promise((taker) => this.#waiting.push(taker));
  }
}

const jobs = new Queue();

async function worker() {
  for (;;) {
    const { url, resolve, reject } = await jobs.take();
    await get(url).then(resolve, reject);
  }
}

async function shaped({ shape, hop, delay, depth, target }) {
  switch (shape) {
    case 'chain':
      return get(depth >= 1 ? target(1, { shape: 'chain', depth: depth - 1 }) : target(1));
    case 'sequence':
      for (const n of [1, 2, 3]) await get(target(n));
      return;
    case 'parallel':
      return Promise.all([1, 2, 3].map((n) => get(target(n))));
    case 'retry':
      if ((await get(target(1, { fail: 1 }))) === 503) await get(target(2));
      return;
    case 'forget':
      setTimeout(() => get(target(1)).catch(console.error), delay);
      return;
    case 'pool':
      return getThroughNarrowPool(target(1));
    case 'queue':
      return new Promise((resolve, reject) => jobs.put({ url: target(1), resolve, reject }));
    case 'timer':
      await sleep(delay);
      return get(target(1));
    default:
      throw new RangeError(`hop ${hop}: no shape ${shape}`);
  }
}

function answer(response, status, text) {
  response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

async function handle(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/ready') return answer(response, 200, 'ready\n');
  const [, root, number, hop] = url.pathname.split('/');
  if (root !== 'hop') return answer(response, 404, 'not here\n');
  const { shape, delay = 0, depth = 0 } = Object.fromEntries(url.searchParams);
  const target = (n, more = {}) => `${NEXT}/hop/${number}/${hop}.${n}?${new URLSearchParams({ ...more, delay })}`;
  try {
    await shaped({ shape, hop, delay: Number(delay), depth: Number(depth), target });
    answer(response, 200, `hop ${hop}\n`);
  } catch (error) {
    answer(response, error instanceof RangeError ? 404 : 502, `${error}\n`);
  }
}

worker();
worker();
http.createServer(handle).listen({ port: Number(PORT), host: '127.0.0.1', backlog: 1024 });
