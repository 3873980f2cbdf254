// Where the time went: the critical path of a trace, and what no child accounts for.

import { outlives } from './tree.js';

/**
 * The critical path: what would have had to be faster for the root to end sooner. Walks back from the root's end; at each moment the span that is blamed is the child
 * that finished last before it, and the parent itself where no child ran. Children that nobody waited for are not on it.
 *
 * Returns a map from node to its segments `[start, end]`, in order of time. Together they cover the root exactly once.
 */
export function criticalPath(tree) {
  const segments = new Map();
  if (!tree.root) return segments;
  const work = [{ node: tree.root, from: tree.root.start, until: tree.root.end }];
  while (work.length) {
    const { node, from, until } = work.pop();
    const own = [];
    let at = until;
    for (const child of lastFirst(node, until)) {
      const end = Math.min(child.end, until);
      if (at <= from) break;
      // Another child that is on the path already ran while this one finished.
      if (end > at || end <= from || child.start >= end) continue;
      if (end < at) own.push([end, at]);
      const start = Math.max(child.start, from);
      work.push({ node: child, from: start, until: end });
      at = start;
    }
    if (at > from || until === from) own.push([from, at]);
    if (own.length) segments.set(node, own.reverse());
  }
  return segments;
}

/** Children somebody waited for, the last to finish first; of those that finish together, or that run at `until`, the longest. */
function lastFirst(node, until) {
  const waited = node.children.filter((child) => !outlives(child));
  const end = (child) => Math.min(child.end, until);
  return waited.sort((a, b) => end(b) - end(a) || a.start - b.start);
}

/** The length of segments. */
export function length(segments) {
  return (segments ?? []).reduce((sum, [start, end]) => sum + end - start, 0);
}

/**
 * The parts of a span that no child covers, each with the children before and after it. A span without children has none: all of it is its own.
 */
export function gaps(node) {
  const found = [];
  if (!node.children.length) return found;
  let at = node.start;
  let before = null;
  for (const child of node.children) {
    const start = Math.min(Math.max(child.start, node.start), node.end);
    if (start > at) found.push({ start: at, end: start, before, after: child });
    const end = Math.min(child.end, node.end);
    if (end > at) {
      at = end;
      before = child;
    }
  }
  if (at < node.end) found.push({ start: at, end: node.end, before, after: null });
  return found;
}

/** Time of a span that no child covers; all of it if there is no child. */
export function ownTime(node) {
  return node.children.length ? gaps(node).reduce((sum, gap) => sum + gap.end - gap.start, 0) : node.end - node.start;
}

/** A gap in words, without its length. */
export function gapPlace(gap) {
  const name = (node) => `${node.service} ${node.span.name}`;
  if (gap.before && gap.after) return `between ${name(gap.before)} and ${name(gap.after)}`;
  return gap.after ? `before ${name(gap.after)}` : `after ${name(gap.before)}`;
}

/** The rows of a waterfall: spans that no collapsed one hides, and between them, where it was, each gap of at least `least` nanoseconds. */
export function rows(tree, collapsed, least) {
  const shown = [];
  // Spans whose children are being listed: the gap after the last child comes when all below that child has been.
  const open = [];
  const close = (depth) => {
    while (open.length && open[open.length - 1].depth >= depth) {
      const node = open.pop();
      const last = bigGaps(node, least).get(null);
      if (last) shown.push({ node, gap: last });
    }
  };
  let hiddenBelow = Infinity;
  for (const node of tree.nodes) {
    if (node.depth > hiddenBelow) continue;
    close(node.depth);
    const before = node.parent && bigGaps(node.parent, least).get(node);
    if (before) shown.push({ node: node.parent, gap: before });
    shown.push({ node, gap: null });
    hiddenBelow = collapsed.has(node) ? node.depth : Infinity;
    if (node.children.length && hiddenBelow === Infinity) open.push(node);
  }
  close(0);
  return shown;
}

/** Long gaps of a span by the child that ends each; null ends the one that reaches the span's end. */
function bigGaps(node, least) {
  if (node.bigGaps?.least !== least) {
    const long = gaps(node).filter((gap) => gap.end - gap.start >= least);
    node.bigGaps = { least, byEnd: new Map(long.map((gap) => [gap.after, gap])) };
  }
  return node.bigGaps.byEnd;
}
