// What there is to point at in a trace: the agent says it on roots, with the span that it is about at the end.

const PREFIX = 'wirespan.finding.';
const TITLES = {
  n_plus_one: 'N+1',
  repeated_call: 'Asked again',
  retries: 'Retries',
  slow_statement: 'Slow statement',
  error_swallowed: 'Error swallowed',
  connection_per_call: 'A connection for each call',
  run_queue: 'Waited for a CPU',
};

/** Every finding of a trace, as its roots list them: kind, title, evidence, and the node that it is about. */
export function findings(nodes) {
  const byId = new Map(nodes.map((node) => [node.span.span_id, node]));
  const found = [];
  for (const node of nodes) {
    const attributes = node.span.attributes ?? {};
    const kinds = Array.isArray(attributes['wirespan.findings']) ? attributes['wirespan.findings'] : [];
    for (const kind of kinds) {
      const told = attributes[PREFIX + kind];
      if (typeof told !== 'string') continue;
      const [, evidence, id] = /^(.*) \(span ([0-9a-f]{16})\)$/s.exec(told) ?? [null, told, null];
      found.push({ kind, title: TITLES[kind] ?? kind, evidence, node: byId.get(id) ?? node });
    }
  }
  return found;
}
