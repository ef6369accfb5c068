//! `gristmill demo-site`.

use crate::args::DemoSite;
use crate::exit::Exit;

/// Serves the demo site until it is interrupted.
pub fn demo_site(args: &DemoSite) -> Exit {
    match gristmill_demo::DemoSite::start(args.addr) {
        Ok(site) => {
            eprintln!("the demo site is at {}/  (Ctrl-C ends it)", site.base());
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("error: the demo site cannot listen on {}: {error}", args.addr);
            Exit::BadConfiguration
        }
    }
}
