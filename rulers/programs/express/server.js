// Express with axios on a keep-alive agent: one event loop.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import axios from 'axios';
import express from 'express';
import fastq from 'fastq';

const { PORT, NEXT } = process.env;

const settings = { baseURL: NEXT, proxy: false, responseType: 'text', validateStatus: () => true };
const client = axios.create({ ...settings, httpAgent: new http.Agent({ keepAlive: true }) });
const narrow = axios.create({ ...settings, httpAgent: new http.Agent({ keepAlive: true, maxSockets: 2 }) });

// Two at a time; the others wait in line.
const queue = fastq.promise(({ path, params }) => client.get(path, { params }), 2);

/** The path of call `n`. */
const below = ({ params: { request, hop } }, n) => `/hop/${request}/${hop}.${n}`;

const shapes = {
  async chain(req, delay) {
    const depth = Number(req.query.depth ?? 0);
    const params = depth >= 1 ? { shape: 'chain', depth: depth - 1, delay } : { delay };
    await client.get(below(req, 1), { params });
  },
  async sequence(req, delay) {
    await client.get(below(req, 1), { params: { delay } });
    await client.get(below(req, 2), { params: { delay } });
    await client.get(below(req, 3), { params: { delay } });
  },
  async parallel(req, delay) {
    await Promise.all([1, 2, 3].map((n) => client.get(below(req, n), { params: { delay } })));
  },
  async retry(req, delay) {
    const first = await client.get(below(req, 1), { params: { fail: 1, delay } });
    if (first.status === 503) await client.get(below(req, 2), { params: { delay } });
  },
  async forget(req, delay) {
    setTimeout(() => client.get(below(req, 1), { params: { delay } }).catch(console.error), delay);
  },
  async pool(req, delay) {
    await narrow.get(below(req, 1), { params: { delay } });
  },
  async queue(req, delay) {
    await queue.push({ path: below(req, 1), params: { delay } });
  },
  async timer(req, delay) {
    await sleep(delay);
    await client.get(below(req, 1), { params: { delay } });
  },
};

const app = express();

app.get('/ready', (req, res) => res.type('text/plain').send('ready\n'));

app.get('/hop/:request/:hop', async (req, res) => {
  const shape = shapes[req.query.shape];
  if (!shape) return res.status(404).type('text/plain').send('no such shape\n');
  await shape(req, Number(req.query.delay ?? 0));
  res.type('text/plain').send(`hop ${req.params.hop}\n`);
});

app.use((error, req, res, next) => {
  if (res.headersSent) return next(error);
  res.status(502).type('text/plain').send(`${error.message}\n`);
});

app.listen({ port: Number(PORT), host: '127.0.0.1', backlog: 1024 }, (error) => {
  if (error) throw error;
});
