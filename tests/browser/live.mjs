// A developer's way through the page, with real requests through real services: SHOP (Flask) calls ORDERS (Node).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { PAGE, api, assertAccessible, assertFits, close, curl, open, start, traceOf, until } from './lib.mjs';

const { SHOP } = process.env;
const ROWS = 'table.list tbody tr';
let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

/** Resolves, in the page's clock, when an element that matches is there. */
function appears(page, selector) {
  return page.evaluate((wanted) => new Promise((resolve) => {
    const look = () => {
      if (!document.querySelector(wanted)) return false;
      requestAnimationFrame(() => resolve(Date.now()));
      return true;
    };
    if (look()) return;
    const observer = new MutationObserver(() => { if (look()) observer.disconnect(); });
    observer.observe(document.body, { childList: true, subtree: true });
  }), selector);
}

/** Makes a request to `/hop/NUMBER/0` and returns the id of its trace. */
async function request(page, number) {
  assert.equal(await curl(`${SHOP}/hop/${number}/0`), 200);
  return traceOf(page, `attr=${encodeURIComponent(`url.path=/hop/${number}/0`)}`);
}

test('a trace appears without reloading, soon after its request', async () => {
  const page = await open(browser);
  await page.evaluate(() => { globalThis.sameDocument = true; });
  await page.waitForSelector('#live[data-state="live"]');
  const took = [];
  for (let number = 100; number < 105; number += 1) {
    const address = `/search?attr=${encodeURIComponent(`url.path=/hop/${number}/0`)}`;
    await page.evaluate((to) => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')); }, address);
    await page.waitForFunction((rows) => document.querySelector('.empty') && !document.querySelector(rows), ROWS);
    const seen = appears(page, `${ROWS} a.row-link`);
    assert.equal(await curl(`${SHOP}/hop/${number}/0`), 200);
    const answered = Date.now();
    took.push((await seen) - answered);
  }
  console.log(`from the response to the page: ${took.sort((a, b) => a - b).join(', ')} ms`);
  // How long a busy machine takes is not promised; that it takes no longer by design is.
  assert.ok(took[0] < 1500, `the fastest took ${took[0]} ms`);
  assert.equal(await page.evaluate(() => globalThis.sameDocument), true);
  await close(page);
});

test('rows stay still while paused; what arrived is counted, and shown when asked for', async () => {
  const page = await open(browser);
  await page.waitForSelector('#live[data-state="live"]');
  await page.keyboard.press('p');
  const id = await request(page, 200);
  await page.waitForSelector('.news:not([hidden])');
  assert.match(await page.locator('.news').innerText(), /^\d+ new/);
  assert.equal(await page.locator(`tr[data-trace="${id}"]`).count(), 0);
  await until('the row', async () => {
    await page.keyboard.press('.');
    return await page.locator(`tr[data-trace="${id}"]`).count() > 0;
  });
  await page.keyboard.press('p');
  await page.waitForSelector('#live[data-state="live"]');
  const link = page.locator(`tr[data-trace="${id}"] a.row-link`);
  await link.focus();
  const top = await link.evaluate((element) => element.getBoundingClientRect().top);
  await request(page, 201);
  await page.waitForSelector('.news:not([hidden])');
  assert.equal(await link.evaluate((element) => element.getBoundingClientRect().top), top, 'the row moved under the focus');
  await close(page);
});

test('the waterfall is nested as the API says', async () => {
  const page = await open(browser);
  const id = await request(page, 300);
  const trace = await until('four spans', async () => {
    const found = await api(page, `trace/${id}`);
    return found.spans?.length >= 4 && found;
  });
  await page.goto(`${PAGE}/trace/${id}`);
  await page.waitForSelector('.row[data-span]');
  const drawn = await page.locator('.row[data-span]').evaluateAll((rows) => rows.map((row) => [row.dataset.span, Number(row.ariaLevel), row.querySelector('.name').textContent, row.querySelector('.service').textContent]));
  const level = (span) => {
    const parent = trace.spans.find((other) => other.span_id === span.parent_span_id);
    return parent ? level(parent) + 1 : 1;
  };
  const wanted = trace.spans.map((span) => [span.span_id, level(span), span.name, trace.resources[span.resource].service]);
  const sorted = (list) => [...list].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  assert.deepEqual(sorted(drawn), sorted(wanted));
  assert.deepEqual(drawn.slice(0, 4).map((row) => [row[3], row[1]]), [['curl', 1], ['shop', 2], ['shop', 3], ['orders', 4]]);
  // A bar begins and ends where its span does.
  const bars = await page.locator('.row[data-span]').evaluateAll((rows) => rows.map((row) => {
    const [bar, line] = [row.querySelector('.span-bar'), row.querySelector('.row-line')].map((element) => element.getBoundingClientRect());
    return [row.dataset.span, (bar.left - line.left) / line.width, bar.width / line.width];
  }));
  const total = Math.max(...trace.spans.map((span) => span.start_ns + span.duration_ns));
  for (const [spanId, left, width] of bars) {
    const span = trace.spans.find((other) => other.span_id === spanId);
    assert.ok(Math.abs(left - span.start_ns / total) < 0.01, `${span.name} begins at ${left}`);
    assert.ok(Math.abs(width - span.duration_ns / total) < 0.01, `${span.name} is ${width} wide`);
  }
  assert.ok(await page.locator('.row.on-path .critical').count() >= 4, 'the critical path is marked');
  await close(page);
});

test('a link leads to a span of a trace, and says all that is known of it', async () => {
  const page = await open(browser);
  const id = await request(page, 400);
  const trace = await api(page, `trace/${id}`);
  const span = trace.spans.find((other) => other.kind === 'server');
  await page.goto(`${PAGE}/trace/${id}?span=${span.span_id}`);
  await page.waitForSelector(`.row[data-span="${span.span_id}"][aria-selected="true"]`);
  const detail = page.locator('aside.detail');
  assert.equal(await detail.locator('h2').innerText(), span.name);
  const shown = await detail.locator('section', { has: page.locator('h3:text-is("Attributes")') }).locator('dl > div')
    .evaluateAll((rows) => Object.fromEntries(rows.map((row) => [row.querySelector('dt').textContent, row.querySelector('dd').textContent])));
  assert.deepEqual(shown, Object.fromEntries(Object.entries(span.attributes).map(([key, value]) => [key, String(value)])));
  const download = page.waitForEvent('download');
  await page.keyboard.press('d');
  assert.equal((await download).suggestedFilename(), `trace-${id}.json`);
  await close(page);
});

test('a failed request is red in the list, and its failed spans say why', async () => {
  const page = await open(browser);
  assert.equal(await curl(`${SHOP}/fail`), 500);
  const id = await traceOf(page, `attr=${encodeURIComponent('url.path=/fail')}`);
  await request(page, 500);
  await page.locator('body').press('e');
  await page.waitForURL('**/search?status=error');
  await page.waitForSelector(`tr.failed[data-trace="${id}"]`);
  assert.equal(await page.locator(`${ROWS}:not(.failed)`).count(), 0, 'only traces with errors are left');
  assert.match(await page.locator(`tr[data-trace="${id}"] .c-status`).innerText(), /✗ 500/);
  await page.locator(`tr[data-trace="${id}"] a`).click();
  await page.waitForSelector('.row.failed');
  await page.keyboard.press('n');
  await page.waitForSelector('.row.failed[aria-selected="true"]');
  assert.match(await page.locator('.detail .failure').innerText(), /500/);
  await close(page);
});

test('each field of the search finds what it is for', async () => {
  const page = await open(browser);
  const id = await request(page, 600);
  await page.goto(PAGE);
  const ids = () => page.locator(ROWS).evaluateAll((rows) => rows.map((row) => row.dataset.trace));
  const shows = (query) => until(`the list for ${query}`, async () => {
    const { traces } = await api(page, `search?${query}&limit=300`);
    const shown = await ids();
    return shown.length === traces.length && traces.every((trace) => shown.includes(trace.trace_id)) && traces.some((trace) => trace.trace_id === id);
  });
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'f-service');
  await page.keyboard.type('shop');
  await page.waitForURL(/service=shop/);
  await shows('service=shop');
  await page.getByLabel('Operation').fill('GET /hop/{id}/{id}');
  await page.waitForURL(/operation=GET/);
  await shows('service=shop&operation=GET%20/hop/%7Bid%7D/%7Bid%7D');
  await page.getByLabel('At least').fill('1us');
  await page.waitForURL(/min_ms=0.001/);
  await page.getByLabel('At most').fill('20s');
  await page.waitForURL(/max_ms=20000/);
  await page.getByLabel('Attribute', { exact: true }).fill('url.path=/hop/600/0');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.chip');
  await until('exactly one trace', async () => (await ids()).join() === id);
  await page.locator('.chip').click();
  await page.getByLabel('Trace id').fill(id.slice(0, 12));
  await page.waitForURL(/trace=/);
  await until('exactly one trace', async () => (await ids()).join() === id);
  await page.getByLabel('At least').fill('19s');
  await page.waitForSelector('text=No trace matches');
  await page.getByLabel('At least').fill('soon');
  assert.equal(await page.getByLabel('At least').getAttribute('aria-invalid'), 'true');
  await page.keyboard.press('Escape');
  await page.keyboard.press('x');
  await page.waitForURL(`${PAGE}/`);
  await close(page);
});

test('the heat map narrows the search to what was clicked or dragged over', async () => {
  const page = await open(browser);
  await request(page, 650);
  await page.goto(PAGE);
  await page.waitForSelector('.heat-cell');
  // So that nothing moves under the pointer.
  await page.keyboard.press('p');
  const cell = page.locator('.heat-cell').last();
  const box = await cell.boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.waitForURL(/min_ms=.*max_ms=.*from=.*to=/);
  assert.ok(await page.locator('.chip').count() === 1);
  await page.goBack();
  await page.waitForSelector('.heat-cell');
  const plot = await page.locator('.heat').boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.1, plot.y + 8);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width - 6, plot.y + plot.height - 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/from=.*to=/);
  assert.ok(!page.url().includes('min_ms'), 'a drag over the whole height says nothing of durations');
  await page.goBack();
  await page.locator('.heat-box').focus();
  await page.keyboard.press('ArrowLeft');
  await until('a cell is read out', async () => /trace/.test(await page.locator('.readout').innerText()));
  await close(page);
});

test('everything can be reached by keys', async () => {
  const page = await open(browser);
  const id = await request(page, 700);
  await page.goto(`${PAGE}/search?trace=${id}`);
  await page.waitForSelector(`tr[data-trace="${id}"]`);
  await page.keyboard.press('j');
  assert.equal(await page.evaluate(() => document.activeElement.closest('tr')?.dataset.trace), id);
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/trace/${id}`);
  await page.waitForSelector('.row');
  const chosen = page.locator('.row[aria-selected="true"]');
  // Between the spans there may be gaps, which are rows too.
  for (let steps = 0; steps < 4; steps += 1) {
    await page.keyboard.press('j');
    if (await chosen.getAttribute('aria-level') === '2' && await chosen.getAttribute('data-span')) break;
  }
  assert.equal(await chosen.getAttribute('aria-level'), '2');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await page.locator('.row[data-span]').count(), 2, 'the span closed over what is below it');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.locator('.row[data-span]').count(), 4, 'and opened again');
  await page.keyboard.press('ArrowRight');
  assert.equal(await chosen.getAttribute('aria-level'), '3');
  await page.keyboard.press('+');
  await page.waitForSelector('.minimap.zoomed');
  await page.keyboard.press('0');
  assert.equal(await page.locator('.minimap.zoomed').count(), 0);
  // A span that is nearly the whole trace leaves nothing to zoom in on.
  const { duration_ns: total, spans } = await api(page, `trace/${id}`);
  const wanted = await chosen.getAttribute('data-span');
  const isPart = spans.find((span) => span.span_id === wanted).duration_ns * 1.1 < total;
  await page.keyboard.press('z');
  assert.equal(await page.locator('.minimap.zoomed').count(), isPart ? 1 : 0);
  await page.keyboard.press('0');
  assert.equal(await page.locator('.minimap.zoomed').count(), 0);
  await page.keyboard.press('Escape');
  assert.ok(await page.locator('aside.detail').isHidden());
  await page.keyboard.press('Escape');
  await page.waitForURL(`**/search?trace=${id}`);
  await until('the focus is where it was', () => page.evaluate((wanted) => document.activeElement.closest('tr')?.dataset.trace === wanted, id));
  await page.keyboard.press('?');
  assert.ok(await page.locator('dialog.help').isVisible());
  await page.keyboard.press('Escape');
  for (const [second, heading] of [['s', 'Services'], ['o', 'Operations']]) {
    await page.keyboard.press('g');
    await page.keyboard.press(second);
    await page.waitForSelector(`h1:text-is("${heading}")`);
  }
  await page.keyboard.press('g');
  await page.keyboard.press('t');
  await page.waitForURL(`${PAGE}/`);
  await close(page);
});

test('the map shows who calls whom, the table each operation, and both lead to traces', async () => {
  const page = await open(browser);
  await request(page, 800);
  await page.goto(`${PAGE}/services`);
  await page.waitForSelector('.map [data-of="node shop"]');
  const x = (service) => page.locator(`.map [data-of="node ${service}"] .box`).evaluate((box) => Number(box.getAttribute('x')));
  assert.ok(await x('curl') < await x('shop') && await x('shop') < await x('orders'), 'callers are before callees');
  await until('figures on the way from shop to orders', async () => /\/(s|min).*p95/.test(await page.locator('.map .edge-label', { hasText: 'shop calls orders' }).first().evaluate((label) => label.textContent)));
  assert.ok(await page.locator('table.edges tr', { hasText: 'shop' }).count() >= 1);
  await page.locator('.map [data-of="node shop"]').click();
  await page.waitForURL('**/search?service=shop');
  await page.waitForSelector(ROWS);
  await page.goto(`${PAGE}/operations`);
  const row = page.locator('table.operations tr', { hasText: 'GET /hop/{id}/{id}' }).filter({ hasText: 'shop' }).first();
  await row.waitFor();
  await row.locator('td a.mono').click();
  await page.waitForSelector('.row[data-span]');
  await close(page);
});

test('the keys that the help shows are those that docs/page.md lists', async () => {
  const page = await open(browser);
  const documented = new Set([...readFileSync(new URL('../../docs/page.md', import.meta.url), 'utf8').matchAll(/^\| (`[^|]+`) \| ([^|]+) \|$/gm)].map(([, keys, does]) => `${keys.replaceAll('`', '').replaceAll(' ', '')} ${does}`));
  const shown = new Set();
  for (const address of ['/', `/trace/${'0'.repeat(31)}1`, '/services', '/operations']) {
    await page.goto(PAGE + address);
    await page.waitForSelector('#live[data-state="live"]');
    await page.keyboard.press('?');
    const rows = await page.locator('dialog.help dl > div').evaluateAll((all) => all.map((row) => `${row.querySelector('dt').textContent.replaceAll(' ', '')} ${row.querySelector('dd').textContent}`));
    rows.forEach((row) => shown.add(row));
  }
  assert.deepEqual([...shown].sort(), [...documented].sort());
  await close(page);
});

test('light and dark follow the system until they are chosen, and the choice is kept', async () => {
  const page = await open(browser, '/', { colorScheme: 'dark' });
  const light = () => page.evaluate(() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
    return r + g + b > 380;
  });
  assert.equal(await light(), false);
  await page.emulateMedia({ colorScheme: 'light' });
  assert.equal(await light(), true);
  await page.keyboard.press('t');
  assert.equal(await light(), false);
  await page.reload();
  assert.equal(await light(), false);
  await page.getByRole('button', { name: 'Light or dark' }).click();
  assert.equal(await light(), true);
  await close(page);
});

for (const theme of ['light', 'dark']) {
  test(`every view is accessible, and fits a phone, in ${theme}`, async () => {
    const page = await open(browser, '/', { colorScheme: theme, reducedMotion: 'reduce' });
    const id = await request(page, 900);
    assert.equal(await curl(`${SHOP}/fail`), 500);
    const failed = await traceOf(page, `attr=${encodeURIComponent('url.path=/fail')}`);
    const views = [['/', ROWS], [`/trace/${id}`, '.row[data-span]'], [`/trace/${failed}`, '.row.failed'], ['/services', '.map .node'], ['/operations', 'table.operations tbody tr'], [`/trace/${'0'.repeat(31)}1`, '.empty']];
    for (const [address, ready] of views) {
      await page.setViewportSize({ width: 1440, height: 900 });
      await page.goto(PAGE + address);
      await page.waitForSelector(ready);
      if (address.startsWith('/trace/')) await page.keyboard.press('j');
      await assertAccessible(page, `${address} in ${theme}`);
      await page.setViewportSize({ width: 390, height: 844 });
      await assertFits(page, address);
      await assertAccessible(page, `${address} on a phone in ${theme}`);
    }
    await page.goto(PAGE);
    await page.keyboard.press('?');
    await assertAccessible(page, 'the help');
    await close(page);
  });
}
