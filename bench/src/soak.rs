//! Whether anything grows: a constant rate of answers, streams, translations, errors and clients that leave, with 50,000
//! keys, for half an hour, while memory, descriptors and the journal are looked at.
//!
//! Fails if requests failed that should not have, or if memory or descriptors still grow in the second half.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{interval, sleep};

use crate::keys;
use crate::load::{self, Request, Seen};
use crate::procs::{self, Model, Server};
use crate::run::{MODELS, Options, once};

const KEYS: usize = 50_000;
const HALF_AN_HOUR: u64 = 30;
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// A slope is noise below this share of all memory in half an hour.
const NOISE: f64 = 0.05;

/// Clients of one sort: how many, and how often each of them asks.
struct Clients {
    model: &'static str,
    streamed: bool,
    count: usize,
    every: Duration,
    expects: Expects,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Success,
    Error,
    /// Leaves before the end.
    Nothing,
}

const CLIENTS: [Clients; 5] = [
    Clients {
        model: "chat",
        streamed: false,
        count: 32,
        every: Duration::from_millis(100),
        expects: Expects::Success,
    },
    Clients {
        model: "stream",
        streamed: true,
        count: 24,
        every: Duration::from_millis(500),
        expects: Expects::Success,
    },
    Clients {
        model: "claude-stream",
        streamed: true,
        count: 12,
        every: Duration::from_millis(500),
        expects: Expects::Success,
    },
    Clients {
        model: "fail",
        streamed: false,
        count: 4,
        every: Duration::from_millis(200),
        expects: Expects::Error,
    },
    Clients {
        model: "stream",
        streamed: true,
        count: 4,
        every: Duration::from_millis(250),
        expects: Expects::Nothing,
    },
];

const FAILING: Model<'static> = Model {
    name: "fail",
    dialect: "openai",
    behaviour: "fail",
};

/// What was seen at one time.
struct Look {
    minutes: f64,
    rss_mib: f64,
    descriptors: usize,
    journal_kib: f64,
}

/// Runs it and says what grew.
pub async fn all(options: &Options, dir: &Path) -> io::Result<()> {
    let provider = procs::provider(dir)?;
    let binary = fs::canonicalize(&options.gateway)?;
    let mut models = MODELS.to_vec();
    models.push(FAILING);
    let server = procs::trunkline(dir, &binary, provider.address, &models)?;
    let server = Rc::new(server.ready(Duration::from_secs(20))?);
    eprintln!("making {KEYS} keys");
    let keys = Rc::new(keys::make(&server, KEYS).await?);

    let minutes = if options.minutes == 0 {
        HALF_AN_HOUR
    } else {
        options.minutes
    };
    let begun = Instant::now();
    let until = begun + Duration::from_secs(minutes * 60);
    let seen: Vec<Rc<RefCell<Seen>>> = CLIENTS
        .iter()
        .enumerate()
        .map(|(sort, clients)| start(clients, sort, &server, &keys, until))
        .collect();
    println!("minutes  rss MiB  descriptors  journal KiB");
    let mut looks = Vec::new();
    while Instant::now() < until {
        sleep(LOOK_EVERY).await;
        let look = look(&server, begun).await;
        println!(
            "{:7.1} {:8.1} {:12} {:12.0}",
            look.minutes, look.rss_mib, look.descriptors, look.journal_kib
        );
        looks.push(look);
    }
    report(&seen, &looks)
}

fn start(
    clients: &Clients,
    sort: usize,
    server: &Rc<Server>,
    keys: &Rc<Vec<String>>,
    until: Instant,
) -> Rc<RefCell<Seen>> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (model, streamed, expects) = (clients.model, clients.streamed, clients.expects);
    let (clients, every) = (clients.count, clients.every);
    for number in 0..clients {
        let (server, keys, seen) = (Rc::clone(server), Rc::clone(keys), Rc::clone(&seen));
        spawn_local(async move {
            let mut connection = None;
            let mut ticks = interval(every);
            // A walk over all keys, begun far from where the other clients are: so all keys are used within minutes, and what
            // each of them takes does not look like growth.
            let mut at = (sort * 1009 + number * 7919 * (keys.len() / clients)) % keys.len();
            while Instant::now() < until {
                ticks.tick().await;
                at = (at + 7919) % keys.len();
                let request = load::chat(server.address, &keys[at], model, streamed);
                if expects == Expects::Nothing {
                    leave(&request).await.ok();
                } else if let Err(err) = load::exchange(&mut connection, &request, &seen).await {
                    connection = None;
                    seen.borrow_mut().fail(err);
                }
                // Half an hour of latencies would be what grows.
                seen.borrow_mut().latencies.truncate(1);
            }
        });
    }
    seen
}

async fn leave(request: &Request) -> io::Result<()> {
    let mut stream = TcpStream::connect(request.to).await?;
    stream.write_all(&request.bytes).await?;
    sleep(Duration::from_millis(50)).await;
    Ok(())
}

async fn look(server: &Server, begun: Instant) -> Look {
    let asked = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let metrics = once(server, asked.as_bytes()).await.unwrap_or_default();
    let journal = metrics.lines().find_map(|line| {
        line.strip_prefix("trunkline_journal_bytes ")?
            .trim()
            .parse::<f64>()
            .ok()
    });
    Look {
        minutes: begun.elapsed().as_secs_f64() / 60.0,
        rss_mib: server.rss_kib() / 1024.0,
        descriptors: server.descriptors(),
        journal_kib: journal.unwrap_or(f64::NAN) / 1024.0,
    }
}

fn report(seen: &[Rc<RefCell<Seen>>], looks: &[Look]) -> io::Result<()> {
    let mut wrong = Vec::new();
    for (clients, seen) in CLIENTS.iter().zip(seen) {
        let seen = seen.borrow();
        println!(
            "{}{}: {} errors",
            clients.model,
            if clients.streamed { ", streamed" } else { "" },
            seen.errors
        );
        let as_expected = match clients.expects {
            Expects::Success => seen.errors == 0,
            Expects::Error => seen.errors > 0 && seen.latencies.is_empty(),
            Expects::Nothing => true,
        };
        if !as_expected {
            wrong.push(format!(
                "{}: {} errors, such as {}",
                clients.model,
                seen.errors,
                seen.example.as_deref().unwrap_or("none")
            ));
        }
    }
    let late = &looks[looks.len() / 2..];
    if let (Some(first), Some(last)) = (late.first(), late.last()) {
        let a_minute = slope(late);
        let in_half_an_hour = a_minute * 30.0 / last.rss_mib;
        println!(
            "second half: memory {:+.3} MiB a minute ({:+.1} % in half an hour), descriptors {} to {}",
            a_minute,
            in_half_an_hour * 100.0,
            first.descriptors,
            last.descriptors
        );
        if in_half_an_hour > NOISE {
            wrong.push("memory grows".to_owned());
        }
        if last.descriptors > first.descriptors + first.descriptors / 10 {
            wrong.push("descriptors grow".to_owned());
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(wrong.join("; ")))
    }
}

/// MiB a minute, by least squares.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len() as f64;
    let mean = |of: fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (time, rss) = (mean(|look| look.minutes), mean(|look| look.rss_mib));
    let over: f64 = looks
        .iter()
        .map(|look| (look.minutes - time) * (look.rss_mib - rss))
        .sum();
    let under: f64 = looks.iter().map(|look| (look.minutes - time).powi(2)).sum();
    over / under
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_what_is_added_each_minute() {
        let looks: Vec<Look> = (0..10)
            .map(|minute| Look {
                minutes: f64::from(minute),
                rss_mib: 100.0 + 0.5 * f64::from(minute),
                descriptors: 1,
                journal_kib: 0.0,
            })
            .collect();
        assert!((slope(&looks) - 0.5).abs() < 1e-9);
    }
}
