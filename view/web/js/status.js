// The line at the bottom: what the agent keeps, and what it loses.

import { get } from './api.js';
import { h, show, wire } from './dom.js';
import { state } from './link.js';
import * as text from './text.js';

const EVERY = 3000;

/** Asks the agent how it is, and says so. */
export class Status {
  constructor(element) {
    this.element = element;
  }

  start() {
    this.poll();
    setInterval(() => {
      if (!document.hidden) this.poll();
    }, EVERY);
  }

  async poll() {
    try {
      const [status, linking] = await Promise.all([get('status'), get('linking')]);
      this.draw(status, linking.processes ?? []);
    } catch (error) {
      this.element.replaceChildren(h('span', { class: 'lost' }, error.message));
    }
  }

  draw(status, processes) {
    const key = JSON.stringify([status, processes]);
    if (key === this.key && this.element.childElementCount > 1) return;
    this.key = key;
    const isOpen = (box) => this.element.querySelector(box)?.open;
    const wasOpen = isOpen('.losses');
    const linksOpen = isOpen('.links-box');
    const used = status.max_bytes ? ` of ${text.bytes(status.max_bytes)}` : '';
    show(
      this.element,
      h('span', null, 'wirespan ', wire(status.version ?? ''), ' on ', wire(status.host ?? '')),
      h('span', { class: 'wide' }, 'Linux ', wire(status.kernel ?? '')),
      h('span', null, `${text.counted(status.traces ?? 0, 'trace')}, ${text.counted(status.spans ?? 0, 'span')}`),
      h('span', { class: 'wide' }, `${text.bytes(status.bytes ?? 0)}${used}, ${status.persistent ? 'kept on disk' : 'in memory'}`),
      status.otlp_listen ? h('span', { class: 'wide' }, 'OTLP in on ', wire(status.otlp_listen)) : null,
      this.links(processes, linksOpen),
      this.losses(Object.entries(status.lost ?? {}), wasOpen),
    );
  }

  /** How well calls find their requests, by process. */
  links(processes, open) {
    const all = processes.map((process) => ({ process, ...state(process) })).filter((one) => one.calls > 0);
    if (!all.length) return null;
    const sum = (key) => all.reduce((total, one) => total + one[key], 0);
    const rows = all.map(({ process, linked, inferred, calls, off }) => h('div', null, h('dt', null, wire(process.service), ` (${process.pid})`),
      h('dd', null, `${text.count(linked)} of ${text.count(calls)} calls linked, ${text.count(inferred)} inferred`,
        off.map((rule) => h('p', null, h('code', null, rule.name), ` is off: ${rule.off.why}${rule.off.passes ? ', for now' : ''}`)))));
    const box = h('details', { class: 'links-box lost-box' }, h('summary', null, `${text.percent(sum('linked'), sum('calls'))} of calls linked`), h('dl', null, rows));
    box.open = Boolean(open);
    return box;
  }

  losses(lost, open) {
    if (!lost.length) return h('span', { class: 'none-lost' }, 'nothing lost');
    const total = lost.reduce((sum, [, value]) => sum + value, 0);
    const rows = lost.map(([name, value]) => h('div', null, h('dt', null, wire(name)), h('dd', null, text.count(value))));
    const box = h('details', { class: 'lost-box losses' }, h('summary', { class: 'lost' }, `${text.count(total)} lost`), h('dl', null, rows));
    box.open = Boolean(open);
    return box;
  }
}
