//! `gristmill completions`.

use clap::CommandFactory;
use clap::builder::PossibleValuesParser;

use crate::args::{Args, Completions};
use crate::exit::Exit;
use crate::kinds;

/// Prints a completion script.
pub fn completions(args: &Completions) -> Exit {
    let mut script = Vec::new();
    // Only a shell is to know the names beforehand: what is wrong with one is said by the command.
    let registry = kinds::built_in();
    let stages: Vec<String> = registry.iter().map(|kind| kind.name().to_owned()).collect();
    let functions = gristmill_sql::functions().into_iter().map(|function| function.name).collect();
    let named = [("stages", "kind", stages), ("functions", "name", functions)];
    let mut command = Args::command();
    for (subcommand, argument, names) in named {
        command = command.mut_subcommand(subcommand, |subcommand| {
            subcommand.mut_arg(argument, |argument| {
                argument.value_parser(PossibleValuesParser::new(names))
            })
        });
    }
    clap_complete::generate(args.shell, &mut command, "gristmill", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
