// A layered drawing of who calls whom: callers before callees, few crossings, one pass. Pure.

/** Room before the first layer and after the last. */
const MARGIN = 14;

/**
 * Places `nodes` (`{id}`) joined by `edges` (`{from, to}`, identifiers) in layers. Returns `{nodes: [{id, layer, x, y}], edges: [{from, to, points}], width, height}`:
 * x and y are a node's centre. `size` = `{width, height, gapX, gapY}`; `down` puts layers below one another instead of side by side.
 */
export function layout(nodes, edges, size, down = false) {
  const ids = nodes.map((node) => node.id);
  const known = new Set(ids);
  const real = edges.filter((edge) => known.has(edge.from) && known.has(edge.to) && edge.from !== edge.to);
  const forward = withoutCycles(ids, real);
  const layer = layers(ids, forward);
  const { columns, chains } = ranks(ids, real, layer);
  for (let sweep = 0; sweep < 6; sweep += 1) order(columns, sweep % 2 === 0);
  return place(columns, chains, size, down);
}

/** Edges with those that lead back turned round: depth first, from those that nobody calls. */
function withoutCycles(ids, edges) {
  const out = new Map(ids.map((id) => [id, []]));
  const called = new Set(edges.map((edge) => edge.to));
  for (const edge of edges) out.get(edge.from).push(edge);
  const state = new Map();
  const forward = [];
  const visit = (start) => {
    const stack = [{ id: start, next: 0 }];
    state.set(start, 'open');
    while (stack.length) {
      const top = stack[stack.length - 1];
      const edge = out.get(top.id)[top.next];
      top.next += 1;
      if (!edge) {
        state.set(top.id, 'done');
        stack.pop();
      } else if (state.get(edge.to) === 'open') {
        forward.push([edge.to, edge.from]);
      } else {
        forward.push([edge.from, edge.to]);
        if (!state.has(edge.to)) {
          state.set(edge.to, 'open');
          stack.push({ id: edge.to, next: 0 });
        }
      }
    }
  };
  for (const id of [...ids.filter((id) => !called.has(id)), ...ids]) if (!state.has(id)) visit(id);
  return forward;
}

/** The longest way from a node that nobody calls. */
function layers(ids, forward) {
  const layer = new Map(ids.map((id) => [id, 0]));
  const waiting = new Map(ids.map((id) => [id, 0]));
  const out = new Map(ids.map((id) => [id, []]));
  for (const [from, to] of forward) {
    out.get(from).push(to);
    waiting.set(to, waiting.get(to) + 1);
  }
  const ready = ids.filter((id) => waiting.get(id) === 0);
  while (ready.length) {
    const id = ready.shift();
    for (const to of out.get(id)) {
      layer.set(to, Math.max(layer.get(to), layer.get(id) + 1));
      waiting.set(to, waiting.get(to) - 1);
      if (waiting.get(to) === 0) ready.push(to);
    }
  }
  return layer;
}

/** Columns of cells; an edge over several layers gets a place of its own in each that it crosses. */
function ranks(ids, edges, layer) {
  const columns = [];
  const put = (at, cell) => {
    (columns[at] ??= []).push(cell);
    return cell;
  };
  const cells = new Map(ids.map((id) => [id, put(layer.get(id), { id, near: [[], []] })]));
  for (let at = 0; at < columns.length; at += 1) columns[at] ??= [];
  const chains = edges.map((edge) => {
    const [a, b] = [layer.get(edge.from), layer.get(edge.to)];
    const step = Math.sign(b - a);
    const chain = [cells.get(edge.from)];
    for (let at = a + step; at !== b && step !== 0; at += step) chain.push(put(at, { id: null, near: [[], []] }));
    chain.push(cells.get(edge.to));
    if (step !== 0) {
      const ahead = step > 0 ? chain : [...chain].reverse();
      for (let i = 0; i + 1 < ahead.length; i += 1) {
        ahead[i].near[1].push(ahead[i + 1]);
        ahead[i + 1].near[0].push(ahead[i]);
      }
    }
    return { edge, chain };
  });
  return { columns, chains };
}

/** Sorts each column by the mean place of its neighbours in the one before (or after). */
function order(columns, forward) {
  const number = (column) => column.forEach((cell, at) => { cell.at = at - (column.length - 1) / 2; });
  columns.forEach(number);
  const sequence = forward ? columns : [...columns].reverse();
  for (const column of sequence) {
    for (const cell of column) {
      const near = cell.near[forward ? 0 : 1];
      cell.mean = near.length ? near.reduce((sum, other) => sum + other.at, 0) / near.length : cell.at;
    }
    column.sort((a, b) => a.mean - b.mean);
    number(column);
  }
}

function place(columns, chains, size, down) {
  const along = down ? size.height + size.gapY : size.width + size.gapX;
  const across = down ? size.width + size.gapX : size.height + size.gapY;
  const lane = (cell) => (cell.id === null ? across * 0.8 : across);
  const extent = (column) => column.reduce((sum, cell) => sum + lane(cell), 0);
  const widest = Math.max(across, ...columns.map(extent));
  columns.forEach((column, layer) => {
    let at = (widest - extent(column)) / 2;
    for (const cell of column) {
      const [main, cross] = [MARGIN + (down ? size.height : size.width) / 2 + along * layer, at + lane(cell) / 2];
      at += lane(cell);
      [cell.x, cell.y] = down ? [cross, main] : [main, cross];
      cell.layer = layer;
    }
  });
  const nodes = columns.flat().filter((cell) => cell.id !== null);
  const total = Math.max(0, along * columns.length - (down ? size.gapY : size.gapX)) + 2 * MARGIN;
  return {
    nodes: nodes.map(({ id, layer, x, y }) => ({ id, layer, x, y })),
    edges: chains.map(({ edge, chain }) => ({ ...edge, points: chain.map(({ x, y }) => [x, y]) })),
    width: down ? widest : total,
    height: down ? total : widest,
  };
}
