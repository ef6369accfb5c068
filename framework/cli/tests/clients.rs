//! The commands that ask a run which lets in only who has its token.

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

use std::process::{Command, Stdio};

use common::{Ended, Place, ended};
use served::Served;

const PIPELINE: &str = "\
name: guarded
stages:
  - { name: numbers, type: generate, with: { count: 1000000000000 } }
  - { name: out, type: discard }
";
const TOKEN: &str = "a-token.that_I-chose~42";

/// The commands, each with what it says of the run.
const COMMANDS: [(&str, &[&str], &str); 3] = [
    ("tap", &["numbers", "--rows", "2"], "\"n\":"),
    ("explain", &["--for", "1ms", "--json"], "\"pipeline\": \"guarded\""),
    ("graph", &["--format", "dot"], "rows/s"),
];

/// A command that asks the run at this address.
fn asking(place: &Place, url: &str, (name, args, _): (&str, &[&str], &str)) -> Command {
    let mut command = place.command(&[&[name, url], args].concat());
    command.stdin(Stdio::null()).env_remove("GRISTMILL_TOKEN");
    command
}

fn refused(ended: Ended) {
    let said = ended.expect(4).says("lets nobody in without its token");
    assert!(!said.stderr.contains("wrong-token") && said.stdout.is_empty(), "{}", said.stderr);
}

#[test]
fn whoever_asks_says_the_token() {
    let place = Place::new();
    let run = Served::start(&place, PIPELINE, &["--token", TOKEN]);
    // There are rows to show rates of.
    let with = |url: &str, command| {
        let url = format!("{url}/?token={TOKEN}");
        ended(asking(&place, &url, command).output().unwrap())
    };
    with(&run.url, ("tap", &["numbers", "--rows", "1"], "")).expect(0);
    for command in COMMANDS {
        refused(ended(asking(&place, &run.url, command).output().unwrap()));
        let wrong = format!("{}/?token=wrong-token-of-mine", run.url);
        refused(ended(asking(&place, &wrong, command).output().unwrap()));
        let mut other = asking(&place, &run.url, command);
        refused(ended(other.env("GRISTMILL_TOKEN", "wrong-token-of-mine").output().unwrap()));

        with(&run.url, command).expect(0).prints(command.2);
        let mut by_variable = asking(&place, &run.url, command);
        let said = ended(by_variable.env("GRISTMILL_TOKEN", TOKEN).output().unwrap());
        said.expect(0).prints(command.2);
    }
    let top = ("top", &[][..], "");
    refused(ended(asking(&place, &run.url, top).output().unwrap()));
}

#[test]
fn what_is_no_address_of_a_run_is_said() {
    let place = Place::new();
    for (url, said) in [
        ("https://localhost:1", "`https` is not spoken here"),
        ("http://", "write http://HOST:PORT"),
    ] {
        for command in COMMANDS {
            ended(asking(&place, url, command).output().unwrap()).expect(4).says(said);
        }
    }
}
