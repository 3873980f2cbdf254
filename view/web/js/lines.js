// Records that programs logged: of a span, in its detail; and of all, in a view of their own.

import { latest } from './api.js';
import { colourClass } from './colours.js';
import { h, wire } from './dom.js';
import { traceAddress } from './filters.js';
import { empty } from './notice.js';
import * as text from './text.js';
import { Windowed } from './windowed.js';

/** Characters of a record that are shown at first. */
const LONG = 2000;
const SEVERITIES = [['', 'any'], ['debug', 'debug'], ['info', 'info'], ['warn', 'warning'], ['error', 'error'], ['fatal', 'fatal']];
/** How long typing may pause before the search follows, milliseconds. */
const TYPING = 300;

/** Records by the span that they were written for. */
export function bySpan(lines) {
  const found = new Map();
  for (const line of lines) {
    if (!found.has(line.span_id)) found.set(line.span_id, []);
    found.get(line.span_id).push(line);
  }
  return found;
}

/** One record: when, how grave, what it says. */
export function record(line) {
  const body = line.body.length > LONG ? `${line.body.slice(0, LONG)}…` : line.body;
  const level = h('span', { class: `level level-${line.level || 'none'}` }, line.level || '–');
  const named = Object.entries(line.attributes).filter(([key]) => key !== 'exception.stacktrace' && key !== 'log.file.path');
  const words = named.map(([key, value]) => `${key}=${text.attribute(value)}`).join(' ');
  return [h('span', { class: 'dim number', title: text.fullTime(line.time_ms) }, text.time(line.time_ms)), ' ', level, ' ', wire(body, { class: 'said' }),
    words ? wire(` ${text.clip(words, 600)}`, { class: 'dim' }) : null];
}

/** What is known of it, for what is looked at beside. */
export function list(lines) {
  return h('ol', { class: 'records mono' }, lines.map((line) => h('li', null, record(line))));
}

/** All records of the last minutes; each leads to its trace. */
export class Lines extends Windowed {
  constructor(app) {
    super(app, 'Logs', latest());
    this.severity = h('select', { id: 'l-severity', on: { change: () => this.load() } }, SEVERITIES.map(([value, label]) => h('option', { value }, label)));
    this.text = h('input', { id: 'l-text', type: 'text', spellcheck: 'false', autocomplete: 'off', maxlength: '1024', on: { input: () => this.typed() } });
    this.service = h('input', { id: 'l-service', type: 'text', spellcheck: 'false', autocomplete: 'off', maxlength: '1024', on: { input: () => this.typed() } });
    const field = (label, input) => h('div', { class: 'field w-m' }, h('label', { for: input.id }, label), input);
    this.form = h('form', { class: 'search open', role: 'search', 'aria-label': 'Search records', on: { submit: (event) => event.preventDefault() } },
      h('div', { class: 'fields' }, field('Service', this.service), field('Text', this.text), field('At least', this.severity)));
    this.body = h('ol', { class: 'records mono', tabindex: '0', 'aria-label': 'Records' });
    this.content.append(this.form, this.body);
    this.keys.keys.unshift({ keys: ['/'], does: 'search', run: () => this.text.focus() });
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.load(), TYPING);
  }

  path() {
    const params = new URLSearchParams({ limit: '500', from: String(Date.now() - this.window * 1e3) });
    for (const [name, input] of [['severity', this.severity], ['text', this.text], ['service', this.service]]) if (input.value.trim()) params.set(name, input.value.trim());
    return `logs?${params}`;
  }

  draw(data) {
    this.data = data;
    const newest = [...data.lines].reverse();
    this.body.hidden = !newest.length;
    this.body.replaceChildren(...newest.map((line) => h('li', null,
      h('span', { class: `dot ${colourClass(line.service)}` }), wire(text.clip(line.service, 60)), ' ', record(line),
      line.trace_id ? [' ', h('a', { href: traceAddress(line.trace_id, line.span_id), 'aria-label': `trace ${line.trace_id.slice(0, 8)}` }, `trace ${line.trace_id.slice(0, 8)}`)] : null)));
    const why = data.told ? h('p', null, 'What traced programs write to standard output, standard error and their log files appears here.')
      : h('p', null, 'Start the agent with ', h('code', null, '--logs all'), ' to see what programs log.');
    this.say(newest.length ? '' : empty(`Nothing was logged in the last ${text.ago(this.window * 1e3)}`, why));
  }
}
