//! What a store of many virtual keys costs: the start, memory, and a request with a key that must be read from the store or is
//! known already. Each key has a budget and both limits, so what is measured holds those of all of them too.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::load::{self, Request};
use crate::procs::{Home, Server};
use crate::run::{MODELS, generate_key, once};

const MANY: usize = 100_000;
const MANY_QUICKLY: usize = 10_000;
/// Keys that are made at the same time.
const MAKERS: usize = 16;
const CONNECTIONS: usize = 64;
/// Requests one after the other, whose time is looked at.
const ALONE: usize = 2_000;
/// Requests with keys that are known; well within the minute for which they are.
const WARM: usize = 20_000;
const STARTS: usize = 5;

/// The figures.
pub struct Keys {
    count: usize,
    start_ms: f64,
    idle_mib: f64,
    used_mib: f64,
    cold: Cost,
    warm: Cost,
}

/// What a request costs.
struct Cost {
    cpu_micros: f64,
    /// With one connection.
    p50_micros: f64,
    p99_micros: f64,
    errors: u64,
}

/// Makes that many keys, by the gateway.
pub async fn make(server: &Rc<Server>, count: usize) -> io::Result<Vec<String>> {
    let makers: Vec<_> = (0..MAKERS)
        .map(|maker| {
            let server = Rc::clone(server);
            let share = count / MAKERS + usize::from(maker < count % MAKERS);
            spawn_local(async move {
                let mut keys = Vec::with_capacity(share);
                while keys.len() < share {
                    keys.push(generate_key(&server).await?);
                }
                io::Result::Ok(keys)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(count);
    for maker in makers {
        all.extend(maker.await.map_err(io::Error::other)??);
    }
    Ok(all)
}

/// Fills a store, and starts anew on it.
pub async fn measure(
    dir: &Path,
    binary: &Path,
    provider: SocketAddr,
    quick: bool,
) -> io::Result<Keys> {
    let count = if quick { MANY_QUICKLY } else { MANY };
    let home = Home::new(dir, binary, provider, &MODELS, 1, "")?;
    eprintln!("making {count} keys");
    let maker = Rc::new(home.start()?.ready(Duration::from_secs(20))?);
    let keys = make(&maker, count).await?;
    drop(maker);

    eprintln!("starting with {count} keys");
    let mut start_ms = f64::INFINITY;
    let (first, keys) = keys.split_at(1);
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = home.start()?.ready(Duration::from_secs(60))?;
        let request = load::chat(server.address, &first[0], "chat", false);
        let answer = once(&server, &request.bytes).await?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!("no success: {answer}")));
        }
        start_ms = start_ms.min(began.elapsed().as_secs_f64() * 1e3);
    }

    eprintln!("using {count} keys");
    let server = home.start()?.ready(Duration::from_secs(60))?;
    sleep(Duration::from_secs(1)).await;
    let idle_mib = server.rss_kib() / 1024.0;
    let requests = keys.iter();
    let requests = requests.map(|key| load::chat(server.address, key, "chat", false));
    let requests: Vec<Request> = requests.collect();
    let (alone, together) = requests.split_at(ALONE.min(requests.len() / 2));
    let cold = Cost::of(&server, alone, together).await;
    let used_mib = server.rss_kib() / 1024.0;
    let known = &together[together.len().saturating_sub(WARM)..];
    let warm = Cost::of(&server, &known[..ALONE.min(known.len())], known).await;
    Ok(Keys {
        count,
        start_ms,
        idle_mib,
        used_mib,
        cold,
        warm,
    })
}

// === impl Cost ===

impl Cost {
    /// Time from some requests one after the other, CPU from many at once.
    async fn of(server: &Server, alone: &[Request], together: &[Request]) -> Self {
        let one = load::each_once(alone, 1).await;
        let before = server.cpu_micros();
        let many = load::each_once(together, CONNECTIONS).await;
        let cpu = server.cpu_micros() - before;
        for example in [&one.example, &many.example].into_iter().flatten() {
            eprintln!(
                "an error: {}",
                example.chars().take(200).collect::<String>()
            );
        }
        Self {
            cpu_micros: cpu / many.latencies.len() as f64,
            p50_micros: one.percentile(0.50),
            p99_micros: one.percentile(0.99),
            errors: one.errors + many.errors,
        }
    }

    fn json(&self) -> Value {
        json!({
            "cpu_us_per_request": self.cpu_micros,
            "p50_us": self.p50_micros,
            "p99_us": self.p99_micros,
            "errors": self.errors,
        })
    }
}

// === impl Keys ===

impl Keys {
    pub fn text(&self) -> String {
        let Self { count, .. } = self;
        let kib = (self.used_mib - self.idle_mib) * 1024.0 / *count as f64;
        let mut out = format!(
            "\n{count} keys\nstart to first answer {:.0} ms\nidle memory {:.1} MiB\nmemory after each was used {:.1} MiB, {kib:.1} KiB a key\n",
            self.start_ms, self.idle_mib, self.used_mib
        );
        for (name, cost) in [("read from the store", &self.cold), ("known", &self.warm)] {
            out += &format!(
                "a request with a key that is {name}: {:.1} us of CPU, p50 {:.3} ms, p99 {:.3} ms, {} errors\n",
                cost.cpu_micros,
                cost.p50_micros / 1e3,
                cost.p99_micros / 1e3,
                cost.errors
            );
        }
        out
    }

    pub fn json(&self) -> Value {
        json!({
            "keys": self.count,
            "start_to_first_answer_ms": self.start_ms,
            "idle_mib": self.idle_mib,
            "used_mib": self.used_mib,
            "read_from_the_store": self.cold.json(),
            "known": self.warm.json(),
        })
    }
}
