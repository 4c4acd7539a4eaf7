//! The gateway as a user runs it: the built binary, a config file, a directory of its own. Started on a free port,
//! found by the address it logs, stopped with SIGTERM, and held to its log at the end.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::config::{ConfigText, MASTER_KEY, PROVIDER_KEY};
use super::http::{Answer, LiveAnswer, Request};
use super::wait::{PATIENCE, Watched};

/// What every prompt of the tests holds, so that a log that repeats one is found out.
pub(crate) const PROMPT_MARK: &str = "hush-this-is-a-prompt";

#[derive(Debug, Default)]
struct Log {
    lines: Vec<String>,
    /// The process closed its end: it is gone.
    ended: bool,
}

/// A directory with a config file and the data of a gateway; outlives the process, so that one can be restarted.
#[derive(Debug)]
pub(crate) struct Home {
    directory: TempDir,
    config: bool,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// A test that falsifies the books says so.
    falsified: bool,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    log: Arc<Watched<Log>>,
    secrets: Vec<String>,
    errors_allowed: bool,
    key: Option<String>,
}

// === impl Home ===

impl Home {
    /// A home without a config file.
    pub(crate) fn empty() -> Self {
        Self {
            directory: TempDir::with_prefix("trunkline-test-").expect("a temporary directory"),
            config: false,
            arguments: vec![
                "--host".to_owned(),
                "127.0.0.1".to_owned(),
                "--port".to_owned(),
                "0".to_owned(),
            ],
            environment: Vec::new(),
            falsified: false,
        }
    }

    pub(crate) fn with(config: &ConfigText) -> Self {
        Self::with_text(&config.text())
    }

    pub(crate) fn with_text(config: &str) -> Self {
        let mut home = Self::empty();
        fs::write(home.config_path(), config).expect("the config file is written");
        home.config = true;
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The books, read beside the gateway: its database as it is on disk.
    pub(crate) fn books(&self) -> Connection {
        Connection::open_with_flags(
            self.path().join("trunkline.db"),
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .expect("the store can be read beside the gateway")
    }

    /// The books are not to agree at the end.
    pub(crate) fn falsify(&mut self) {
        self.falsified = true;
    }

    /// Whatever a test did: journal, rows, sums and budgets agree. Where there is no database in the home, or none that can
    /// be opened (which is some tests' subject), there is nothing to compare.
    fn check_books(&self) {
        if self.falsified || !self.path().join("trunkline.db").exists() {
            return;
        }
        let mut arguments = vec!["ledger", "verify"];
        if self.config {
            arguments.extend(["--config", "config.yaml"]);
        }
        let output = self.run(&arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_ne!(output.status.code(), Some(1), "{said}");
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path().join("config.yaml")
    }

    /// Adds a variable to the otherwise empty environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listens on another address than loopback's usual one.
    pub(crate) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.arguments[1]);
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command
            .current_dir(self.path())
            .env_clear()
            .env("TRUNKLINE_DATA_DIR", self.path().join("data"))
            .stdin(Stdio::null());
        if let Some(path) = env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs another command of the binary in this home to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command()
            .args(arguments)
            .output()
            .expect("the binary runs")
    }

    /// Starts the gateway and waits for its address.
    pub(crate) fn start(&self) -> Gateway {
        let mut command = self.command();
        if self.config {
            command.arg("--config").arg(self.config_path());
        }
        let mut child = command
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Watched::new(Log::default()));
        let shared = Arc::clone(&log);
        let stderr = child.stderr.take().expect("standard error is piped");
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                shared.change(|log| log.lines.push(line));
            }
            shared.change(|log| log.ended = true);
        });
        let address = log.wait_for(PATIENCE, |log| {
            let logged = log.lines.iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                if line["message"] != "listening" {
                    return None;
                }
                line["address"].as_str()?.parse::<SocketAddr>().ok()
            });
            (logged.is_some() || log.ended).then_some(logged)
        });
        let Some(Some(mut address)) = address else {
            drop(child.kill());
            panic!("no address in the log:\n{}", log.lock().lines.join("\n"));
        };
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Gateway {
            child,
            address,
            log,
            secrets: [PROMPT_MARK, PROVIDER_KEY, MASTER_KEY]
                .map(str::to_owned)
                .to_vec(),
            errors_allowed: false,
            key: None,
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.check_books();
        }
    }
}

/// Starts a gateway that is never restarted.
pub(crate) fn start(config: &ConfigText) -> (Home, Gateway) {
    let home = Home::with(config);
    let gateway = home.start();
    (home, gateway)
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends this key with every request that names none.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// See [`Gateway::with_key`].
    pub(crate) fn with_master_key(self) -> Self {
        self.with_key(MASTER_KEY)
    }

    /// The log must not hold this either.
    pub(crate) fn keeps_secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// For tests in which something does go wrong that an operator has to look at.
    pub(crate) fn allow_errors(&mut self) {
        self.errors_allowed = true;
    }

    fn identified(&self, request: &Request) -> Request {
        match &self.key {
            Some(key) if !request.has_key() => request.clone().bearer(key),
            _ => request.clone(),
        }
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.identified(request).send(self.address)
    }

    /// Sends the request and reads the head of the answer only.
    pub(crate) fn open(&self, request: &Request) -> LiveAnswer {
        self.try_open(request).expect("the gateway answers")
    }

    pub(crate) fn try_open(&self, request: &Request) -> io::Result<LiveAnswer> {
        self.identified(request).open(self.address)
    }

    /// Sends the request without reading anything of the answer.
    pub(crate) fn begin(&self, request: &Request) -> Pending {
        let socket = self
            .identified(request)
            .start(self.address)
            .expect("the gateway takes the request");
        Pending { socket }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&Request::get(path))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&Request::post(path, body))
    }

    /// Asks the model for one chat completion.
    pub(crate) fn chat(&self, model: &str) -> Answer {
        self.send(&chat_request(model))
    }

    /// Asks the model for one streamed chat completion and reads it to its end.
    pub(crate) fn chat_stream(&self, model: &str) -> Answer {
        self.send(&stream_request(model))
    }

    /// The lines of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().lines.clone()
    }

    /// The log lines that are JSON with this level.
    pub(crate) fn log_of_level(&self, level: &str) -> Vec<Value> {
        self.log()
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["level"] == level)
            .collect()
    }

    /// The log has `count` lines that hold `text`. Waits for the last of them: the process writes its log on a thread of its
    /// own, so a line may come after the answer that it tells of.
    pub(crate) fn assert_logged(&self, count: usize, text: &str) {
        let logged = |log: &Log| log.lines.iter().filter(|line| line.contains(text)).count();
        self.log
            .wait_for(PATIENCE, |log| (logged(log) >= count).then_some(()));
        let found = logged(&self.log.lock());
        assert_eq!(found, count, "{text}:\n{}", self.log().join("\n"));
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The process's memory that is in use.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process is there");
        let kilobytes: usize = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .expect("a number of kB");
        kilobytes * 1024
    }

    /// Asks the process to stop, as an init system does.
    pub(crate) fn terminate(&self) {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .expect("`kill` runs");
        assert!(killed.success(), "`kill -TERM` reaches the gateway");
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.log
            .wait_for(PATIENCE * 2, |log| log.ended.then_some(()))
            .unwrap_or_else(|| {
                drop(self.child.kill());
                panic!("the gateway does not stop:\n{}", self.log().join("\n"));
            });
        self.child.wait().expect("the process can be waited for")
    }

    /// Stops the gateway as an init system does; a clean stop is exit code 0.
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log().join("\n"));
    }

    /// The process is gone from one instruction to the next.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the gateway can be killed");
        self.wait();
    }

    fn check_log(&self) {
        for line in self.log() {
            for secret in &self.secrets {
                assert!(
                    !line.contains(secret.as_str()),
                    "the log holds {secret:?}: {line}"
                );
            }
            let level = serde_json::from_str::<Value>(&line)
                .map_or(Value::Null, |line| line["level"].clone());
            assert!(
                level.is_string(),
                "not a JSON log line: {line:?} in\n{}",
                self.log().join("\n")
            );
            assert!(
                self.errors_allowed || level != "ERROR",
                "unexpected error in the log: {line}"
            );
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if thread::panicking() {
            println!("the gateway's log:\n{}", self.log().join("\n"));
        } else {
            self.check_log();
        }
    }
}

/// A request whose answer has not been looked at.
#[derive(Debug)]
pub(crate) struct Pending {
    socket: TcpStream,
}

impl Pending {
    pub(crate) fn open(self) -> LiveAnswer {
        LiveAnswer::read_head(self.socket).expect("the gateway answers")
    }

    pub(crate) fn answer(self) -> Answer {
        self.open().read_to_end().0
    }

    /// Closes the connection without waiting for the answer.
    pub(crate) fn leave(self) {
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

/// The body of a small chat request.
pub(crate) fn chat_request_body(model: &str) -> Value {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": format!("Say something. {PROMPT_MARK}")}],
        "max_tokens": 16,
    })
}

pub(crate) fn chat_request(model: &str) -> Request {
    Request::post("/v1/chat/completions", &chat_request_body(model))
}

pub(crate) fn stream_request(model: &str) -> Request {
    let mut body = chat_request_body(model);
    body["stream"] = json!(true);
    Request::post("/v1/chat/completions", &body)
}
