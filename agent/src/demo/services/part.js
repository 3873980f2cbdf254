// A part of the shop of `wirespan demo`. Arguments: port, and what it is: prices are slow at times, payments fail at times.
'use strict';
const http = require('http');

const [port, role] = process.argv.slice(2);

http.createServer((request, response) => {
  request.resume();
  const number = Number(request.url.split('/').pop());
  const failed = role === 'payments' && number % 7 === 3;
  const body = failed ? '{"answer": "no"}\n' : '{"answer": "yes"}\n';
  setTimeout(() => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
    response.writeHead(failed ? 500 : 200, headers);
    response.end(body);
  }, role === 'prices' && number % 5 === 2 ? 400 : 0);
}).listen(Number(port), '127.0.0.1');
