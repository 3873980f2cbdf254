// Work that outlives its request: `/leave/N` answers at once and calls 100 ms later, `/hold/N` answers after 300 ms.
'use strict';
const http = require('node:http');

const [port, downstream] = process.argv.slice(2);

http.createServer((request, response) => {
  const [, kind, number] = request.url.split('/');
  const answer = () => response.end(request.url + '\n');
  if (kind === 'hold') return setTimeout(answer, 300);
  answer();
  if (kind === 'leave') setTimeout(() => http.get(`${downstream}/left/${number}`, (r) => r.resume()), 100);
}).listen(Number(port), '127.0.0.1');
