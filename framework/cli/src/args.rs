//! The command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::exit;

/// Runs data pipelines written in YAML.
#[derive(Debug, Parser)]
#[command(name = "gristmill", version, after_help = exit::HELP, max_term_width = 100)]
pub struct Args {
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline
    Run(Run),
    /// Check pipelines and print their plans; nothing runs
    Check(Check),
    /// List the kinds of stages, or explain one
    Stages(Stages),
    /// Print the JSON Schema of pipelines, for editors
    #[command(after_help = "\
Examples:
  gristmill schema > gristmill.schema.json
  # first line of a pipeline, for editors with a YAML language server:
  # yaml-language-server: $schema=gristmill.schema.json")]
    Schema,
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

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill run pipelines/quickstart.yaml
  gristmill run shop.yaml --set SITE=https://shop.example --metrics 9100
  generate-pipeline | gristmill run -")]
pub struct Run {
    /// The pipeline; `-` reads it from stdin
    pub file: String,
    #[command(flatten)]
    pub set: Set,
    /// Serve /metrics, /healthz and /readyz there; a port alone means 127.0.0.1
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// Show neither progress nor the table at the end
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
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill stages
  gristmill stages fetch")]
pub struct Stages {
    /// The kind to explain
    pub kind: Option<String>,
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

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "write it as PORT or HOST:PORT".to_owned();
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let mut addresses = text.to_socket_addrs().map_err(|_| wrong())?;
    addresses.next().ok_or_else(wrong)
}
