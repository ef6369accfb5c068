//! URLs, read as browsers read them.

use gristmill_stage::Result;
use gristmill_stage::option::ColumnType;
use url::Url;

use super::parts::{Part, Takers};
use super::{Extract, Found, Locator};
use crate::cells::{Cells, Misfit};
use crate::options::Options;

const SCHEME: usize = 0;
const HOST: usize = 1;
const PORT: usize = 2;
const PATH: usize = 3;
const QUERY: usize = 4;
const FRAGMENT: usize = 5;
const USER: usize = 6;
const PASSWORD: usize = 7;

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let parts = [
        Part::new("scheme"),
        Part::new("host"),
        Part::of("port", ColumnType::Int64),
        Part::new("path"),
        Part::new("query"),
        Part::new("fragment"),
        Part::new("user").hidden(),
        Part::new("password").hidden(),
    ];
    let (fields, takers) = Takers::new(options, Locator::Key, &parts)?;
    Ok(Found { fields, extract: Box::new(Urls(takers)) })
}

struct Urls(Takers);

impl Extract for Urls {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let url = Url::parse(text)
            .map_err(|error| Misfit(format!("the text is not an absolute URL: {error}")))?;
        let port = url.port_or_known_default().map(|port| port.to_string());
        let user = Some(url.username()).filter(|user| !user.is_empty());
        for (part, value) in [
            (SCHEME, Some(url.scheme())),
            (HOST, url.host_str()),
            (PORT, port.as_deref()),
            (PATH, Some(url.path())),
            (QUERY, url.query()),
            (FRAGMENT, url.fragment()),
            (USER, user),
            (PASSWORD, url.password()),
        ] {
            if let Some(value) = value {
                self.0.put(part, value, cells)?;
            }
        }
        Ok(())
    }
}
