// The graph: a box for each stage, an arrow for each channel.

import { byId, say, set, svg } from './dom.js';
import { count, percent, rate, short, some } from './figures.js';
import { layout } from './layout.js';

const STATES = {
  limits: 'limits the others',
  busy: 'at work',
  waiting: 'waits for input',
  blocked: 'waits for room behind it',
  mixed: '',
  complete: 'at its end',
};

/** What a stage is doing, in words. */
export const doing = (stage) => STATES[stage.state] ?? stage.state;

/** `parse · threaded × 2` */
export const manner = (stage) =>
  `${stage.kind} · ${stage.mode}${stage.workers.length > 1 ? ` × ${stage.workers.length}` : ''}`;

/** How often child processes of a stage died. */
export function deaths(stage) {
  const children = stage.workers.map(({ child }) => child).filter(Boolean);
  return children.flatMap((child) => Object.values(child.deaths)).reduce((sum, n) => sum + n, 0);
}

/** Rows that went through a stage. */
export const rows = (stage) => Math.max(stage.taken.rows, stage.sent.rows);

/** Fits a text into a width; what was cut off is in its title. */
function cut(element, text, width) {
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  let letters = [...text];
  element.textContent = text;
  while (letters.length > 1 && element.getComputedTextLength() > width) {
    letters = letters.slice(0, Math.min(letters.length - 1,
      Math.floor((letters.length * width) / element.getComputedTextLength())));
    element.textContent = `${letters.join('')}…`;
  }
}

/** Three parts of a bar that is `width` wide. */
function split(bar, times, width) {
  const sum = times.busy + times.waiting + times.blocked;
  let x = 0;
  for (const [part, name] of [...bar.children].map((part) => [part, part.dataset.part])) {
    const wide = sum > 0 ? (times[name] / sum) * width : 0;
    set(part, { x: x.toFixed(1), width: wide.toFixed(1) });
    x += wide;
  }
}

function bar(height) {
  const part = (name) => svg('rect', { class: name, 'data-part': name, height, y: 0, x: 0, width: 0 });
  return svg('g', { class: 'bar' }, part('busy'), part('blocked'), part('waiting'));
}

/** A picture of a time split, for tables. */
export function splitBar(into, times) {
  if (into.firstElementChild === null) {
    into.append(svg('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', class: 'split', role: 'img' }, bar(10)));
  }
  split(into.querySelector('g'), times, 100);
  const words = ['busy', 'waiting', 'blocked'].map((name) => `${name} ${percent(times[name])}`);
  set(into.firstElementChild, { 'aria-label': words.join(', ') });
}

/** The graph of a run. */
export class Graph {
  constructor(choose) {
    this.choose = choose;
    this.place = byId('graph');
    this.chosen = null;
    this.width = 0;
    new ResizeObserver(() => this.draw()).observe(this.place);
  }

  /** Shows the run as it is now. */
  show(view) {
    const shape = JSON.stringify([view.stages.map((stage) => [stage.name, stage.kind]), view.edges.map(({ from, to }) => [from, to])]);
    this.view = view;
    if (shape !== this.shape) {
      this.shape = shape;
      this.width = 0;
    }
    this.draw();
  }

  /** Marks a stage as chosen. */
  mark(name) {
    this.chosen = name;
    if (this.view) this.update();
  }

  draw() {
    const width = this.place.clientWidth;
    if (!this.view || width === 0) return;
    if (width !== this.width) {
      this.width = width;
      this.build(layout(this.view.stages.length, this.view.edges, width));
    }
    this.update();
  }

  build(plan) {
    const focused = this.place.contains(document.activeElement) ? document.activeElement.dataset.stage : null;
    this.plan = plan;
    this.links = plan.links.map((link) => this.link(link));
    this.boxes = plan.boxes.map((box, at) => this.box(box, at));
    const hatch = svg('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
      svg('rect', { width: 6, height: 6, class: 'ground' }), svg('rect', { width: 2.5, height: 6, class: 'stripe' }));
    const picture = svg('svg', { width: plan.width, height: plan.height, viewBox: `0 0 ${plan.width} ${plan.height}` },
      svg('defs', {}, hatch), ...this.links, ...this.boxes);
    this.place.replaceChildren(picture);
    if (focused != null) this.boxes[focused]?.focus();
  }

  /** An arrow, and what is written on it, and the queue at its end. */
  link({ d, end: [x, y], step, label: [labelX, labelY], beside, anchor, side }) {
    const size = Math.max(10, Math.min(34, step - 6));
    const [head, queue, full] = {
      left: [`M${x - 7} ${y - 5}V${y + 5}L${x} ${y}z`, { x: x + 3, y: y - size / 2, width: 8, height: size }, [x - 1, y + size / 2 + 13]],
      right: [`M${x + 7} ${y - 5}V${y + 5}L${x} ${y}z`, { x: x - 11, y: y - size / 2, width: 8, height: size }, [x + 5, y + size / 2 + 13]],
      top: [`M${x - 5} ${y - 7}H${x + 5}L${x} ${y}z`, { x: x - size / 2, y: y + 3, width: size, height: 8 }, [x - size / 2 - 5, y + 10]],
    }[side];
    const written = (name, left, top, to) => svg('text', { class: name, x: left, y: top, 'text-anchor': to });
    return svg('g', { class: 'link', 'data-side': side, 'data-beside': beside ? 'yes' : 'no' },
      svg('path', { class: 'line', d }), svg('path', { class: 'head', d: head }),
      svg('rect', { class: 'room', rx: 2, ...queue }), svg('rect', { class: 'fill', rx: 2, ...queue }),
      written('rate', labelX, labelY, anchor), written('output', labelX, labelY + 20, anchor),
      written('full', ...full, 'end'));
  }

  box({ x, y, width, height }, at) {
    const text = (name, left, top, anchor = 'start') =>
      svg('text', { class: name, x: anchor === 'end' ? width - left : left, y: top, 'text-anchor': anchor });
    const badge = svg('g', { class: 'badge', transform: `translate(${width - 84} -11)` },
      svg('rect', { width: 72, height: 22, rx: 11 }), svg('path', { d: 'M8 11l5 -6l5 6l-5 6z' }),
      svg('text', { x: 24, y: 15.5 }, 'limits'));
    return svg('g', {
      class: 'stage', transform: `translate(${x} ${y})`, role: 'button', 'data-stage': at, tabindex: at === 0 ? 0 : -1,
      onclick: () => this.take(at),
      onkeydown: (event) => this.key(event, at),
    }, svg('title'), svg('rect', { class: 'back', width, height, rx: 9 }), text('name', 13, 25), text('manner', 13, 43),
    svg('g', { transform: 'translate(13 53)' }, svg('rect', { class: 'track', width: width - 26, height: 11 }), bar(11)),
    text('share', 13, 82), text('rows', 13, 82, 'end'), text('doing', 13, 99), text('bad', 13, 99, 'end'), badge);
  }

  update() {
    const { view } = this;
    view.stages.forEach((stage, at) => this.updateBox(this.boxes[at], stage, at));
    const fastest = Math.max(...view.edges.map((edge) => edge.recent_rows), 1);
    view.edges.forEach((edge, at) => {
      const link = this.links[at];
      const part = (name) => link.querySelector(`.${name}`);
      const over = view.stages[edge.to].state === 'complete';
      const flow = edge.recent_rows > 0 ? 1.5 + 3.5 * Math.sqrt(edge.recent_rows / fastest) : 1.5;
      set(link, { 'data-flows': edge.recent_rows > 0 ? 'yes' : 'no' });
      set(part('line'), { 'stroke-width': flow.toFixed(2) });
      const flowing = over && edge.recent_rows === 0 ? `${short(edge.passed)} rows` : rate(edge.recent_rows);
      const beside = link.dataset.beside === 'yes';
      say(part('rate'), beside && edge.output ? `${edge.output} ${flowing}` : flowing);
      cut(part('output'), beside ? '' : edge.output ?? '', 96);
      const room = part('room');
      const [size, start] = [link.dataset.side === 'top' ? 'width' : 'height', Number(room.getAttribute('y'))];
      const whole = Number(room.getAttribute(size));
      const full = edge.recent_fill > 0 ? Math.max(2, whole * edge.recent_fill) : 0;
      set(part('fill'), size === 'width' ? { width: full.toFixed(1) } : { height: full.toFixed(1), y: (start + whole - full).toFixed(1) });
      // Only one that is filling up says so in digits: the others would only be in the way.
      const others = view.edges.filter(({ to }) => to === edge.to).length;
      say(part('full'), edge.recent_fill >= 0.1 && others < 3 ? percent(edge.recent_fill) : '');
    });
  }

  updateBox(box, stage, at) {
    const part = (name) => box.querySelector(`.${name}`);
    const width = this.plan.boxes[at].width - 26;
    const chosen = stage.name === this.chosen;
    const died = deaths(stage);
    const bad = [stage.rejected > 0 && `${count(stage.rejected)} rejected`, died > 0 && some(died, 'death')].filter(Boolean);
    const { times } = stage.recent;
    const busy = stage.state === 'complete' ? '' : `busy ${percent(times.busy)}`;
    const words = [stage.name, manner(stage), doing(stage), busy, some(rows(stage), 'row'), ...bad].filter(Boolean);
    set(box, {
      'data-state': stage.state, 'aria-pressed': chosen, 'aria-label': words.join(', '),
      tabindex: (chosen || (!this.known(this.chosen) && at === 0)) ? 0 : -1,
    });
    say(box.firstElementChild, words.join('\n'));
    cut(part('name'), stage.name, stage.state === 'limits' ? width - 4 : width);
    cut(part('manner'), manner(stage), width);
    split(part('bar'), times, width);
    say(part('share'), busy);
    say(part('rows'), `${short(rows(stage))} rows`);
    say(part('doing'), bad.length > 0 ? '' : doing(stage));
    say(part('bad'), bad.join(', '));
  }

  known(name) {
    return this.view.stages.some((stage) => stage.name === name);
  }

  take(at) {
    this.boxes[at].focus();
    this.choose(this.view.stages[at].name);
  }

  /** Arrow keys go to the nearest box in their direction. */
  key(event, at) {
    const key = event.key;
    if (key === 'Enter' || key === ' ') {
      event.preventDefault();
      this.take(at);
      return;
    }
    const last = this.boxes.length - 1;
    const to = { Home: 0, End: last }[key] ?? this.beside(at, key);
    if (to === undefined) return;
    event.preventDefault();
    this.boxes.forEach((box, other) => { box.setAttribute('tabindex', other === to ? 0 : -1); });
    this.boxes[to].focus();
  }

  beside(at, key) {
    const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
    if (!direction) return undefined;
    const here = this.plan.boxes[at];
    const [dx, dy] = direction;
    let best;
    this.plan.boxes.forEach((box, other) => {
      const [x, y] = [box.x - here.x, box.y - here.y];
      const along = x * dx + y * dy;
      if (other === at || along <= 1) return;
      const way = along + 3 * Math.abs(x * dy + y * dx);
      if (best === undefined || way < best.way) best = { way, other };
    });
    // At the end of a row, the flow goes on in the next one.
    const next = (key === 'ArrowRight' && at + 1) || (key === 'ArrowLeft' && at - 1);
    return best?.other ?? (this.plan.boxes[next] ? next : undefined);
  }
}
