// The view of all traces: form, heat map, list, all of them live.

import { Live, latest } from './api.js';
import { h, wire } from './dom.js';
import * as filters from './filters.js';
import { Form } from './form.js';
import { HeatMap } from './heatmap.js';
import { TraceList } from './list.js';
import { command, empty } from './notice.js';
import * as text from './text.js';

const LIMIT = 300;
/** How often the heat map is drawn anew while traces arrive, milliseconds. */
const MAP_EVERY = 1000;

export class Traces {
  constructor(app) {
    this.app = app;
    this.filters = null;
    this.paused = false;
    this.search = latest();
    this.histogram = latest();
    this.missed = latest();
    this.form = new Form({ suggest: app.suggest, onChange: (changed, replace) => app.go(filters.address(changed), { replace }) });
    this.map = new HeatMap({ onSelect: (range) => this.narrow(range) });
    this.list = new TraceList({ onSort: (sort) => this.sort(sort), onHeld: () => this.say(), onShown: () => this.say() });
    this.chips = h('div', { class: 'chips' });
    this.summary = h('p', { class: 'summary', role: 'status' });
    this.message = h('div');
    this.pause = h('button', { class: 'button', type: 'button', 'aria-pressed': 'false', on: { click: () => this.togglePause() } }, 'Pause');
    this.element = h('section', { class: 'traces' },
      h('h1', { class: 'offscreen' }, 'Traces'), this.form.element, this.chips, this.map.element,
      h('div', { class: 'list-head' }, this.summary, this.pause), this.list.element, this.message);
    this.live = new Live({ onTraces: (news) => this.arrive(news), onState: (state, isBack) => this.connected(state, isBack) });
    this.keys = { title: 'Traces', keys: this.table() };
  }

  table() {
    const pick = (changes) => this.app.go(filters.address(filters.change(this.filters, changes)));
    return [
      { keys: ['j', 'ArrowDown'], does: 'next trace', run: () => this.list.move(1) },
      { keys: ['k', 'ArrowUp'], does: 'previous trace', run: () => this.list.move(-1) },
      { keys: ['Enter'], does: 'open it', run: () => this.list.open() },
      { keys: ['/'], does: 'search', run: () => this.form.focus() },
      { keys: ['e'], does: 'errors only', run: () => pick({ errors: !this.filters.errors }) },
      { keys: ['s'], does: 'slowest or latest first', run: () => this.sort(this.filters.sort === 'slow' ? 'recent' : 'slow') },
      { keys: ['x'], does: 'clear all filters', run: () => pick(filters.none()) },
      { keys: ['p'], does: 'pause or go on', run: () => this.togglePause() },
      { keys: ['.'], does: 'show what arrived meanwhile', run: () => this.list.showNews() },
      { keys: ['Escape'], does: 'leave the field or the list', run: () => document.activeElement?.blur() },
    ];
  }

  show({ search }, isNew) {
    document.title = 'Traces · wirespan';
    this.app.setLive(this.paused ? 'paused' : this.state ?? 'reconnecting');
    const wanted = filters.parse(search);
    const same = this.filters && filters.query(wanted) === filters.query(this.filters);
    if (same) {
      if (isNew) this.list.restore();
      this.live.follow(filters.query(wanted, { sort: false }));
      return;
    }
    this.filters = wanted;
    this.form.fill(wanted);
    this.drawChips();
    this.list.reset(wanted.sort);
    this.matched = undefined;
    this.load();
    this.live.follow(filters.query(wanted, { sort: false }));
  }

  hide() {
    this.list.remember();
    this.live.stop();
  }

  async load() {
    this.drawMap(false);
    try {
      const params = new URLSearchParams(filters.query(this.filters));
      params.set('limit', String(LIMIT));
      const found = await this.search(`search?${params}`);
      this.error = null;
      this.matched = found.matched;
      this.truncated = found.truncated;
      this.list.replace(found.traces);
    } catch (error) {
      this.error = error;
    }
    this.say();
  }

  async drawMap(isSameSearch = true) {
    clearTimeout(this.mapTimer);
    this.mapTimer = null;
    try {
      const params = new URLSearchParams(filters.query(this.filters, { sort: false }));
      params.set('buckets', String(this.map.columns()));
      params.set('rows', '16');
      this.map.draw(await this.histogram(`histogram?${params}`), isSameSearch);
    } catch (error) {
      if (error.status === undefined) throw error;
      this.map.stale();
    }
  }

  arrive({ traces, skipped }) {
    this.matched = (this.matched ?? 0) + this.list.arrive(traces) + skipped;
    this.list.skip(skipped);
    this.say();
    if (!this.mapTimer && !this.paused && this.element.isConnected) this.mapTimer = setTimeout(() => this.drawMap(), MAP_EVERY);
  }

  connected(state, isBack) {
    this.state = state;
    this.app.setLive(this.paused ? 'paused' : state);
    if (state !== 'live') return;
    if (isBack) {
      this.load();
      this.app.refreshed();
    } else {
      this.catchUp();
    }
  }

  /** Asks for what came while nobody listened, and treats it as what comes now. */
  async catchUp() {
    try {
      const { traces, matched } = await this.missed(`search?${filters.query(this.filters, { sort: false })}&limit=${LIMIT}`);
      if (this.matched === undefined) return;
      this.list.arrive(traces.filter((trace) => !this.list.knows(trace)));
      this.matched = matched;
      this.say();
    } catch (error) {
      if (error.status === undefined) throw error;
      // The stream itself says if the agent is gone.
    }
  }

  togglePause() {
    this.paused = !this.paused;
    this.pause.setAttribute('aria-pressed', String(this.paused));
    this.pause.textContent = this.paused ? 'Go on' : 'Pause';
    this.list.hold(this.paused);
    this.app.setLive(this.paused ? 'paused' : this.state ?? 'reconnecting');
    if (!this.paused && this.filters) this.drawMap();
  }

  sort(sort) {
    this.app.go(filters.address(filters.change(this.filters, { sort })), { replace: true });
  }

  narrow(range) {
    this.app.go(filters.address(filters.change(this.filters, range)));
  }

  drawChips() {
    const { from, to, attrs } = this.filters;
    const chip = (label, changes) => h('button', {
      class: 'chip', type: 'button', title: `${text.clip(label, 300)}: click to remove`, 'aria-label': `Remove filter ${text.clip(label, 100)}`,
      on: { click: () => this.app.go(filters.address(filters.change(this.filters, changes))) },
    }, wire(label), h('span', { 'aria-hidden': 'true' }, '×'));
    const chips = attrs.map((attr) => chip(attr, { attrs: attrs.filter((other) => other !== attr) }));
    if (from !== null || to !== null) {
      const label = `${from === null ? '…' : text.time(from)} – ${to === null ? '…' : text.time(to)}`;
      chips.push(chip(label, { from: null, to: null }));
    }
    this.chips.replaceChildren(...chips);
  }

  /** Counts above the list, or what to do if there is nothing in it. */
  say() {
    const shown = this.list.size;
    if (this.error) {
      this.summary.textContent = '';
      this.message.replaceChildren(empty('This search was not answered', h('p', null, wire(this.error.message))));
      return;
    }
    const rest = this.matched > shown ? `, the ${this.filters.sort === 'slow' ? 'slowest' : 'latest'} ${text.count(shown)} here` : '';
    this.summary.textContent = shown ? `${text.counted(this.matched, 'trace')}${rest}` : '';
    const isEmpty = shown === 0 && this.matched !== undefined && this.list.waiting === 0;
    this.pause.hidden = isEmpty && filters.isEmpty(this.filters);
    this.list.element.hidden = shown === 0 && !this.list.waiting;
    this.message.replaceChildren(...(isEmpty ? [this.nothing()] : []));
  }

  nothing() {
    if (!filters.isEmpty(this.filters)) {
      const clear = h('button', { class: 'button', type: 'button', on: { click: () => this.app.go('/') } }, 'Clear all filters');
      return empty('No trace matches', h('p', null, 'New ones that do will appear here by themselves.'), clear);
    }
    return empty('No request seen yet',
      h('p', null, 'wirespan watches every process of this machine. Make a request to any service that runs here, for example'),
      command('curl http://127.0.0.1:8080/'),
      h('p', null, 'and its trace appears here within a second. Nothing runs here? Start a small shop of services with'),
      command('sudo wirespan demo'),
      h('p', { class: 'dim' }, 'Still nothing? The line below says what is lost, and ', h('code', null, 'wirespan doctor'), ' what this kernel allows.'));
  }
}
