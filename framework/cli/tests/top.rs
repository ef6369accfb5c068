//! `gristmill top` and `run --tui`, in a real terminal: tmux is one that tells what is on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/served.rs"]
mod served;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::Place;
use rustix::process::{Pid, Signal, kill_process};
use served::Served;

/// Small channels, so that a run that is told to stop has little to work through.
const YAML: &str = "\
name: slow
batch: { rows: 2 }
channel: { rows: 4 }
stages:
  - { name: requests, type: generate, with: { url: 'demo:/delay/100', count: 1000000 } }
  - { name: pages, type: fetch, run: { mode: process }, with: { concurrency: 2 } }
  - { name: out, type: discard }
";

/// A terminal of its own, gone with its test.
struct Terminal<'a> {
    place: &'a Place,
}

impl<'a> Terminal<'a> {
    /// Runs the command in a terminal of this size; `END` and its exit code come after it.
    fn open(place: &'a Place, args: &str, (width, height): (u16, u16)) -> Self {
        let program = env!("CARGO_BIN_EXE_gristmill");
        let line = format!("echo BEGIN; {program} {args}; echo END $?; exec cat");
        let (width, height) = (width.to_string(), height.to_string());
        let terminal = Self { place };
        let size = ["-x", &width, "-y", &height];
        terminal.tmux(
            &[&["-f", "/dev/null", "new-session", "-d", "-s", "t"], &size[..], &[&line]].concat(),
        );
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.place.path().join("tmux")).args(args);
        command.current_dir(self.place.path()).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.output().expect("tmux is there: `.ci/test` installs it");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is on it, as soon as that is good.
    fn sees(&self, good: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.tmux(&["capture-pane", "-p", "-t", "t"]);
            if good(&text) {
                return text;
            }
            assert!(!text.contains("panicked"), "{text}");
            // Between two looks, so that the terminal has a processor.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells the command to end, as `kill` does.
    fn terminate(&self) {
        let shell = self.tmux(&["list-panes", "-t", "t", "-F", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let child: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(child).unwrap(), Signal::TERM).unwrap();
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "t"], keys].concat());
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.place.path().join("tmux")).arg("kill-server");
        let _ = command.output();
    }
}

#[test]
fn a_run_is_shown_and_the_terminal_given_back() {
    let place = Place::new();
    let run = Served::start(&place, YAML, &[]);
    let terminal = Terminal::open(&place, &format!("top {}", run.url), (100, 24));
    // In the order of the flow, the one that limits marked, and all of it in words.
    let text = terminal.sees(|text| text.contains("▶ pages"));
    let at = |name: &str| text.find(name).unwrap_or_else(|| panic!("{name} in {text}"));
    assert!(text.contains("`pages` limits the pipeline"), "{text}");
    assert!(at("  requests ") < at("▶ pages") && at("▶ pages") < at("  out "), "{text}");
    assert!(text.contains("rows/s") && text.contains("process × 1"), "{text}");
    assert!(!text.contains("BEGIN"), "{text}");

    terminal.keys(&["?"]);
    terminal.sees(|text| text.contains("choose a stage") && text.contains("█ busy"));
    terminal.keys(&["?"]);
    terminal.keys(&["Down", "Down", "Enter"]);
    let text = terminal.sees(|text| text.contains("worker 0: busy"));
    assert!(text.contains("fetch, process × 1") && text.contains("pid "), "{text}");
    terminal.keys(&["Escape"]);
    terminal.sees(|text| text.contains("▶ pages"));

    // Small, and smaller than anything fits on.
    for (width, height) in [("40", "10"), ("20", "3"), ("5", "1"), ("100", "24")] {
        terminal.tmux(&["resize-window", "-t", "t", "-x", width, "-y", height]);
        if height != "1" && height != "3" {
            terminal.sees(|text| text.contains("pages") && text.contains("rows/s"));
        }
    }
    terminal.keys(&["q"]);
    let text = terminal.sees(|text| text.contains("END"));
    assert!(text.contains("BEGIN") && text.contains("END 0"), "{text}");
}

#[test]
fn the_end_of_a_run_is_said() {
    let place = Place::new();
    let mut run = Served::start(&place, YAML, &[]);
    let terminal = Terminal::open(&place, &format!("top {}", run.url), (100, 24));
    terminal.sees(|text| text.contains("pages"));
    run.stop();
    terminal.sees(|text| text.contains("is over, or does not answer"));
    // A signal gives the terminal back as well.
    terminal.terminate();
    let text = terminal.sees(|text| text.contains("END"));
    assert!(text.contains("BEGIN"), "{text}");
}

#[test]
fn a_run_shows_itself_and_is_stopped_as_ever() {
    for how in ["key", "signal"] {
        let place = Place::new();
        place.write("pipeline.yaml", YAML);
        let terminal = Terminal::open(&place, "run pipeline.yaml --tui", (100, 30));
        terminal.sees(|text| text.contains("▶ pages"));
        match how {
            "key" => terminal.keys(&["C-c"]),
            _ => terminal.terminate(),
        }
        let text = terminal.sees(|text| text.contains("END"));
        assert!(text.contains("BEGIN") && text.contains("END 130"), "{text}");
        assert!(text.contains("interrupted after"), "{text}");
        // What was said meanwhile is not lost.
        assert!(text.contains("stopping: "), "{text}");
    }
}

#[test]
fn a_run_goes_on_when_its_screen_is_left() {
    let place = Place::new();
    place.write("pipeline.yaml", YAML);
    let terminal = Terminal::open(&place, "run pipeline.yaml --tui", (100, 30));
    terminal.sees(|text| text.contains("▶ pages"));
    terminal.keys(&["q"]);
    let text = terminal.sees(|text| text.contains("BEGIN") && text.contains("busy"));
    assert!(!text.contains("END"), "{text}");
    terminal.keys(&["C-c"]);
    terminal.sees(|text| text.contains("END 130"));
}

#[test]
fn without_a_terminal_there_are_lines() {
    let place = Place::new();
    let run = Served::start(&place, YAML, &[]);
    let mut command = place.command(&["top", &run.url]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("requests ") && line.contains("/s busy "), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Where it should be on a terminal, a run goes on without.
    place.write("short.yaml", &YAML.replace("1000000", "4"));
    place.gristmill(&["run", "short.yaml", "--tui"]).expect(0).says("there is no terminal");
}
