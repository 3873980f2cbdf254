// Elements, made of data that nobody trusts.
//
// This is the only place that makes markup. Text becomes text nodes, never HTML; there is no way to hand in a string that is parsed. Styles go through the CSSOM,
// because the content security policy forbids style attributes.

import { visible } from './text.js';

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element. `props` are attributes, save `class`, `on` (listeners), `vars` (CSS custom properties) and `data` (data attributes). */
export function h(name, props, ...children) {
  return fill(document.createElement(name), props, children);
}

/** An SVG element, by the same rules. */
export function svg(name, props, ...children) {
  return fill(document.createElementNS(SVG, name), props, children);
}

/** Text from the wire, with what would not be seen made visible, set apart from the direction of the text around it. */
export function wire(text, props) {
  return h('bdi', props, visible(text));
}

/** Sets or removes an attribute by a condition. */
export function flag(element, name, on, value = '') {
  if (on) element.setAttribute(name, value);
  else element.removeAttribute(name);
}

function fill(element, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'on') {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (key === 'vars') {
      setVars(element, value);
    } else if (key === 'data') {
      Object.assign(element.dataset, value);
    } else {
      element.setAttribute(key, value === true ? '' : value);
    }
  }
  element.append(...shown(children));
  return element;
}

/** Replaces what is in an element; as in `h`, nothing is made of null and false, and lists may be nested. */
export function show(element, ...children) {
  element.replaceChildren(...shown(children));
}

function shown(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Sets CSS custom properties. */
export function setVars(element, vars) {
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(`--${name}`, value);
}
