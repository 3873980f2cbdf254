// The map of services as a drawing.

import { colourClass } from './colours.js';
import { h, svg } from './dom.js';
import { address, none } from './filters.js';
import { layout } from './graph.js';
import * as text from './text.js';

const NODE = { width: 168, height: 66 };
const BESIDE = { ...NODE, gapX: 140, gapY: 34 };
/** A label between two boxes. */
const LABEL = { width: 84, height: 34 };
const BELOW = { ...NODE, gapX: 22, gapY: 74 };
/** So much smaller than planned is still read; then it is scrolled. */
const SMALLEST = 0.85;
/** Below this width layers stand one under the other. */
const NARROW = 640;

/** Where a click on a service leads. */
export function nodeAddress(service, data) {
  const isExternal = data.nodes.find((node) => node.service === service)?.external;
  const caller = isExternal && data.edges.find((edge) => edge.to === service);
  return caller ? edgeAddress(caller, data) : address({ ...none(), service });
}

/** Where a click on a call leads: to traces with the callee in them; if that is not traced itself, to those of its caller that name it. */
export function edgeAddress(edge, data) {
  const isExternal = data.nodes.find((node) => node.service === edge.to)?.external;
  return address(isExternal ? { ...none(), service: edge.from, attrs: externalAttribute(edge) } : { ...none(), service: edge.to });
}

/** Systems that carry messages; the API names databases and these alike. */
const MESSAGING = /^(activemq|aws_sqs|celery|kafka|nats|pulsar|rabbitmq|rocketmq|servicebus)$/;

/** What spans of calls to an external node have in common: the API names it `ADDRESS:PORT`, or by its system. */
function externalAttribute({ to }) {
  const port = /:(\d+)$/.exec(to);
  if (port) return [`server.port=${port[1]}`];
  return [`${MESSAGING.test(to) ? 'messaging.system' : 'db.system.name'}=${to}`];
}

/** An SVG of the services and their calls, for a page of `width` pixels. */
export function drawMap(data, width) {
  const down = width < NARROW;
  // A name that is both (one instance is traced, another is not) is one box.
  const own = new Set(data.nodes.filter((node) => !node.external).map((node) => node.service));
  data = { ...data, nodes: data.nodes.filter((node) => !node.external || !own.has(node.service)) };
  const edges = merged(data.edges);
  const lay = (size) => layout(data.nodes.map((node) => ({ id: node.service })), edges.map(({ from, to }) => ({ from, to })), size, down);
  let placed = lay(down ? BELOW : BESIDE);
  // Closer together before anybody has to scroll; a label must still fit between two boxes.
  if (!down && placed.width > width) {
    const gaps = Math.round(placed.width / (BESIDE.width + BESIDE.gapX)) - 1;
    const tooWide = placed.width - width;
    placed = lay({ ...BESIDE, gapX: Math.max(LABEL.width + 26, BESIDE.gapX - Math.ceil(tooWide / gaps)) });
  }
  const at = new Map(placed.nodes.map((node) => [node.id, node]));
  const most = Math.max(...edges.map((edge) => edge.rate), 1e-9);
  const routes = placed.edges.map((route) => ({ edge: edges.find((edge) => edge.from === route.from && edge.to === route.to), ...curve(route.points, down) }));
  spread(routes);
  const lines = routes.map((route) => drawEdge(route, most, data));
  const selves = edges.filter((edge) => edge.from === edge.to && at.has(edge.from)).map((edge) => drawSelf(edge, at.get(edge.from), data));
  const [w, t] = [Math.ceil(placed.width), Math.ceil(placed.height)];
  const head = (id, kind) => svg('marker', { id, class: kind, viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: 'userSpaceOnUse', orient: 'auto' }, svg('path', { d: 'M0 0 8 4 0 8z' }));
  const scale = Math.min(1, Math.max(SMALLEST, width / w));
  return svg('svg', { width: Math.floor(w * scale), height: Math.ceil(t * scale), viewBox: `0 0 ${w} ${t}`, class: 'map-drawing' },
    svg('defs', null, head('head', 'head'), head('head-bad', 'head bad')),
    lines.map((line) => line.path), selves, data.nodes.map((node) => drawNode(node, at.get(node.service), data)), lines.map((line) => line.label));
}

/** One line for each pair, whatever they speak; its latencies are those of the busiest protocol. */
function merged(edges) {
  const pairs = new Map();
  for (const edge of edges) {
    const key = `${edge.from}\u0000${edge.to}`;
    const known = pairs.get(key);
    if (!known) pairs.set(key, { ...edge, all: [edge] });
    else {
      const busiest = edge.calls > Math.max(...known.all.map((one) => one.calls)) ? edge : known;
      pairs.set(key, { ...busiest, rate: known.rate + edge.rate, calls: known.calls + edge.calls, errors: known.errors + edge.errors, all: [...known.all, edge] });
    }
  }
  return [...pairs.values()];
}

function said(edge) {
  return edge.all.map((one) => `${one.protocol ?? ''}: ${text.rate(one.rate)}, ${text.count(one.errors)} errors of ${text.count(one.calls)}, p50 ${text.duration(one.p50_ns)}, p95 ${text.duration(one.p95_ns)}, p99 ${text.duration(one.p99_ns)}`).join('\n');
}

/** How far calls against the direction of the others keep from them. */
const ASIDE = 16;

/**
 * A curve through the places of an edge, from border to border, and where its label goes: in its own lane if it passes layers, else in the
 * middle.
 */
function curve(points, down) {
  const main = down ? 1 : 0;
  const ahead = points.at(-1)[main] >= points[0][main];
  const half = (down ? NODE.height : NODE.width) / 2;
  const aside = ahead ? 0 : ASIDE;
  const at = ([x, y], by) => (down ? [x + aside, y + by] : [x + by, y + aside]);
  const sign = ahead ? 1 : -1;
  const ends = [at(points[0], sign * half), ...points.slice(1, -1).map((point) => at(point, 0)), at(points.at(-1), -sign * (half + 3))];
  let d = `M${ends[0]}`;
  for (let i = 1; i < ends.length; i += 1) {
    const [[x0, y0], [x1, y1]] = [ends[i - 1], ends[i]];
    d += down ? ` C${x0} ${(y0 + y1) / 2} ${x1} ${(y0 + y1) / 2} ${x1} ${y1}` : ` C${(x0 + x1) / 2} ${y0} ${(x0 + x1) / 2} ${y1} ${x1} ${y1}`;
  }
  return { d, middle: ends.length > 2 ? ends[Math.floor((ends.length - 1) / 2)] : [0, 1].map((axis) => (ends[0][axis] + ends[1][axis]) / 2) };
}

/** Moves labels that would lie on one another. */
function spread(routes) {
  const placed = [];
  for (const { middle } of [...routes].sort((a, b) => a.middle[1] - b.middle[1])) {
    const hit = (other) => Math.abs(other[0] - middle[0]) < LABEL.width && Math.abs(other[1] - middle[1]) < LABEL.height;
    for (let other = placed.find(hit); other; other = placed.find(hit)) middle[1] = other[1] + LABEL.height;
    placed.push(middle);
  }
}

function drawEdge({ edge, d, middle }, most, data) {
  const bad = edge.errors > 0;
  const thick = 1.2 + 2.8 * Math.sqrt(edge.rate / most);
  const path = svg('path', { class: `edge ${bad ? 'bad' : ''}`, d, 'stroke-width': thick.toFixed(1), 'marker-end': `url(#${bad ? 'head-bad' : 'head'})` });
  const label = svg('a', { class: 'edge-label', href: edgeAddress(edge, data), 'data-of': `edge ${edge.from}\u0000${edge.to}` },
    spoken(middle, `${text.clip(edge.from, 80)} calls ${text.clip(edge.to, 80)}: `),
    svg('rect', { x: middle[0] - LABEL.width / 2, y: middle[1] - LABEL.height / 2, ...LABEL, rx: 4 }, svg('title', null, `${text.clip(edge.from, 80)} → ${text.clip(edge.to, 80)}\n${said(edge)}`)),
    svg('text', { x: middle[0], y: middle[1] - 3, 'text-anchor': 'middle' }, [`${text.rate(edge.rate)} `, bad ? svg('tspan', { class: 'bad' }, `${text.percent(edge.errors, edge.calls)} ✗ `) : null]),
    svg('text', { x: middle[0], y: middle[1] + 11, 'text-anchor': 'middle', class: 'dim' }, `p95 ${text.duration(edge.p95_ns)}`));
  return { path, label };
}

/** For screen readers: what the place of a label shows to the eye. */
function spoken([x, y], words) {
  return svg('text', { class: 'spoken', x, y }, words);
}

function drawSelf(edge, { x, y }, data) {
  const top = y - NODE.height / 2;
  return svg('a', { class: 'edge-label', href: edgeAddress(edge, data), 'data-of': `edge ${edge.from}\u0000${edge.to}` }, spoken([x, top], `${text.clip(edge.from, 80)} calls itself, ${said(edge)}`),
    svg('path', { class: `edge ${edge.errors ? 'bad' : ''}`, d: `M${x + 20} ${top} C${x + 20} ${top - 24} ${x + 60} ${top - 24} ${x + 60} ${top - 3}`, 'stroke-width': 1.5, 'marker-end': 'url(#head)' }, svg('title', null, `calls itself\n${said(edge)}`)));
}

function drawNode(node, { x, y }, data) {
  const [left, top] = [x - NODE.width / 2, y - NODE.height / 2];
  const bad = node.errors > 0;
  // A caller that serves nothing has no figures of its own.
  const serves = node.calls > 0;
  const figures = serves ? [text.rate(node.rate), bad ? svg('tspan', { class: 'bad' }, `  ${text.percent(node.errors, node.calls)} ✗`) : null] : node.external ? 'not traced itself' : 'only calls';
  const words = serves ? `${text.rate(node.rate)}, ${text.count(node.errors)} errors of ${text.count(node.calls)}, p50 ${text.duration(node.p50_ns)}, p95 ${text.duration(node.p95_ns)}, p99 ${text.duration(node.p99_ns)}` : figures;
  return svg('a', { class: `node ${node.external ? 'external' : ''} ${bad ? 'bad' : ''} ${node.external ? '' : colourClass(node.service)}`, href: nodeAddress(node.service, data), 'data-of': `node ${node.service}` },
    svg('rect', { class: 'box', x: left, y: top, width: NODE.width, height: NODE.height, rx: 6 }, svg('title', null, `${text.clip(node.service, 200)}\n${words}`)),
    svg('rect', { class: 'edge-mark', x: left, y: top, width: 4, height: NODE.height, rx: 2 }),
    svg('text', { class: 'node-name', x: left + 14, y: top + 21 }, `${text.clip(node.service, 21)} `),
    svg('text', { x: left + 14, y: top + 39 }, figures, ' '),
    svg('text', { class: 'dim', x: left + 14, y: top + 55 }, serves ? `${text.duration(node.p50_ns)} / ${text.duration(node.p95_ns)} / ${text.duration(node.p99_ns)}` : ''));
}

/** What the three figures of a node are. */
export function legend() {
  return h('p', { class: 'dim legend-line' }, 'Each box: rate, errors, p50 / p95 / p99 of what the service answers. Dashed: not traced itself.');
}
