// The waterfall: one row for each span, of which only those in sight are in the document.

import { pan, ticks, windowOf, zoom } from './axis.js';
import { flag, h, setVars } from './dom.js';
import { rows as rowsOf } from './path.js';
import { makeRow } from './row.js';
import * as text from './text.js';

/** Rows drawn above and below what is in sight. */
const SPARE = 12;
/** Gaps of at least this part of the trace have a row of their own. */
const GAP_SHARE = 0.05;

export class Waterfall {
  constructor({ onChoose, onWindow }) {
    Object.assign(this, { onChoose, onWindow });
    this.collapsed = new Set();
    this.drawn = new Map();
    this.active = -1;
    this.pathOnly = false;
    this.axis = h('div', { class: 'axis-line', 'aria-hidden': 'true' });
    this.space = h('div', { class: 'rows', role: 'presentation' });
    this.element = h('div', {
      class: 'waterfall', tabindex: '0', role: 'tree', 'aria-label': 'Spans',
      on: { scroll: () => this.schedule(), click: (event) => this.click(event), dblclick: (event) => this.doubleClick(event) },
    }, h('div', { class: 'axis', role: 'presentation' }, h('div', { class: 'axis-name', 'aria-hidden': 'true' }, 'Span'), this.axis), this.space);
    new ResizeObserver(() => this.tree && this.redraw()).observe(this.element);
  }

  setTree(tree, { keepView }) {
    const closed = keepView ? new Set([...this.collapsed].map((node) => node.span.span_id)) : new Set();
    this.tree = tree;
    this.collapsed = new Set([...closed].map((id) => tree.byId.get(id)).filter(Boolean));
    if (!keepView) {
      this.window = { from: 0, until: tree.duration };
      this.element.scrollTop = 0;
    }
    this.active = -1;
    this.list();
    this.setWindow(keepView ? windowOf(this.window.from, this.window.until, tree.duration) : null);
  }

  /** Finds the rows anew, after something was collapsed or opened. */
  list() {
    const kept = this.rows?.[this.active];
    this.rows = rowsOf(this.tree, this.collapsed, Math.max(1e3, GAP_SHARE * this.tree.duration));
    this.at = new Map(this.rows.map((row, index) => [row.gap ?? row.node, index]));
    if (kept) this.active = this.at.get(kept.gap ?? kept.node) ?? -1;
    this.clear();
  }

  clear() {
    this.drawn.clear();
    this.space.replaceChildren();
  }

  /** Looks at a part of the trace; at all of it without one. */
  setWindow(window) {
    this.window = window ?? { from: 0, until: this.tree.duration };
    this.onWindow(this.window);
    this.redraw();
  }

  zoomBy(factor) {
    const row = this.rows[this.active];
    const { from, until } = this.window;
    const around = row ? (Math.max(row.node.start, from) + Math.min(row.node.end, until)) / 2 : (from + until) / 2;
    this.setWindow(zoom(this.window, factor, around, this.tree.duration));
  }

  panBy(part) {
    this.setWindow(pan(this.window, part, this.tree.duration));
  }

  zoomToChosen() {
    const row = this.rows[this.active];
    if (!row) return;
    const { start, end } = row.gap ?? row.node;
    const margin = (end - start) * 0.05;
    this.setWindow(windowOf(start - margin, end + margin, this.tree.duration));
  }

  redraw() {
    this.drawAxis();
    this.clear();
    this.drawRows();
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.drawRows();
    });
  }

  drawAxis() {
    const width = this.axis.clientWidth;
    if (!width) return;
    const { from, until } = this.window;
    const { step, ticks: at } = ticks(from, until, Math.max(2, Math.floor(width / 95)));
    const x = (moment) => (100 * (moment - from)) / (until - from);
    this.axis.replaceChildren(...at.map((moment) => h('span', { class: x(moment) > 94 ? 'last' : null, vars: { x: `${x(moment)}%` } }, moment === 0 ? '0' : text.duration(moment))));
    setVars(this.element, { grid: `${(width * step) / (until - from)}px`, 'grid-x': `${at.length ? (width * (at[0] - from)) / (until - from) : 0}px` });
  }

  /** The height of a row, which depends on how wide the page is. */
  rowHeight() {
    return Number.parseFloat(getComputedStyle(this.element).getPropertyValue('--row')) || 28;
  }

  drawRows() {
    if (!this.tree) return;
    const height = this.rowHeight();
    this.space.style.height = `${this.rows.length * height}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / height) - SPARE);
    const last = Math.min(this.rows.length - 1, Math.ceil((this.element.scrollTop + this.element.clientHeight) / height) + SPARE);
    for (const [index, row] of this.drawn) {
      if ((index < first || index > last) && index !== this.active) {
        row.remove();
        this.drawn.delete(index);
      }
    }
    const wanted = this.active >= 0 && (this.active < first || this.active > last) ? [this.active] : [];
    for (let index = first; index <= last; index += 1) wanted.push(index);
    const fresh = document.createDocumentFragment();
    for (const index of wanted) {
      if (this.drawn.has(index)) continue;
      const row = makeRow(this.rows[index], index, this);
      setVars(row, { y: `${index * height}px` });
      this.drawn.set(index, row);
      fresh.append(row);
    }
    this.space.append(fresh);
    this.mark();
  }

  mark() {
    for (const [index, row] of this.drawn) row.setAttribute('aria-selected', String(index === this.active));
    flag(this.element, 'aria-activedescendant', this.active >= 0, `row-${this.active}`);
  }

  /** Chooses a row by its place, or none. */
  choose(index) {
    this.active = index ?? -1;
    if (this.active >= 0) this.reveal(this.active);
    this.drawRows();
    this.onChoose(this.rows[this.active] ?? null);
  }

  hasChosen() {
    return this.active >= 0;
  }

  chosenId() {
    const row = this.rows[this.active];
    return row && !row.gap ? row.node.span.span_id : null;
  }

  /** Chooses a span, opening what hides it. */
  chooseNode(node) {
    let opened = false;
    for (let above = node.parent; above; above = above.parent) opened = this.collapsed.delete(above) || opened;
    if (opened) this.list();
    this.choose(this.at.get(node));
  }

  chooseById(id) {
    const node = id && this.tree.byId.get(id);
    if (node) {
      if (this.chosenId() !== id) this.chooseNode(node);
      else this.choose(this.active);
    } else {
      this.choose(null);
    }
  }

  reveal(index) {
    const height = this.rowHeight();
    const [top, bottom] = [index * height, (index + 1) * height];
    const axis = this.axis.parentElement.offsetHeight;
    const sight = this.element.clientHeight - axis;
    const [above, below] = [this.element.scrollTop - top, bottom - this.element.scrollTop - sight];
    // A step scrolls by a row, a jump puts the row into the middle.
    if (Math.max(above, below) > 2 * height) this.element.scrollTop = top - sight / 2;
    else if (above > 0) this.element.scrollTop = top;
    else if (below > 0) this.element.scrollTop = bottom - sight;
  }

  move(by) {
    const from = this.active < 0 ? (by > 0 ? -1 : this.rows.length) : this.active;
    const to = Math.min(Math.max(from + by, 0), this.rows.length - 1);
    if (to !== this.active) this.choose(to);
  }

  inward() {
    const row = this.rows[this.active];
    if (!row || row.gap || !row.node.children.length) return;
    if (this.collapsed.has(row.node)) this.toggle(row.node);
    else this.choose(this.at.get(row.node.children[0]));
  }

  outward() {
    const row = this.rows[this.active];
    if (!row) return;
    if (row.gap) this.choose(this.at.get(row.node));
    else if (row.node.children.length && !this.collapsed.has(row.node)) this.toggle(row.node);
    else if (row.node.parent) this.choose(this.at.get(row.node.parent));
  }

  toggle(node) {
    if (!this.collapsed.delete(node)) this.collapsed.add(node);
    const scroll = this.element.scrollTop;
    this.list();
    this.drawRows();
    this.element.scrollTop = scroll;
  }

  /** Closes everything below the roots, or opens everything if something is closed. */
  toggleAll() {
    const parents = this.tree.nodes.filter((node) => node.children.length && node.parent);
    this.collapsed = new Set(this.collapsed.size ? [] : parents);
    this.list();
    this.drawRows();
  }

  nextError(direction) {
    const failed = this.tree.nodes.filter((node) => node.isError);
    if (!failed.length) return;
    const place = new Map(this.tree.nodes.map((node, index) => [node, index]));
    const here = this.active < 0 ? (direction > 0 ? -1 : Infinity) : place.get(this.rows[this.active].node);
    const next = direction > 0 ? failed.find((node) => place.get(node) > here) : failed.findLast((node) => place.get(node) < here);
    this.chooseNode(next ?? failed.at(direction > 0 ? 0 : -1));
  }

  togglePath() {
    this.pathOnly = !this.pathOnly;
    this.element.classList.toggle('path-only', this.pathOnly);
    return this.pathOnly;
  }

  rowOf(event) {
    const row = event.target.closest('.row');
    return row ? Number(row.id.slice(4)) : null;
  }

  click(event) {
    const index = this.rowOf(event);
    if (index === null) return;
    this.element.focus({ preventScroll: true });
    const { node, gap } = this.rows[index];
    if (!gap && event.target.closest('.twisty') && node.children.length) this.toggle(node);
    else this.choose(index);
  }

  doubleClick(event) {
    if (this.rowOf(event) !== null && !event.target.closest('.twisty')) this.zoomToChosen();
  }
}
