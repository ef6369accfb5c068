//! The command line for those who write stages.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Print the kinds of a plugin, its interface version and its SHA-256
    Inspect(Inspect),
    /// Run the kinds of a plugin through the suite that built-in kinds pass
    Test(Test),
    /// The part of a test that runs the plugin, told what to do on stdin; `test` starts it
    #[command(hide = true)]
    TestRun,
}

/// What the plugin is.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The library, or a name that is looked for in GRISTMILL_PLUGIN_PATH
    pub file: Option<String>,
    /// The program and its arguments, for a plugin that is one; comes last
    #[arg(long, value_name = "WORD", num_args = 1.., allow_hyphen_values = true)]
    pub command: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill plugin inspect target/release/libmy_stage.so
  gristmill plugin inspect ./libratio.so --json
  gristmill plugin inspect ./downloaded.so --no-load
  gristmill plugin inspect --command python3 ./words.py

To know the kinds of a library it must be loaded, which runs code of it. Its SHA-256 is printed before.")]
pub struct Inspect {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only look at the file: nothing of it is run
    #[arg(long, requires = "file")]
    pub no_load: bool,
    #[command(flatten)]
    pub which: Which,
}

#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[command(after_help = "\
Examples:
  gristmill plugin test ./libratio.so
  gristmill plugin test ./libmask.so --input customers.csv --with '{ keep: 2 }'
  gristmill plugin test --input texts.jsonl --command python3 ./words.py

Every kind is given the input whole, in single rows, with empty batches between, as slices and in other
layouts, and in one batch of thousands; snapshots are taken after every call, other workers go on from
them, stages are dropped in the middle, and the rows must be the same each time. Options are those of
the kind's own example.

The plugin runs in a process of its own: one that hangs or crashes is told by the check it did it in.")]
pub struct Test {
    /// Test this kind only
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// The options, as under `with` in YAML
    #[arg(long, value_name = "YAML")]
    pub with: Option<String>,
    /// A file with rows to give it, of any format that `read` reads; the first 200 are taken [default:
    /// rows of common types]
    #[arg(long, value_name = "FILE")]
    pub input: Option<String>,
    /// The rows must come in the same order each time
    #[arg(long)]
    pub ordered: bool,
    /// How many random runs each check makes [default: 8; for a program, which is started for each, 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,
    /// Rows of the largest batch; 0 leaves that check out
    #[arg(long, value_name = "ROWS", default_value_t = 8192,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub batch: u32,
    /// How long a stage may take from its beginning to its end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Run the plugin in this very process, for a debugger or valgrind: there is no time limit then
    #[arg(long)]
    pub in_process: bool,
    #[command(flatten)]
    pub which: Which,
}

#[derive(Debug, Subcommand)]
pub enum New {
    /// Make a project with a stage of your own
    Plugin(NewPlugin),
    /// Make a pipeline
    Pipeline(NewPipeline),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill new plugin my-stage
  gristmill new plugin my-stage --lang c")]
pub struct NewPlugin {
    /// The folder to make; its last part names the stage
    pub path: PathBuf,
    /// The language
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    pub lang: Lang,
}

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// A crate that is a library and a plugin
    Rust,
    /// One file and one header
    C,
    /// One file; a program that runs as child processes
    Python,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill new pipeline prices
  gristmill new pipeline people --template files")]
pub struct NewPipeline {
    /// The file to make, with or without .yaml
    pub path: PathBuf,
    /// What it does
    #[arg(long, value_enum, default_value_t = Template::Fetch)]
    pub template: Template,
}

/// A template of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Fetch pages, parse them, sum up
    Fetch,
    /// Read a file, filter and map its rows, write another
    Files,
}
