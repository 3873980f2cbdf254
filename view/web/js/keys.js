// The keyboard. One table for each view is both what the keys do and what the help lists.

import { h } from './dom.js';

/** How long after `g` the second key of `g t` may come, milliseconds. */
const PREFIX = 1200;

/**
 * Listens for keys. `tables()` gives the tables in force, the view's first: `{title, keys: [{keys: ['j', 'ArrowDown'], does: 'next row', run}]}`.
 * A key is named as `KeyboardEvent.key`; `g t` is two in a row. `run` may return false to leave the key to the browser.
 */
export function listen(tables) {
  let prefix = '';
  let timer;
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (isTyping(event.target) && event.key !== 'Escape') return;
    if (isControl(event.target) && (event.key === 'Enter' || event.key === ' ')) return;
    const wanted = prefix ? `${prefix} ${event.key}` : event.key;
    prefix = '';
    clearTimeout(timer);
    const all = tables().flatMap((table) => table.keys);
    const found = all.find((entry) => entry.keys.includes(wanted));
    if (found) {
      if (found.run(event) !== false) event.preventDefault();
    } else if (all.some((entry) => entry.keys.some((key) => key.startsWith(`${wanted} `)))) {
      prefix = wanted;
      timer = setTimeout(() => { prefix = ''; }, PREFIX);
    }
  });
}

function isTyping(target) {
  if (target.isContentEditable || target.tagName === 'TEXTAREA' || target.tagName === 'SELECT') return true;
  return target.tagName === 'INPUT' && !['checkbox', 'button', 'radio'].includes(target.type);
}

/** Things that Enter and Space work on by themselves. */
function isControl(target) {
  return target.closest?.('button, a[href], summary, input, select') !== null;
}

const NAMES = { ArrowDown: '↓', ArrowUp: '↑', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc' };

/** A dialog that lists the tables. */
export function help(tables) {
  const dialog = h('dialog', { class: 'help', 'aria-labelledby': 'help-title' });
  const close = h('button', { class: 'button', type: 'button', on: { click: () => dialog.close() } }, 'Close');
  const lists = tables.map((table) => h('section', null, h('h3', null, table.title), h('dl', null, table.keys.map(row))));
  dialog.append(h('div', { class: 'help-head' }, h('h2', { id: 'help-title' }, 'Keys'), close), h('div', { class: 'help-body' }, lists));
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('keydown', (event) => {
    if (event.key === '?') dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function row(entry) {
  const shown = entry.keys.map((key) => key.split(' ').map((part) => h('kbd', null, NAMES[part] ?? part)));
  return h('div', null, h('dt', null, shown.flatMap((keys, at) => (at ? [' or ', keys] : [keys]))), h('dd', null, entry.does));
}
