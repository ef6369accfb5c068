//! The command line for those who look at a running pipeline.

use std::time::Duration;

use super::{Search, Set};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill explain http://localhost:9100            # a run that was started with --metrics
  gristmill explain http://localhost:9100 --for 60s
  gristmill explain shop.yaml --for 30s
  gristmill explain 9100 --json | jq .cause

A pipeline is run as `gristmill run` runs it: its sinks write, as they may be what limits. After the
time it is broken off, and files that are not complete by then are not published; what goes to
stdout or into a pipe has gone. The last words say what to change.")]
pub struct Explain {
    /// The address of a run (http://HOST:PORT, or PORT of this machine); or a pipeline, to run it
    #[arg(value_name = "URL|FILE")]
    pub what: String,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
    /// How long to look, such as 30s or 2m
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub time: Duration,
    /// Print JSON in place of sentences
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill top http://localhost:9100
  gristmill top 9100 > run.log                       # no terminal: a line every few seconds

Keys: q ends, arrows or j and k choose a stage, Enter shows more of it, ? shows the keys.")]
pub struct Top {
    /// The address of a run: http://HOST:PORT, or PORT of this machine
    #[arg(value_name = "URL")]
    pub run: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill tap http://localhost:9100 items --rows 10
  gristmill tap 9100 items --where 'price > 100' | jq .title
  gristmill tap 9100 parts.odd                       # one of the outputs of a stage

Not every row is shown: the run never waits, and after the first rows a hundredth of a processor is
used for them. Secrets are blanked out; with --where, rows that hold one are left out.")]
pub struct Tap {
    /// The address of a run: http://HOST:PORT, or PORT of this machine
    #[arg(value_name = "URL")]
    pub run: String,
    /// The stage: its rows as they leave it, or as they come to a sink
    pub stage: String,
    /// End after so many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: Option<u64>,
    /// Only rows for which this SQL expression is true
    #[arg(long = "where", value_name = "EXPR")]
    pub condition: Option<String>,
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 30s, 500ms or 2m".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}
