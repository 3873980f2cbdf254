// The Node program of `cargo xtask bench` that asks another for each request: `calls_node.js PORT URL`.
'use strict';
const http = require('node:http');

const [port, leaf] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

function ask() {
  return new Promise((resolve, reject) => {
    http.get(leaf, { agent }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
    }).on('error', reject);
  });
}

http.createServer(async (request, response) => {
  response.end(await ask());
}).listen(Number(port), '127.0.0.1');
