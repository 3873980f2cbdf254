// One row of the waterfall: a span, or a gap between spans.

import { colourClass } from './colours.js';
import { h, wire } from './dom.js';
import { detached, inferred } from './link.js';
import { gapPlace, gaps } from './path.js';
import * as text from './text.js';
import { failure, outlives } from './tree.js';

/** Levels that are indented; deeper ones say their depth. */
const DEEPEST = 20;
/** What is too short to be seen is not drawn: a part of what is looked at. */
const LEAST = 0.002;

/** The element of a row of `view` (a `Waterfall`). */
export function makeRow({ node, gap }, index, view) {
  const level = node.depth + (gap ? 2 : 1);
  const isOpen = !view.collapsed.has(node);
  const props = {
    class: 'row', id: `row-${index}`, role: 'treeitem', 'aria-level': level, 'aria-selected': 'false',
    'aria-expanded': !gap && node.children.length ? String(isOpen) : null,
    vars: { indent: Math.min(level - 1, DEEPEST) },
  };
  if (gap) return gapRow(props, node, gap, view);
  const onPath = view.tree.path.has(node);
  props.class += `${node.isError ? ' failed' : ''}${onPath ? ' on-path' : ''}${inferred(node.span) ? ' inferred' : ''}`;
  props.data = { span: node.span.span_id };
  return h('div', props, nameCell(node, isOpen, onPath), h('div', { class: 'row-line' }, bar(node, view)));
}

/** What stands here is also what a screen reader says of the row; spaces keep its words apart. */
function nameCell(node, isOpen, onPath) {
  const { span } = node;
  const twisty = h('span', { class: `twisty ${node.children.length ? '' : 'leaf'}`, 'aria-hidden': 'true' }, node.children.length ? (isOpen ? '▾' : '▸') : '');
  const hidden = isOpen ? null : h('span', { class: `badge ${node.errorsBelow ? 'bad' : ''}` }, `+${text.count(node.below)}`, h('span', { class: 'offscreen' }, ' hidden'));
  const depth = node.depth > DEEPEST ? h('span', { class: 'badge' }, `level ${node.depth + 1}`) : null;
  const apart = detached(span);
  const mark = apart ? h('span', { class: 'badge detached', title: text.clip(apart, 400) }, 'detached') : null;
  const concluded = inferred(span) ? h('span', { class: 'offscreen' }, ' inferred ') : null;
  const what = failure(span);
  const why = what?.stack && what.message ? `${what.type || 'error'}: ${what.message}` : what?.type || 'error';
  const failed = what ? h('span', { class: 'bad-text why' }, '✗ ', wire(text.clip(why, 120))) : null;
  return h('div', { class: 'row-name', title: text.clip(`${node.service} · ${span.name} · ${span.kind}`, 400) },
    twisty, h('span', { class: `dot ${colourClass(node.service)}` }), wire(node.service.slice(0, 80), { class: 'service' }), ' ', depth, ' ',
    wire(span.name.slice(0, 300), { class: 'name' }), ' ', h('span', { class: 'kind' }, span.kind), ' ', hidden, ' ', mark, concluded, ' ', failed, onPath ? h('span', { class: 'offscreen' }, ' critical path ') : null);
}

/** Left end and width of a stretch in per cent of the window; null if it is out of sight. */
function place(start, end, { from, until }) {
  const total = until - from;
  if (end < from || start > until) return null;
  const left = Math.max(0, (start - from) / total);
  const right = Math.min(1, (end - from) / total);
  return { right, vars: { x: `${100 * left}%`, w: `${100 * (right - left)}%` } };
}

function bar(node, view) {
  const at = place(node.start, node.end, view.window);
  const marks = [];
  if (at) {
    marks.push(h('i', { class: `span-bar ${colourClass(node.service)} ${node.isError ? 'failed' : ''} kind-${node.span.kind}`, vars: at.vars }));
    if (!view.collapsed.has(node)) marks.push(...holes(node, view));
    marks.push(...segments(view.tree.path.get(node), view));
    if (outlives(node)) marks.push(...overtime(node, view));
    for (const event of node.span.events ?? []) marks.push(eventMark(event, view));
    marks.push(label(text.duration(node.end - node.start), at));
  } else {
    marks.push(h('span', { class: `away ${node.end < view.window.from ? 'before' : 'after'}`, 'aria-hidden': 'true' }, node.end < view.window.from ? '‹' : '›'));
  }
  return marks;
}

/** Time that no child covers. */
function holes(node, view) {
  node.gaps ??= gaps(node);
  const least = LEAST * (view.window.until - view.window.from);
  return node.gaps.filter((gap) => gap.end - gap.start >= least).map((gap) => {
    const at = place(gap.start, gap.end, view.window);
    return at && h('i', { class: 'hole', vars: at.vars });
  });
}

function segments(path, view) {
  return (path ?? []).map(([start, end]) => {
    const at = place(start, end, view.window);
    return at && h('i', { class: 'critical', vars: at.vars });
  });
}

/** Where the parent ended that did not wait for this span. */
function overtime(node, view) {
  const at = place(node.parent.end, node.parent.end, view.window);
  return node.start < node.parent.end && at ? [h('i', { class: 'parent-end', title: 'Its parent ends here', vars: at.vars })] : [];
}

function eventMark(event, view) {
  const at = place(event.at_ns, event.at_ns, view.window);
  return at && h('i', { class: `event ${event.name === 'exception' ? 'bad' : ''}`, title: text.clip(event.name, 100), vars: at.vars });
}

/** The duration stands after the bar; beside the timeline is room for it. */
function label(words, at) {
  return h('span', { class: 'length', vars: { x: `${100 * at.right}%` } }, words);
}

function gapRow(props, node, gap, view) {
  const words = `${text.duration(gap.end - gap.start)} in nobody’s span`;
  const at = place(gap.start, gap.end, view.window);
  props.class += ' gap';
  return h('div', props, h('div', { class: 'row-name', title: text.clip(gapPlace(gap), 400) }, h('span', { class: 'twisty leaf' }), h('span', { class: 'gap-words' }, words, h('span', { class: 'offscreen' }, `, ${text.clip(gapPlace(gap), 200)}`))),
    h('div', { class: 'row-line' }, at ? [h('i', { class: 'span-bar hole', vars: at.vars })] : null));
}
