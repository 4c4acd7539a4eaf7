//! A Redis server of the test's own: a free port, a password, nothing on disk. It ends with the test, however the test ends.
//! Without a server on the machine the tests fail.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::tethered::{PATIENCE, Tethered, free_port};

/// The server's password. No log line may hold it.
pub(crate) const REDIS_PASSWORD: &str = "hush-redis-password";

/// A private server.
#[derive(Debug)]
pub(crate) struct Redis {
    directory: TempDir,
    port: u16,
    /// Where it speaks TLS too.
    tls_port: Option<u16>,
    arguments: Vec<String>,
    running: Option<Tethered>,
}

// === impl Redis ===

impl Redis {
    /// Starts a server and waits until it can be used.
    pub(crate) fn start() -> Self {
        Self::with(None, Vec::new())
    }

    /// A server that is reached over TLS, as `localhost`; the test itself needs none. It may ask for the certificate of
    /// [`certificate`]`("client.pem")`.
    pub(crate) fn over_tls(asks_for_certificate: bool) -> Self {
        let port = free_port();
        let asks = if asks_for_certificate { "yes" } else { "no" };
        let arguments = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", certificate("server.pem")),
            ("--tls-key-file", certificate("server.key")),
            ("--tls-ca-cert-file", certificate("client.pem")),
            ("--tls-auth-clients", asks.to_owned()),
        ];
        let arguments = arguments.map(|(name, value)| [name.to_owned(), value]);
        Self::with(Some(port), arguments.concat())
    }

    /// A server that is one of several.
    pub(super) fn one_of_several(arguments: &[&str]) -> Self {
        // What a server that follows another one signs in with.
        let own = ["--masterauth", REDIS_PASSWORD];
        let arguments = own.iter().chain(arguments);
        Self::with(
            None,
            arguments.map(|&argument| argument.to_owned()).collect(),
        )
    }

    fn with(tls_port: Option<u16>, arguments: Vec<String>) -> Self {
        let mut server = Self {
            directory: TempDir::with_prefix("trunkline-redis-").expect("a temporary directory"),
            port: free_port(),
            tls_port,
            arguments,
            running: None,
        };
        server.resume();
        server
    }

    /// Starts an empty server after [`Redis::stop`], on the same port.
    pub(crate) fn resume(&mut self) {
        let mut command = command(self.directory.path());
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--requirepass", REDIS_PASSWORD])
            .args(&self.arguments);
        let ready = "Ready to accept connections";
        self.running = Some(Tethered::start(command, "Redis", ready));
    }

    /// Kills the server; it forgets everything.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// The URL, password included.
    pub(crate) fn url(&self) -> String {
        self.url_as(&format!(":{REDIS_PASSWORD}"))
    }

    /// The URL for whoever signs in so: `user:password`.
    pub(crate) fn url_as(&self, who: &str) -> String {
        match self.tls_port {
            Some(port) => format!("rediss://{who}@localhost:{port}/0"),
            None => format!("redis://{who}@127.0.0.1:{}/0", self.port),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where it speaks TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        self.tls_port.expect("a server over TLS")
    }

    /// Lets every command wait for so long.
    #[track_caller]
    pub(crate) fn pause(&self, time: Duration) {
        let time = time.as_millis().to_string();
        let mut stream = self.send(&[&["CLIENT", "PAUSE", &time, "ALL"]]);
        let mut said = [0; 10];
        stream.read_exact(&mut said).expect("an answer");
        assert_eq!(&said, b"+OK\r\n+OK\r\n");
    }

    /// Runs one command given in words, and answers with what the server says, as the protocol writes it.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let mut stream = self.send(&[words, &["QUIT"]]);
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an answer");
        let said = said.strip_prefix("+OK\r\n").unwrap_or(&said);
        let said = said.strip_suffix("+OK\r\n").unwrap_or(said);
        said.trim_end().to_owned()
    }

    fn send(&self, commands: &[&[&str]]) -> TcpStream {
        let sign_in: &[&str] = &["AUTH", REDIS_PASSWORD];
        send(self.port, &[&[sign_in], commands].concat())
    }
}

/// The program, to be given its arguments.
pub(super) fn command(directory: &Path) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the gateway"
    )]
    let program = env::var("TRUNKLINE_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
    let found = Command::new(&program).arg("--version").output().is_ok();
    assert!(
        found,
        "a Redis server: install the package `redis-server`, or set TRUNKLINE_TEST_REDIS to the program"
    );
    let mut command = Command::new("sh");
    command
        .current_dir(directory)
        .args(["-c", &Tethered::script("KILL"), "sh", &program]);
    command
}

/// Sends commands, each given in words, to whoever listens there.
pub(super) fn send(port: u16, commands: &[&[&str]]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    let mut sent = Vec::new();
    for words in commands {
        write!(sent, "*{}\r\n", words.len()).expect("memory");
        for word in *words {
            write!(sent, "${}\r\n{word}\r\n", word.len()).expect("memory");
        }
    }
    stream.write_all(&sent).expect("the command is sent");
    stream
}

/// A file of the certificates that tests have.
pub(crate) fn certificate(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    path.join(file).display().to_string()
}
