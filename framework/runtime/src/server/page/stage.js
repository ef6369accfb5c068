// All about one stage.

import { Curves } from './charts.js';
import { byId, html, numbers, say, set, Table } from './dom.js';
import { brief, bytes, count, percent, processors, rate, some, time } from './figures.js';
import { doing, manner, splitBar } from './graph.js';

const flow = ({ rows, batches, bytes: size }) => `${some(rows, 'row')}, ${some(batches, 'batch', 'batches')}, ${bytes(size)}`;

const listed = (counts) => Object.entries(counts).map(([name, n]) => `${name.replaceAll('_', ' ')} ${count(n)}`).join(', ');

function workerTables() {
  const child = (shown) => ({ child: one }) => (one ? shown(one) : '–');
  const own = [
    { title: 'Worker', head: true, cell: (_, at) => `${at + 1}` },
    { title: 'Time', cell: (worker, _, td) => splitBar(td, worker.recent.times) },
    { title: 'Busy', cell: ({ recent }) => percent(recent.times.busy) },
    { title: 'Processors', cell: ({ recent }) => processors(recent.processors) },
    { title: 'Rows/s', cell: ({ recent }) => rate(Math.max(recent.rows_in, recent.rows_out)) },
    { title: 'Rows in', cell: ({ rows_in: n }) => count(n) },
    { title: 'Rows out', cell: ({ rows_out: n }) => count(n) },
  ];
  const children = [
    { title: 'Process', cell: child(({ pid }) => (pid == null ? 'between two' : `${pid}`)) },
    { title: 'Memory', cell: child(({ memory }) => bytes(memory)) },
    { title: 'At the most', cell: child(({ peak_memory: n }) => bytes(n)) },
    { title: 'Processor time', cell: child(({ cpu }) => time(cpu)) },
    { title: 'Deaths', cell: child(({ deaths }) => listed(deaths) || '0') },
  ];
  return [new Table('Workers', own), new Table('Workers and their child processes', [...own, ...children])];
}

const queues = (view) => new Table('Queues in front', [
  { title: 'From', head: true, text: true, cell: ({ from, output }) => view().stages[from].name + (output ? `.${output}` : '') },
  { title: 'Dealt out', text: true, cell: ({ distribution, queues: n }) => (n > 1 ? `${distribution}, ${n} queues` : distribution) },
  { title: 'Full', cell: ({ recent_fill: share }) => percent(share) },
  { title: 'Rows now', cell: ({ rows, limit_rows: most }) => `${count(rows)} of ${count(most)}` },
  { title: 'Bytes now', cell: ({ bytes: size, limit_bytes: most }) => `${bytes(size)} of ${bytes(most)}` },
  { title: 'Rows/s', cell: ({ recent_rows: n }) => rate(n) },
  { title: 'Rows so far', cell: ({ passed }) => count(passed) },
]);

/** The panel with the details of a stage. */
export class Stage {
  constructor(past) {
    this.past = past;
    this.title = html('h2');
    this.doing = html('p', { class: 'doing' });
    this.numbers = html('dl', { class: 'numbers' });
    this.curves = new Curves();
    [this.plain, this.children] = workerTables();
    this.queues = queues(() => this.view);
    const head = html('div', { class: 'line' }, this.title, this.doing);
    const workers = html('div', {}, html('h3', {}, 'Workers'), this.plain.element, this.children.element);
    this.inFront = html('div', {}, html('h3', {}, 'Queues in front of it'), this.queues.element);
    byId('panel-stage').append(head, this.curves.element, this.numbers,
      html('div', { class: 'tables' }, workers, this.inFront));
  }

  /** Shows the stage with this name. */
  show(view, name) {
    const at = view.stages.findIndex((stage) => stage.name === name);
    if (at < 0) return;
    this.view = view;
    const stage = view.stages[at];
    const inputs = [...view.edges.keys()].filter((edge) => view.edges[edge].to === at);
    say(this.title, stage.name);
    say(this.doing, [manner(stage), doing(stage)].filter(Boolean).join(' – '));
    set(this.doing, { 'data-state': stage.state });
    this.curves.show(this.past, at, inputs);
    const errors = listed(stage.errors);
    numbers(this.numbers, [
      stage.role !== 'source' && ['Taken', flow(stage.taken)],
      stage.role !== 'sink' && ['Put out', flow(stage.sent)],
      ['A call takes', `${brief(stage.call_p50)}, 99 of 100 under ${brief(stage.call_p99)}`],
      stage.recent.processors != null && ['Processors in use', processors(stage.recent.processors)],
      stage.pool && ['Pool', stage.pool],
      stage.ordered && ['Order', 'kept'],
      ['Rejected', some(stage.rejected, 'row')],
      errors && ['Errors', errors],
    ]);
    const remote = stage.workers.some(({ child }) => child);
    this.plain.element.hidden = remote;
    this.children.element.hidden = !remote;
    (remote ? this.children : this.plain).show(stage.workers);
    this.inFront.hidden = inputs.length === 0;
    this.queues.show(inputs.map((edge) => view.edges[edge]));
  }
}
