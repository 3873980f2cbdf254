// How numbers, times and foreign text are written; what is searched for; where things are drawn.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as axis from '../../../view/web/js/axis.js';
import { colourClass } from '../../../view/web/js/colours.js';
import * as filters from '../../../view/web/js/filters.js';
import { layout } from '../../../view/web/js/graph.js';
import * as text from '../../../view/web/js/text.js';

test('durations have three digits and the unit that fits', () => {
  const written = [[0, '0 s'], [840, '840 ns'], [999.7, '1 µs'], [26_200, '26.2 µs'], [474_000, '474 µs'], [999_600, '1 ms'], [4_160_000, '4.16 ms'], [23.6e6, '23.6 ms'],
    [100e6, '100 ms'], [1.23e9, '1.23 s'], [20e9, '20 s'], [125e9, '2 min 5 s'], [120e9, '2 min'], [3700e9, '1 h 2 min'], [-5e6, '−5 ms'], [NaN, '–']];
  for (const [ns, words] of written) assert.equal(text.duration(ns), words);
});

test('durations are read as people type them', () => {
  const read = [['20', 20], ['20ms', 20], [' 1.5 s ', 1500], ['300us', 0.3], ['300 µs', 0.3], ['1,5s', 1500], ['2min', 120_000], ['.5s', 500], ['fast', null], ['-1', null], ['', null], ['1 year', null], ['1 constructor', null]];
  for (const [typed, ms] of read) assert.equal(text.parseDuration(typed), ms, typed);
  assert.equal(text.parseDuration(text.typedDuration(23.6)), 23.6);
});

test('times are local, with milliseconds, and with a date if it is not today', () => {
  const at = new Date(2026, 10, 26, 9, 5, 7, 42).getTime();
  assert.equal(text.time(at, at), '09:05:07.042');
  assert.equal(text.time(at, at + 86400e3), '2026-11-26 09:05:07.042');
  assert.match(text.fullTime(at), /^2026-11-26 09:05:07\.042 [+−]\d\d:\d\d$/);
});

test('what nobody would see, or what reorders text, is made visible', () => {
  assert.equal(text.visible('a\u202Egnp.exe\u0000\u200B'), 'a⟨U+202E⟩gnp.exe⟨U+0000⟩⟨U+200B⟩');
  assert.equal(text.visible('line\n\ttab <b> é 漢 👍'), 'line\n\ttab <b> é 漢 👍');
  assert.equal(text.clip('abcdef', 4), 'abc…');
});

test('numbers are for people', () => {
  assert.equal(text.count(1234567), '1\u202f234\u202f567');
  assert.equal(text.counted(1, 'span'), '1 span');
  assert.equal(text.rate(0.8), '0.8/s');
  assert.equal(text.rate(0.05), '3/min');
  assert.equal(text.percent(13, 240), '5.42 %');
  assert.equal(text.percent(1, 100_000), '< 0.1 %');
  assert.equal(text.bytes(268435456), '256 MiB');
});

test('filters survive the address', () => {
  const wanted = { ...filters.none(), service: 'a&b=c', operation: 'GET /x?y', min_ms: 20.5, errors: true, attrs: ['order.id=1=2', 'k'], trace: 'abcd', from: 5, sort: 'slow' };
  assert.deepEqual(filters.parse(filters.query(wanted)), wanted);
  assert.equal(filters.address(filters.none()), '/');
  assert.ok(filters.isEmpty({ ...filters.none(), sort: 'slow' }));
  assert.deepEqual(filters.parse('min_ms=abc&max_ms=-1&status=ok&attr='), filters.none());
});

test('identifiers that are none lead nowhere', () => {
  assert.equal(filters.traceAddress('abcd', 'ef01'), '/trace/abcd?span=ef01');
  assert.equal(filters.traceAddress('abcd', '"><script>'), '/trace/abcd');
  assert.equal(filters.traceAddress('javascript:alert(1)'), '/');
  assert.equal(filters.traceAddress(undefined), '/');
});

test('ticks are round and few', () => {
  assert.deepEqual(axis.ticks(0, 36, 8), { step: 5, ticks: [0, 5, 10, 15, 20, 25, 30, 35] });
  assert.deepEqual(axis.ticks(3, 3, 8).ticks, []);
  for (const until of [1e3, 7e6, 1.3e9]) assert.ok(axis.ticks(0, until, 10).ticks.length <= 11);
  const day = new Date(2026, 10, 26, 12, 0, 0).getTime();
  assert.ok(axis.clockTicks(day, day + 3600e3, 6).every((at) => at % 600e3 === 0));
});

test('a window stays within its trace, and never shrinks to nothing', () => {
  assert.deepEqual(axis.windowOf(-5e6, 5e6, 100e6), { from: 0, until: 10e6 });
  assert.deepEqual(axis.windowOf(80e6, 20e6, 100e6), { from: 20e6, until: 80e6 });
  const tiny = axis.windowOf(50e6, 50e6, 100e6);
  assert.ok(tiny.until - tiny.from >= 1e3);
  assert.deepEqual(axis.zoom({ from: 0, until: 100 * 1e6 }, 2, 5, 100e6), { from: 0, until: 100e6 });
  assert.deepEqual(axis.pan({ from: 90e6, until: 100e6 }, 0.5, 100e6), { from: 90e6, until: 100e6 });
});

test('the map puts callers before callees, apart, and survives circles', () => {
  const ids = ['a', 'b', 'c', 'd', 'alone'].map((id) => ({ id }));
  const edges = [['a', 'b'], ['b', 'c'], ['c', 'a'], ['a', 'd'], ['d', 'd'], ['a', 'c'], ['a', 'stranger']].map(([from, to]) => ({ from, to }));
  const size = { width: 100, height: 40, gapX: 60, gapY: 20 };
  const drawn = layout(ids, edges, size);
  const at = new Map(drawn.nodes.map((node) => [node.id, node]));
  assert.ok(at.get('a').x < at.get('b').x && at.get('b').x < at.get('c').x);
  for (const one of drawn.nodes) {
    assert.ok(one.x - 50 >= 0 && one.x + 50 <= drawn.width && one.y - 20 >= 0 && one.y + 20 <= drawn.height);
    for (const other of drawn.nodes) if (one !== other) assert.ok(Math.abs(one.x - other.x) >= 100 || Math.abs(one.y - other.y) >= 40, `${one.id} lies on ${other.id}`);
  }
  assert.equal(drawn.edges.length, 5);
  const down = layout(ids, edges, size, true);
  assert.ok(down.nodes.find((node) => node.id === 'a').y < down.nodes.find((node) => node.id === 'c').y);
  assert.deepEqual(layout([], [], size).nodes, []);
});

test('the first six services have six colours, and a service keeps its own', () => {
  const names = ['curl', 'nginx', 'shop', 'stock', 'prices', 'worker'];
  const given = names.map(colourClass);
  assert.equal(new Set(given).size, 6);
  assert.deepEqual(names.map(colourClass), given);
  for (let i = 0; i < 20_000; i += 1) assert.match(colourClass(`service ${i}`), /^c(\d|1[01])$/);
});
