//! Three Redis servers, one of which the others follow, and three sentinels that know who it is and promote another one when it is
//! gone. All end with the test.

use std::fs;
use std::io::Read as _;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::redis::{REDIS_PASSWORD, Redis, command, send};
use super::tethered::{PATIENCE, Tethered, free_port};

/// The sentinels' own password. No log line may hold it.
pub(crate) const SENTINEL_PASSWORD: &str = "hush-sentinel-password";
/// What they call the server.
pub(crate) const SERVICE: &str = "mymaster";

/// See the module.
#[derive(Debug)]
pub(crate) struct Sentinels {
    servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    _directory: TempDir,
    port: u16,
    _running: Tethered,
}

// === impl Sentinels ===

impl Sentinels {
    /// Starts all of them and waits until they know each other.
    pub(crate) fn start() -> Self {
        let master = Redis::one_of_several(&[]);
        let port = master.port();
        let followed = format!("127.0.0.1 {port}");
        let follow = || Redis::one_of_several(&["--replicaof", &followed]);
        let group = Self {
            servers: vec![master, follow(), follow()],
            sentinels: [(); 3].map(|()| Sentinel::start(port)).into(),
        };
        group.wait_for("everybody is known", |group| {
            group.sentinels.iter().all(|sentinel| {
                let quorum = sentinel.command(&["SENTINEL", "CKQUORUM", SERVICE]);
                let known = sentinel.command(&["SENTINEL", "REPLICAS", SERVICE]);
                let in_step = known.matches("master-link-status\r\n$2\r\nok").count();
                quorum.contains("3 usable") && in_step == 2
            })
        });
        group
    }

    /// `[[host, port], …]`.
    pub(crate) fn nodes(&self) -> String {
        let ports = self.sentinels.iter();
        let nodes = ports.map(|sentinel| format!("[\"127.0.0.1\", {}]", sentinel.port));
        format!("[{}]", nodes.collect::<Vec<_>>().join(", "))
    }

    /// The servers have what the master has.
    pub(crate) fn wait_for_followers(&self) {
        let said = self.master().command(&["WAIT", "2", "10000"]);
        assert_eq!(said, ":2");
    }

    /// Kills the master.
    pub(crate) fn kill_master(&mut self) {
        let port = self.named();
        let master = self.servers.iter_mut().find(|server| server.port() == port);
        master.expect("one of the servers").stop();
    }

    /// Asks for another master while the old one is well, and waits until the old one follows it.
    pub(crate) fn hand_over(&self) {
        let before = self.named();
        let said = self.sentinels[0].command(&["SENTINEL", "FAILOVER", SERVICE]);
        assert_eq!(said, "+OK");
        let old = self.servers.iter().find(|server| server.port() == before);
        let old = old.expect("one of the servers");
        self.wait_for("the old master follows", |_| {
            old.command(&["ROLE"]).contains("slave")
        });
    }

    fn master(&self) -> &Redis {
        let port = self.named();
        let master = self.servers.iter().find(|server| server.port() == port);
        master.expect("one of the servers")
    }

    /// Whom the first sentinel calls master.
    fn named(&self) -> u16 {
        let asked = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        let said = self.sentinels[0].command(&asked);
        let port = said.lines().last().and_then(|line| line.parse().ok());
        port.expect("a port")
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}");
            thread::park_timeout(Duration::from_millis(50));
        }
    }
}

// === impl Sentinel ===

impl Sentinel {
    fn start(master: u16) -> Self {
        let directory = TempDir::with_prefix("trunkline-sentinel-").expect("a temporary directory");
        let port = free_port();
        let config = format!(
            "port {port}\nbind 127.0.0.1\nrequirepass {SENTINEL_PASSWORD}\n\
             sentinel sentinel-pass {SENTINEL_PASSWORD}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {master} 2\n\
             sentinel auth-pass {SERVICE} {REDIS_PASSWORD}\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 3000\n"
        );
        fs::write(directory.path().join("sentinel.conf"), config).expect("the config is written");
        let mut command = command(directory.path());
        command.args(["sentinel.conf", "--sentinel"]);
        let running = Tethered::start(command, "a sentinel", "+monitor master");
        Self {
            _directory: directory,
            port,
            _running: running,
        }
    }

    fn command(&self, words: &[&str]) -> String {
        // A sentinel knows no QUIT: the answer to a PING is where it ends.
        let end = "+PONG\r\n";
        let mut stream = send(self.port, &[&["AUTH", SENTINEL_PASSWORD], words, &["PING"]]);
        let mut said = String::new();
        let mut some = [0; 4096];
        while !said.ends_with(end) {
            let count = stream.read(&mut some).expect("an answer");
            assert!(count > 0, "the sentinel ends: {said}");
            said.push_str(&String::from_utf8_lossy(&some[..count]));
        }
        let said = said.strip_prefix("+OK\r\n").unwrap_or(&said);
        let said = said.strip_suffix(end).unwrap_or(said);
        said.trim_end().to_owned()
    }
}
