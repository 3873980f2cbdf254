// The search form. What is typed goes to the address, and from there everywhere.

import { h } from './dom.js';
import * as filters from './filters.js';
import * as text from './text.js';

/** How long typing may pause before the search follows, milliseconds. */
const TYPING = 300;

export class Form {
  constructor({ suggest, onChange }) {
    this.suggest = suggest;
    this.onChange = onChange;
    this.inputs = {};
    const field = (name, label, props) => this.field(name, label, props);
    this.errors = h('input', { type: 'checkbox', id: 'f-errors', on: { change: () => this.submit(false) } });
    this.open = h('button', { class: 'button filters-toggle', type: 'button', 'aria-expanded': 'false', 'aria-controls': 'filters', on: { click: () => this.toggle() } }, 'Search and filter');
    this.fields = h('div', { class: 'fields', id: 'filters' },
      field('service', 'Service', { suggest: 'service', width: 'm' }),
      field('operation', 'Operation', { suggest: 'operation', width: 'l' }),
      field('min_ms', 'At least', { placeholder: '20ms', width: 's' }),
      field('max_ms', 'At most', { placeholder: '1s', width: 's' }),
      field('attr', 'Attribute', { suggest: 'attribute', placeholder: 'order.id=123', width: 'm' }),
      field('trace', 'Trace id', { placeholder: '4 digits or more', width: 'm', mono: true }),
      h('label', { class: 'check', for: 'f-errors' }, this.errors, 'Errors only'));
    this.element = h('form', { class: 'search', role: 'search', 'aria-label': 'Search traces', autocomplete: 'off', on: { submit: (event) => this.onSubmit(event) } },
      this.open, this.fields, h('button', { type: 'submit', class: 'offscreen', tabindex: '-1' }, 'Search'));
  }

  field(name, label, { suggest, placeholder, width, mono }) {
    const id = `f-${name}`;
    const list = suggest ? h('datalist', { id: `${id}-list` }) : null;
    const input = h('input', {
      id, type: 'text', placeholder, list: list?.id, class: mono ? 'mono' : null, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', maxlength: '8192',
      on: {
        input: () => this.typed(name, list, suggest),
        focus: () => list && this.fillList(name, list, suggest),
        change: () => this.submit(false),
      },
    });
    this.inputs[name] = input;
    return h('div', { class: `field w-${width}` }, h('label', { for: id }, label), input, list);
  }

  toggle(open = this.open.getAttribute('aria-expanded') !== 'true') {
    this.open.setAttribute('aria-expanded', String(open));
    this.element.classList.toggle('open', open);
  }

  focus() {
    this.toggle(true);
    this.inputs.service.focus();
    this.inputs.service.select();
  }

  /** Shows filters, save in the field that is being typed into. */
  fill(wanted) {
    this.wanted = wanted;
    const shown = {
      service: wanted.service, operation: wanted.operation, trace: wanted.trace, attr: '',
      min_ms: text.typedDuration(wanted.min_ms), max_ms: text.typedDuration(wanted.max_ms),
    };
    for (const [name, input] of Object.entries(this.inputs)) {
      if (document.activeElement !== input || (name !== 'attr' && !this.isTyped)) input.value = shown[name];
      this.check(name);
    }
    this.isTyped = false;
    this.errors.checked = wanted.errors;
  }

  typed(name, list, suggest) {
    clearTimeout(this.timer);
    this.check(name);
    if (list) this.fillList(name, list, suggest);
    // An attribute is complete when its writer says so (Enter, or leaving the field).
    if (name !== 'attr') this.timer = setTimeout(() => this.submit(true), TYPING);
  }

  async fillList(name, list, field) {
    try {
      const values = await this.suggest(field, this.inputs[name].value, field === 'operation' ? this.inputs.service.value : '');
      list.replaceChildren(...values.slice(0, 50).map((value) => {
        const option = h('option');
        option.value = String(value).slice(0, 500);
        return option;
      }));
    } catch {
      // Suggestions are a convenience; the search itself says what is wrong.
    }
  }

  /** Marks a field that cannot be understood; says whether it can. */
  check(name) {
    const input = this.inputs[name];
    const value = input.value.trim();
    let problem = '';
    if (name === 'min_ms' || name === 'max_ms') problem = value && text.parseDuration(value) === null ? 'A duration, such as 20ms, 1.5s or 300us' : '';
    if (name === 'trace') problem = value && !/^[0-9a-f]{4,32}$/i.test(value) ? 'At least 4 hexadecimal digits of a trace id' : '';
    if (name === 'attr') problem = value && filters.parseAttribute(value) === null ? 'key=value, or a key' : '';
    input.setCustomValidity(problem);
    input.setAttribute('aria-invalid', String(problem !== ''));
    input.title = problem;
    return problem === '';
  }

  onSubmit(event) {
    event.preventDefault();
    this.submit(false);
    this.element.reportValidity();
  }

  submit(isTyping) {
    clearTimeout(this.timer);
    this.isTyped = isTyping;
    const value = (name) => (this.check(name) ? this.inputs[name].value.trim() : '');
    const attr = isTyping ? null : filters.parseAttribute(this.inputs.attr.value);
    if (attr) this.inputs.attr.value = '';
    const attrs = attr && !this.wanted.attrs.includes(attr) ? [...this.wanted.attrs, attr] : this.wanted.attrs;
    this.onChange(filters.change(this.wanted, {
      service: value('service'), operation: value('operation'), trace: value('trace').toLowerCase(), attrs,
      min_ms: text.parseDuration(value('min_ms')), max_ms: text.parseDuration(value('max_ms')), errors: this.errors.checked,
    }), isTyping);
  }
}
