// `/w/N` fails with an error that says `n=N` and has a cause; other paths do not, and log that. Whoever calls waits a little between.
const http = require('node:http');

function deep(n) {
  throw new TypeError(`n=${n}`, { cause: new Error('disk') });
}

http.createServer((request, response) => {
  const n = request.url.split('/')[2];
  setTimeout(() => {
    try {
      if (request.url.startsWith('/w/')) deep(n);
      console.log(JSON.stringify({ level: 40, msg: `fine n=${n}`, user: n, password: 's3cret' }));
      response.end(`n=${n}`);
    } catch (error) {
      console.error(error);
      response.statusCode = 500;
      response.end();
    }
  }, 2);
}).listen(Number(process.argv[2]), '127.0.0.1');
