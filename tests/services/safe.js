// Node's own `https`, as server and as client: one event loop, TLS between memory and memory.
'use strict';
const fs = require('node:fs');
const https = require('node:https');

const [port, downstream] = process.argv.slice(2);
const [cert, key] = ['cert.pem', 'key.pem'].map((name) => fs.readFileSync(name));

function answer(response, code, text) {
  response.writeHead(code, { 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

https.createServer({ cert, key }, (request, response) => {
  if (!downstream) return answer(response, 200, request.url);
  https.get(downstream + request.url, { ca: cert, agent: false }, (reply) => {
    const chunks = [];
    reply.on('data', (chunk) => chunks.push(chunk));
    reply.on('end', () => answer(response, 200, Buffer.concat(chunks).toString()));
  }).on('error', (error) => answer(response, 502, String(error)));
}).listen(Number(port), '127.0.0.1', 512);
