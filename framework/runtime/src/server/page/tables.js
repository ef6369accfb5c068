// All stages as a table, and rejected rows.

import { byId, fit, html, say, Table } from './dom.js';
import { count, percent, rate, some } from './figures.js';
import { deaths, doing, manner, splitBar } from './graph.js';

/** The graph as a table. */
export class Stages {
  constructor(choose) {
    const fill = (view, at) => {
      const inputs = view.edges.filter(({ to }) => to === at);
      return inputs.length > 0 ? percent(Math.max(...inputs.map((edge) => edge.recent_fill))) : '–';
    };
    const from = (view, at) => view.edges.filter(({ to }) => to === at)
      .map(({ from: stage, output }) => view.stages[stage].name + (output ? `.${output}` : '')).join(', ');
    const name = (row, _, td) => {
      if (td.firstElementChild === null) {
        td.append(html('button', { type: 'button', class: 'link', onclick: () => choose(td.firstElementChild.textContent) }));
      }
      say(td.firstElementChild, row.stage.name);
    };
    this.table = new Table('All stages', [
      { title: 'Stage', head: true, text: true, cell: name },
      { title: 'From', text: true, cell: ({ view, at }) => from(view, at) || '–' },
      { title: 'How it runs', text: true, cell: ({ stage }) => manner(stage) },
      { title: 'State', text: true, cell: ({ stage }) => doing(stage) || '–' },
      { title: 'Time', cell: ({ stage }, _, td) => splitBar(td, stage.recent.times) },
      { title: 'Busy', cell: ({ stage }) => percent(stage.recent.times.busy) },
      { title: 'Waiting', cell: ({ stage }) => percent(stage.recent.times.waiting) },
      { title: 'Blocked', cell: ({ stage }) => percent(stage.recent.times.blocked) },
      { title: 'Queue', cell: ({ view, at }) => fill(view, at) },
      { title: 'Rows/s in', cell: ({ stage }) => (stage.role === 'source' ? '–' : rate(stage.recent.rows_in)) },
      { title: 'Rows/s out', cell: ({ stage }) => (stage.role === 'sink' ? '–' : rate(stage.recent.rows_out)) },
      { title: 'Rows in', cell: ({ stage }) => count(stage.taken.rows) },
      { title: 'Rows out', cell: ({ stage }) => count(stage.sent.rows) },
      { title: 'Rejected', cell: ({ stage }) => count(stage.rejected) },
      { title: 'Deaths', cell: ({ stage }) => (stage.mode === 'process' ? count(deaths(stage)) : '–') },
    ]);
    byId('panel-all').append(this.table.element);
  }

  /** Shows the run as it is now. */
  show(view) {
    this.table.show(view.stages.map((stage, at) => ({ view, stage, at })));
  }
}

/** A row as JSON, with a line for each of its fields, if it is whole. */
function spread(row) {
  try {
    return JSON.stringify(JSON.parse(row), null, 2);
  } catch {
    return row;
  }
}

/** The rows that were rejected lately. */
export class Rejected {
  constructor() {
    this.words = html('p');
    this.list = html('ul', { class: 'rejected' });
    byId('panel-rejected').append(this.words, this.list);
  }

  /** Shows the run as it is now. */
  show({ rejected: { rows, path, samples } }) {
    say(byId('tab-rejected'), rows > 0 ? `Rejected rows (${count(rows)})` : 'Rejected rows');
    const latest = samples.length < rows ? `; here are the latest ${samples.length}` : '';
    say(this.words, rows > 0 ? `${some(rows, 'row')} so far, all in ${path}${latest}.` : 'No row was rejected so far.');
    const make = () => html('li', {}, html('p', { class: 'why' }, html('strong'), html('span'), html('time')), html('pre'));
    fit(this.list, samples, make, (li, sample) => {
      const [why, row] = li.children;
      const [stage, reason, time] = why.children;
      say(stage, sample.stage);
      say(reason, sample.reason);
      say(time, sample.time.replace('T', ' ').replace(/\.\d+/, ''));
      time.dateTime = sample.time;
      if (row.dataset.row !== sample.row) {
        row.dataset.row = sample.row;
        row.textContent = spread(sample.row);
      }
    });
  }
}
