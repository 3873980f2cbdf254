// npm's mariadb: rows of one statement, `rows.js PORT HOW ROWS`: `bulk` in one command, `pipeline` without waiting for the
// answers. Each row takes the server a while: the driver is ahead of it.
const mariadb = require('mariadb');

(async () => {
  const [port, how, rows] = process.argv.slice(2);
  const client = await mariadb.createConnection({
    host: '127.0.0.1', port: +port, user: 'app', password: 'hunter2', database: 'shop', bulk: how === 'bulk',
  });
  await client.query('CREATE TABLE parcels (id int, name varchar(20), pause int)');
  await client.beginTransaction();
  await client.batch('INSERT INTO parcels VALUES (?, ?, SLEEP(?))', Array.from({ length: +rows }, (_, n) => [n, 'secret', 0.004]));
  await client.commit();
  await client.end();
})();
