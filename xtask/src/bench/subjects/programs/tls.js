// The Node program that `cargo xtask bench` asks by TLS.
const fs = require("node:fs");
const https = require("node:https");

const [cert, key] = ["cert.pem", "key.pem"].map((name) => fs.readFileSync(name));
const body = "x".repeat(1024);

https
  .createServer({ cert, key }, (request, response) => {
    response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": body.length });
    response.end(body);
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
