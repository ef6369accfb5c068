//! `gristmill demo-site`.

use crate::args::DemoSite;
use crate::exit::Exit;
use crate::say::say;

/// Serves the demo site until it is interrupted.
pub fn demo_site(args: &DemoSite) -> Exit {
    match gristmill_demo::DemoSite::start(args.addr) {
        Ok(site) => {
            say(format!("the demo site is at {}/  (Ctrl-C ends it)", site.base()));
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            say(format!("error: the demo site cannot listen on {}: {error}", args.addr));
            Exit::BadConfiguration
        }
    }
}
