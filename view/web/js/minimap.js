// The whole trace in one strip; a drag looks at a part of it.

import { windowOf } from './axis.js';
import { colourClass } from './colours.js';
import { h, setVars } from './dom.js';
import { duration } from './text.js';

const HEIGHT = 44;

export class Minimap {
  constructor({ onWindow, onZoom }) {
    this.onWindow = onWindow;
    this.canvas = h('canvas', { height: HEIGHT });
    this.left = h('i', { class: 'shade left' });
    this.right = h('i', { class: 'shade right' });
    this.probe = h('i', { class: 'probe' });
    // The keys + - h l 0 z do the same.
    this.strip = h('div', {
      class: 'minimap', 'aria-hidden': 'true',
      on: { pointerdown: (event) => this.down(event), pointermove: (event) => this.move(event), pointerup: () => this.up(), pointercancel: () => this.up(), dblclick: () => this.onWindow(null) },
    }, this.canvas, this.left, this.right, this.probe);
    const tool = (label, name, run) => h('button', { class: 'button', type: 'button', 'aria-label': name, title: name, on: { click: run } }, label);
    this.shown = h('span', { role: 'status' });
    this.element = h('div', { class: 'overview' }, h('div', { class: 'overview-tools' },
      tool('−', 'Zoom out (-)', () => onZoom(2)), tool('+', 'Zoom in (+)', () => onZoom(0.5)), tool('Whole', 'Whole trace (0)', () => onWindow(null)), this.shown,
      h('div', { class: 'key' }, h('span', null, h('i'), 'critical path'), h('span', null, h('i', { class: 'hole' }), 'nobody’s span'))), this.strip);
    new ResizeObserver(() => this.draw()).observe(this.strip);
    document.addEventListener('themechange', () => this.draw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  setTree(tree) {
    this.tree = tree;
    this.draw();
  }

  setWindow({ from, until }) {
    const total = this.tree.duration;
    const isPart = from > 0 || until < total;
    setVars(this.strip, { from: `${(100 * from) / total}%`, until: `${100 - (100 * until) / total}%` });
    this.strip.classList.toggle('zoomed', isPart);
    this.shown.textContent = isPart ? duration(until - from) : '';
  }

  draw() {
    const width = this.strip.clientWidth;
    if (!this.tree || !width) return;
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = HEIGHT * scale;
    const paint = this.canvas.getContext('2d');
    paint.scale(scale, scale);
    const { nodes, duration: total } = this.tree;
    const row = (HEIGHT - 6) / Math.max(nodes.length, 8);
    nodes.forEach((node, index) => {
      paint.fillStyle = this.colour(node.isError ? 'bad-fill' : colourClass(node.service));
      const x = (width * node.start) / total;
      paint.fillRect(x, 3 + index * row, Math.max(1, (width * (node.end - node.start)) / total), Math.max(0.8, Math.min(row * 0.8, 4)));
    });
    this.colours = null;
  }

  /** A colour of the style sheet as the canvas takes it. */
  colour(name) {
    this.colours ??= new Map();
    if (!this.colours.has(name)) {
      this.probe.className = `probe ${name}`;
      this.colours.set(name, getComputedStyle(this.probe).color);
    }
    return this.colours.get(name);
  }

  at(event) {
    const bounds = this.strip.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - bounds.left) / bounds.width, 0), 1);
    return share * this.tree.duration;
  }

  down(event) {
    if (event.button !== 0) return;
    this.start = { at: this.at(event), x: event.clientX };
    this.strip.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.start || Math.abs(event.clientX - this.start.x) < 4) return;
    this.onWindow(windowOf(this.start.at, this.at(event), this.tree.duration));
  }

  up() {
    this.start = null;
  }
}
