//! Where the database is, and the way to it.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use gristmill_stage::{Error, Result};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::trust;

/// A database, and how to reach it. Its texts hold no password.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// What to call it.
    pub(super) name: String,
}

/// What came of a try.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another try may succeed.
    Passing(Error),
    /// It will not.
    Lasting(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

impl Target {
    /// From an address such as `postgres://user:password@host:5432/database?sslmode=require`.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        let wrong = |text: &str| {
            Error::option("url", text).help(
                "like `postgres://user:password@host:5432/database`; in the password, `@` is \
                 written %40, `/` %2F and `%` %25",
            )
        };
        // The password stands in it: nothing of it is shown.
        let known = ["postgres://", "postgresql://"].iter().any(|head| url.starts_with(head));
        if !known {
            return Err(wrong("this is no address of a PostgreSQL database"));
        }
        // As libpq knows them; here, a server that must prove itself always does so in full.
        let plain = ["verify-full", "verify-ca"].iter().fold(url.to_owned(), |url, mode| {
            url.replace(&format!("sslmode={mode}"), "sslmode=require")
        });
        let mut config =
            Config::from_str(&plain).map_err(|_| wrong("the address cannot be understood"))?;
        let garbled =
            |host: &Host| matches!(host, Host::Tcp(name) if name.contains(['@', ':', ' ']));
        if config.get_hosts().iter().any(garbled) {
            return Err(wrong("the host in the address cannot be understood"));
        }
        if config.get_application_name().is_none() {
            config.application_name("gristmill");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        // A server that was switched off says nothing.
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(Duration::from_secs(60));
        let tls = MakeRustlsConnect::new(trust::config(
            config.get_ssl_mode() == SslMode::Require,
            ca_file,
        )?);
        Ok(Self { name: name(&config), config, tls })
    }

    /// Opens a connection; its work is done on the present runtime until the client is dropped.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(|e| self.failed(&e))?;
        tokio::spawn(async move {
            // The client says what became of it.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// What the database says, in words, and whether it may say something else next time.
    pub(super) fn failed(&self, error: &tokio_postgres::Error) -> Failure {
        let name = &self.name;
        let Some(said) = error.as_db_error() else {
            let text = format!("{name} cannot be reached: {error}");
            // It did not understand us, or we it, or it is not the server that it says it is.
            return match error.to_string().contains("certificate") {
                true => Failure::Lasting(Error::io(text).help(
                    "`ca_file` names the certificate of who vouches for it; `?sslmode=disable` \
                     does without encryption",
                )),
                false => Failure::Passing(Error::io(text)),
            };
        };
        let detail = said.detail().map_or(String::new(), |detail| format!(" ({detail})"));
        let text = format!("{name}: {}{detail}", said.message());
        let code = said.code();
        let refused = *code == SqlState::INSUFFICIENT_PRIVILEGE;
        let error = match refused {
            true => Error::io(text).help("GRANT it to the user, or name another user"),
            false => Error::io(text),
        };
        match passing(code) {
            true => Failure::Passing(error),
            false => Failure::Lasting(error),
        }
    }
}

/// Whether trouble of this kind goes by itself.
fn passing(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    // 08: connections; 40: deadlocks and the like; 53: no room, but the disk is not a matter of
    // moments.
    let classes = matches!(class, "08" | "40") || (class == "53" && *code != SqlState::DISK_FULL);
    let codes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    classes || codes.contains(code)
}

/// Whether trouble of this kind is about a row, and another may go in all the same.
pub(super) fn of_row(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    // Data, constraints, and the check option of a view; a trigger that raises an exception.
    matches!(class, "22" | "23" | "44") || *code == SqlState::RAISE_EXCEPTION
}

fn name(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "localhost".to_owned(),
    };
    match config.get_dbname().or(config.get_user()) {
        Some(database) => format!("database `{database}` at {host}"),
        None => format!("the database at {host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_address_is_shown_that_may_be_a_password() {
        for url in [
            "postgres://u:se@cret@host/db",
            "postgres://u:se/cret@ho st/db",
            "postgres://u:secret@host:port/db",
            "postgres://u:secret@host/db?secret=1",
            "mysql://u:secret@host/db",
            "secret",
        ] {
            let error = Target::new(url, None).map(|_| ()).unwrap_err();
            let text = format!("{error}");
            assert!(!text.contains("cret"), "{text}");
            assert_eq!(error.option_path(), Some("url"));
        }
        let target = Target::new("postgres://u:secret@[::1]:5433/db?sslmode=verify-full", None);
        assert!(target.is_err() || !target.unwrap().name.contains("secret"));
        let target = Target::new("postgresql://u:secret@db.example:5433/shop", None).unwrap();
        assert_eq!(target.name, "database `shop` at db.example:5433");
    }
}
