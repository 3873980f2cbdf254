import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sentence, spent } from '../../../view/web/js/spent.js';

const span = (coverage, parts = {}) => ({
  attributes: { 'wirespan.time.coverage': coverage, ...Object.fromEntries(Object.entries(parts).map(([name, seconds]) => [`wirespan.time.${name}`, seconds])) },
});

test('where the time went is a sentence', () => {
  const told = spent(span('exact', { cpu: 0.038, runqueue: 0.014, blocked: 0.009 }));
  assert.deepEqual(told.parts.map(({ name, nanos }) => [name, Math.round(nanos / 1e6)]), [['cpu', 38], ['runqueue', 14], ['blocked', 9]]);
  assert.match(sentence(told), /^61\S* ms: 38\S* ms on CPU, 14\S* ms waiting for a CPU, 9\S* ms blocked$/);
});

test('one part alone needs no sum', () => {
  assert.match(sentence(spent(span('exact', { cpu: 0.02 }))), /^20\S* ms on CPU$/);
  assert.equal(sentence(spent(span('exact'))), 'No time at all');
});

test('a lower bound says that it is one', () => {
  assert.match(sentence(spent(span('lower_bound', { cpu: 0.02 }))), /^At least 20\S* ms on CPU; of the rest/);
});

test('what is not said, or not a time, is not told', () => {
  assert.equal(spent({}), null);
  assert.equal(spent(span('odd', { cpu: 1 })), null);
  assert.deepEqual(spent(span('exact', { cpu: 'much', blocked: -3 })).parts, []);
});
