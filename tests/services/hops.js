// One application under the servers that people run it with: `hops.js PORT SERVER DOWNSTREAM`. `/KIND/NUMBER/0` makes two calls to
// `DOWNSTREAM/hop/NUMBER/…`, in a way that has that name. Without DOWNSTREAM it answers after some milliseconds, which differ.
'use strict';
const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');

const [port, server, downstream] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

function get(url, options) {
  return new Promise((resolve, reject) => {
    http.get(url, options, (answer) => answer.resume().on('end', resolve).on('error', reject)).on('error', reject);
  });
}

/** What runs on its own behind a queue: two workers, each with one job at a time. */
const jobs = [];
const idle = [];
async function work() {
  for (;;) {
    const job = jobs.shift() ?? (await new Promise((wake) => idle.push(wake)));
    await job.run().then(job.resolve, job.reject);
  }
}
for (let n = 0; n < 2; n += 1) work();

function queued(run) {
  return new Promise((resolve, reject) => {
    const job = { run, resolve, reject };
    const wake = idle.shift();
    if (wake) wake(job);
    else jobs.push(job);
  });
}

const kinds = {
  async kept(url) {
    await get(url(1), { agent });
    await get(url(2), { agent });
  },
  async apart(url) {
    await get(url(1), { agent: false });
    await get(url(2), { agent: false });
  },
  parallel: (url) => Promise.all([1, 2].map((hop) => get(url(hop), { agent }))),
  async fetch(url) {
    await fetch(url(1)).then((answer) => answer.text());
    await fetch(url(2)).then((answer) => answer.text());
  },
  async timer(url) {
    await sleep(3);
    await get(url(1), { agent });
  },
  queue: (url) => queued(() => get(url(1), { agent })),
};

async function hop(kind, number) {
  if (!downstream) await sleep((number * 7) % 20);
  else await kinds[kind]((n) => `${downstream}/hop/${number}/${n}`);
  return `${kind} ${number}\n`;
}

const servers = {
  http() {
    const handle = async (request, response) => {
      const [, kind, number] = request.url.split('/');
      response.end(await hop(kind, Number(number)));
    };
    http.createServer(handle).listen({ port, host: '127.0.0.1', backlog: 1024 });
  },
  express() {
    const app = require('express')();
    app.get('/:kind/:number/:hop', async (request, response) => {
      response.type('text').send(await hop(request.params.kind, Number(request.params.number)));
    });
    app.listen(port, '127.0.0.1', 1024);
  },
  async fastify() {
    const app = require('fastify')();
    app.get('/:kind/:number/:hop', (request) => hop(request.params.kind, Number(request.params.number)));
    await app.listen({ port, host: '127.0.0.1', backlog: 1024 });
  },
  async nest() {
    require('reflect-metadata');
    const { Controller, Get, Module, Param } = require('@nestjs/common');
    const { NestFactory } = require('@nestjs/core');
    class Hops {
      hop(kind, number) {
        return hop(kind, Number(number));
      }
    }
    // What decorators are to TypeScript.
    Param('kind')(Hops.prototype, 'hop', 0);
    Param('number')(Hops.prototype, 'hop', 1);
    Get(':kind/:number/:hop')(Hops.prototype, 'hop', Object.getOwnPropertyDescriptor(Hops.prototype, 'hop'));
    Controller()(Hops);
    class App {}
    Module({ controllers: [Hops] })(App);
    const app = await NestFactory.create(App, { logger: false });
    await app.listen(port, '127.0.0.1');
  },
};

servers[server]();
