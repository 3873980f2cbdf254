// Records of logs: in a list that leads to their traces, and with the spans that they were written for. What they say is markup, and text.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api, assertFits, close, open, start, until, PAGE } from './lib.mjs';

const MARKUP = '<img src=x onerror=pwned=1>';
let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

test('a record leads to its trace, and its span has it; nothing of it runs', async () => {
  const page = await open(browser, '/logs');
  const found = await until('the record', async () => {
    const { lines } = await api(page, `logs?text=${encodeURIComponent(MARKUP)}`);
    return lines.length > 0 && lines[0].trace_id && lines[0];
  });
  await page.fill('#l-text', 'onerror');
  await page.selectOption('#l-severity', 'warn');
  await until('the list', async () => (await page.locator('.records li').allInnerTexts()).some((text) => text.includes(MARKUP)));
  assert.equal(await page.locator('.records li').count(), 1, 'only what is looked for');
  await assertFits(page, 'the list of records');
  await page.locator('.records li a').first().click();
  await page.waitForSelector('.row[data-span]');
  assert.ok(page.url().startsWith(`${PAGE}/trace/${found.trace_id}?span=${found.span_id}`), page.url());
  await until('the record with its span', async () => (await page.locator('aside.detail').innerText()).includes(MARKUP));
  await assertFits(page, 'a span with a record');
  assert.equal(await page.locator('main img').count(), 0);
  await close(page);
});
