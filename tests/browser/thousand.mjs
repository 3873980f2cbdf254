// One request of a thousand spans and more: SHOP makes 500 calls of ORDERS, one after the other.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { api, close, curl, open, start, traceOf, until, PAGE } from './lib.mjs';

const { SHOP } = process.env;
const CALLS = 500;
let browser;

before(async () => { browser = await start(); });
after(() => browser?.close());

/** Begins to measure the processor time of the page's main thread: scripts, styles, layout, painting. The function returned tells it, in milliseconds. */
async function worker(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const read = async () => (await devtools.send('Performance.getMetrics')).metrics.find((metric) => metric.name === 'TaskDuration').value * 1000;
  const before = await read();
  return async () => await read() - before;
}

/** Scrolls the waterfall from end to end; the times from frame to frame, the shortest first, milliseconds. */
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
  const worked = await worker(page);
  const frames = await scrollThrough(page);
  const work = await worked() / frames.length;
  const [median, longest] = [frames[Math.floor(frames.length / 2)], frames.at(-1)];
  console.log(`${trace.spans.length} spans: drawn in ${drawn[3].toFixed(1)} ms (median of 7); scrolled from end to end in ${frames.length} frames, each with ${work.toFixed(1)} ms of the page's processor time; `
    + `from frame to frame ${median.toFixed(1)} ms, at most ${longest.toFixed(1)} ms`);
  // Time on the clock depends on who else uses the machine.
  assert.ok(drawn[0] < 500, `drawing took ${drawn[0]} ms at least`);
  // 60 frames a second leave 16.7 ms for each.
  assert.ok(work < 16.7, `a frame took ${work} ms of processor time`);
  await page.keyboard.press('End');
  const last = page.locator('.row[aria-selected="true"]');
  await last.waitFor();
  assert.ok(await last.evaluate((row) => Number(row.id.slice(4))) >= trace.spans.length - 1);
  await page.keyboard.press('Home');
  await page.keyboard.press('a');
  await until('all closed', async () => await page.locator('.row').count() < 5);
  await close(page);
});
