//! A server program of the test's own that ends with the test, however the test ends.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The machine may be running a build beside the tests.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Tethered {
    shell: Child,
    input: Option<ChildStdin>,
}

// === impl Tethered ===

impl Tethered {
    /// What `sh -c` is told, to run the program in its further arguments until its own standard input ends: not even a killed
    /// test leaves a server behind. `signal` is what makes the server stop at once.
    pub(super) fn script(signal: &str) -> String {
        format!(r#"exec 2>&1; "$@" & server=$!; read -r _; kill -{signal} $server; wait $server"#)
    }

    /// Runs a [`script`](Self::script) and waits until the server says that it is ready.
    pub(super) fn start(mut shell: Command, name: &str, when_ready: &'static str) -> Self {
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let input = shell.stdin.take();
        let log = shell.stdout.take().expect("the log is piped");
        let server = Self { shell, input };
        // The log is read to its end, or the server would stop at a full pipe.
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if line.contains(when_ready) {
                    drop(ready.send(Ok(())));
                }
                if said.len() < 10_000 {
                    said.push_str(&line);
                    said.push('\n');
                }
            }
            drop(ready.send(Err(said)));
        });
        match is_ready.recv_timeout(PATIENCE) {
            Ok(Ok(())) => server,
            Ok(Err(said)) => panic!("{name} does not start:\n{said}"),
            Err(err) => panic!("{name} is not ready: {err}"),
        }
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.shell.wait());
    }
}

/// A port of loopback that nobody uses now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}
