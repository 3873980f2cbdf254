// An agent that has seen nothing, and one that goes away and comes back: the test tells this one when, by its standard input.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';

import { close, curl, open, start, until } from './lib.mjs';

let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

test('a page without traces says what to do, and follows an agent that starts anew', async () => {
  const page = await open(browser);
  await page.waitForSelector('text=No request seen yet');
  assert.ok(await page.locator('.command', { hasText: 'curl http://' }).isVisible());
  await page.waitForSelector('.none-lost, .lost-box');
  await page.waitForSelector('#live[data-state="live"]');
  console.log('READY');
  await once(process.stdin, 'data');
  await page.waitForSelector('#live[data-state="reconnecting"]');
  console.log('GONE');
  await once(process.stdin, 'data');
  await page.waitForSelector('#live[data-state="live"]');
  assert.equal(await curl(`${process.env.ORDERS}/back`), 200);
  await until('the first trace', async () => await page.locator('table.list tbody tr').count() > 0);
  // What the browser says of an agent that is not there is right.
  page.complaints = page.complaints.filter((complaint) => !complaint.includes('ERR_CONNECTION_REFUSED') && !complaint.includes('ERR_INCOMPLETE_CHUNKED_ENCODING') && !complaint.includes('ERR_CONNECTION_RESET'));
  await close(page);
  process.stdin.unref();
});
