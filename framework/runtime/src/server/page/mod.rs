//! The live page: a few files as they stand here, and nothing from elsewhere.

/// What a browser may do with what it gets from here: load these files and ask for the run, and
/// nothing else. Texts never become markup, so a row that looks like a script is a text.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page, with its type.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" => ("text/html; charset=utf-8", include_str!("index.html")),
        "/assets/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/assets/graph.css" => ("text/css; charset=utf-8", include_str!("graph.css")),
        "/assets/icon.svg" => ("image/svg+xml", include_str!("icon.svg")),
        "/assets/main.js" => (SCRIPT, include_str!("main.js")),
        "/assets/connection.js" => (SCRIPT, include_str!("connection.js")),
        "/assets/layout.js" => (SCRIPT, include_str!("layout.js")),
        "/assets/graph.js" => (SCRIPT, include_str!("graph.js")),
        "/assets/stage.js" => (SCRIPT, include_str!("stage.js")),
        "/assets/charts.js" => (SCRIPT, include_str!("charts.js")),
        "/assets/tables.js" => (SCRIPT, include_str!("tables.js")),
        "/assets/tabs.js" => (SCRIPT, include_str!("tabs.js")),
        "/assets/dom.js" => (SCRIPT, include_str!("dom.js")),
        "/assets/figures.js" => (SCRIPT, include_str!("figures.js")),
        _ => return None,
    })
}
