// Strings that are meant to hurt, in whatever a request can carry: markup, text that runs backwards, 8 KiB of it. VICTIM answers anything; its very name is one of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { api, assertFits, close, open, start, until, PAGE } from './lib.mjs';

const VICTIM = Number(process.env.VICTIM);
const MARKUP = '<img/src=x/onerror=pwned=1>';
const BACKWARDS = '\u202Egnp.exe';
const LONG = `${MARKUP}${'x'.repeat(8000)}`;
let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

/** Bytes as they are; the answer is not looked at. */
async function send(bytes) {
  const socket = net.connect(VICTIM, '127.0.0.1');
  socket.end(bytes);
  socket.resume();
  await once(socket, 'close');
}

const attacks = [
  `GET /${MARKUP} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ${MARKUP}\r\n\r\n`,
  `GET /a/${BACKWARDS}?${MARKUP}=1 HTTP/1.1\r\nHost: ${MARKUP}\r\nUser-Agent: "><script>pwned=1</script>${BACKWARDS}\r\n\r\n`,
  `GET /${'x'.repeat(8000)} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ${LONG}\r\n\r\n`,
  `${'M'.repeat(30)} /${LONG} HTTP/1.1\r\nHost: 127.0.0.1\r\nForwarded: for="${MARKUP}"\r\nX-Forwarded-For: ${MARKUP}\r\n\r\n`,
  `GET /'onclick='pwned=1'"onmouseover="pwned=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: javascript:pwned=1\r\ntracestate: ${MARKUP}=1\r\n\r\n`,
];

test('nothing that came over the wire runs, and no view breaks', async () => {
  const page = await open(browser);
  await page.waitForSelector('#live[data-state="live"]');
  for (const bytes of attacks) await send(bytes);
  const service = process.env.SERVICE;
  const found = await until('traces of the attacks', async () => {
    const { traces } = await api(page, `search?service=${encodeURIComponent(service)}&limit=100`);
    return traces.length >= 3 && traces;
  });
  await page.goto(`${PAGE}/search?service=${encodeURIComponent(service)}`);
  await until('the list', async () => await page.locator('table.list tbody tr').count() >= found.length);
  await assertFits(page, 'the list');
  const seen = [];
  for (const { trace_id: id } of found) {
    await page.goto(`${PAGE}/trace/${id}`);
    await page.waitForSelector('.row[data-span]');
    const rows = await page.locator('.row[data-span]').count();
    for (let row = 0; row < rows; row += 1) {
      await page.keyboard.press('j');
      seen.push(await page.locator('aside.detail').innerText());
    }
    await assertFits(page, `trace ${id}`);
    await page.setViewportSize({ width: 390, height: 844 });
    await assertFits(page, `trace ${id} on a phone`);
    await page.setViewportSize({ width: 1440, height: 900 });
  }
  const all = seen.join('\n');
  assert.ok(all.includes(MARKUP), 'markup is shown as the text that it is');
  assert.ok(all.includes('<script>'), 'so is the name of the service');
  assert.ok(all.includes('⟨U+202E⟩') && !all.includes('\u202E'), 'nothing turns the text around it');
  for (const address of ['/services', '/operations', `/search?service=${encodeURIComponent(service)}&attr=${encodeURIComponent(MARKUP)}`, `/search?operation=${encodeURIComponent(LONG.slice(0, 3000))}`]) {
    await page.goto(PAGE + address);
    await page.waitForSelector(address.startsWith('/search') ? '.empty, table.list tbody tr' : 'td:has-text("<script>globalThis")');
    await assertFits(page, address);
  }
  assert.equal(await page.locator('main img, main script, main iframe').count(), 0);
  await close(page);
});
