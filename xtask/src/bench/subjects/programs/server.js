// The Node program that `cargo xtask bench` puts under load.
const http = require("node:http");

const body = JSON.stringify({ status: "ok", items: Array.from({ length: 10 }, (_, id) => ({ id, name: `item ${id}` })) });

http
  .createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
