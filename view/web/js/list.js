// The list of traces. Rows stay where they are while somebody looks at them: what arrives then waits until it is asked for.

import { colourClass } from './colours.js';
import { h, setVars, wire } from './dom.js';
import { traceAddress } from './filters.js';
import * as text from './text.js';

/** Rows that are kept. */
const MOST = 500;
/** How long rows stay still after the pointer moved over them, milliseconds. */
const STILL = 3000;

const COLUMNS = [
  { key: 'start_ms', title: 'Time', class: 'c-time', down: true },
  { key: 'service', title: 'Service', class: 'c-service' },
  { key: 'name', title: 'Request', class: 'c-name' },
  { key: 'duration_ns', title: 'Duration', class: 'c-duration', down: true },
  { key: 'spans', title: 'Spans', class: 'c-spans', down: true },
  { key: 'errors', title: 'Status', class: 'c-status', down: true },
];

export class TraceList {
  constructor({ onSort, onHeld, onShown }) {
    Object.assign(this, { onSort, onHeld, onShown });
    this.items = new Map();
    this.pending = new Map();
    this.skipped = 0;
    this.paused = false;
    this.pointerAt = -Infinity;
    this.body = h('tbody', { on: { pointermove: (event) => this.pointer(event), pointerleave: () => { this.pointerAt = -Infinity; this.settle(); } } });
    this.heads = COLUMNS.map((column) => this.head(column));
    this.news = h('button', { class: 'news', type: 'button', on: { click: () => this.showNews() } });
    this.news.hidden = true;
    const table = h('table', { class: 'list' }, h('caption', { class: 'offscreen' }, 'Traces'), h('thead', null, h('tr', null, this.heads)), this.body);
    this.element = h('div', { class: 'list-box' }, h('div', { class: 'news-place' }, this.news), table);
    addEventListener('scroll', () => this.settle(), { passive: true });
    this.body.addEventListener('focusout', () => setTimeout(() => this.settle()));
  }

  head(column) {
    const button = h('button', { type: 'button', on: { click: () => this.sortBy(column) } }, column.title, h('span', { class: 'arrow', 'aria-hidden': 'true' }));
    return h('th', { scope: 'col', class: column.class, data: { key: column.key } }, button);
  }

  get size() {
    return this.items.size;
  }

  get waiting() {
    return this.pending.size + this.skipped;
  }

  reset(sort) {
    this.order = { key: sort === 'slow' ? 'duration_ns' : 'start_ms', down: true };
    this.drawHeads();
  }

  /** Shows the result of a search in place of what was there. */
  replace(summaries) {
    this.items.clear();
    this.pending.clear();
    this.skipped = 0;
    this.body.replaceChildren();
    this.insert(summaries, false);
  }

  /** Whether a trace is here as it is now. */
  knows(summary) {
    const known = this.items.get(summary.trace_id)?.summary ?? this.pending.get(summary.trace_id);
    return known !== undefined && known.spans === summary.spans;
  }

  /** Takes new traces; returns how many of them were not known. */
  arrive(summaries) {
    let unknown = 0;
    for (const summary of summaries) {
      if (!this.items.has(summary.trace_id) && !this.pending.has(summary.trace_id)) unknown += 1;
      this.pending.set(summary.trace_id, summary);
    }
    while (this.pending.size > MOST) {
      this.pending.delete(this.pending.keys().next().value);
      this.skipped += 1;
    }
    this.settle();
    return unknown;
  }

  /** So many more arrived than were told. */
  skip(number) {
    if (this.isHeld()) this.skipped += number;
    this.drawNews();
  }

  hold(paused) {
    this.paused = paused;
    this.settle();
  }

  isScrolled() {
    return this.element.isConnected && this.element.getBoundingClientRect().top < -40;
  }

  isHeld() {
    return this.paused || this.isScrolled() || this.body.contains(document.activeElement) || performance.now() - this.pointerAt < STILL || !this.element.isConnected;
  }

  pointer(event) {
    if (event.pointerType === 'touch') return;
    this.pointerAt = performance.now();
    clearTimeout(this.pointerTimer);
    this.pointerTimer = setTimeout(() => this.settle(), STILL + 20);
  }

  /** Shows what waits, unless somebody looks; at most once a frame. */
  settle() {
    if (this.frame || !this.waiting) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.isHeld()) {
        this.drawNews();
        this.onHeld();
      } else {
        this.release();
      }
    });
  }

  /** Shows what waits, and goes where it is. */
  showNews() {
    this.release();
    if (this.isScrolled()) this.element.scrollIntoView();
  }

  /** Shows what waits. */
  release() {
    if (!this.waiting) return;
    const focused = document.activeElement?.closest?.('tr')?.dataset.trace;
    const news = [...this.pending.values()];
    this.pending.clear();
    this.skipped = 0;
    this.insert(news, true);
    if (focused) this.items.get(focused)?.link.focus({ preventScroll: true });
    this.drawNews();
    this.onShown();
  }

  drawNews() {
    const held = this.waiting > 0;
    this.news.hidden = !held;
    if (held) this.news.replaceChildren(`${text.count(this.waiting)} new`, h('kbd', { 'aria-hidden': 'true' }, '.'));
  }

  insert(summaries, areNew) {
    for (const summary of summaries) {
      const item = makeRow(summary, areNew && !this.items.has(summary.trace_id));
      const before = this.items.get(summary.trace_id);
      if (before) before.row.replaceWith(item.row);
      this.items.set(summary.trace_id, item);
    }
    this.arrange();
  }

  /** Puts rows in order, moving only those that are elsewhere, and forgets those beyond the limit. */
  arrange() {
    const { key, down } = this.order;
    const sign = down ? -1 : 1;
    const value = ({ summary }) => summary[key];
    const compare = (a, b) => (typeof value(a) === 'string' ? value(a).localeCompare(value(b)) : value(a) - value(b));
    const items = [...this.items.values()].sort((a, b) => sign * compare(a, b) || b.summary.start_ms - a.summary.start_ms);
    for (const item of items.splice(MOST)) {
      this.items.delete(item.summary.trace_id);
      item.row.remove();
    }
    const longest = items.reduce((most, item) => Math.max(most, item.summary.duration_ns), 1);
    let next = this.body.firstElementChild;
    for (const item of items) {
      if (item.row === next) next = next.nextElementSibling;
      else this.body.insertBefore(item.row, next);
      const share = (100 * item.summary.duration_ns) / longest;
      if (item.share !== share) setVars(item.bar, { w: `${share}%` });
      item.share = share;
    }
  }

  sortBy(column) {
    const isSame = this.order.key === column.key;
    this.order = { key: column.key, down: isSame ? !this.order.down : Boolean(column.down) };
    this.drawHeads();
    this.arrange();
    // The agent knows more traces than are here, and sorts by these two.
    if (!isSame && column.key === 'duration_ns') this.onSort('slow');
    if (!isSame && column.key === 'start_ms') this.onSort('recent');
  }

  drawHeads() {
    for (const head of this.heads) {
      const isKey = head.dataset.key === this.order.key;
      head.setAttribute('aria-sort', isKey ? (this.order.down ? 'descending' : 'ascending') : 'none');
    }
  }

  links() {
    return [...this.body.querySelectorAll('a.row-link')];
  }

  move(by) {
    const links = this.links();
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (this.lastIndex(links) ?? (by > 0 ? 0 : links.length - 1)) : at + by;
    const link = links[Math.min(Math.max(next, 0), links.length - 1)];
    link?.focus({ preventScroll: true });
    link?.closest('tr').scrollIntoView({ block: 'nearest' });
  }

  lastIndex(links) {
    const at = links.findIndex((link) => link.closest('tr').dataset.trace === this.left);
    return at < 0 ? null : at;
  }

  open() {
    const links = this.links();
    (links.includes(document.activeElement) ? document.activeElement : links[0])?.click();
  }

  /** Before another view takes the place of this one. */
  remember() {
    this.left = document.activeElement?.closest?.('tr')?.dataset.trace ?? this.left;
    this.scroll = scrollY;
  }

  restore() {
    scrollTo(0, this.scroll ?? 0);
    this.items.get(this.left)?.link.focus({ preventScroll: true });
    this.settle();
    this.drawNews();
  }
}

function makeRow(summary, isNew) {
  const failed = summary.errors > 0;
  const link = h('a', { class: 'row-link', href: traceAddress(summary.trace_id), title: text.clip(summary.name, 300) }, wire(summary.name.slice(0, 500)));
  const bar = h('span', { class: `amount ${failed ? 'bad' : ''}` });
  const services = summary.services ?? [];
  const row = h('tr', { class: `${failed ? 'failed' : ''} ${isNew ? 'fresh' : ''}`, data: { trace: summary.trace_id } },
    h('td', { class: 'c-time', title: text.fullTime(summary.start_ms) }, text.time(summary.start_ms)),
    h('td', { class: 'c-service' }, h('span', { class: `dot ${colourClass(summary.service)}` }), wire(summary.service.slice(0, 200), { title: text.clip(summary.service, 200) })),
    h('td', { class: 'c-name' }, link),
    h('td', { class: 'c-duration' }, bar, h('span', { class: 'number' }, text.duration(summary.duration_ns))),
    h('td', { class: 'c-spans', title: text.clip(services.join(', '), 300) },
      h('span', { class: 'number' }, text.counted(summary.spans, 'span')), h('span', { class: 'dots', 'aria-hidden': 'true' }, services.slice(0, 6).map((name) => h('span', { class: `dot ${colourClass(name)}` })))),
    h('td', { class: 'c-status' }, outcome(summary)));
  return { summary, row, link, bar };
}

function outcome(summary) {
  const code = summary.http_status === null || summary.http_status === undefined ? null : h('span', { class: 'code' }, String(summary.http_status));
  if (!summary.errors) return code ?? h('span', { class: 'dim' }, 'ok');
  const type = summary.error_type && String(summary.error_type) !== String(summary.http_status) ? wire(String(summary.error_type).slice(0, 120)) : null;
  return h('span', { class: 'bad-text', title: text.counted(summary.errors, 'span with an error', 'spans with an error') }, '✗ ', code, code && type ? ' ' : null, type ?? (code ? null : 'error'));
}
