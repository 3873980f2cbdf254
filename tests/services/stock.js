// A gRPC server and client on @grpc/grpc-js: `stock.js PORT` serves, `stock.js PORT CALL…` calls, all on one connection. `wait`
// waits until the file `go` is in the working directory, `slow` has a deadline, `given_up` is cancelled before its answer comes.
'use strict';
const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const [port, ...calls] = process.argv.slice(2);
const address = `127.0.0.1:${port}`;
// What `crowd` has under way at once, three times. Node answers all by one `writev` of 300 `iovec`s.
const STREAMS = 100;
const same = (bytes) => bytes;
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

function method(name, requestStream, responseStream) {
  const [requestSerialize, requestDeserialize, responseSerialize, responseDeserialize] = [same, same, same, same];
  return {
    path: `/shop.v1.Stock/${name}`, requestStream, responseStream,
    requestSerialize, requestDeserialize, responseSerialize, responseDeserialize,
  };
}

const service = {
  One: method('One', false, false),
  Many: method('Many', false, true),
  Gather: method('Gather', true, false),
  Talk: method('Talk', true, true),
};

function serve() {
  const server = new grpc.Server();
  server.addService(service, {
    One(call, done) {
      if (String(call.request) === 'missing') return done({ code: grpc.status.NOT_FOUND, details: 'no such thing' });
      const answer = () => done(null, Buffer.from(`answer to ${call.request}`));
      if (String(call.request) === 'slow') setTimeout(answer, 1000);
      else answer();
    },
    Many(call) {
      for (let n = 0; n < 5; n++) call.write(Buffer.from(`item ${n}`));
      call.end();
    },
    Gather(call, done) {
      let count = 0;
      call.on('data', () => count++).on('end', () => done(null, Buffer.from(String(count))));
    },
    Talk(call) {
      call.on('data', (message) => call.write(message)).on('end', () => call.end());
    },
  });
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => { if (error) throw error; });
}

const client = calls.length && new (grpc.makeGenericClientConstructor(service, 'Stock'))(
  address, grpc.credentials.createInsecure());

// The same context twice, so that HPACK's table has it the second time, and another.
const STAMPS = [0xa1, 0xa1, 0xb2].map((trace) => {
  const hex = (number, digits) => number.toString(16).padStart(digits, '0');
  return `00-${hex(trace, 32)}-${hex(trace + 1, 16)}-01`;
});

const one = (text, metadata = new grpc.Metadata()) => new Promise((resolve, reject) => {
  client.One(Buffer.from(text), metadata, (error, answer) => (error ? reject(error) : resolve(answer)));
});
const whole = (stream) => new Promise((resolve, reject) => {
  stream.on('data', () => {}).on('end', resolve).on('error', reject);
});

function say(stream, texts) {
  for (const text of texts) stream.write(Buffer.from(text));
  stream.end();
  return stream;
}

const kinds = {
  one: () => one('first'),
  missing: () => one('missing').then(() => { throw new Error('found'); }, (error) => {
    if (error.code !== grpc.status.NOT_FOUND) throw error;
  }),
  many: () => whole(client.Many(Buffer.from('all'))),
  gather: () => new Promise((resolve, reject) => {
    say(client.Gather((error, answer) => (error ? reject(error) : resolve(answer))), ['a', 'b', 'c']);
  }),
  talk: () => whole(say(client.Talk(), ['hello', 'there'])),
  stamped: async () => {
    for (const stamp of STAMPS) {
      const metadata = new grpc.Metadata();
      metadata.set('traceparent', stamp);
      await one('stamped', metadata);
    }
  },
  slow: () => new Promise((resolve) => {
    client.One(Buffer.from('slow'), new grpc.Metadata(), { deadline: Date.now() + 300 }, resolve);
  }),
  given_up: async () => {
    const call = client.One(Buffer.from('slow'), new grpc.Metadata(), () => {});
    await pause(100);
    call.cancel();
    await pause(100);
  },
  wait: async () => {
    console.log('waiting');
    while (!fs.existsSync('go')) await pause(10);
  },
  crowd: async () => {
    for (let n = 0; n < 3; n++) await Promise.all(Array.from({ length: STREAMS }, () => one('crowd')));
  },
};

async function main() {
  for (const call of calls) await kinds[call]();
  client.close();
}

if (calls.length) main().catch((error) => { console.error(error); process.exit(1); });
else serve();
