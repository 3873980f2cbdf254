// Node's own `http` as server and as client, with keep-alive: one event loop.
'use strict';
const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');

const { PORT, NEXT } = process.env;
const usual = new http.Agent({ keepAlive: true });
const narrow = new http.Agent({ keepAlive: true, maxSockets: 2 });

/** Asks for `url` and reads the body to its end. */
function get(url, agent) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode)).on('error', reject);
    }).on('error', reject);
  });
}

/** Two long-lived workers that take what comes in turn. */
class Workers {
  #jobs = [];
  #idle = [];

  constructor(count) {
    for (let i = 0; i < count; i += 1) this.#work();
  }

  run(work) {
    return new Promise((resolve, reject) => {
      const job = { work, resolve, reject };
      const waiting = this.#idle.shift();
      if (waiting) waiting(job);
      else this.#jobs.push(job);
    });
  }

  async #work() {
    for (;;) {
      const job = this.#jobs.shift() ?? (await new Promise((wake) => this.#idle.push(wake)));
      await job.work().then(job.resolve, job.reject);
    }
  }
}

const workers = new Workers(2);

/** What a request does before it is answered; each shape gets the one function that calls the next hop. */
const shapes = {
  chain: ({ call, depth }) => call(1, depth >= 1 ? { shape: 'chain', depth: depth - 1 } : {}),
  sequence: async ({ call }) => {
    for (const n of [1, 2, 3]) await call(n);
  },
  parallel: ({ call }) => Promise.all([1, 2, 3].map((n) => call(n))),
  retry: async ({ call }) => {
    if ((await call(1, { fail: 1 })) === 503) await call(2);
  },
  forget: ({ call, delay }) => {
    setTimeout(() => call(1).catch(console.error), delay);
  },
  pool: ({ call }) => call(1, {}, narrow),
  queue: ({ call }) => workers.run(() => call(1)),
  timer: async ({ call, delay }) => {
    await sleep(delay);
    await call(1);
  },
};

function answer(response, status, text) {
  response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

async function handle(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/ready') return answer(response, 200, 'ready\n');
  const [, , number, hop] = url.pathname.split('/');
  const delay = Number(url.searchParams.get('delay') ?? 0);
  const depth = Number(url.searchParams.get('depth') ?? 0);
  const shape = shapes[url.searchParams.get('shape')];
  if (!url.pathname.startsWith('/hop/') || !shape) return answer(response, 404, 'no such shape\n');

  const call = (n, more = {}, agent = usual) =>
    get(`${NEXT}/hop/${number}/${hop}.${n}?${new URLSearchParams({ ...more, delay })}`, agent);
  try {
    await shape({ call, delay, depth });
    answer(response, 200, `hop ${hop}\n`);
  } catch (error) {
    answer(response, 502, `${error}\n`);
  }
}

http.createServer(handle).listen({ port: Number(PORT), host: '127.0.0.1', backlog: 1024 });
