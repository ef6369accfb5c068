//! `gristmill schema`.

use crate::exit::Exit;
use crate::kinds;

/// Prints the JSON Schema of pipelines.
pub fn schema() -> Exit {
    let schema = gristmill_config::json_schema(&kinds::built_in());
    super::print(&format!("{schema:#}\n"))
}
