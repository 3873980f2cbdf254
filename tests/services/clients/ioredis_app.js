// ioredis: commands, a pipeline, a transaction, a blocking command, an error.
const Redis = require('ioredis');

(async () => {
  const client = new Redis({ port: +process.argv[2], host: '127.0.0.1', disableClientInfo: true });
  await client.set('key', 'secret');
  await client.getBuffer('key');
  await client.pipeline().incr('n').get('n').del('n').exec();
  await client.multi().set('key', 'secret').get('key').exec();
  await client.lpush('key', 'secret').catch(() => {});
  await client.rpush('queue', 'secret');
  await client.blpop('queue', 1);
  client.disconnect();
})();
