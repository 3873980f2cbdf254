// mysql2: text queries, prepared statements, several results, an error.
const mysql = require('mysql2/promise');

(async () => {
  const client = await mysql.createConnection({
    host: '127.0.0.1', port: +process.argv[2], user: 'app', password: 'hunter2', database: 'shop', multipleStatements: true,
  });
  await client.query('CREATE TABLE node (id int PRIMARY KEY, name text, data blob)');
  for (const id of [1, 2]) await client.execute('INSERT INTO node VALUES (?, ?, ?)', [id, null, Buffer.from('secret')]);
  await client.query("SELECT * FROM node WHERE name = 'secret'; UPDATE node SET name = 'secret'");
  await client.execute('INSERT INTO node VALUES (?, ?, ?)', [1, 'secret', null]).catch(() => {});
  await client.query('SELECT nonsense FROM node').catch(() => {});
  await client.end();
})();
