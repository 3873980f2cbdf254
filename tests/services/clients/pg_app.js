// node-postgres: text queries, parameters, a named statement that is used again, an error in a transaction.
const { Client } = require('pg');

(async () => {
  const client = new Client({ host: '127.0.0.1', port: +process.argv[2], user: 'app', database: 'shop' });
  await client.connect();
  await client.query('CREATE TABLE node (id int PRIMARY KEY, data bytea, tags text[])');
  await client.query('INSERT INTO node VALUES ($1, $2, $3)', [1, Buffer.from('secret'), ['secret', null]]);
  for (const id of [1, 2]) {
    await client.query({ name: 'by-id', text: 'SELECT * FROM node WHERE id = $1', values: [id] });
  }
  await client.query('BEGIN');
  await client.query('INSERT INTO node VALUES ($1)', [1]).catch(() => {});
  await client.query('SELECT 1').catch(() => {});
  await client.query('ROLLBACK');
  await client.query("SELECT repeat('secret', 100) FROM generate_series(1, 2000)");
  await client.end();
})();
