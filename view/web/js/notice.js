// What the page has to say: a passing message, an empty view, an error in place of a view.

import { h } from './dom.js';

let timer;

/** A message that goes away by itself; read out by screen readers. */
export function toast(text) {
  const box = document.getElementById('toast');
  box.textContent = text;
  box.classList.add('shown');
  clearTimeout(timer);
  timer = setTimeout(() => box.classList.remove('shown'), 2500);
}

/** Instead of content: what is the matter, and what to do. `children` follow the title. */
export function empty(title, ...children) {
  return h('div', { class: 'empty' }, h('h2', null, title), children);
}

/** A command to try, which a click copies. */
export function command(text) {
  return h('button', { class: 'command', type: 'button', title: 'Copy', on: { click: () => copy(text, 'Command copied') } }, h('code', null, text));
}

/** Copies text, also where the page is not a secure context (another host without TLS). */
export async function copy(text, done) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    toast(done);
  } catch {
    toast('The browser does not let this page copy');
  }
}

function copyBySelection(text) {
  const area = h('textarea', { class: 'offscreen', 'aria-hidden': 'true' });
  area.value = text;
  document.body.append(area);
  const before = document.activeElement;
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  before?.focus?.();
  if (!copied) throw new Error('not copied');
}
