//! Log lines and panics, on stderr, without secrets.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use gristmill_config::Secrets;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::held::Held;

/// The log. It blanks out secrets as soon as it knows them.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<OnceLock<Secrets>>, Held);

impl Log {
    /// Starts the log: warnings and worse, unless `RUST_LOG` says otherwise.
    pub fn start(verbose: bool) -> Self {
        let log = Self::default();
        let level = if verbose { "info" } else { "warn" };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(log.clone())
            .with_ansi(io::stderr().is_terminal())
            .init();
        let hook = log.clone();
        std::panic::set_hook(Box::new(move |panic| {
            // The runtime makes an error of it, which is reported; this adds where it was.
            // Whoever has closed stderr does not want to know.
            let _ = hook.1.put(&format!("{}\n", hook.redact(&panic.to_string())));
        }));
        log
    }

    /// From now on these values do not appear.
    pub fn hide(&self, secrets: Secrets) {
        // A second pipeline in one run of the command would be new; the first stays hidden.
        let _ = self.0.set(secrets);
    }

    /// Where its lines go.
    pub fn held(&self) -> &Held {
        &self.1
    }

    fn redact(&self, text: &str) -> String {
        match self.0.get() {
            Some(secrets) => secrets.redact(text).into_owned(),
            None => text.to_owned(),
        }
    }
}

/// Writes one line of the log.
#[derive(Debug)]
pub struct Line(Log);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The formatter hands over whole lines.
        let text = self.0.redact(&String::from_utf8_lossy(bytes));
        self.0.1.put(&text)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.clone())
    }
}
