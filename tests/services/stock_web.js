// A gRPC-Web client on grpc-web, as it runs in a browser: `stock_web.js PORT CALL…`, in binary form over HTTP/1.1.
'use strict';
global.XMLHttpRequest = require('xhr2');
const { GrpcWebClientBase, MethodDescriptor, MethodType, StatusCode } = require('grpc-web');

const [port, ...calls] = process.argv.slice(2);
const client = new GrpcWebClientBase({ format: 'binary' });
const bytes = (text) => new TextEncoder().encode(text);
const one = new MethodDescriptor('/shop.v1.Stock/One', MethodType.UNARY, String, String, bytes, (message) => message);

const call = (text) => new Promise((resolve, reject) => {
  const url = `http://127.0.0.1:${port}/shop.v1.Stock/One`;
  client.rpcCall(url, text, {}, one, (error, answer) => (error ? reject(error) : resolve(answer)));
});

const kinds = {
  one: () => call('first'),
  missing: () => call('missing').then(() => { throw new Error('found'); }, (error) => {
    if (error.code !== StatusCode.NOT_FOUND) throw error;
  }),
};

async function main() {
  for (const kind of calls) await kinds[kind]();
}

main().catch((error) => { console.error(error); process.exit(1); });
