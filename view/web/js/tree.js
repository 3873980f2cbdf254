// A trace as a tree: pure, and safe for whatever a trace may hold (cycles, the same id twice, a million levels).

/**
 * Makes nodes of the spans of `/api/v1/trace/{id}`, in the order in which they are shown: parents first, children by start.
 * Times are nanoseconds from the trace's start.
 */
export function build(trace) {
  const nodes = trace.spans.map((span, index) => makeNode(trace, span, index));
  const byId = new Map();
  for (const node of nodes) if (!byId.has(node.span.span_id)) byId.set(node.span.span_id, node);
  const roots = [];
  for (const node of nodes) {
    const parent = byId.get(node.span.parent_span_id);
    if (parent && parent !== node) adopt(parent, node);
    else roots.push(node);
  }
  const order = arrange(nodes, roots);
  countBelow(order);
  const end = nodes.reduce((latest, node) => Math.max(latest, node.end), 0);
  return { trace, nodes: order, roots, byId, root: roots[0] ?? null, duration: Math.max(end, trace.duration_ns ?? 0, 1) };
}

function makeNode(trace, span, index) {
  const start = span.start_ns;
  const resource = trace.resources[span.resource];
  return {
    index,
    span,
    service: resource?.service ?? 'unknown_service',
    start,
    end: start + Math.max(0, span.duration_ns),
    parent: null,
    children: [],
    depth: 0,
    below: 0,
    errorsBelow: 0,
    isError: span.status === 'error',
  };
}

function adopt(parent, child) {
  child.parent = parent;
  parent.children.push(child);
}

/** Depth first, by start. Spans that are their own ancestors would never be reached: the first of each circle becomes a root. */
function arrange(nodes, roots) {
  const byStart = (a, b) => a.start - b.start || a.index - b.index;
  const order = [];
  const seen = new Set();
  const walk = (root) => {
    const stack = [root];
    while (stack.length) {
      const node = stack.pop();
      if (seen.has(node)) continue;
      seen.add(node);
      node.depth = node.parent ? node.parent.depth + 1 : 0;
      order.push(node);
      node.children.sort(byStart);
      for (let i = node.children.length - 1; i >= 0; i -= 1) stack.push(node.children[i]);
    }
  };
  roots.sort(byStart);
  roots.forEach(walk);
  for (const node of nodes) {
    if (seen.has(node)) continue;
    node.parent.children.splice(node.parent.children.indexOf(node), 1);
    node.parent = null;
    roots.push(node);
    walk(node);
  }
  return order;
}

/** How many spans, and how many failed ones, are below each. */
function countBelow(order) {
  for (let i = order.length - 1; i >= 0; i -= 1) {
    const node = order[i];
    if (!node.parent) continue;
    node.parent.below += node.below + 1;
    node.parent.errorsBelow += node.errorsBelow + (node.isError ? 1 : 0);
  }
}

/**
 * Whether nobody waited for this span: it goes on when its parent is over. A callee may be seen to end a little after its caller, because each end of a connection is
 * observed by itself, and a caller that gave up did wait; neither is meant.
 */
export function outlives(node) {
  const parent = node.parent;
  if (!parent) return false;
  if (parent.span.kind === 'client' && node.span.kind === 'server') return false;
  if (node.span.kind === 'consumer' || parent.span.kind === 'producer') return node.end > parent.end;
  return node.end - parent.end > Math.max(1e6, 0.01 * (node.end - node.start));
}

/** What a span failed with: the exception that an event records, else its status and `error.type`. Null if it did not fail and recorded none. */
export function failure(span) {
  const event = span.events?.find((candidate) => candidate.name === 'exception');
  const of = (name) => event?.attributes?.[name];
  const type = of('exception.type') ?? span.attributes?.['error.type'];
  const message = of('exception.message') ?? span.status_message;
  if (!event && span.status !== 'error') return null;
  return {
    type: type === undefined ? '' : String(type),
    message: message ? String(message) : '',
    stack: of('exception.stacktrace') === undefined ? '' : String(of('exception.stacktrace')),
    escaped: span.status === 'error',
  };
}
