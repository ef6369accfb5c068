//! `gristmill schema`.

use crate::args::Schema;
use crate::exit::Exit;
use crate::kinds;

/// Prints the JSON Schema of pipelines.
pub fn schema(args: &Schema) -> Exit {
    let registry = match &args.file {
        None => Ok(kinds::built_in()),
        Some(file) => super::registry(file, &args.set, &args.search),
    };
    let schema = match registry {
        Ok(registry) => gristmill_config::json_schema(&registry),
        Err(exit) => return exit,
    };
    super::print(&format!("{schema:#}\n"))
}
