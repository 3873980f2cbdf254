// The view of services: the map, and the same in a table.

import { latest } from './api.js';
import { colourClass } from './colours.js';
import { h, wire } from './dom.js';
import { drawMap, edgeAddress, legend, nodeAddress } from './map.js';
import { empty } from './notice.js';
import * as text from './text.js';
import { Windowed } from './windowed.js';

export class Services extends Windowed {
  constructor(app) {
    super(app, 'Services', latest());
    this.map = h('div', { class: 'map scroll', tabindex: '0', role: 'region', 'aria-label': 'Map of services' });
    this.edges = h('tbody');
    this.table = h('table', { class: 'list edges' }, h('caption', null, 'Calls between services'),
      h('thead', null, h('tr', null, ['From', 'To', 'Protocol', 'Rate', 'Errors', 'p50', 'p95', 'p99'].map((title, at) => h('th', { scope: 'col', class: at > 2 ? 'numeric' : null }, title)))), this.edges);
    this.content.append(legend(), this.map, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Calls between services' }, this.table));
    new ResizeObserver(() => this.data && this.drawMap()).observe(this.content);
  }

  path() {
    return `services?window_s=${this.window}`;
  }

  draw(data) {
    this.data = data;
    const isEmpty = !data.nodes.length;
    this.content.hidden = isEmpty;
    this.say(isEmpty ? empty(`No service was called in the last ${text.ago(this.window * 1e3)}`, h('p', null, 'Services appear as soon as one is asked for something; a longer window may show earlier ones.')) : '');
    if (isEmpty) return;
    const focused = document.activeElement?.dataset?.of ?? document.activeElement?.getAttribute?.('data-of');
    this.drawMap();
    this.table.parentElement.hidden = !data.edges.length;
    this.edges.replaceChildren(...[...data.edges].sort((a, b) => b.rate - a.rate).map((edge) => edgeRow(edge, data)));
    if (focused) this.content.querySelector(`[data-of="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  drawMap() {
    const width = this.content.clientWidth;
    // The same figures in the same room make the same drawing.
    const key = `${width} ${JSON.stringify(this.data)}`;
    if (width && key !== this.drawnFor) {
      this.map.replaceChildren(drawMap(this.data, width));
      if (!this.drawnFor) this.map.scrollLeft = (this.map.scrollWidth - this.map.clientWidth) / 2;
    }
    this.drawnFor = key;
  }
}

function edgeRow(edge, data) {
  const isExternal = (service) => data.nodes.some((node) => node.external && node.service === service);
  const name = (service) => [h('span', { class: `dot ${isExternal(service) ? '' : colourClass(service)}` }), wire(service.slice(0, 200))];
  return h('tr', { class: edge.errors ? 'failed' : null },
    h('td', null, h('a', { href: nodeAddress(edge.from, data) }, name(edge.from))),
    h('td', null, h('a', { class: 'row-link', href: edgeAddress(edge, data), data: { of: `row ${edge.from}\u0000${edge.to}\u0000${edge.protocol}` } }, name(edge.to))),
    h('td', { class: 'dim' }, wire(edge.protocol ?? '')),
    h('td', { class: 'numeric' }, text.rate(edge.rate)),
    h('td', { class: `numeric ${edge.errors ? 'bad-text' : 'dim'}` }, edge.errors ? `${text.count(edge.errors)} · ${text.percent(edge.errors, edge.calls)}` : '0'),
    ...['p50_ns', 'p95_ns', 'p99_ns'].map((key) => h('td', { class: 'numeric' }, text.duration(edge[key]))));
}
