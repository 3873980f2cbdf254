// Durations over time as a heat map: each cell counts traces, failed ones are red. A drag or a click narrows the search.

import { clockTicks } from './axis.js';
import { h, show, svg } from './dom.js';
import * as text from './text.js';

const HEIGHT = 128;
const LEFT = 58;
const BOTTOM = 18;
const TOP = 4;
/** How long the cells stay where they are after the pointer moved over them, milliseconds. */
const STILL = 3000;
/** A drag shorter than this is a click, pixels. */
const CLICK = 4;

export class HeatMap {
  constructor({ onSelect }) {
    this.onSelect = onSelect;
    this.movedAt = -Infinity;
    this.plot = svg('svg', { class: 'heat', height: HEIGHT, 'aria-hidden': 'true' });
    this.readout = h('p', { class: 'readout', 'aria-live': 'polite' });
    this.element = h('div', {
      class: 'heat-box', tabindex: '0', role: 'group', 'aria-label': 'Duration over time',
      on: {
        pointerdown: (event) => this.down(event), pointermove: (event) => this.drag(event), pointerup: (event) => this.up(event),
        pointercancel: () => this.endDrag(), pointerleave: () => this.leave(), keydown: (event) => this.key(event), blur: () => this.choose(null),
      },
    }, this.plot, this.readout);
    this.element.hidden = true;
    new ResizeObserver(() => this.data && this.render()).observe(this.element);
  }

  /** How many columns fit well. */
  columns() {
    const width = this.element.clientWidth || innerWidth;
    return Math.min(120, Math.max(24, Math.round((width - LEFT) / 12)));
  }

  /** Shows new figures; a moment later if somebody is pointing at the old ones, unless they are of another search. */
  draw(data, isSameSearch) {
    clearTimeout(this.later);
    const still = STILL - (performance.now() - this.movedAt);
    if (isSameSearch && this.data && still > 0) {
      this.later = setTimeout(() => this.draw(data, true), still);
      return;
    }
    this.data = data;
    this.byPlace = new Map((data.cells ?? []).map((cell) => [`${cell[0]},${cell[1]}`, cell]));
    this.element.hidden = !data.cells?.length;
    this.element.classList.remove('stale');
    if (!this.dragging) this.render();
  }

  stale() {
    this.element.classList.add('stale');
  }

  get across() {
    return Math.max(1, Math.round((this.data.to_ms - this.data.from_ms) / this.data.bucket_ms));
  }

  render() {
    const { rows, cells, from_ms: from, to_ms: to } = this.data;
    const width = this.element.clientWidth;
    if (!width || !rows.length) return;
    const [plotWidth, plotHeight] = [width - LEFT - 4, HEIGHT - BOTTOM - TOP];
    const cell = { width: plotWidth / this.across, height: plotHeight / rows.length };
    this.box = { width: plotWidth, height: plotHeight, cell };
    const most = cells.reduce((max, [, , count]) => Math.max(max, count), 1);
    const marks = cells.map((entry) => this.mark(entry, cell, most));
    const labels = [0, Math.floor(rows.length / 2), rows.length - 1].map((row) => svg('text', { x: LEFT - 6, y: this.y(row) + cell.height / 2 + 4, 'text-anchor': 'end' }, text.duration(row ? rows[row].max_ns : rows[row].min_ns)));
    const times = clockTicks(from, to, Math.max(2, Math.floor(width / 110))).map((at) => {
      const x = LEFT + ((at - from) / (to - from)) * plotWidth;
      return [svg('line', { class: 'tick', x1: x, x2: x, y1: TOP, y2: TOP + plotHeight }), svg('text', { x: Math.min(x, width - 30), y: HEIGHT - 4, 'text-anchor': 'middle' }, text.shortTime(at))];
    });
    this.cursor = svg('rect', { class: 'cursor', width: 0, height: 0 });
    this.brush = svg('rect', { class: 'brush', width: 0, height: 0 });
    this.plot.setAttribute('width', width);
    show(this.plot, svg('rect', { class: 'ground', x: LEFT, y: TOP, width: plotWidth, height: plotHeight }), times, labels, marks, this.cursor, this.brush);
    this.describe(cells);
    if (this.chosen) this.choose(this.chosen);
  }

  mark([x, y, count, errors], cell, most) {
    const depth = 0.3 + (0.7 * Math.log1p(count)) / Math.log1p(most);
    const at = { x: LEFT + x * cell.width + 0.5, width: Math.max(1, cell.width - 1) };
    const height = Math.max(1, cell.height - 1);
    const top = this.y(y) + 0.5;
    // A lone error among hundreds must still be seen.
    const bad = errors ? Math.max(Math.min(4, height), (height * errors) / count) : 0;
    return [
      bad < height ? svg('rect', { class: 'heat-cell', ...at, y: top, height: height - bad, 'fill-opacity': depth.toFixed(2) }) : null,
      bad ? svg('rect', { class: 'heat-cell bad', ...at, y: top + height - bad, height: bad }) : null,
    ];
  }

  y(row) {
    return TOP + this.box.height - (row + 1) * this.box.cell.height;
  }

  describe(cells) {
    const [total, bad] = cells.reduce(([all, failed], [, , count, errors]) => [all + count, failed + errors], [0, 0]);
    const { from_ms: from, to_ms: to } = this.data;
    this.element.setAttribute('aria-label', `Duration over time: ${text.counted(total, 'trace')}, ${bad} with errors, from ${text.time(from)} to ${text.time(to)}. `
      + 'Arrow keys choose a cell, Enter searches in it.');
  }

  /** The cell under a pointer, or the nearest. */
  cellAt(event) {
    const bounds = this.plot.getBoundingClientRect();
    const clamp = (value, most) => Math.min(Math.max(value, 0), most);
    const x = clamp(event.clientX - bounds.left - LEFT, this.box.width - 1e-6);
    const y = clamp(event.clientY - bounds.top - TOP, this.box.height - 1e-6);
    return { x: Math.floor(x / this.box.cell.width), y: this.data.rows.length - 1 - Math.floor(y / this.box.cell.height), px: x, py: y };
  }

  down(event) {
    if (event.button !== 0 || !this.box) return;
    this.dragging = { from: this.cellAt(event), pointer: event.pointerId };
    this.element.setPointerCapture(event.pointerId);
  }

  drag(event) {
    if (!this.box || !this.data) return;
    this.movedAt = event.pointerType === 'touch' ? -Infinity : performance.now();
    const at = this.cellAt(event);
    if (!this.dragging) {
      this.choose(at);
      return;
    }
    this.dragging.to = at;
    const area = this.area();
    Object.entries({ x: LEFT + area.left, y: TOP + area.top, width: area.width, height: area.height }).forEach(([name, value]) => this.brush.setAttribute(name, value));
    this.readout.textContent = this.words(this.range());
  }

  /** The dragged rectangle; one as high as the plot says nothing of durations. */
  area() {
    const { from, to } = this.dragging;
    const whole = Math.abs(from.py - to.py) > 0.85 * this.box.height || Math.abs(from.py - to.py) < CLICK;
    return {
      left: Math.min(from.px, to.px), width: Math.abs(from.px - to.px),
      top: whole ? 0 : Math.min(from.py, to.py), height: whole ? this.box.height : Math.abs(from.py - to.py), whole,
    };
  }

  range() {
    const { from, to } = this.dragging;
    const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
    const [low, high] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
    return this.rangeOf(left, right, low, high, this.area().whole);
  }

  rangeOf(left, right, low, high, whole) {
    const { from_ms: start, bucket_ms: step, rows } = this.data;
    const range = { from: Math.floor(start + left * step), to: Math.ceil(start + (right + 1) * step) };
    return whole ? range : { ...range, min_ms: rows[low].min_ns / 1e6, max_ms: rows[high].max_ns / 1e6 };
  }

  up(event) {
    if (!this.dragging || !this.box) return;
    this.dragging.to ??= this.cellAt(event);
    const { from, to } = this.dragging;
    const isClick = Math.hypot(from.px - to.px, from.py - to.py) < CLICK;
    const range = isClick ? this.rangeOf(from.x, from.x, from.y, from.y, false) : this.range();
    this.endDrag();
    if (!isClick || this.byPlace.has(`${from.x},${from.y}`)) this.onSelect(range);
  }

  endDrag() {
    this.dragging = null;
    this.brush?.setAttribute('width', 0);
  }

  leave() {
    if (!this.dragging && document.activeElement !== this.element) this.choose(null);
  }

  /** Outlines a cell and says what is in it. */
  choose(cell) {
    this.chosen = cell;
    const found = cell && this.byPlace?.get(`${cell.x},${cell.y}`);
    const show = Boolean(cell && (found || document.activeElement === this.element));
    if (!this.box) return;
    const size = show ? { x: LEFT + cell.x * this.box.cell.width, y: this.y(cell.y), width: this.box.cell.width, height: this.box.cell.height } : { width: 0, height: 0 };
    Object.entries(size).forEach(([name, value]) => this.cursor.setAttribute(name, value));
    if (!show) {
      this.readout.textContent = '';
      return;
    }
    const what = found ? text.counted(found[2], 'trace') + (found[3] ? `, ${text.count(found[3])} with errors` : '') : 'no trace';
    this.readout.textContent = `${what} · ${this.words(this.rangeOf(cell.x, cell.x, cell.y, cell.y, false))}`;
  }

  words(range) {
    const times = `${text.time(range.from)} – ${text.time(range.to)}`;
    return range.min_ms === undefined ? times : `${times} · ${text.duration(range.min_ms * 1e6)} – ${text.duration(range.max_ms * 1e6)}`;
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === 'Enter' && this.chosen) {
      const { x, y } = this.chosen;
      if (this.byPlace.has(`${x},${y}`)) this.onSelect(this.rangeOf(x, x, y, y, false));
      event.preventDefault();
    } else if (step && this.data?.cells.length) {
      const start = this.chosen ?? { x: this.data.cells.at(-1)[0], y: this.data.cells.at(-1)[1] };
      const move = this.chosen ? step : [0, 0];
      const clamp = (value, most) => Math.min(Math.max(value, 0), most);
      this.choose({ x: clamp(start.x + move[0], this.across - 1), y: clamp(start.y + move[1], this.data.rows.length - 1) });
      event.preventDefault();
    }
  }
}
