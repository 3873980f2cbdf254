// What the views of services and of operations share: figures of the last minutes, asked for again and again.

import { h, wire } from './dom.js';
import { empty } from './notice.js';

const EVERY = 2000;
const WINDOWS = [[60, '1 min'], [300, '5 min'], [900, '15 min'], [3600, '1 h']];

export class Windowed {
  /** `fetch` is a `latest()`; heirs have `path()` and `draw(data)`, and put what they draw into `content`. */
  constructor(app, title, fetch) {
    Object.assign(this, { app, title, fetch });
    this.window = 300;
    this.buttons = WINDOWS.map(([seconds, label]) => h('button', { class: 'button', type: 'button', data: { seconds }, on: { click: () => this.choose(seconds) } }, label));
    this.note = h('div');
    this.content = h('div', { class: 'windowed-content' });
    this.element = h('section', { class: 'windowed' },
      h('div', { class: 'list-head' }, h('h1', null, title), h('div', { class: 'group', role: 'group', 'aria-label': 'Of the last' }, this.buttons)), this.content, this.note);
    this.keys = { title, keys: [{ keys: ['w'], does: 'a longer window, then the shortest', run: () => this.next() }] };
  }

  show() {
    document.title = `${this.title} · wirespan`;
    this.mark();
    this.load();
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      if (!document.hidden) this.load();
    }, EVERY);
  }

  hide() {
    clearInterval(this.timer);
  }

  choose(seconds) {
    this.window = seconds;
    this.mark();
    this.load();
  }

  next() {
    const at = WINDOWS.findIndex(([seconds]) => seconds === this.window);
    this.choose(WINDOWS[(at + 1) % WINDOWS.length][0]);
  }

  mark() {
    for (const button of this.buttons) button.setAttribute('aria-pressed', String(Number(button.dataset.seconds) === this.window));
  }

  async load() {
    try {
      const data = await this.fetch(this.path());
      this.app.setLive('live');
      this.draw(data);
    } catch (error) {
      if (error.status === undefined) throw error;
      this.app.setLive('reconnecting');
      if (!this.data) this.say(empty('These figures were not answered', h('p', null, wire(error.message))));
    }
  }

  say(message) {
    this.note.replaceChildren(...(message ? [message] : []));
  }
}
