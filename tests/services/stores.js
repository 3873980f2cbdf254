// The clients that people use for what they store: each call is about its request's number. `stores.js PORT`, and variables that say
// where the stores are.
'use strict';
const http = require('node:http');

const { POSTGRES, MARIADB, REDIS } = process.env;
const address = { host: '127.0.0.1', user: 'app', database: 'shop' };
const kinds = {};

if (POSTGRES) {
  const { Pool } = require('pg');
  const roomy = new Pool({ ...address, port: POSTGRES, max: 70 });
  const narrow = new Pool({ ...address, port: POSTGRES, max: 4 });
  kinds.pg = async (number) => {
    await roomy.query(`SELECT 1 AS a${number}`);
    await roomy.query(`SELECT 1 AS b${number}`);
  };
  // Requests wait for each other's connections.
  kinds.few = (number) => narrow.query(`SELECT 1 AS a${number}`);
}
if (MARIADB) {
  const pool = require('mysql2/promise').createPool({ ...address, password: 'hunter2', port: MARIADB, connectionLimit: 70 });
  kinds.mysql = async (number) => {
    await pool.query(`SELECT 1 AS a${number}`);
    await pool.query(`SELECT 1 AS b${number}`);
  };
}
if (REDIS) {
  const Redis = require('ioredis');
  const redis = new Redis(REDIS, '127.0.0.1');
  kinds.redis = (number) => redis.get(`hop:${number}`);
}

http.createServer(async (request, response) => {
  const [, kind, number] = request.url.split('/');
  await kinds[kind](number);
  response.end(`${kind} ${number}\n`);
}).listen({ port: process.argv[2], host: '127.0.0.1', backlog: 1024 });
