// Node's own `http`, as server and as client: one event loop.
'use strict';
const http = require('node:http');

const [port, downstream] = process.argv.slice(2);
const keepAlive = new http.Agent({ keepAlive: true });

function call(path, agent, done) {
  http.get(downstream + path, { agent }, (answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('end', () => done(null, Buffer.concat(chunks)));
  }).on('error', done);
}

function answer(response, error, body) {
  const text = error ? String(error) : body;
  response.writeHead(error ? 502 : 200, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

http.createServer((request, response) => {
  const [, kind, number, hop] = request.url.split('/');
  if (!downstream) return answer(response, null, request.url + '\n');
  const next = `/hop/${number}/${Number(hop) + 1}`;
  if (kind === 'fetch') {
    return fetch(downstream + next).then((r) => r.text()).then((t) => answer(response, null, t), (e) => answer(response, e));
  }
  call(next, kind === 'pooled' ? keepAlive : undefined, (error, body) => answer(response, error, body));
}).listen(Number(port), '127.0.0.1');
