// What is said of how a call found its request.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { detached, inferred, state, suggested } from '../../../view/web/js/link.js';

const span = (attributes, parent_span_id = '') => ({ attributes, parent_span_id });

test('an inferred link says what it rests on, and an exact one nothing', () => {
  assert.match(inferred(span({ 'wirespan.link.evidence': 'same_thread' }, '1')), /concluded, not proven: its thread read/);
  assert.match(inferred(span({ 'wirespan.link.evidence': 'later_rule' }, '1')), /later_rule/);
  assert.equal(inferred(span({}, '1')), null);
  assert.equal(inferred(span(undefined, '1')), null);
});

test('a call without a parent says why, and a root that serves nobody nothing', () => {
  assert.match(detached(span({ 'wirespan.link.missing': 'hands_on' })), /other threads than read them/);
  assert.match(detached(span({ 'wirespan.link.missing': 'later_reason' })), /later_reason/);
  assert.equal(detached(span({ 'wirespan.link.missing': 'hands_on' }, '1')), null, 'it has one by now');
  assert.equal(detached(span({})), null);
});

test('the linking of a process is counted, and what is off is named', () => {
  const off = { name: 'own_thread', off: { why: 'it has several threads', passes: false } };
  const process = { exact: 3, inferred: { same_thread: 2 }, missing: { no_request: 1 }, rules: [{ name: 'handle' }, off] };
  assert.deepEqual(state(process), { linked: 5, inferred: 2, calls: 6, off: [off] });
  assert.deepEqual(state({ exact: 0 }), { linked: 0, inferred: 0, calls: 0, off: [] });
});

test('a link says what speaks for the request that a call may well be for, and others say nothing', () => {
  assert.match(suggested({ attributes: { 'wirespan.link.evidence': 'answer' } }), /may well .* that request alone was answered/);
  assert.match(suggested({ attributes: { 'wirespan.link.evidence': 'later_rule' } }), /later_rule/);
  assert.equal(suggested({ attributes: {} }), null);
  assert.equal(suggested({}), null);
});
