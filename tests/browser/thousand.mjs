// One request of a thousand spans and more: SHOP makes 500 calls of ORDERS, one after the other.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api, close, curl, open, start, traceOf, until, PAGE } from './lib.mjs';

const { SHOP } = process.env;
const CALLS = 500;
let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

/** The longest time between two frames while the waterfall is scrolled from end to end, milliseconds. */
function scrollThrough(page) {
  return page.evaluate(() => new Promise((resolve) => {
    const box = document.querySelector('.waterfall');
    const [frames, steps] = [[], 120];
    let [step, last] = [0, performance.now()];
    const next = (now) => {
      frames.push(now - last);
      last = now;
      box.scrollTop = (box.scrollHeight * step) / steps;
      step += 1;
      if (step <= steps) requestAnimationFrame(next);
      else resolve(frames.slice(1).sort((a, b) => a - b));
    };
    requestAnimationFrame(next);
  }));
}

test('a trace of a thousand spans is drawn at once, scrolls, and holds few elements', async () => {
  const page = await open(browser);
  assert.equal(await curl(`${SHOP}/many/${CALLS}`), 200);
  const id = await traceOf(page, `attr=${encodeURIComponent(`url.path=/many/${CALLS}`)}`);
  const trace = await until('all spans', async () => {
    const found = await api(page, `trace/${id}`);
    return found.spans.length >= 2 * CALLS && found;
  });
  const drawn = [];
  for (let round = 0; round < 7; round += 1) {
    await page.goto(`${PAGE}/trace/${id}`);
    await page.waitForSelector('.row[data-span]');
    drawn.push(await page.evaluate(() => performance.getEntriesByName('trace-draw')[0].duration));
  }
  drawn.sort((a, b) => a - b);
  assert.ok(await page.locator('.row').count() < 150, 'only rows in sight are in the document');
  const frames = await scrollThrough(page);
  const [median, longest] = [frames[Math.floor(frames.length / 2)], frames.at(-1)];
  console.log(`${trace.spans.length} spans: drawn in ${drawn[3].toFixed(1)} ms (median of 7), scrolled with a frame each ${median.toFixed(1)} ms, the longest ${longest.toFixed(1)} ms`);
  assert.ok(drawn[3] < 300, `drawing took ${drawn[3]} ms`);
  assert.ok(longest < 250, `a frame took ${longest} ms`);
  await page.keyboard.press('End');
  const last = page.locator('.row[aria-selected="true"]');
  await last.waitFor();
  assert.ok(await last.evaluate((row) => Number(row.id.slice(4))) >= trace.spans.length - 1);
  await page.keyboard.press('Home');
  await page.keyboard.press('a');
  await until('all closed', async () => await page.locator('.row').count() < 5);
  await close(page);
});
