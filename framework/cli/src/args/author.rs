//! The command line for those who write stages.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Print the kinds of a plugin, its interface version and its SHA-256
    Inspect(Inspect),
    /// Run the kinds of a plugin through the suite that built-in kinds pass
    Test(Test),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill plugin inspect target/release/libmy_stage.so
  gristmill plugin inspect ./libratio.so --json")]
pub struct Inspect {
    /// The library, or a name that is looked for in GRISTMILL_PLUGIN_PATH
    pub file: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gristmill plugin test ./libratio.so
  gristmill plugin test ./libmask.so --input customers.csv --with '{ keep: 2 }'

Every kind is given the input whole, in single rows, with empty batches between, as slices and in other
layouts; snapshots are taken after every call, other workers go on from them, and the rows must be the
same each time. Options are those of the kind's own example.")]
pub struct Test {
    /// The library, or a name that is looked for in GRISTMILL_PLUGIN_PATH
    pub file: String,
    /// Test this kind only
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// The options, as under `with` in YAML
    #[arg(long, value_name = "YAML")]
    pub with: Option<String>,
    /// A file with rows to give it, of any format that `read` reads [default: rows of common types]
    #[arg(long, value_name = "FILE")]
    pub input: Option<String>,
    /// The rows must come in the same order each time
    #[arg(long)]
    pub ordered: bool,
    /// How many random runs each check makes
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
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
