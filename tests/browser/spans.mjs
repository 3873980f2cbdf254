// Spans that an application sends itself (OTLP as JSON to OTLP), so that every field can hold anything: what a trace is drawn like whose every number is known, and hostile strings everywhere.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';

import { api, assertAccessible, assertFits, close, open, start, until, PAGE } from './lib.mjs';

const MS = 1_000_000n;
const KINDS = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };
let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

const values = (attributes) => Object.entries(attributes).map(([key, value]) => ({ key, value: typeof value === 'number' ? { doubleValue: value } : { stringValue: value } }));

/** Sends spans `{id, parent, service, name, kind, from, until, error, attributes, events, links}` of one trace, times in milliseconds; returns the trace's id. */
async function send(spans, { scope = 'a library', resource = {} } = {}) {
  const traceId = randomBytes(16).toString('hex');
  const begun = BigInt(Date.now() - 5000) * MS;
  const at = (ms) => String(begun + BigInt(Math.round(ms * 1e6)));
  const resourceSpans = spans.map((span) => ({
    resource: { attributes: values({ 'service.name': span.service, ...resource }) },
    scopeSpans: [{
      scope: { name: scope },
      spans: [{
        traceId, spanId: span.id, parentSpanId: span.parent ?? '', name: span.name, kind: KINDS[span.kind], startTimeUnixNano: at(span.from), endTimeUnixNano: at(span.until),
        attributes: values(span.attributes ?? {}), status: span.error === undefined ? {} : { code: 2, message: span.error },
        events: (span.events ?? []).map((event) => ({ timeUnixNano: at(event.at), name: event.name, attributes: values(event.attributes) })),
        links: (span.links ?? []).map((link) => ({ traceId: link.trace, spanId: link.span, attributes: values(link.attributes ?? {}) })),
      }],
    }],
  }));
  const answer = await fetch(`${process.env.OTLP}/v1/traces`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ resourceSpans }) });
  assert.equal(answer.status, 200, await answer.text());
  return traceId;
}

const id = (n) => n.toString(16).padStart(16, '0');

/** Opens a trace once all its spans are there. */
async function show(page, trace, spans) {
  await until('all spans', async () => (await api(page, `trace/${trace}`)).spans?.length === spans);
  await page.goto(`${PAGE}/trace/${trace}`);
  await page.waitForSelector('.row[data-span]');
}

test('the critical path, the gaps, a span that outlives its parent and an exception are where they are', async () => {
  const page = await open(browser);
  const other = await send([{ id: id(1), service: 'elsewhere', name: 'the cause', kind: 'producer', from: 0, until: 1 }]);
  const stack = 'Traceback (most recent call last):\n  File "shop.py", line 12\nKeyError: 13';
  const spent = { 'wirespan.time.cpu': 0.03, 'wirespan.time.runqueue': 0.015, 'wirespan.time.blocked': 0.005, 'wirespan.time.coverage': 'exact' };
  const trace = await send([
    { id: id(1), service: 'web', name: 'GET /', kind: 'server', from: 0, until: 100, links: [{ trace: other, span: id(1) }], attributes: spent },
    { id: id(2), parent: id(1), service: 'web', name: 'first', kind: 'internal', from: 10, until: 30 },
    { id: id(3), parent: id(1), service: 'web', name: 'quick', kind: 'internal', from: 72, until: 76 },
    { id: id(4), parent: id(1), service: 'web', name: 'last', kind: 'internal', from: 70, until: 95, error: 'no price', events: [{ at: 90, name: 'exception', attributes: { 'exception.type': 'KeyError', 'exception.message': '13', 'exception.stacktrace': stack } }] },
    { id: id(5), parent: id(1), service: 'web', name: 'mail', kind: 'internal', from: 80, until: 200 },
  ]);
  await show(page, trace, 5);
  const line = await page.locator('.row-line').first().boundingBox();
  const stretches = (row, what) => row.locator(what).evaluateAll((marks) => marks.map((mark) => {
    const [box, all] = [mark.getBoundingClientRect(), mark.parentElement.getBoundingClientRect()];
    return [box.left - all.left, box.right - all.left].map((x) => Math.round((200 * x) / all.width));
  }));
  const row = (n) => page.locator(`.row[data-span="${id(n)}"]`);
  assert.ok(line.width > 300);
  assert.deepEqual(await stretches(row(1), '.critical'), [[0, 10], [30, 70], [95, 100]]);
  assert.deepEqual(await stretches(row(2), '.critical'), [[10, 30]]);
  assert.deepEqual(await stretches(row(4), '.critical'), [[70, 95]]);
  assert.equal(await row(3).locator('.critical').count(), 0, 'a child that another one waited longer than is not critical');
  assert.equal(await row(5).locator('.critical').count(), 0, 'nobody waited for the mail');
  assert.deepEqual(await stretches(row(1), '.hole'), [[0, 10], [30, 70]]);
  assert.deepEqual(await stretches(row(5), '.span-bar'), [[80, 200]], 'it is drawn to its own end');
  assert.equal(await row(5).locator('.parent-end').count(), 1);
  assert.deepEqual(await page.locator('.row.gap .gap-words').evaluateAll((all) => all.map((words) => words.firstChild.textContent)), ['10 ms in nobody’s span', '40 ms in nobody’s span']);
  await page.locator('.row.gap').nth(1).click();
  assert.match(await page.locator('aside.detail').innerText(), /40 ms in nobody’s span[^]*between web first and web last[^]*50 ms: 30 ms on CPU, 15 ms waiting for a CPU, 5\S* ms blocked/);
  const strip = await page.locator('aside.detail .spent i').evaluateAll((parts) => parts.map((part) => [part.className, part.getBoundingClientRect().width / part.parentElement.getBoundingClientRect().width]));
  assert.deepEqual(strip.map(([name, part]) => [name, Math.round(10 * part)]), [['cpu', 6], ['runqueue', 3], ['blocked', 1]]);
  await row(4).click();
  const failure = await page.locator('.failure').innerText();
  assert.ok(failure.includes('KeyError') && failure.includes('13') && failure.includes('line 12'), failure);
  await row(1).click();
  await page.locator('aside.detail .links a').click();
  await page.waitForURL(`**/trace/${other}?span=${id(1)}`);
  await page.waitForSelector('h1:has-text("the cause")');
  await close(page);
});

test('a trace that grows while one looks grows on the page', async () => {
  const page = await open(browser);
  const sent = await send([{ id: id(1), service: 'web', name: 'early', kind: 'server', from: 0, until: 10 }]);
  await show(page, sent, 1);
  const answer = await fetch(`${process.env.OTLP}/v1/traces`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ resource: { attributes: values({ 'service.name': 'late' }) }, scopeSpans: [{ spans: [{ traceId: sent, spanId: id(2), parentSpanId: id(1), name: 'afterwards', kind: 1, startTimeUnixNano: String(BigInt(Date.now()) * MS), endTimeUnixNano: String(BigInt(Date.now()) * MS + MS) }] }] }] }),
  });
  assert.equal(answer.status, 200);
  await page.waitForSelector(`.row[data-span="${id(2)}"]`);
  await close(page);
});

test('hostile strings in every field of a span are text', async () => {
  const page = await open(browser);
  await page.waitForSelector('#live[data-state="live"]');
  const markup = '"><img src=x onerror="pwned=1"><script>pwned=1</script>';
  const backwards = '\u202Etxt.exe\u2066\u0000\u200B';
  const long = `${markup}${'<b>x</b>'.repeat(1000)}`;
  const evil = [markup, backwards, long, '__proto__', 'constructor', 'javascript:pwned=1', '{{constructor.constructor("pwned=1")()}}', '😈'.repeat(2000)];
  const spans = evil.map((text, n) => ({
    id: id(n + 1), parent: n ? id(n) : undefined, service: text, name: text, kind: ['server', 'client', 'producer'][n % 3], from: n, until: 50 - n, error: text,
    attributes: { [text]: text, 'error.type': text, 'http.request.method': text, 'url.full': text, 'server.address': text },
    events: [{ at: n + 1, name: 'exception', attributes: { 'exception.type': text, 'exception.message': text, 'exception.stacktrace': text, [text]: text } }, { at: n + 2, name: text, attributes: { [text]: text } }],
    links: [{ trace: 'ab'.repeat(16), span: id(9), attributes: { [text]: text } }],
  }));
  const trace = await send(spans, { scope: long, resource: { [markup]: long, [backwards]: backwards } });
  await show(page, trace, evil.length);
  for (let n = 0; n < evil.length; n += 1) {
    await page.locator(`.row[data-span="${id(n + 1)}"]`).click();
    const detail = await page.locator('aside.detail').innerText();
    assert.ok(!/[\u202E\u2066\u0000\u200B]/.test(detail), `span ${n} hides something`);
    assert.ok(n !== 0 || detail.includes(markup));
    // Each goes when it is clicked.
    const more = page.locator('aside.detail button:has-text("characters")');
    while (await more.count()) await more.first().click();
    await assertFits(page, `span ${n}`);
  }
  await assertAccessible(page, 'a hostile trace');
  await page.setViewportSize({ width: 390, height: 844 });
  await assertFits(page, 'a hostile trace on a phone');
  for (const [address, ready] of [['/', `tr[data-trace="${trace}"]`], ['/services', '.map .node'], ['/operations', 'table.operations td']]) {
    for (const width of [390, 1440]) {
      await page.setViewportSize({ width, height: 844 });
      await page.goto(PAGE + address);
      await page.waitForSelector(ready);
      await assertFits(page, `${address} ${width} pixels wide`);
    }
  }
  await page.goto(`${PAGE}/search?attr=${encodeURIComponent(`url.full=${markup}`)}`);
  await page.waitForSelector(`tr[data-trace="${trace}"]`);
  assert.equal(await page.locator('main img, main script:not([src]), main iframe, main b').count(), 0);
  assert.equal(await page.evaluate(() => ({}).polluted ?? Object.keys(Object.prototype).length), 0);
  await close(page);
});
