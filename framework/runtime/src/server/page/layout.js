// Where the boxes of a graph stand. Stages come in layers, each behind all that it takes from; the layers run from left
// to right, in several rows like the lines of a text where they do not fit. Where there is room for one box alone,
// they stand one below the other. Nothing here touches the page.

const BOX = { width: 204, height: 108 };
/** Between layers, with room for an arrow and what is written on it; between boxes of a layer; between rows, and for
 *  each further arrow that goes from one row to the next. */
const GAP = { layer: 104, box: 26, row: 62, lane: 17, down: 62 };
/** Beside the boxes, for the arrows that go to the next row. */
const MARGIN = { one: 4, left: 44, right: 30 };
/** Above the boxes, for the mark on the one that limits. */
const TOP = 14;
const PASSES = 6;

const mean = (numbers) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;

/** The layer of each stage. Stages come after those that they take from. */
function layers(count, edges) {
  const layer = new Array(count).fill(0);
  for (let stage = 0; stage < count; stage += 1) {
    for (const { from, to } of edges) {
      if (to === stage) layer[stage] = Math.max(layer[stage], layer[from] + 1);
    }
  }
  // A source that is taken from late stands late: its arrow need not cross the others.
  for (let stage = count - 1; stage >= 0; stage -= 1) {
    const after = edges.filter(({ from }) => from === stage).map(({ to }) => layer[to]);
    if (after.length > 0 && !edges.some(({ to }) => to === stage)) layer[stage] = Math.min(...after) - 1;
  }
  return layer;
}

/** Boxes, and a place to pass for each layer that an arrow crosses. */
function nodes(count, edges) {
  const layer = layers(count, edges);
  const all = layer.map((at, stage) => ({ stage, layer: at, before: [], after: [] }));
  const paths = edges.map(({ from, to }) => {
    const path = [all[from]];
    for (let at = layer[from] + 1; at < layer[to]; at += 1) {
      const passing = { layer: at, before: [], after: [] };
      all.push(passing);
      path.push(passing);
    }
    path.push(all[to]);
    path.slice(1).forEach((node, at) => {
      path[at].after.push(node);
      node.before.push(path[at]);
    });
    return path;
  });
  const columns = Array.from({ length: Math.max(...layer) + 1 }, () => []);
  for (const node of all) columns[node.layer].push(node);
  return { columns, paths };
}

/** Puts the nodes of each layer into an order with few crossings: each near the middle of its neighbours. */
function order(columns) {
  const number = () => columns.forEach((column) => column.forEach((node, at) => { node.at = at; }));
  number();
  for (let pass = 0; pass < PASSES; pass += 1) {
    const down = pass % 2 === 0;
    for (const column of down ? columns : columns.toReversed()) {
      for (const node of column) {
        const near = down ? node.before : node.after;
        node.wish = near.length > 0 ? mean(near.map(({ at }) => at)) : node.at;
      }
      column.sort((a, b) => a.wish - b.wish || a.at - b.at);
      column.forEach((node, at) => { node.at = at; });
    }
  }
}

/** Gives each node its middle across the flow: as near to its neighbours as the others allow. */
function spread(columns, size) {
  for (const column of columns) {
    let at = 0;
    for (const node of column) {
      node.size = node.stage === undefined ? 20 : size;
      node.middle = at + node.size / 2;
      at += node.size + GAP.box;
    }
    const half = (at - GAP.box) / 2;
    column.forEach((node) => { node.middle -= half; });
  }
  for (let pass = 0; pass < PASSES; pass += 1) {
    const down = pass % 2 === 0;
    for (const column of down ? columns : columns.toReversed()) {
      const wish = column.map(({ before, after, middle }) => {
        const near = down ? before : after;
        return near.length > 0 ? mean(near.map((node) => node.middle)) : middle;
      });
      let end = -Infinity;
      column.forEach((node, at) => {
        node.middle = Math.max(wish[at], end + GAP.box + node.size / 2);
        end = node.middle + node.size / 2;
      });
      const off = mean(column.map((node, at) => wish[at] - node.middle));
      column.forEach((node) => { node.middle += off; });
    }
  }
}

/** Where each arrow leaves or enters a box: side by side, in the order of what is at their other ends. */
function ports(paths, room) {
  const share = (side, other) => {
    const groups = new Map();
    paths.forEach((path, at) => groups.set(side(path), [...(groups.get(side(path)) ?? []), at]));
    const port = [];
    for (const [node, group] of groups) {
      const sorted = group.toSorted((a, b) => other(paths[a]).middle - other(paths[b]).middle || a - b);
      const step = Math.min(40, (room - 16) / sorted.length);
      sorted.forEach((path, at) => {
        port[path] = { at: node.middle + (at - (sorted.length - 1) / 2) * step, step };
      });
    }
    return port;
  };
  return {
    out: share((path) => path[0], (path) => path[1]),
    into: share((path) => path.at(-1), (path) => path.at(-2)),
  };
}

const cubic = (a, b, c) => `C${[...a, ...b, ...c].map((n) => n.toFixed(1)).join(' ')}`;
const line = (point) => `L${point.map((n) => n.toFixed(1)).join(' ')}`;

/**
 * Boxes and arrows for some stages and edges, in a picture of this width. An arrow has its path, where its label stands
 * (`beside`: where there is room for one line alone), and where it meets its box.
 */
export function layout(count, edges, width) {
  const fitting = (room) => Math.floor((room + GAP.layer) / (BOX.width + GAP.layer));
  const wide = fitting(width - MARGIN.left - MARGIN.right);
  if (wide < 2) return downwards(count, edges.map(({ from, to }) => ({ from, to })), width);
  const { columns, paths } = nodes(count, edges);
  order(columns);
  return inRows(columns, paths, fitting(width - 2 * MARGIN.one) < columns.length ? wide : columns.length, width);
}

/** One box below the other. Arrows that do not go to the next one go down beside the boxes. */
function downwards(count, edges, width) {
  const line = inLine(count, edges);
  const place = [];
  line.forEach((stage, at) => { place[stage] = at; });
  const first = (edge) => edges.find(({ from, to }) => from === edge.from && to === edge.to) === edge;
  const beside = edges.filter((edge) => place[edge.to] - place[edge.from] > 1 || !first(edge))
    .toSorted((a, b) => place[a.to] - place[a.from] - (place[b.to] - place[b.from]));
  // Each in the innermost lane that is free all the way.
  const lanes = [];
  for (const edge of beside) {
    const [from, to] = [place[edge.from], place[edge.to]];
    const free = lanes.findIndex((taken) => taken.every(([start, end]) => end <= from || to <= start));
    edge.lane = free < 0 ? lanes.push([]) - 1 : free;
    lanes[edge.lane].push([from, to]);
  }
  const room = beside.length > 0 ? 24 + lanes.length * 11 : 0;
  const box = { width: Math.max(180, Math.min(320, width - room - 2 * MARGIN.one)), height: BOX.height };
  const left = Math.max(MARGIN.one, (width - box.width - room) / 2);
  const right = left + box.width;
  const into = (stage) => beside.filter(({ to }) => to === stage);
  const boxes = [];
  let top = TOP;
  line.forEach((stage, layer) => {
    if (layer > 0) top += GAP.down + Math.max(0, into(stage).length - 1) * 15;
    boxes[stage] = { x: left, y: top, layer, ...box };
    top += box.height;
  });
  const links = edges.map((edge) => {
    const { from, to, lane } = edge;
    const [above, below] = [boxes[from], boxes[to]];
    if (lane === undefined) {
      const [x, y] = [left + box.width / 3, below.y - 14];
      const d = `M${x} ${above.y + box.height}V${y}`;
      return { d, end: [x, y], step: 40, label: [x + 10, y - 14], beside: true, anchor: 'start', side: 'top' };
    }
    const [leaving, entering] = [beside.filter((one) => one.from === from), into(to)];
    const port = (all) => ((all.indexOf(edge) + 1) * box.height) / (all.length + 1);
    const end = [right + 16, below.y + port(entering)];
    const x = right + 24 + lane * 11;
    const d = `M${right} ${above.y + port(leaving)}H${x}V${end[1]}H${end[0]}`;
    const label = [right, below.y - 8 - 15 * (entering.length - 1 - entering.indexOf(edge))];
    return { d, end, step: Math.min(40, box.height / entering.length), label, beside: true, anchor: 'end', side: 'right' };
  });
  return { width: Math.max(width, right + room), height: top + 8, boxes, links };
}

/** All stages in a line, each behind those that it takes from, and next to one of them if that can be. */
function inLine(count, edges) {
  const missing = new Array(count).fill(0);
  edges.forEach(({ to }) => { missing[to] += 1; });
  const ready = [...missing.keys()].filter((stage) => missing[stage] === 0).toReversed();
  const line = [];
  while (ready.length > 0) {
    const stage = ready.pop();
    line.push(stage);
    for (const { to } of edges.filter(({ from }) => from === stage).toReversed()) {
      missing[to] -= 1;
      if (missing[to] === 0) ready.push(to);
    }
  }
  return line;
}

function inRows(columns, paths, fitting, width) {
  const rows = Math.ceil(columns.length / fitting);
  const wide = Math.ceil(columns.length / rows);
  spread(columns, BOX.height);
  // As much room for arrows as there is, but not so much that they look lost.
  const margin = rows > 1 ? MARGIN.left + MARGIN.right : 2 * MARGIN.one;
  const gap = Math.min(190, Math.max(GAP.layer, (width - margin - wide * BOX.width) / Math.max(1, wide - 1)));
  const used = wide * BOX.width + (wide - 1) * gap;
  const start = rows > 1 ? MARGIN.left + (width - margin - used) / 2 : (width - used) / 2;
  const rowOf = (node) => Math.floor(node.layer / wide);
  const down = paths.flatMap((path) => path.slice(1).filter((node, at) => rowOf(node) > rowOf(path[at])));
  const lanes = [];
  let top = TOP;
  for (let row = 0; row < rows; row += 1) {
    const part = columns.slice(row * wide, (row + 1) * wide).flat();
    const high = Math.min(...part.map(({ middle, size }) => middle - size / 2));
    const low = Math.max(...part.map(({ middle, size }) => middle + size / 2));
    for (const node of part) {
      node.row = row;
      node.left = start + (node.layer - row * wide) * (BOX.width + gap);
      node.middle += top - high;
    }
    const crossing = down.filter((node) => rowOf(node) === row + 1).length;
    lanes.push({ y: top + low - high + 24, used: 0 });
    top += low - high + GAP.row + Math.max(0, crossing - 1) * GAP.lane;
  }
  const { out, into } = ports(paths, BOX.height);
  const links = paths.map((path, at) => {
    const end = [path.at(-1).left - 16, into[at].at];
    let point = [path[0].left + BOX.width, out[at].at];
    let d = `M${point.join(' ')}`;
    let [label, beside] = [null, false];
    path.slice(1).forEach((node, hop) => {
      const next = hop === path.length - 2 ? end : [node.left, node.middle];
      if (node.row === path[hop].row) {
        const half = (point[0] + next[0]) / 2;
        d += cubic([half, point[1]], [half, next[1]], next);
        label ??= hop === path.length - 2 ? [half, (point[1] + next[1]) / 2 - 7] : null;
      } else {
        const lane = lanes[node.row - 1];
        const y = lane.y + GAP.lane * lane.used;
        const [right, left] = [point[0] + 8 + 5 * lane.used, next[0] - 9 - 5 * lane.used];
        if (!label) [label, beside] = [[start + BOX.width / 2, y + 4], true];
        lane.used += 1;
        d += line([right, point[1]]) + line([right, y]) + line([left, y]) + line([left, next[1]]) + line(next);
      }
      point = next;
      if (next !== end) {
        point = [node.left + BOX.width, node.middle];
        d += line(point);
      }
    });
    return { d, end, step: into[at].step, label, beside, anchor: 'middle', side: 'left' };
  });
  const boxes = [];
  for (const { stage, left: x, middle, layer } of columns.flat()) {
    if (stage !== undefined) boxes[stage] = { x, y: middle - BOX.height / 2, layer, ...BOX };
  }
  return {
    width: Math.max(width, start + used + MARGIN.one), height: top - GAP.row + 24,
    boxes, links,
  };
}
