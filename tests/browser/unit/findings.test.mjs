import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findings } from '../../../view/web/js/findings.js';

const node = (span_id, attributes) => ({ span: { span_id, attributes } });

test('findings are listed as the root lists them, each with the span that it is about', () => {
  const root = node('00000000000000aa', {
    'wirespan.findings': ['n_plus_one', 'retries'],
    'wirespan.finding.retries': 'GET tried 2 times\nbecause of 503 (span 00000000000000bb)',
    'wirespan.finding.n_plus_one': '130 × SELECT (span 00000000000000cc)',
  });
  const call = node('00000000000000cc', {});
  const found = findings([root, node('00000000000000bb', {}), call]);
  assert.deepEqual(found.map(({ title, evidence }) => [title, evidence]), [['N+1', '130 × SELECT'], ['Retries', 'GET tried 2 times\nbecause of 503']]);
  assert.equal(found[0].node, call);
});

test('what an application says in its place is taken as it is', () => {
  const root = node('aa', { 'wirespan.findings': ['odd', 7], 'wirespan.finding.odd': 'words', 'wirespan.finding.7': 3 });
  assert.deepEqual(findings([root, node('bb')]).map(({ title, evidence, node: of }) => [title, evidence, of]), [['odd', 'words', root]]);
  assert.deepEqual(findings([node('aa', { 'wirespan.findings': 'n_plus_one' })]), []);
});
