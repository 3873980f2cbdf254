// The view of one trace: its figures, the waterfall, and what is known of the chosen span.

import { Live, get, latest } from './api.js';
import { colourClass } from './colours.js';
import { Detail } from './detail.js';
import { h, show, wire } from './dom.js';
import { traceAddress } from './filters.js';
import { findings } from './findings.js';
import { bySpan } from './lines.js';
import { detached, inferred } from './link.js';
import { Minimap } from './minimap.js';
import { copy, empty } from './notice.js';
import { criticalPath } from './path.js';
import * as text from './text.js';
import { build } from './tree.js';
import { Waterfall } from './waterfall.js';

export class TraceView {
  constructor(app) {
    this.app = app;
    this.fetch = latest();
    this.head = h('header', { class: 'trace-head' });
    this.detail = new Detail({ onClose: () => this.waterfall.choose(null), onChoose: (node) => this.waterfall.chooseNode(node) });
    this.minimap = new Minimap({ onWindow: (window) => this.waterfall.setWindow(window), onZoom: (factor) => this.waterfall.zoomBy(factor) });
    this.waterfall = new Waterfall({
      onChoose: (row) => this.chosen(row),
      onWindow: (window) => this.minimap.setWindow(window),
    });
    this.body = h('div', { class: 'trace-body' }, h('div', { class: 'trace-main' }, this.minimap.element, this.waterfall.element), this.detail.element);
    this.message = h('div', { class: 'trace-message' });
    this.element = h('section', { class: 'trace' }, this.head, this.message, this.body);
    this.live = new Live({ onTraces: () => this.load(), onState: (state) => {
      app.setLive(state);
      if (state === 'live') this.load();
    } });
    this.keys = { title: 'One trace', keys: this.table() };
  }

  table() {
    const view = this.waterfall;
    const always = [
      { keys: ['c'], does: 'copy the trace id', run: () => this.copyId() },
      { keys: ['Escape'], does: 'close the span, then back to the list', run: () => this.escape() },
    ];
    const withTree = [
      { keys: ['j', 'ArrowDown'], does: 'next span', run: () => view.move(1) },
      { keys: ['k', 'ArrowUp'], does: 'previous span', run: () => view.move(-1) },
      { keys: ['ArrowRight'], does: 'open it, or go to its first child', run: () => view.inward() },
      { keys: ['ArrowLeft'], does: 'close it, or go to its parent', run: () => view.outward() },
      { keys: ['Home'], does: 'first span', run: () => view.move(-Infinity) },
      { keys: ['End'], does: 'last span', run: () => view.move(Infinity) },
      { keys: ['n', 'e'], does: 'next error', run: () => view.nextError(1) },
      { keys: ['N', 'E'], does: 'previous error', run: () => view.nextError(-1) },
      { keys: ['Enter'], does: 'what is known of the span', run: () => this.detail.focus() },
      { keys: ['p'], does: 'critical path alone', run: () => this.togglePath() },
      { keys: ['a'], does: 'open all, or close all', run: () => view.toggleAll() },
      { keys: ['z'], does: 'zoom to the span', run: () => view.zoomToChosen() },
      { keys: ['+', '='], does: 'zoom in', run: () => view.zoomBy(0.5) },
      { keys: ['-'], does: 'zoom out', run: () => view.zoomBy(2) },
      { keys: ['h'], does: 'earlier', run: () => view.panBy(-0.25) },
      { keys: ['l'], does: 'later', run: () => view.panBy(0.25) },
      { keys: ['0'], does: 'whole trace', run: () => view.setWindow(null) },
      { keys: ['d'], does: 'download as JSON', run: () => this.head.querySelector('[download]')?.click() },
    ];
    return [...withTree.map((entry) => ({ ...entry, run: () => (this.tree ? entry.run() : false) })), ...always];
  }

  show({ id, span }, isNew) {
    const same = id === this.id && !isNew && this.tree;
    this.id = id;
    document.title = `Trace ${id.slice(0, 8)} · wirespan`;
    if (same) {
      this.waterfall.chooseById(span);
      return;
    }
    this.wantedSpan = span;
    this.tree = null;
    this.body.hidden = true;
    this.head.replaceChildren(this.back(), h('h1', { class: 'mono' }, id));
    this.message.replaceChildren();
    this.load();
    this.live.follow(`trace=${id}`);
  }

  hide() {
    this.live.stop();
  }

  async load() {
    const id = this.id;
    let trace;
    try {
      trace = await this.fetch(`trace/${id}`);
    } catch (error) {
      if (id === this.id && !this.tree) this.failed(error);
      return;
    }
    // Spans are only ever added to a trace.
    if (id !== this.id || trace.spans.length === this.tree?.nodes.length) return;
    performance.mark('trace-received');
    this.draw(trace);
    this.loadLines(id);
    performance.measure('trace-draw', 'trace-received');
  }

  /** What was logged for its spans. (A trace is looked at without it, too.) */
  async loadLines(id) {
    const { lines } = await get(`logs?trace=${id}&limit=1000`).catch(() => ({ lines: [] }));
    if (id !== this.id || !this.tree || !lines.length) return;
    this.tree.lines = bySpan(lines);
    this.waterfall.chooseById(this.waterfall.chosenId());
    this.lineCount.textContent = text.counted(lines.length, 'record');
  }

  failed(error) {
    this.body.hidden = true;
    const unknown = error.status === 404;
    this.message.replaceChildren(empty(unknown ? 'This trace is not here' : 'This trace cannot be shown',
      h('p', null, wire(error.message)),
      unknown ? h('p', null, 'It may have made room for newer ones, or is yet to arrive: then it appears here by itself.') : null,
      h('p', null, h('a', { href: '/', class: 'button' }, 'All traces'))));
  }

  draw(trace) {
    const tree = build(trace);
    const wasChosen = this.tree ? this.waterfall.chosenId() : this.wantedSpan;
    const keepView = Boolean(this.tree);
    this.tree = tree;
    tree.path = criticalPath(tree);
    this.message.replaceChildren();
    this.body.hidden = false;
    this.drawHead();
    this.minimap.setTree(tree);
    this.waterfall.setTree(tree, { keepView });
    this.waterfall.chooseById(wasChosen);
    if (!keepView) this.waterfall.element.focus({ preventScroll: true });
  }

  back() {
    return h('a', { class: 'button back', href: '/', data: { back: '' } }, '←', h('span', { class: 'wide' }, '\u00a0Traces'));
  }

  drawHead() {
    const { trace, root, nodes, duration } = this.tree;
    const services = [...new Set(nodes.map((node) => node.service))];
    const errors = nodes.filter((node) => node.isError);
    const concluded = nodes.filter((node) => inferred(node.span)).length;
    const apart = nodes.filter((node) => detached(node.span)).length;
    this.lineCount = h('span', { class: 'line-count', title: 'Logged for its spans: with each of them' });
    const facts = [
      h('span', { title: 'Start, local time' }, text.fullTime(trace.start_ms)),
      h('strong', null, text.duration(duration)),
      h('span', null, text.counted(nodes.length, 'span')),
      errors.length ? h('button', { class: 'bad-text link', type: 'button', title: 'Go to the next error', on: { click: () => this.waterfall.nextError(1) } }, `✗ ${text.counted(errors.length, 'error')}`) : h('span', { class: 'dim' }, 'no errors'),
      this.lineCount,
      concluded ? h('span', { class: 'dim inferred-links', title: 'Concluded, not proven: dashed in the list' }, text.counted(concluded, 'inferred link')) : null,
      apart ? h('span', { class: 'dim', title: 'Calls of a process that serves requests, and it is not known of which' }, text.counted(apart, 'detached call')) : null,
    ];
    const legend = services.slice(0, 14).map((name) => h('li', null, h('span', { class: `dot ${colourClass(name)}` }), wire(name.slice(0, 100))));
    if (services.length > 14) legend.push(h('li', { class: 'dim' }, `${services.length - 14} more`));
    this.pathButton = h('button', { class: 'button', type: 'button', 'aria-pressed': 'false', on: { click: () => this.togglePath() } }, 'Critical path');
    const tools = [
      this.pathButton,
      h('button', { class: 'button', type: 'button', title: trace.trace_id, on: { click: () => this.copyId() } }, 'Copy id'),
      h('a', { class: 'button', href: `/api/v1/trace/${this.id}`, download: `trace-${this.id}.json` }, 'Download JSON'),
    ];
    const found = findings(nodes).map(({ title, evidence, node }) => h('li', null, h('button', { class: 'link', type: 'button', title: 'Go to the span', on: { click: () => this.waterfall.chooseNode(node) } }, wire(title)), ' ', wire(evidence.slice(0, 400))));
    const name = root ? [h('span', { class: `dot ${colourClass(root.service)}` }), wire(root.service.slice(0, 200), { class: 'root-service' }), ' ', wire(root.span.name.slice(0, 1000), { class: 'root-name' })] : 'No span';
    show(this.head, this.back(), h('h1', null, name), h('div', { class: 'tools' }, tools), h('p', { class: 'facts' }, facts, h('code', { class: 'mono dim trace-id' }, this.id)), found.length ? h('ul', { class: 'findings', 'aria-label': 'Findings' }, found) : null, h('ul', { class: 'legend', 'aria-label': 'Services' }, legend));
    if (root) document.title = `${text.clip(root.span.name, 60)} · ${text.duration(duration)} · wirespan`;
  }

  /** A row was chosen, or none: the detail and the address follow. */
  chosen(row) {
    this.detail.show(row, this.tree);
    this.body.classList.toggle('with-detail', Boolean(row));
    const address = traceAddress(this.id, row && !row.gap ? row.node.span.span_id : null);
    if (address !== location.pathname + location.search) history.replaceState(null, '', address);
  }

  togglePath() {
    const on = this.waterfall.togglePath();
    this.pathButton?.setAttribute('aria-pressed', String(on));
  }

  copyId() {
    copy(this.id, 'Trace id copied');
  }

  escape() {
    if (this.waterfall.hasChosen()) {
      this.waterfall.choose(null);
      this.waterfall.element.focus({ preventScroll: true });
    } else this.head.querySelector('.back').click();
  }
}
