// What the tests in the browser share: Chromium, what it complains of, real requests, and waiting on conditions.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';

// Modules do not look into NODE_PATH by themselves.
const require = createRequire(path.join(process.env.NODE_PATH, 'here.js'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** Where the page is. */
export const PAGE = process.env.PAGE;
/** Longest time that anything may take, milliseconds. */
export const PATIENCE = 30_000;
/** Chromium as a test machine runs it: as root, without a display, and without asking anybody else for anything. */
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Starts the browser. Close it at the end. */
export function start() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
}

/**
 * A page whose every complaint is kept in `page.complaints`: errors of its own, violations of its policy, requests to any other address, markup that ran.
 */
export async function open(browser, address = '/', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(`error: ${error.stack}`));
  page.on('console', (message) => {
    // A trace that is looked for and not there is said by its status.
    if (message.type() === 'error' && !message.text().includes('404')) page.complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== new URL(PAGE).origin && url.protocol !== 'data:') page.complaints.push(`asked ${url.href.slice(0, 200)}`);
  });
  page.on('dialog', (dialog) => page.complaints.push(`dialog: ${dialog.message()}`));
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  await page.goto(PAGE + address);
  return page;
}

/** Checks that a page complained of nothing, and closes it. */
export async function close(page) {
  assert.deepEqual(page.complaints, []);
  assert.equal(await page.evaluate(() => globalThis.pwned), undefined, 'markup from the wire ran');
  await page.context().close();
}

/** `curl URL`; returns the status code. */
export async function curl(url, ...more) {
  const { stdout } = await promisify(execFile)('curl', ['-q', '-sS', '--noproxy', '*', '--max-time', '20', '-o', '/dev/null', '-w', '%{http_code}', ...more, url]);
  return Number(stdout);
}

/** JSON of the API, asked for by the page itself. */
export function api(page, address) {
  return page.evaluate((where) => fetch(`/api/v1/${where}`).then((answer) => answer.json()), address);
}

/** Asks until the answer is truthy, and returns it. */
export async function until(what, question) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    assert.ok(Date.now() < end, `never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The id of the first trace that the search finds. */
export async function traceOf(page, search) {
  const found = await until(`a trace for ${search}`, async () => {
    const { traces } = await api(page, `search?${search}`);
    return traces?.[0];
  });
  return found.trace_id;
}

/** Checks that the page is not wider than its window. */
export async function assertFits(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${where} is ${content} pixels wide in a window of ${window}`);
}

/** Checks the page by the rules of axe-core (WCAG 2.2 A and AA, contrast included, and its best practices). */
export async function assertAccessible(page, where) {
  // Not as an element of the page, whose policy rightly forbids that.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const said = violations.map((rule) => `${rule.id}: ${rule.help}\n${rule.nodes.slice(0, 4).map((node) => `    ${node.html.slice(0, 160)}\n    ${node.any.concat(node.all).map((check) => check.message).join('; ').slice(0, 240)}`).join('\n')}`);
  assert.deepEqual(said, [], `${where} is not accessible:\n${said.join('\n')}`);
}
