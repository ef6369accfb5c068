//! The command line.

mod author;
mod look;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use gristmill_config::Mode;

use crate::exit;
use crate::log::{Format, Levels};

pub use author::{Inspect, Lang, New, NewPipeline, NewPlugin, Plugin, Template, Test, Which};
pub use look::{Explain, Tap, Top};

/// Runs data pipelines written in YAML.
#[derive(Debug, Parser)]
#[command(name = "gristmill", version, after_help = exit::HELP, max_term_width = 100)]
pub struct Args {
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What is logged on stderr: a level, and others for stages by their names; goes before RUST_LOG
    #[arg(long, global = true, value_name = "LEVELS", help_heading = "Log")]
    pub log: Option<Levels>,
    /// How lines on stderr look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Log"
    )]
    pub log_format: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline
    Run(Run),
    /// Measure which mode and how many workers are best for a pipeline
    Bench(Bench),
    /// One measured run, told what to do on stdin; `bench` starts it
    #[command(hide = true)]
    BenchRun,
    /// Check pipelines and print their plans; nothing runs
    Check(Check),
    /// List the kinds of stages, or explain one
    Stages(Stages),
    /// List the SQL functions that expressions may use, or explain one
    Functions(Functions),
    /// Print the JSON Schema of pipelines, for editors
    Schema(Schema),
    /// Draw the stages and channels of a pipeline
    Graph(Graph),
    /// Say what limits a pipeline and what to change
    Explain(Explain),
    /// Show a running pipeline in the terminal
    Top(Top),
    /// Print rows of a running pipeline as they pass
    Tap(Tap),
    /// Print a Grafana dashboard for a pipeline, or what Prometheus needs
    Dashboard(Dashboard),
    /// Look at a plugin, or test it
    #[command(subcommand)]
    Plugin(Plugin),
    /// Begin a plugin or a pipeline that runs as it stands
    #[command(subcommand)]
    New(New),
    /// Serve the demo site on its own
    DemoSite(DemoSite),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// How variables in a pipeline get their values.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Give ${VAR} in the pipeline a value; goes before the environment
    #[arg(long = "set", value_name = "VAR=VALUE", value_parser = variable)]
    pub set: Vec<(String, String)>,
}

/// Where plugins are.
#[derive(Debug, clap::Args)]
pub struct Search {
    /// Look for plugins that are named without a slash in this folder; goes before
    /// GRISTMILL_PLUGIN_PATH
    #[arg(long = "plugins", value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill run pipelines/quickstart.yaml
  gristmill run shop.yaml --set SITE=https://shop.example --metrics 9100
  gristmill run shop.yaml --ui 9100                  # the same: look at http://127.0.0.1:9100/
  gristmill run shop.yaml --tui
  generate-pipeline | gristmill run -
  gristmill run shop.yaml --log warn,items=debug --log-format json
  gristmill run shop.yaml --otlp http://localhost:4318 --otlp-sample 0.1")]
pub struct Run {
    /// The pipeline; `-` reads it from stdin
    pub file: String,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
    /// Serve the live page, /metrics, /healthz and /readyz there; a port alone means 127.0.0.1
    #[arg(long, visible_alias = "ui", value_name = "ADDR", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// What a browser must say to see the live page; better in GRISTMILL_TOKEN, which no `ps` shows
    /// [default: made up and printed, if ADDR is not loopback]
    #[arg(long, value_name = "TOKEN", requires = "metrics")]
    pub token: Option<String>,
    /// Send metrics and traces to the OpenTelemetry collector there, by OTLP over HTTP; headers are in
    /// OTEL_EXPORTER_OTLP_HEADERS [default: OTEL_EXPORTER_OTLP_ENDPOINT, if it is set]
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Record this share of all traces, from 0 to 1, and in any case the first of each source
    /// [default: OTEL_TRACES_SAMPLER_ARG, or 0.01]
    #[arg(long, value_name = "RATIO", value_parser = share)]
    pub otlp_sample: Option<f64>,
    /// Show neither progress nor the table at the end
    #[arg(short, long)]
    pub quiet: bool,
    /// Show the run on the whole terminal, as `gristmill top` does
    #[arg(long, conflicts_with = "quiet")]
    pub tui: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill bench pipelines/quickstart.yaml --set COUNT=5000
  gristmill bench shop.yaml --stage items --workers 1,2,4
  gristmill bench shop.yaml --rows 100000 --report bench.html --write better.yaml

Every run is a process of its own. The variants take turns, round after round, and each goes first
in its turn. Sinks are muted and rejected rows go to a temporary file, so nothing is written; but
sources read and `fetch` fetches in every run.

A difference counts when an exact Mann-Whitney test over the rounds, corrected for all pairs after
Holm, gives less than 5% to chance, and the medians are 2% apart. All else is called noise.")]
pub struct Bench {
    /// The pipeline; `-` reads it from stdin
    pub file: String,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
    /// Measure this stage alone, with input recorded from one run of those before it
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// The modes to measure [default: all]
    #[arg(long, value_name = "MODE", value_delimiter = ',', value_parser = mode)]
    pub modes: Vec<Mode>,
    /// The numbers of workers to measure [default: 1, half the processors, all of them]
    #[arg(long, value_name = "N", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Vec<u16>,
    /// Measured runs of each variant [default: as many as a difference needs to show, 5 at least]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeat: Option<u16>,
    /// Take only so many rows from each source
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: Option<u64>,
    /// Let sinks do their work in every run: files are written over and over
    #[arg(long)]
    pub keep_sinks: bool,
    /// Write the pipeline there with the recommendation under `run`, all else as it stands
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Write a page with tables and charts there
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print JSON in place of the table
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill check pipelines/*.yaml
  gristmill check shop.yaml --set SITE=https://shop.example")]
pub struct Check {
    /// The pipelines; `-` reads one from stdin
    #[arg(required = true)]
    pub files: Vec<String>,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill stages
  gristmill stages fetch
  gristmill stages shop.yaml
  gristmill stages shop.yaml acme.clean
  gristmill stages --plugins target/release")]
pub struct Stages {
    /// The kind to explain; or a pipeline (.yaml), to list the kinds of its plugins too
    pub kind: Option<String>,
    /// With a pipeline: the kind to explain
    #[arg(value_name = "KIND")]
    pub of_pipeline: Option<String>,
    #[command(flatten)]
    pub set: Set,
    /// Without a pipeline: list the kinds of all plugins in this folder, too
    #[command(flatten)]
    pub search: Search,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill schema > gristmill.schema.json
  gristmill schema shop.yaml > shop.schema.json
  # first line of a pipeline, for editors with a YAML language server:
  # yaml-language-server: $schema=gristmill.schema.json")]
pub struct Schema {
    /// A pipeline, to have the kinds of its plugins as well
    pub file: Option<String>,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill functions
  gristmill functions date_trunc")]
pub struct Functions {
    /// The function to explain
    pub name: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill graph shop.yaml >> README.md             # in a code block of the language mermaid
  gristmill graph shop.yaml --format svg > shop.svg
  gristmill graph shop.yaml --format dot | dot -Tsvg > shop.svg
  gristmill graph http://localhost:9100              # a run, with its rates")]
pub struct Graph {
    /// The pipeline; `-` reads it from stdin; or the address of a run that has `--metrics`
    #[arg(value_name = "FILE|URL")]
    pub file: String,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
    /// The language to draw in
    #[arg(long, value_enum, default_value_t = Drawing::Mermaid)]
    pub format: Drawing,
}

/// What draws a graph.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Drawing {
    /// For Markdown on GitHub, GitLab and elsewhere
    Mermaid,
    /// For Graphviz
    Dot,
    /// A picture, as it is
    Svg,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill dashboard shop.yaml > shop.json          # import it into Grafana
  gristmill dashboard > gristmill.json               # one for all pipelines
  gristmill dashboard --prometheus --target host:9100
  gristmill dashboard --rules > gristmill-rules.yml")]
pub struct Dashboard {
    /// The pipeline, `-` reads it from stdin; without it, the dashboard is for any pipeline
    pub file: Option<String>,
    #[command(flatten)]
    pub set: Set,
    #[command(flatten)]
    pub search: Search,
    /// Print the scrape job for Prometheus
    #[arg(long, conflicts_with_all = ["file", "rules"])]
    pub prometheus: bool,
    /// Where a run serves its metrics, for the scrape job
    #[arg(
        long = "target",
        value_name = "HOST:PORT",
        requires = "prometheus",
        default_value = "localhost:9100"
    )]
    pub targets: Vec<String>,
    /// Print alerting and recording rules for Prometheus
    #[arg(long, conflicts_with = "file")]
    pub rules: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill demo-site
  gristmill demo-site 8080")]
pub struct DemoSite {
    /// Where to listen; a port alone means 127.0.0.1
    #[arg(default_value = "8080", value_parser = address)]
    pub addr: SocketAddr,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill completions bash > ~/.local/share/bash-completion/completions/gristmill
  gristmill completions zsh > ~/.zfunc/_gristmill")]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as VAR=VALUE".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    let known = || Mode::ALL.map(Mode::name).join(", ");
    let found = Mode::ALL.into_iter().find(|mode| mode.name() == text.trim());
    found.ok_or_else(|| format!("the modes are {}", known()))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "write it as PORT or HOST:PORT".to_owned();
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let mut addresses = text.to_socket_addrs().map_err(|_| wrong())?;
    addresses.next().ok_or_else(wrong)
}
