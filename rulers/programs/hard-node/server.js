// One event loop (Node's own `http` on both sides), and the shapes that turns of a loop do not tell. See ../README.md.
'use strict';
const http = require('node:http');

const { PORT, NEXT } = process.env;
// Work that is nobody's in particular.
const NOBODYS = '/hop/0/b?delay=2';
const agent = new http.Agent({ keepAlive: true });

/** One call; its status, when the body was read to its end. */
function call(target) {
  return new Promise((resolve, reject) => {
    http.get(NEXT + target, { agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode)).on('error', reject);
    }).on('error', reject);
  });
}

/** A promise, and what keeps it. */
function promised() {
  const kept = {};
  kept.promise = new Promise((resolve) => { kept.resolve = resolve; });
  return kept;
}

class Semaphore {
  #free;
  #waiting = [];

  constructor(permits) {
    this.#free = permits;
  }

  async run(work) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((wake) => this.#waiting.push(wake));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

/** At most so many workers, which are made when there is work; they stay, or end when there is none. */
class Pool {
  #jobs = [];
  #workers = 0;
  #idle = [];

  constructor(stays) {
    this.stays = stays;
  }

  run(work) {
    const job = { work, ...promised() };
    const wake = this.#idle.shift();
    if (wake) {
      wake(job);
      return job.promise;
    }
    this.#jobs.push(job);
    if (this.#workers < 4) {
      this.#workers += 1;
      this.#work();
    }
    return job.promise;
  }

  async #work() {
    for (;;) {
      let job = this.#jobs.shift();
      if (!job) {
        if (!this.stays) break;
        job = await new Promise((wake) => this.#idle.push(wake));
      }
      job.resolve(await job.work());
    }
    this.#workers -= 1;
  }
}

const permits = new Semaphore(2);
const shrinking = new Pool(false);
const lazy = new Pool(true);
let common;
let uses = 0;
let key;
let waiting = [];
let gathered = [];
let gate;
let stale = false;

const shapes = {
  shared({ call: one }) {
    common ??= one(1).finally(() => { common = undefined; });
    return common;
  },
  semaphore: ({ call: one }) => permits.run(() => one(1)),
  async token({ call: one }) {
    if (uses % 10 === 0) key = one(1);
    uses += 1;
    await key;
    return one(2);
  },
  timed({ call: one }) {
    const mine = promised();
    if (waiting.length === 0) {
      setTimeout(async () => {
        const everybody = waiting;
        waiting = [];
        const status = await one(1);
        everybody.forEach(({ resolve }) => resolve(status));
      }, 10);
    }
    waiting.push(mine);
    return mine.promise;
  },
  async sized({ call: one }) {
    const mine = promised();
    gathered.push(mine);
    if (gathered.length === 4) {
      const full = gathered;
      gathered = [];
      const status = await one(1);
      full.forEach(({ resolve }) => resolve(status));
      return status;
    }
    const timer = setTimeout(async () => {
      if (!gathered.includes(mine)) return;
      gathered = gathered.filter((other) => other !== mine);
      mine.resolve(await one(1));
    }, 60);
    const status = await mine.promise;
    clearTimeout(timer);
    return status;
  },
  async barrier({ call: one }) {
    if (gate) {
      gate.resolve();
    } else {
      const mine = promised();
      gate = mine;
      const timer = setTimeout(mine.resolve, 20);
      await mine.promise;
      clearTimeout(timer);
      if (gate === mine) gate = undefined;
    }
    return one(1);
  },
  refresh({ call: one }) {
    stale = true;
    return one(1);
  },
  async prefetch({ call: one }) {
    const status = await one(1);
    one(2).catch(console.error);
    return status;
  },
  shrinking: ({ call: one }) => shrinking.run(() => one(1)),
  lazy: ({ call: one }) => lazy.run(() => one(1)),
  after({ call: one }) {
    setImmediate(() => one(1).catch(console.error));
    return 200;
  },
};

const MIXED = Object.keys(shapes);
shapes.mix = (hop) => shapes[MIXED[Number(hop.request) % MIXED.length]](hop);

/** Of all requests that found something stale since the last time, and of none. */
async function refresher() {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, 20));
    if (!stale) continue;
    stale = false;
    await call(NOBODYS).catch(console.error);
  }
}

async function handle(request, response) {
  const url = new URL(request.url, 'http://localhost');
  let status = 200;
  if (url.pathname !== '/ready') {
    const [, , number, name] = url.pathname.split('/');
    const shape = shapes[url.searchParams.get('shape')];
    const delay = url.searchParams.get('delay') ?? 0;
    const one = (n) => call(`/hop/${number}/${name}.${n}?delay=${delay}`);
    status = shape ? await shape({ request: number, call: one }) : 501;
  }
  response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': 5 });
  response.end('hard\n');
}

refresher();
http.createServer(handle).listen({ port: Number(PORT), host: '127.0.0.1', backlog: 1024 });
