// The critical path, gaps and rows of traces whose answer is known.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { criticalPath, gapPlace, gaps, length, ownTime, rows } from '../../../view/web/js/path.js';
import { build, failure, outlives } from '../../../view/web/js/tree.js';

/** A trace of `[id, parent, start, end, kind]`. */
function traceOf(...spans) {
  return build({
    trace_id: 'a'.repeat(32),
    duration_ns: 0,
    resources: [{ service: 'one', attributes: {} }],
    spans: spans.map(([id, parent, start, end, kind = 'server']) => ({
      span_id: id, parent_span_id: parent, name: id, kind, resource: 0, start_ns: start, duration_ns: end - start, status: 'unset', attributes: {}, events: [], links: [],
    })),
  });
}

const named = (tree) => Object.fromEntries([...criticalPath(tree)].map(([node, segments]) => [node.span.span_id, segments]));
const MS = 1e6;

test('without children the root is its own critical path', () => {
  assert.deepEqual(named(traceOf(['r', null, 0, 10])), { r: [[0, 10]] });
});

test('the path goes back over the children that finished last, and their parent fills what is between', () => {
  const tree = traceOf(['r', null, 0, 100], ['a', 'r', 10, 40], ['b', 'r', 30, 80], ['c', 'r', 50, 60]);
  // b finished last before the end; before b began (30), a was still running: it is not waited for at 30 but ran until 40.
  assert.deepEqual(named(tree), { r: [[0, 30], [80, 100]], b: [[30, 80]] });
});

test('sequential children are all on the path', () => {
  const tree = traceOf(['r', null, 0, 100], ['a', 'r', 10, 40], ['a1', 'a', 15, 35], ['b', 'r', 50, 90]);
  assert.deepEqual(named(tree), { r: [[0, 10], [40, 50], [90, 100]], a: [[10, 15], [35, 40]], a1: [[15, 35]], b: [[50, 90]] });
});

test('of parallel children the one that finished last is on the path, the others are not', () => {
  const tree = traceOf(['r', null, 0, 100], ['a', 'r', 10, 95], ['b', 'r', 10, 60], ['c', 'r', 12, 94]);
  assert.deepEqual(named(tree), { r: [[0, 10], [95, 100]], a: [[10, 95]] });
});

test('the path covers the root once, whatever the trace', () => {
  let state = 42;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state % below;
  };
  for (let round = 0; round < 300; round += 1) {
    const spans = [['0', null, 0, 1000]];
    for (let i = 1; i < 30; i += 1) {
      const start = random(1000);
      spans.push([String(i), String(random(i)), start, start + random(400)]);
    }
    const tree = traceOf(...spans);
    const all = [...criticalPath(tree).values()].flat().sort((a, b) => a[0] - b[0]);
    assert.equal(length(all), 1000, `round ${round}`);
    for (let i = 1; i < all.length; i += 1) assert.ok(all[i][0] >= all[i - 1][1], `round ${round}: segments overlap`);
  }
});

test('a callee that is seen to end a little after its caller is waited for', () => {
  const tree = traceOf(['r', null, 0, 10 * MS, 'client'], ['s', 'r', MS, 10 * MS + 20_000]);
  assert.deepEqual(named(tree), { r: [[0, MS]], s: [[MS, 10 * MS]] });
});

test('a call that outlives its handler is not waited for, nor is a consumer', () => {
  const tree = traceOf(['r', null, 0, 10 * MS], ['late', 'r', 2 * MS, 50 * MS, 'client'], ['p', 'r', 5 * MS, 6 * MS, 'producer'], ['c', 'p', 7 * MS, 9 * MS, 'consumer']);
  assert.deepEqual([...tree.nodes].filter(outlives).map((node) => node.span.span_id), ['late', 'c']);
  assert.deepEqual(named(tree), { r: [[0, 5 * MS], [6 * MS, 10 * MS]], p: [[5 * MS, 6 * MS]] });
});

test('a server that went on after its caller gave up is waited for until then', () => {
  const tree = traceOf(['r', null, 0, 10 * MS, 'client'], ['s', 'r', MS, 500 * MS], ['q', 's', 2 * MS, 400 * MS, 'client']);
  assert.deepEqual(named(tree), { r: [[0, MS]], s: [[MS, 2 * MS]], q: [[2 * MS, 10 * MS]] });
});

test('gaps are what no child covers, named by their neighbours', () => {
  const tree = traceOf(['r', null, 0, 100], ['a', 'r', 10, 40], ['b', 'r', 30, 50], ['c', 'r', 60, 120]);
  const found = gaps(tree.root);
  assert.deepEqual(found.map((gap) => [gap.start, gap.end]), [[0, 10], [50, 60]]);
  assert.deepEqual(found.map(gapPlace), ['before one a', 'between one b and one c']);
  assert.equal(ownTime(tree.root), 20);
  assert.equal(gapPlace(gaps(traceOf(['r', null, 0, 9], ['a', 'r', 0, 5]).root)[0]), 'after one a');
});

test('a span without children has no gap, and all of its time is its own', () => {
  const tree = traceOf(['r', null, 0, 100]);
  assert.deepEqual(gaps(tree.root), []);
  assert.equal(ownTime(tree.root), 100);
});

test('rows are depth first; a gap stands where it was; what is collapsed is not there', () => {
  const tree = traceOf(['r', null, 0, 100], ['b', 'r', 60, 70], ['a', 'r', 10, 40], ['a1', 'a', 12, 38]);
  const list = (collapsed, least) => rows(tree, new Set(collapsed.map((id) => tree.byId.get(id))), least)
    .map(({ node, gap }) => (gap ? `${gap.start}-${gap.end} of ${node.span.span_id}` : node.span.span_id));
  assert.deepEqual(list([], 20), ['r', 'a', 'a1', '40-60 of r', 'b', '70-100 of r']);
  assert.deepEqual(list(['a'], 1000), ['r', 'a', 'b']);
  assert.deepEqual(list(['r'], 1), ['r']);
});

test('a trace with circles, an id twice and a stranger as parent is shown whole', () => {
  const tree = traceOf(['x', 'y', 0, 10], ['y', 'x', 1, 9], ['s', 's', 2, 3], ['d', null, 4, 5], ['d', 'gone', 5, 6], ['e', 'd', 6, 7]);
  assert.equal(tree.nodes.length, 6);
  assert.equal(new Set(tree.nodes).size, 6);
  assert.equal(rows(tree, new Set(), 1e9).length, 6);
  criticalPath(tree);
});

test('a hundred thousand levels do not overflow, and take seconds, not minutes', () => {
  const spans = [['0', null, 0, 1e9]];
  for (let i = 1; i < 100_000; i += 1) spans.push([String(i), String(i - 1), i, 1e9 - i]);
  const begun = performance.now();
  const tree = traceOf(...spans);
  assert.equal(criticalPath(tree).size, 100_000);
  assert.equal(rows(tree, new Set(), 1e9).length, 100_000);
  assert.ok(performance.now() - begun < 15_000);
});

test('a span failed with its exception, else with its error.type and message', () => {
  const span = (more) => ({ status: 'error', status_message: '', attributes: {}, events: [], ...more });
  assert.equal(failure(span({ status: 'unset' })), null);
  assert.deepEqual(failure(span({ status_message: 'no', attributes: { 'error.type': '500' } })), { type: '500', message: 'no', stack: '', escaped: true });
  const event = { name: 'exception', at_ns: 1, attributes: { 'exception.type': 'KeyError', 'exception.message': '13', 'exception.stacktrace': 'Traceback' } };
  assert.deepEqual(failure(span({ events: [event] })), { type: 'KeyError', message: '13', stack: 'Traceback', escaped: true });
  assert.equal(failure(span({ status: 'ok', events: [event] })).escaped, false);
});
