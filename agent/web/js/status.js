// The line at the bottom: what the agent keeps, and what it loses.

import { get } from './api.js';
import { h, show, wire } from './dom.js';
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
      this.draw(await get('status'));
    } catch (error) {
      this.element.replaceChildren(h('span', { class: 'lost' }, error.message));
    }
  }

  draw(status) {
    const key = JSON.stringify(status);
    if (key === this.key && this.element.childElementCount > 1) return;
    this.key = key;
    const wasOpen = this.element.querySelector('details')?.open;
    const used = status.max_bytes ? ` of ${text.bytes(status.max_bytes)}` : '';
    show(
      this.element,
      h('span', null, 'wirespan ', wire(status.version ?? ''), ' on ', wire(status.host ?? '')),
      h('span', { class: 'wide' }, 'Linux ', wire(status.kernel ?? '')),
      h('span', null, `${text.counted(status.traces ?? 0, 'trace')}, ${text.counted(status.spans ?? 0, 'span')}`),
      h('span', { class: 'wide' }, `${text.bytes(status.bytes ?? 0)}${used}, ${status.persistent ? 'kept on disk' : 'in memory'}`),
      status.otlp_listen ? h('span', { class: 'wide' }, 'OTLP in on ', wire(status.otlp_listen)) : null,
      this.losses(Object.entries(status.lost ?? {}), wasOpen),
    );
  }

  losses(lost, open) {
    if (!lost.length) return h('span', { class: 'none-lost' }, 'nothing lost');
    const total = lost.reduce((sum, [, value]) => sum + value, 0);
    const rows = lost.map(([name, value]) => h('div', null, h('dt', null, wire(name)), h('dd', null, text.count(value))));
    const box = h('details', { class: 'lost-box' }, h('summary', { class: 'lost' }, `${text.count(total)} lost`), h('dl', null, rows));
    box.open = Boolean(open);
    return box;
  }
}
