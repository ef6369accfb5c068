//! `gristmill top`: a running pipeline in the terminal, as `run --tui` shows its own.

mod draw;
mod parts;
mod screen;

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_runtime::view::RunView;

use crate::args::Top;
use crate::client::Client;
use crate::exit::Exit;
use crate::figures;
use crate::say::{failed, say};
use crate::signals::Signals;

pub use draw::Shown;
pub use screen::{Key, Screen};

/// How often a run is asked.
const TICK: Duration = Duration::from_secs(1);
/// How often a line is printed where there is no terminal.
const PLAIN_TICK: Duration = Duration::from_secs(5);
/// How long a key is waited for before the picture is drawn again.
const KEYS: Duration = Duration::from_millis(200);

/// Shows a run until it is over, or `q` is pressed.
pub fn top(args: &Top) -> Exit {
    let client = match Client::new(&args.run) {
        Ok(client) => client,
        Err(why) => return failed(why),
    };
    let view: RunView = match client.json("/api/view") {
        Ok(view) => view,
        Err(why) => return failed(why),
    };
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return plain(&client, view);
    }
    match full(client, view) {
        Ok(last) => {
            say(last);
            Exit::Done
        }
        Err(error) => failed(format!("the terminal cannot be used: {error}")),
    }
}

/// A line now and then.
fn plain(client: &Client, mut view: RunView) -> Exit {
    loop {
        let printed = super::print(&format!("{}\n", line(&view)));
        if printed != Exit::Done {
            return printed;
        }
        std::thread::sleep(PLAIN_TICK);
        match client.json("/api/view") {
            Ok(next) => view = next,
            Err(_) => return super::print(&format!("{} is over\n", client.place())),
        }
    }
}

/// A run in a line.
fn line(view: &RunView) -> String {
    let stages = view.stages.iter().map(|stage| {
        let rows = stage.recent.rows_in.max(stage.recent.rows_out);
        let busy = figures::percent(stage.recent.times.busy);
        format!("{} {}/s busy {busy}", stage.name, figures::per_second(rows))
    });
    let stages: Vec<_> = stages.collect();
    format!("{:>6.0}s  {}  | {}", view.elapsed, stages.join(", "), view.limit.words)
}

/// What was last heard of a run.
struct Heard {
    view: RunView,
    /// Why there is nothing newer.
    gone: Option<String>,
}

/// On the whole terminal. Returns what to say afterwards.
fn full(client: Client, view: RunView) -> std::io::Result<String> {
    let signals = Signals::listen()?;
    let place = client.place();
    let heard = Arc::new(Mutex::new(Heard { view, gone: None }));
    let told = heard.clone();
    // Beside the keys, which must be answered also when the run does not.
    std::thread::Builder::new().name("asks".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            let answer = client.json::<RunView>("/api/view");
            let mut heard = told.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(view) => *heard = Heard { view, gone: None },
                Err(why) => heard.gone = Some(why),
            }
        }
    })?;
    let mut screen = Screen::open()?;
    let mut shown = Shown::default();
    while signals.count() == 0 {
        {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let note = heard.gone.as_ref().map(|_| format!("{place} is over, or does not answer"));
            screen.draw(|frame| shown.draw(frame, &heard.view, note.as_deref(), &[]))?;
        }
        match screen.key(KEYS)? {
            Some(Key::Quit | Key::Interrupt) => break,
            Some(key) => shown.press(key),
            None => {}
        }
    }
    screen.close();
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(heard.view.limit.words.clone())
}
