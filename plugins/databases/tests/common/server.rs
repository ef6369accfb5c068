//! A PostgreSQL server of the tests' own, in a temporary folder, on a Unix socket.
#![allow(dead_code, reason = "not every program needs all of it")]

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use postgres::{Client, NoTls};
use tempfile::TempDir;

/// A server that runs until it is dropped.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// Whom it runs as, if not as ourselves: it refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Server {
    /// The server that all tests of this program share; each uses tables of its own.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A server that is a test's own.
    pub fn start() -> Self {
        let versions = fs::read_dir("/usr/lib/postgresql").expect("install Debian's `postgresql`");
        let programs = versions.map(|version| version.unwrap().path().join("bin")).max().unwrap();
        let user = (own_user() == 0).then(|| user("nobody"));
        // Not in TMPDIR: the path of a socket is short.
        let folder = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let folder = tempfile::Builder::new().prefix("gm-pg-").tempdir_in(folder).unwrap();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let server = Self { folder, programs, user };
        server
            .run("initdb", &["-U", "gristmill", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
        let own = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nmax_connections = 60\n",
            server.folder.path().display()
        );
        let path = server.data().join("postgresql.conf");
        let shipped = fs::read_to_string(&path).unwrap();
        fs::write(path, shipped + &own).unwrap();
        server.control(&["start", "-l", server.folder.path().join("log").to_str().unwrap()]);
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.data()).args(args).current_dir("/").stdin(Stdio::null());
        // The server would keep a pipe open for as long as it runs.
        command.stdout(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        assert!(command.status().unwrap().success(), "{program} {args:?}");
    }

    fn control(&self, args: &[&str]) {
        self.run("pg_ctl", &[&["-w", "-s"], args].concat());
    }

    /// Pulls the plug, and starts it again.
    pub fn crash(&self) {
        self.control(&["stop", "-m", "immediate"]);
        self.control(&["start", "-l", self.folder.path().join("log").to_str().unwrap()]);
    }

    /// Stops it.
    pub fn stop(&self) {
        self.control(&["stop", "-m", "immediate"]);
    }

    /// The address for user `gristmill`.
    pub fn url(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://gristmill:open-sesame@{folder}/postgres")
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// A connection of the test's own.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn own_user() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap())
}

fn user(name: &str) -> (u32, u32) {
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let line = users.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
