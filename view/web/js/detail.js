// What is known of one span, or of a gap.

import { colourClass } from './colours.js';
import { h, show, wire } from './dom.js';
import * as filters from './filters.js';
import { list } from './lines.js';
import { detached, inferred, suggested } from './link.js';
import { copy } from './notice.js';
import { gapPlace, gaps, length, ownTime } from './path.js';
import { sentence, spent } from './spent.js';
import { frames, ownFrames } from './stack.js';
import * as text from './text.js';
import { failure, outlives } from './tree.js';

/** Characters of a value that are shown at first. */
const LONG = 600;
/** Gaps that are listed, the longest first. */
const GAPS = 6;

export class Detail {
  constructor({ onClose, onChoose }) {
    Object.assign(this, { onClose, onChoose });
    this.element = h('aside', { class: 'detail', 'aria-label': 'Span', tabindex: '-1' });
    this.element.hidden = true;
  }

  focus() {
    if (!this.element.hidden) this.element.focus();
  }

  show(row, tree) {
    this.element.hidden = !row;
    this.tree = tree;
    if (!row) {
      this.element.replaceChildren();
      return;
    }
    show(this.element, row.gap ? this.gap(row) : this.span(row.node));
    this.element.scrollTop = 0;
  }

  head(children) {
    return h('div', { class: 'detail-head' }, h('h2', null, children), h('button', { class: 'button close', type: 'button', 'aria-label': 'Close', on: { click: () => this.onClose() } }, '×'));
  }

  /** A button that goes to another span of this trace. */
  to(node, words = `${node.service} ${node.span.name}`) {
    return h('button', { class: 'link', type: 'button', on: { click: () => this.onChoose(node) } }, wire(text.clip(words, 120)));
  }

  gap({ node, gap }) {
    return [
      this.head(`${text.duration(gap.end - gap.start)} in nobody’s span`),
      h('p', null, 'For this long ', this.to(node), ' ran and no span below it did: its own work, a lock, a call that nothing traces, or the way between two processes.'),
      facts([
        ['Where', wire(gapPlace(gap))],
        ['From', `+${text.duration(gap.start)}`],
        ['Until', `+${text.duration(gap.end)}`],
        ['Of its span', text.percent(gap.end - gap.start, node.end - node.start)],
        gap.before && ['Before it', this.to(gap.before)],
        gap.after && ['After it', this.to(gap.after)],
      ]),
      strip(node, 'All that this span did itself'),
    ];
  }

  span(node) {
    const { span } = node;
    const resource = this.tree.trace.resources[span.resource] ?? { attributes: {} };
    return [
      this.head(wire(text.clip(span.name, 300))),
      span.name.length > 300 ? h('p', null, long(span.name)) : null,
      h('p', { class: 'detail-of' }, h('span', { class: `dot ${colourClass(node.service)}` }), wire(text.clip(node.service, 120)), ' ', h('span', { class: 'kind' }, span.kind), h('span', { class: `state ${span.status}` }, span.status === 'unset' ? '' : span.status)),
      ...this.failed(node),
      this.lines(node),
      this.figures(node),
      strip(node, 'Where its own time went'),
      this.gapList(node),
      attributes('Attributes', span.attributes ?? {}, true),
      events(span.events ?? [], node),
      this.links(span.links ?? []),
      attributes('Process', resource.attributes ?? {}, false),
    ];
  }

  failed(node) {
    const what = failure(node.span);
    if (!what) return [];
    const title = what.type || (what.escaped ? 'Error' : 'Exception');
    return [h('div', { class: 'failure' }, h('strong', null, '✗ ', wire(text.clip(title, 300))), what.message ? h('p', null, long(what.message)) : null,
      ...stackTrace(what.stack))];
  }

  lines(node) {
    const lines = this.tree.lines?.get(node.span.span_id);
    return lines ? section('Logs', list(lines)) : null;
  }

  figures(node) {
    const { span } = node;
    const took = node.end - node.start;
    const critical = length(this.tree.path.get(node));
    const link = inferred(span) ?? detached(span);
    return facts([
      ['Start', h('span', { title: text.fullTime(this.tree.trace.start_ms + node.start / 1e6) }, `+${text.duration(node.start)} · ${text.time(this.tree.trace.start_ms + node.start / 1e6)}`)],
      ['Duration', `${text.duration(took)} · ${text.percent(took, this.tree.duration)} of the trace`],
      node.children.length > 0 && ['In no child', `${text.duration(ownTime(node))} · ${text.percent(ownTime(node), took)} of the span`],
      critical > 0 && ['Critical', `${text.duration(critical)} of its own time on the critical path`],
      node.parent && ['Parent', this.to(node.parent)],
      !node.parent && span.parent_span_id && ['Parent', h('span', null, h('code', { class: 'mono' }, String(span.parent_span_id)), span.parent_is_remote ? ', stated by the request, not seen here' : ', not seen here')],
      outlives(node) && ['Outlives', `its parent, which does not wait for it, by ${text.duration(node.end - node.parent.end)}`],
      node.children.length > 0 && ['Below', `${text.counted(node.children.length, 'child', 'children')}, ${text.counted(node.below, 'span')}`],
      link && ['Link', long(link)],
      ['Span id', h('button', { class: 'link mono', type: 'button', title: 'Copy', on: { click: () => copy(span.span_id, 'Span id copied') } }, String(span.span_id))],
      span.scope && ['Scope', long(span.scope)],
    ]);
  }

  gapList(node) {
    const found = gaps(node).filter((gap) => gap.end - gap.start >= Math.max(1e3, 0.01 * (node.end - node.start)));
    if (!found.length) return null;
    const longest = found.sort((a, b) => b.end - b.start - (a.end - a.start)).slice(0, GAPS);
    return section('In nobody’s span', h('ul', { class: 'gap-list' }, longest.map((gap) => h('li', null, h('span', { class: 'number' }, text.duration(gap.end - gap.start)), ' ', wire(gapPlace(gap).slice(0, 300)), h('span', { class: 'dim' }, ` from +${text.duration(gap.start)}`)))));
  }

  links(links) {
    if (!links.length) return null;
    return section('Links', h('ul', { class: 'links' }, links.map((link) => {
      const here = link.trace_id === this.tree.trace.trace_id && this.tree.byId.get(link.span_id);
      const target = here ? this.to(here) : h('a', { class: 'mono', href: filters.traceAddress(link.trace_id, link.span_id) }, `trace ${String(link.trace_id).slice(0, 8)}… span ${String(link.span_id)}`);
      return h('li', null, target, suggested(link) && h('p', null, suggested(link)), table(link.attributes ?? {}, false));
    })));
  }
}

/** Text of any length: its beginning, and a button for the rest. */
function long(words) {
  if (words.length <= LONG) return wire(words);
  const more = h('button', { class: 'link', type: 'button' }, `all ${text.count(words.length)} characters`);
  const box = h('span', null, wire(`${words.slice(0, LONG)}…`), ' ', more);
  more.addEventListener('click', () => box.replaceChildren(wire(words)));
  return box;
}

/** A strip of colours: on CPU, waiting for one, blocked. */
function strip(node, title) {
  const told = spent(node.span);
  if (!told) return null;
  const bar = told.parts.map((part) => h('i', { class: part.name, title: `${text.duration(part.nanos)} ${part.words}`, vars: { part: part.nanos / told.total } }));
  return section(title, told.parts.length ? h('div', { class: `spent ${told.exact ? '' : 'bound'}`, 'aria-hidden': 'true' }, bar) : null, h('p', { class: 'spent-words' }, sentence(told)));
}

function facts(entries) {
  return h('dl', { class: 'facts-list' }, entries.filter(Boolean).map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))));
}

function section(title, ...children) {
  return h('section', null, h('h3', null, title), children);
}

function attributes(title, values, searchable) {
  return Object.keys(values).length ? section(title, table(values, searchable)) : null;
}

/** Names and values; a click on a name searches for traces that have the same. */
function table(values, searchable) {
  const rows = Object.entries(values).sort(([a], [b]) => a.localeCompare(b)).map(([key, value]) => {
    const shown = text.attribute(value);
    const name = searchable && shown.length < 500 && !key.includes('=')
      ? h('a', { href: filters.address({ ...filters.none(), attrs: [`${key}=${shown}`] }), title: 'Traces with the same value' }, wire(text.clip(key, 300)))
      : wire(text.clip(key, 300));
    return h('div', null, h('dt', null, name), h('dd', { class: typeof value === 'number' ? 'number' : null }, long(shown)));
  });
  return rows.length ? h('dl', { class: 'attributes' }, rows) : null;
}

/** The program's own frames, and all of the trace behind them. */
function stackTrace(stack) {
  if (!stack) return [];
  const own = ownFrames(stack);
  const whole = h('pre', { tabindex: '0', 'aria-label': 'Stack trace' }, wire(stack));
  if (!own.length) return [whole];
  return [h('pre', { tabindex: '0', 'aria-label': 'The program\u2019s own frames' }, wire(own.join('\n'))),
    h('details', null, h('summary', null, `All of it: ${text.counted(frames(stack).length, 'frame')}`), whole)];
}

function events(list, node) {
  if (!list.length) return null;
  return section('Events', h('ul', { class: 'events' }, list.map((event) => h('li', { class: event.name === 'exception' ? 'bad' : null },
    h('strong', null, wire(text.clip(event.name, 300))), h('span', { class: 'dim' }, ` ${text.duration(event.at_ns - node.start)} after the start`), table(event.attributes ?? {}, false)))));
}
