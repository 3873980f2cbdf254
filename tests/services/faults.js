// Node's `http` as a server with every kind of answer.
'use strict';
const http = require('node:http');

const answers = {
  status: (request, response, code) => {
    response.writeHead(Number(code));
    response.end(Number(code) === 204 || Number(code) === 304 ? undefined : 'status\n');
  },
  chunked: (request, response) => {
    response.write('one ');
    response.write('two ');
    response.end('three\n');
  },
  pieces: (request, response, count) => {
    for (let n = 0; n < Number(count); n += 1) response.write(`piece ${n}\n`);
    response.end();
  },
  reset: (request) => request.socket.resetAndDestroy(),
  close: (request) => request.socket.destroy(),
  truncated: (request, response) => {
    response.writeHead(200, { 'Content-Length': 1000 });
    response.write('too little', () => request.socket.destroy());
  },
  early: (request, response) => {
    response.writeHead(413, { Connection: 'close' });
    response.end('too much\n');
  },
  slow: (request, response, millis) => {
    response.writeHead(200, { 'Content-Length': 9 });
    response.write('slow ');
    setTimeout(() => response.end('end\n'), Number(millis));
  },
  size: (request, response, bytes) => response.end(Buffer.alloc(Number(bytes), 120)),
  upload: (request, response) => {
    let size = 0;
    request.on('data', (chunk) => { size += chunk.length; });
    request.on('end', () => response.end(`${size}\n`));
  },
};

const server = http.createServer((request, response) => {
  const [, kind, argument] = request.url.split('?')[0].split('/');
  const answer = answers[kind] || ((_, reply) => reply.end('ok\n'));
  answer(request, response, argument);
});
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n');
  socket.on('data', (line) => socket.end(line));
  socket.on('error', () => {});
});
server.listen(Number(process.argv[2]), process.argv[3] || '127.0.0.1');
