// The table of operations: rate, errors, latencies.

import { latest } from './api.js';
import { colourClass } from './colours.js';
import { h, wire } from './dom.js';
import { address, none, traceAddress } from './filters.js';
import { empty } from './notice.js';
import * as text from './text.js';
import { Windowed } from './windowed.js';

const COLUMNS = [
  { key: 'service', title: 'Service' }, { key: 'operation', title: 'Operation' }, { key: 'protocol', title: 'Protocol', wide: true },
  { key: 'rate', title: 'Rate', number: true }, { key: 'errors', title: 'Errors', number: true },
  { key: 'p50_ns', title: 'p50', number: true }, { key: 'p95_ns', title: 'p95', number: true }, { key: 'p99_ns', title: 'p99', number: true },
];

export class Operations extends Windowed {
  constructor(app) {
    super(app, 'Operations', latest());
    this.order = { key: 'rate', down: true };
    this.body = h('tbody');
    this.heads = COLUMNS.map((column) => h('th', { scope: 'col', class: classOf(column), data: { key: column.key } },
      h('button', { type: 'button', on: { click: () => this.sortBy(column) } }, column.title, h('span', { class: 'arrow', 'aria-hidden': 'true' }))));
    this.table = h('table', { class: 'list operations' }, h('caption', { class: 'offscreen' }, 'Operations'), h('thead', null, h('tr', null, this.heads, h('th', { scope: 'col' }, 'Slowest'))), this.body);
    this.content.append(h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Table of operations' }, this.table));
    const move = (by) => this.move(by);
    this.keys.keys.unshift(
      { keys: ['j', 'ArrowDown'], does: 'next operation', run: () => move(1) },
      { keys: ['k', 'ArrowUp'], does: 'previous operation', run: () => move(-1) },
      { keys: ['Enter'], does: 'its traces', run: () => this.links()[0]?.focus() });
  }

  path() {
    return `operations?window_s=${this.window}`;
  }

  links() {
    return [...this.body.querySelectorAll('a.row-link')];
  }

  move(by) {
    const links = this.links();
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at < 0 ? 0 : at + by, 0), links.length - 1)]?.focus();
  }

  sortBy(column) {
    this.order = { key: column.key, down: this.order.key === column.key ? !this.order.down : Boolean(column.number) };
    this.draw(this.data);
  }

  draw(data) {
    this.data = data;
    const { key, down } = this.order;
    const list = [...(data?.operations ?? [])].sort((a, b) => (down ? -1 : 1) * (typeof a[key] === 'string' ? a[key].localeCompare(b[key]) : (a[key] ?? 0) - (b[key] ?? 0)));
    for (const head of this.heads) head.setAttribute('aria-sort', head.dataset.key === key ? (down ? 'descending' : 'ascending') : 'none');
    const focused = document.activeElement?.dataset?.of;
    this.table.parentElement.hidden = !list.length;
    this.body.replaceChildren(...list.map(row));
    if (focused) this.links().find((link) => link.dataset.of === focused)?.focus({ preventScroll: true });
    this.say(list.length ? '' : empty(`Nothing was served in the last ${text.ago(this.window * 1e3)}`, h('p', null, 'Each operation that a service answers appears here with its rate, errors and latencies.')));
  }
}

function classOf(column) {
  return [column.number ? 'numeric' : '', column.wide ? 'wide' : ''].join(' ').trim() || null;
}

function row(operation) {
  const { service, errors, calls } = operation;
  const href = address({ ...none(), service, operation: operation.operation });
  const of = `${service}\u0000${operation.operation}\u0000${operation.kind}`;
  return h('tr', { class: errors ? 'failed' : null },
    h('td', { class: 'c-service' }, h('span', { class: `dot ${colourClass(service)}` }), wire(service.slice(0, 200))),
    h('td', { class: 'c-name' }, h('a', { class: 'row-link', href, data: { of } }, wire(operation.operation.slice(0, 300))), ' ', h('span', { class: 'kind' }, operation.kind)),
    h('td', { class: 'wide dim' }, wire(operation.protocol ?? '')),
    h('td', { class: 'numeric' }, text.rate(operation.rate)),
    h('td', { class: `numeric ${errors ? 'bad-text' : 'dim'}` }, errors ? `${text.count(errors)} · ${text.percent(errors, calls)}` : '0'),
    ...['p50_ns', 'p95_ns', 'p99_ns'].map((key) => h('td', { class: 'numeric' }, text.duration(operation[key]))),
    h('td', null, operation.slowest_trace_id ? h('a', { class: 'mono', href: traceAddress(operation.slowest_trace_id), 'aria-label': `${operation.slowest_trace_id.slice(0, 8)}, the slowest trace of ${text.clip(operation.operation, 100)}` }, operation.slowest_trace_id.slice(0, 8)) : null));
}
