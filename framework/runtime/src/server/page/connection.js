// Listens to the run, and goes on trying when it cannot be heard.

/** No event for so long means that nobody is there, whatever the connection says. */
const SILENCE = 15_000;
/** How long to wait before the next try, longer each time. */
const WAITS = [1, 2, 4, 8, 15];

/** Reads the events of a body, as the standard for server-sent events has them. */
async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    text += value;
    let end;
    while ((end = text.indexOf('\n\n')) >= 0) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      yield [field('event'), JSON.parse(field('data'))];
    }
  }
}

/** One connection, until it ends. Returns whether the run has ended, or why there was none. */
async function listen(on) {
  const stop = new AbortController();
  let watch = setTimeout(() => stop.abort(), SILENCE);
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => stop.abort(), SILENCE);
  };
  try {
    const answer = await fetch('/api/events', { signal: stop.signal, cache: 'no-store' });
    if (!answer.ok) return { status: answer.status };
    for await (const [name, data] of events(answer.body, heard)) {
      on[name]?.(data);
      if (name === 'end') return { ended: true };
    }
    return {};
  } catch (error) {
    if (error instanceof TypeError || error.name === 'AbortError') return {};
    throw error;
  } finally {
    clearTimeout(watch);
    stop.abort();
  }
}

const wait = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

/**
 * Listens until the run has ended. `on` has a function for each event, and `state` for what becomes of the
 * connection: a word, and words to show.
 */
export async function follow(on) {
  let tries = 0;
  const told = (name) => (data) => {
    tries = 0;
    on[name](data);
  };
  const handlers = { history: told('history'), view: told('view'), end: told('end') };
  for (;;) {
    const { ended, status } = await listen(handlers);
    if (ended) return;
    if (status === 401 || status === 403) {
      on.state('refused', 'not allowed: open the address that the run printed, with its token');
      return;
    }
    const seconds = WAITS[Math.min(tries, WAITS.length - 1)];
    tries += 1;
    const why = status === 503 ? 'too many look at this run' : status ? `the run answered ${status}` : 'connection lost';
    on.state('lost', `${why}; next try in ${seconds} s`);
    await wait(seconds);
    on.state('connecting', 'connecting …');
  }
}
