// What holds of the page's files whatever they do: light, alone, and unable to turn text into markup.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const WEB = new URL('../../../view/web/', import.meta.url);
const names = readdirSync(WEB, { recursive: true }).map(String).filter((name) => /\.(html|css|js|svg)$/.test(name));
const read = (name) => readFileSync(new URL(name, WEB), 'utf8');

test('the page weighs less than 100 KB compressed', () => {
  const weight = names.reduce((sum, name) => sum + gzipSync(read(name), { level: 9 }).length, 0);
  console.log(`${names.length} files, ${weight} bytes compressed`);
  assert.ok(names.length > 20 && weight < 100_000, `${weight} bytes`);
});

test('nothing comes from another address', () => {
  for (const name of names) {
    // A namespace is a name, and a command to try is text.
    const foreign = read(name).replaceAll('http://www.w3.org/2000/svg', '').replaceAll('curl http://127.0.0.1:8080/', '').match(/(https?:)?\/\/[a-z0-9.-]+\.[a-z0-9]+[^\s]*/gi) ?? [];
    assert.deepEqual(foreign, [], name);
  }
});

test('no function that reads markup or programs out of text is used', () => {
  for (const name of names.filter((file) => file.endsWith('.js'))) {
    assert.doesNotMatch(read(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|createContextualFragment|srcdoc|\beval\(|new Function|cssText|setAttribute\(['"](style|on)/, name);
  }
});

test('the policy allows what is in the document, and all modules load at once', () => {
  const index = read('index.html');
  assert.doesNotMatch(index, /\sstyle=|\son[a-z]+=|<style|<script>|javascript:/);
  for (const name of names.filter((file) => file !== 'index.html')) assert.ok(index.includes(`/assets/${name}"`), `${name} is not named in index.html`);
});
