// mysql2: runs a statement that it prepared earlier: `prepared.js PORT`. Waits until the file `go` is in the working directory.
const fs = require('fs');
const mysql = require('mysql2/promise');

(async () => {
  const client = await mysql.createConnection({
    host: '127.0.0.1', port: +process.argv[2], user: 'app', password: 'hunter2', database: 'shop',
  });
  const run = () => client.execute('SELECT name FROM stock WHERE id = ?', [1]);
  await run();
  await run();
  console.log('waiting');
  while (!fs.existsSync('go')) await new Promise((resolve) => { setTimeout(resolve, 10); });
  for (let n = 0; n < 4; n++) await run();
  await client.end();
})();
