// Curves of the last five minutes.

import { html, say, set, svg } from './dom.js';
import { percent, rate } from './figures.js';

/** Seconds that a curve goes back at the most. */
const SPAN = 300;
const MINUTE = 60;
const [WIDTH, HEIGHT] = [300, 56];

/** What happened in the last minutes: first what the run remembers, then what it tells. */
export class Past {
  constructor() {
    this.points = [];
    this.last = null;
  }

  /** Takes what the run remembers. */
  history({ at, stages, fill }) {
    this.last = null;
    this.points = at.map((time, n) => ({
      at: time, fill: fill.map((values) => values[n]),
      stages: stages.map(({ recent }) => ({ rows: Math.max(recent[n].rows_in, recent[n].rows_out), ...recent[n].times })),
    }));
  }

  /** Adds what happened since the last view. */
  view(view) {
    const before = this.last;
    this.last = view;
    if (!before || view.elapsed - before.elapsed < 0.2) return;
    const seconds = view.elapsed - before.elapsed;
    const stages = view.stages.map((stage, at) => {
      const old = before.stages[at];
      const spent = ['busy', 'waiting', 'blocked'].map((name) => Math.max(0, stage.times[name] - old.times[name]));
      const sum = spent.reduce((all, one) => all + one, 0) || 1;
      const [busy, waiting, blocked] = spent.map((time) => time / sum);
      const rows = Math.max(stage.taken.rows - old.taken.rows, stage.sent.rows - old.sent.rows) / seconds;
      return { rows, busy, waiting, blocked };
    });
    const share = ({ rows, limit_rows: of, bytes, limit_bytes: room }) => Math.min(1, Math.max(rows / of, bytes / room));
    this.points.push({ at: view.elapsed, stages, fill: view.edges.map(share) });
    while (this.points[0].at < view.elapsed - SPAN) this.points.shift();
  }

  /** A value of each point. */
  curve(value) {
    return this.points.map((point) => [point.at, value(point)]);
  }

  /** The time that the curves show: whole minutes, so that they move on and do not shrink all the time. */
  get window() {
    const now = this.points.at(-1)?.at ?? 0;
    const known = now - (this.points[0]?.at ?? now);
    return { now, span: Math.min(SPAN, Math.max(1, Math.ceil(known / MINUTE)) * MINUTE) };
  }
}

function chart(title, note, ...paths) {
  const words = html('strong');
  const grid = svg('path', { class: 'grid' });
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, grid, ...paths);
  const start = html('span');
  const ends = html('p', { class: 'ends', 'aria-hidden': 'true' }, start, html('span', {}, 'now'));
  const scale = ({ span }) => {
    const minutes = span / MINUTE;
    const lines = Array.from({ length: minutes - 1 }, (_, at) => `M${((at + 1) * WIDTH) / minutes} 0V${HEIGHT}`);
    set(grid, { d: `M0 ${HEIGHT - 0.5}H${WIDTH}${lines.join('')}` });
    say(start, `${minutes} min ago`);
  };
  return {
    words, picture, scale,
    element: html('figure', {}, html('figcaption', {}, html('span', {}, title), words, note), picture, ends),
  };
}

const x = (at, { now, span }) => (WIDTH - ((now - at) / span) * WIDTH).toFixed(1);
const y = (share) => (HEIGHT - 1 - share * (HEIGHT - 3)).toFixed(1);

function line(points, window, top) {
  return points.map(([at, value], n) => `${n ? 'L' : 'M'}${x(at, window)} ${y(value / top)}`).join('');
}

/** The area between two curves. */
function area(low, high, window) {
  if (high.length === 0) return '';
  const back = low.toReversed().map(([at, value]) => `L${x(at, window)} ${y(value)}`).join('');
  return `${line(high, window, 1)}${back}z`;
}

/** The curves of one stage. */
export class Curves {
  constructor() {
    const path = (name) => svg('path', { class: name });
    this.paths = { rows: path('curve'), busy: path('area busy'), blocked: path('area blocked'), waiting: path('area waiting'), fill: path('curve queue') };
    const { rows, busy, blocked, waiting, fill } = this.paths;
    this.most = html('span', { class: 'most' });
    this.rows = chart('Rows per second', this.most, rows);
    this.time = chart('Time of its workers', null, waiting, blocked, busy);
    this.queue = chart('Queue in front', null, fill);
    this.element = html('div', { class: 'charts' }, this.rows.element, this.time.element, this.queue.element);
  }

  /** Shows a stage; `inputs` are the numbers of the channels that it takes from. */
  show(past, at, inputs) {
    const { window } = past;
    [this.rows, this.time, this.queue].forEach((chart) => chart.scale(window));
    const rows = past.curve((point) => point.stages[at].rows);
    const top = Math.max(...rows.map(([, value]) => value), 1e-9);
    set(this.paths.rows, { d: line(rows, window, top) });
    const last = rows.at(-1)?.[1] ?? 0;
    say(this.rows.words, rate(last));
    say(this.most, top > 1e-9 ? `most ${rate(top)}` : '');
    set(this.rows.picture, { 'aria-label': `Rows per second in the last minutes: now ${rate(last)}, ${rate(top)} at the most` });

    const zero = past.curve(() => 0);
    const busy = past.curve((point) => point.stages[at].busy);
    const blocked = past.curve((point) => point.stages[at].busy + point.stages[at].blocked);
    const all = past.curve((point) => point.stages[at].busy + point.stages[at].blocked + point.stages[at].waiting);
    set(this.paths.busy, { d: area(zero, busy, window) });
    set(this.paths.blocked, { d: area(busy, blocked, window) });
    set(this.paths.waiting, { d: area(blocked, all, window) });
    const words = `busy ${percent(busy.at(-1)?.[1] ?? 0)}`;
    say(this.time.words, words);
    set(this.time.picture, { 'aria-label': `How the time was split in the last minutes: now ${words}` });

    this.queue.element.hidden = inputs.length === 0;
    const fill = past.curve((point) => Math.max(0, ...inputs.map((edge) => point.fill[edge])));
    set(this.paths.fill, { d: line(fill, window, 1) });
    const full = `${percent(fill.at(-1)?.[1] ?? 0)} full`;
    say(this.queue.words, full);
    set(this.queue.picture, { 'aria-label': `How full the queue was in the last minutes: now ${full}` });
  }
}
