//! A PostgreSQL server of the test's own: a fresh data directory, a free port, a password, TLS with a certificate for
//! `localhost` that nobody trusts, and no care for power loss.
//! It ends with the test, however the test ends. Without a server on the machine the tests fail.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::tethered::{Tethered, free_port};

/// The only user's password. No log line may hold it.
pub(crate) const DATABASE_PASSWORD: &str = "hush-database-password";
// By their place beside this file: other packages are compiled with it too.
const CERTIFICATE: &[u8] = include_bytes!("../../fixtures/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../fixtures/tls/server.key");
const USER: &str = "postgres";

/// A private server.
#[derive(Debug)]
pub(crate) struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
    running: Option<Tethered>,
}

// === impl Postgres ===

impl Postgres {
    /// Makes a server and waits until it can be used.
    pub(crate) fn start() -> Self {
        let directory = TempDir::with_prefix("trunkline-postgres-").expect("a temporary directory");
        let mut server = Self {
            programs: programs(),
            port: free_port(),
            directory,
            running: None,
        };
        let own = |name: &str| server.directory.path().join(name);
        let password = own("password");
        fs::write(&password, DATABASE_PASSWORD).expect("the password is written");
        for (bytes, name) in [(CERTIFICATE, "server.pem"), (KEY, "server.key")] {
            fs::write(own(name), bytes).expect("the certificate is written");
        }
        // The server refuses a key that others can read.
        fs::set_permissions(own("server.key"), Permissions::from_mode(0o600))
            .expect("the key is made private");
        if let Some((user, group)) = server_user() {
            let given = [
                own(""),
                own("password"),
                own("server.pem"),
                own("server.key"),
            ];
            for path in given {
                chown(path, Some(user), Some(group)).expect("the directory is given away");
            }
        }
        let made = server
            .command(server.programs.join("initdb"))
            .args(["--no-sync", "--no-instructions", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--username", USER])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(server.data())
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.resume();
        server
    }

    /// Starts the server again after [`Postgres::stop`], on the same port.
    pub(crate) fn resume(&mut self) {
        let mut command = self.command("sh");
        command
            .args(["-c", &Tethered::script("QUIT"), "sh"])
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "ssl=on", "-c", "ssl_cert_file=../server.pem"])
            .args(["-c", "ssl_key_file=../server.key"])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "shared_buffers=16MB", "-c", "max_connections=50"]);
        let ready = "database system is ready to accept connections";
        self.running = Some(Tethered::start(command, "PostgreSQL", ready));
    }

    /// Stops the server at once, as a crash would; its data stays.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Makes an empty database and answers with its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// The URL of a database, password included. It gives a busy machine time to connect.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgresql://{USER}:{DATABASE_PASSWORD}@127.0.0.1:{}/{database}?connect_timeout=60",
            self.port
        )
    }

    /// Runs statements and answers with what they print: a line a row, `|` between columns.
    #[track_caller]
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let output = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--command", statements])
            .arg(self.url(database))
            .output()
            .expect("psql runs");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The server refuses to be root: then it is the user that its package made.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Another user than root to run as, if this is root.
fn server_user() -> Option<(u32, u32)> {
    let me = fs::metadata("/proc/self").expect("/proc is there").uid();
    if me != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users are listed");
    let ids = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some("postgres") {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        Some((user, fields.next()?.parse().ok()?))
    });
    Some(ids.expect("a user `postgres`, because the server refuses to run as root"))
}

/// Where `initdb`, `postgres` and `psql` are.
fn programs() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the gateway"
    )]
    let named = env::var("TRUNKLINE_TEST_POSTGRES_BIN").map(PathBuf::from);
    let asked = || {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        Some(PathBuf::from(
            String::from_utf8(output.stdout).ok()?.trim().to_owned(),
        ))
    };
    let packaged = || {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect();
        versions.sort();
        versions.into_iter().rev().find(|path| has_server(path))
    };
    named
        .ok()
        .or_else(|| asked().filter(|path| has_server(path)))
        .or_else(packaged)
        .expect("a PostgreSQL server: install the package `postgresql`, or set TRUNKLINE_TEST_POSTGRES_BIN to the folder of initdb")
}

fn has_server(programs: &Path) -> bool {
    programs.join("initdb").exists()
}
