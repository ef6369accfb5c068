// The live page: listens to the run and shows it.

import { Past } from './charts.js';
import { follow } from './connection.js';
import { byId, numbers, say, set } from './dom.js';
import { bytes, percent, processors, some, time } from './figures.js';
import { Graph } from './graph.js';
import { Stage } from './stage.js';
import { Rejected, Stages } from './tables.js';
import * as tabs from './tabs.js';

const past = new Past();
let view = null;
let chosen = decodeURIComponent(location.hash.slice(1)) || null;

const graph = new Graph(choose);
const stage = new Stage(past);
const stages = new Stages(choose);
const rejected = new Rejected();

function choose(name) {
  chosen = name;
  history.replaceState(null, '', `${location.pathname}#${encodeURIComponent(name)}`);
  tabs.open('tab-stage');
  graph.mark(name);
  stage.show(view, name);
}

/** What limits the run, in a sentence. */
function sentence({ limit, stages: all }) {
  if (limit.words) return [limit.words].flat().join(' ');
  if (all.every(({ state }) => state === 'complete')) return 'All stages are at their end.';
  if (limit.stage == null) return 'Nothing limits it: no stage is busy for more than half of its time.';
  const { name, workers } = all[limit.stage];
  const who = workers.length > 1 ? 'its workers are' : 'its worker is';
  return `“${name}” limits it: ${who} busy ${percent(limit.busy)} of the time, and the others wait for it.`;
}

function limits() {
  say(byId('sentence'), sentence(view));
  const name = view.stages[view.limit.stage]?.name;
  set(byId('limit'), { 'data-limited': name !== undefined });
  // The numbers change every second, and to hear them each time would help nobody: only another stage is told.
  if (byId('spoken').dataset.stage !== String(name)) {
    byId('spoken').dataset.stage = String(name);
    say(byId('spoken'), sentence(view));
  }
}

function show(data) {
  view = data;
  past.view(view);
  say(byId('pipeline'), view.pipeline);
  document.title = `${view.pipeline} – Gristmill`;
  say(byId('footer'), `Gristmill ${view.version}. This page only looks; it changes nothing.`);
  if (!view.stages.some(({ name }) => name === chosen)) {
    chosen = view.stages[view.limit.stage ?? 0].name;
  }
  numbers(byId('program'), [
    ['Running for', time(view.elapsed)],
    ['Processors', `${processors(view.program.recent_processors)} of ${view.program.processors}`],
    ['Memory', bytes(view.program.memory)],
    ['Rejected', some(view.rejected.rows, 'row')],
  ]);
  limits();
  graph.mark(chosen);
  graph.show(view);
  stage.show(view, chosen);
  stages.show(view);
  rejected.show(view);
  texts();
}

/** The plan and the YAML do not change while a run goes on. */
function texts() {
  for (const [id, path] of [['plan', '/api/plan'], ['yaml', '/api/pipeline']]) {
    const place = byId(id);
    if (place.dataset.known) continue;
    place.dataset.known = 'yes';
    fetch(path).then((answer) => answer.text()).then((text) => say(place, text)).catch(() => { delete place.dataset.known; });
  }
}

function state(name, words) {
  set(byId('status'), { 'data-state': name });
  set(document.body, { 'data-state': name });
  say(byId('status-words'), words);
  byId('again').hidden = name !== 'over' && name !== 'refused';
}

const ENDS = {
  done: 'done', stopped: 'stopped, complete for what was read', aborted: 'broken off', failed: 'failed',
};

function end({ outcome, error, took, view: last }) {
  show(last);
  const words = `the run is over: ${ENDS[outcome] ?? outcome} after ${time(took)}`;
  state('over', words);
  set(byId('status'), { 'data-outcome': outcome });
  say(byId('sentence'), error ? `It failed: ${error}` : `${words[0].toUpperCase()}${words.slice(1)}. ${some(last.rejected.rows, 'row')} rejected.`);
  say(byId('spoken'), byId('sentence').textContent);
  set(byId('limit'), { 'data-limited': outcome === 'failed' });
}

function watch() {
  byId('status').removeAttribute('data-outcome');
  state('connecting', 'connecting …');
  follow({
    history: (data) => {
      // The first event of a connection: it may be another run under the same address.
      ['plan', 'yaml'].forEach((id) => { delete byId(id).dataset.known; });
      past.history(data);
    },
    view: (data) => {
      state('live', data.stopping ? 'stopping: what was read is worked through' : 'live');
      show(data);
    },
    end,
    state,
  });
}

tabs.start();
byId('again').addEventListener('click', watch);
// The token has become a cookie; in the address it would be seen and shared.
if (location.search) history.replaceState(null, '', location.pathname + location.hash);
watch();
