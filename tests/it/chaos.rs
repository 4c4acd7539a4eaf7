//! Many streams at once while the provider fails in every way: none is stuck, and afterwards nothing is left of them but
//! one row each. What fails, and how, follows from a fixed seed.
//!
//! `TRUNKLINE_CHAOS_STREAMS` sets how many run at the same time; a debug build on two busy cores does the default in
//! half a minute, and 2,000 in a minute.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::keys::generate_key;
use crate::spend::{pico, user_spend};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request_body, start, stream_request};
use crate::support::http::Request;
use crate::support::reply::{Ending, Gate, Reply, event, finish_event, opening_event, text_event};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

const SEED: u64 = 0x7472_756e_6b6c_696e;
const DEFAULT_STREAMS: usize = 1_000;
/// Clients that have connected and are not known to the provider yet: more would run over the backlogs of the listeners.
const ARRIVING: usize = 128;
/// The second round shows what the first has left behind.
const ROUNDS: usize = 2;
/// A stream that takes longer is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(90);
/// What memory may grow from the first round to the second, for the allocator's sake, and for each stream: less than one
/// that is left behind takes.
const GROWTH: usize = 16 * 1024 * 1024;
/// See [`GROWTH`].
const GROWTH_BY_STREAM: usize = 16 * 1024;
/// Of the key, in millionths of a USD.
const BUDGET_MICROS: i64 = 1_000_000;
const FIRST: &str = "the first of it";

/// How a stream ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum End {
    /// With `[DONE]`.
    Whole,
    /// With an error event.
    Broken,
    /// With a status.
    Refused(u16),
    /// The client left.
    Left,
    /// Neither.
    Odd,
    /// Not at all.
    Stuck,
}

/// What the clients and the provider of one round share.
struct Round {
    number: usize,
    streams: usize,
    /// Opened when every client has its first content or its end: until then the provider holds back the rest.
    all_here: Gate,
    here: AtomicUsize,
    /// Clients that have their first content and wait for the rest.
    waiting: AtomicUsize,
    /// For each client: the provider has its request.
    asked: Vec<Notify>,
    attempts: Mutex<HashMap<usize, u64>>,
    arriving: Semaphore,
}

/// `SplitMix64` of the seed and where we are.
fn draw(of: [u64; 3]) -> u64 {
    of.into_iter().fold(SEED, |state, part| {
        let mut mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

// === impl Round ===

impl Round {
    fn new(number: usize, streams: usize) -> Arc<Self> {
        Arc::new(Self {
            number,
            streams,
            all_here: Gate::closed(),
            here: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            asked: (0..streams).map(|_| Notify::new()).collect(),
            attempts: Mutex::default(),
            arriving: Semaphore::new(ARRIVING),
        })
    }

    fn customer(&self, client: usize) -> String {
        format!("{}-{client}", self.number)
    }

    /// Every eighth client asks the group whose deployments have short timers, and may run into them.
    fn model(client: usize) -> &'static str {
        if client.is_multiple_of(8) {
            "short"
        } else {
            "m"
        }
    }

    fn is_here(&self) {
        if self.here.fetch_add(1, Ordering::SeqCst) + 1 == self.streams {
            self.all_here.open();
        }
    }

    /// What the provider says to this client's next attempt.
    fn reply(&self, client: usize) -> Reply {
        self.asked[client].notify_one();
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let attempt = attempts.entry(client).or_default();
            *attempt += 1;
            *attempt
        };
        let number = [self.number as u64, client as u64, attempt];
        let drawn = draw(number) % 100;
        if Self::model(client) == "short" {
            return match drawn {
                0..50 => Reply::stream(&[FIRST, "and the rest"]),
                50..75 => begun().ending(Ending::Hang),
                _ => Reply::never(),
            };
        }
        let error = json!({"error": {"message": "no", "type": "server_error", "code": "500"}});
        let with = |events: &[Vec<u8>]| {
            let begin = [opening_event(), text_event(FIRST)];
            Reply::events(begin.into_iter().chain(events.iter().cloned()))
                .gate_before_part(2, &self.all_here)
        };
        match drawn {
            0..45 => Reply::stream(&[FIRST, "and the rest"]).gate_before_part(2, &self.all_here),
            45..53 => with(&[]).ending(Ending::Cut),
            53..59 => with(&[]).ending(Ending::Reset),
            59..66 => with(&[event(&error)]),
            66..69 => with(&[b"data: {\"no\": json\n\n".to_vec(), finish_event()]),
            69..75 => Reply::events([opening_event()]).ending(Ending::Cut),
            75..81 => Reply::events([opening_event(), event(&error)]),
            81..86 => Reply::error(429, "rate_limit", "slow down"),
            86..91 => Reply::error(500, "server_error", "oops"),
            91..95 => Reply::closes_without_a_byte(),
            95..98 => Reply::bytes(502, "text/html", "<p>"),
            _ => Reply::chat("not a stream"),
        }
    }

    /// One client from its connection to its end.
    async fn client(self: Arc<Self>, client: usize, request: Vec<u8>, to: (String, u16)) -> End {
        let outcome = timeout(STUCK_AFTER, self.talk(client, &request, to)).await;
        outcome.unwrap_or(End::Stuck)
    }

    async fn talk(&self, client: usize, request: &[u8], to: (String, u16)) -> End {
        let arriving = self.arriving.acquire().await.expect("it is never closed");
        let mut socket = TcpStream::connect(to).await.expect("the gateway listens");
        socket.write_all(request).await.expect("the gateway reads");
        select! {
            () = self.asked[client].notified() => {}
            _ = socket.readable() => {}
        }
        drop(arriving);
        let leaves = draw([u64::MAX, self.number as u64, client as u64]) % 100;
        if leaves < 5 {
            self.is_here();
            return End::Left;
        }
        let mut bytes = Vec::new();
        let mut begun = false;
        loop {
            let read = socket.read_buf(&mut bytes).await;
            if !begun && contains(&bytes, FIRST) {
                begun = true;
                let stays = leaves >= 15;
                if stays && Self::model(client) == "m" {
                    self.waiting.fetch_add(1, Ordering::SeqCst);
                }
                self.is_here();
                if !stays {
                    return End::Left;
                }
            }
            if !matches!(read, Ok(count) if count > 0) {
                break;
            }
        }
        if !begun {
            self.is_here();
        }
        let end = end_of(&bytes);
        if end == End::Odd {
            println!("client {client}: {:?}", String::from_utf8_lossy(&bytes));
        }
        end
    }

    /// Runs all clients at once; how many ended in which way.
    fn run(self: &Arc<Self>, gateway: &Gateway, key: &str) -> HashMap<End, usize> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime for the clients");
        let address = gateway.address();
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for client in 0..self.streams {
                let mut body = chat_request_body(Self::model(client));
                body["stream"] = json!(true);
                body["user"] = json!(self.customer(client));
                // The end of the connection is the end of the answer.
                let request = Request::post("/v1/chat/completions", &body)
                    .bearer(key)
                    .header("connection", "close")
                    .to_bytes(address);
                let to = (address.ip().to_string(), address.port());
                clients.spawn(Arc::clone(self).client(client, request, to));
            }
            let mut ends = HashMap::new();
            while let Some(end) = clients.join_next().await {
                *ends.entry(end.expect("a client")).or_default() += 1;
            }
            ends
        })
    }
}

fn begun() -> Reply {
    Reply::events([opening_event(), text_event(FIRST)])
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

fn end_of(answer: &[u8]) -> End {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let ends_properly = text.ends_with("0\r\n\r\n");
    let (done, error) = (text.contains("data: [DONE]"), text.contains("{\"error\":{"));
    match status {
        Some(200) if ends_properly && done && !error => End::Whole,
        Some(200) if ends_properly && error && !done => End::Broken,
        Some(status) if status >= 400 && error => End::Refused(status),
        _ => End::Odd,
    }
}

/// Requests of the round at hand are answered by its script, others well.
fn provider(rounds: Arc<Mutex<Option<Arc<Round>>>>, held: Gate) -> Upstream {
    Upstream::answering(move |request: &Recorded| {
        let body = request.json();
        let customer = body["user"].as_str().unwrap_or_default().to_owned();
        let round = rounds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let client = customer
            .split_once('-')
            .and_then(|(_, client)| client.parse().ok());
        match (round, client) {
            (Some(round), Some(client)) => round.reply(client),
            _ if customer == "held" => Reply::stream(&["held"]).after(&held),
            _ => Reply::stream(&["well"]),
        }
    })
}

/// Both processes hold two sockets for each stream.
fn raise_descriptor_limit(wanted: usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("the limits of a process");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    if soft.is_none_or(|soft| soft >= wanted) {
        return;
    }
    let raised = Command::new("prlimit")
        .args(["--pid", &process::id().to_string()])
        .arg(format!("--nofile={wanted}:"))
        .status();
    assert!(
        raised.is_ok_and(|status| status.success()),
        "{wanted} file descriptors are needed; try `ulimit -n {wanted}`, or fewer streams"
    );
}

fn in_flight(gateway: &Gateway) -> u64 {
    let answer = gateway.send(&Request::get("/router/state").bearer(MASTER_KEY));
    let state = answer.assert_status(200).json();
    let deployments = state["deployments"].as_array().expect("deployments");
    deployments
        .iter()
        .filter_map(|one| one["in_flight"].as_u64())
        .sum()
}

/// Rows of the round, and how many customers they are of.
fn rows(gateway: &Gateway, home: &Home, round: &Round) -> (usize, usize) {
    // Asking for the spend brings what is in the journal onto the books.
    gateway.send(&Request::get("/global/spend").bearer(MASTER_KEY));
    let store = home.books();
    store
        .query_row(
            "SELECT count(*), count(DISTINCT end_user) FROM spend_logs WHERE end_user LIKE ?",
            [format!("{}-%", round.number)],
            |row| {
                Ok((
                    row.get::<_, u32>(0)? as usize,
                    row.get::<_, u32>(1)? as usize,
                ))
            },
        )
        .expect("the books can be counted")
}

fn streamed(user: &str, max_tokens: i64) -> Request {
    let mut body = chat_request_body("m");
    body["stream"] = json!(true);
    body["user"] = json!(user);
    body["max_tokens"] = json!(max_tokens);
    Request::post("/v1/chat/completions", &body)
}

/// Beside a request that holds some money, one that takes all the rest is admitted, and one that takes more is not: what
/// earlier requests held is back.
fn assert_nothing_held(gateway: &Gateway, upstream: &Upstream, key: &str, held: &Gate) {
    let spent = pico(&user_spend(gateway, key)["keys"][0]["spend"]);
    let before = upstream.request_count();
    let first = gateway.begin(&streamed("held", 16).bearer(key));
    upstream.wait_for_requests(before + 1);
    // An output token is 2 millionths; the two prompts and the first answer are less than 150 of them.
    let all = (BUDGET_MICROS - spent / 1_000_000 - 150) / 2;

    let too_much = gateway.send(&streamed("more", all + 150).bearer(key));
    let just_right = gateway.send(&streamed("all", all).bearer(key));

    too_much.assert_status(429);
    just_right.assert_status(200);
    held.open();
    first.answer().assert_status(200);
}

#[test]
fn of_many_failing_streams_none_is_stuck_and_nothing_is_left_behind() {
    let streams = env::var_os("TRUNKLINE_CHAOS_STREAMS")
        .and_then(|number| number.to_str()?.parse().ok())
        .unwrap_or(DEFAULT_STREAMS);
    raise_descriptor_limit(2 * streams + 500);
    let (current, held) = (Arc::new(Mutex::new(None)), Gate::closed());
    let upstream = provider(Arc::clone(&current), held.clone());
    let mut config = ConfigText::new()
        .with_master_key()
        .router("num_retries: 2")
        .router("disable_cooldowns: true")
        .trunkline("timeouts: {first_byte: 60, first_content: 60, idle: 60, header_wait: 60}");
    for number in 0..3 {
        config = config
            .deployment(Deployment::of("m", &upstream).id(&format!("m-{number}")))
            .deployment(
                Deployment::of("short", &upstream)
                    .param("stream_timeout: 1.5")
                    .id(&format!("short-{number}")),
            );
    }
    let (home, mut gateway) = start(&config);
    gateway.allow_errors();
    let key = generate_key(
        &gateway,
        &json!({"user_id": "ann", "max_budget": 1.0, "max_parallel_requests": streams}),
    );

    let mut resident = Vec::new();
    for number in 0..ROUNDS {
        let round = Round::new(number, streams);
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&round));
        let began = Instant::now();

        let ends = round.run(&gateway, &key);

        println!("round {number}: {:?}, {ends:?}", began.elapsed());
        let count = |end| ends.get(&end).copied().unwrap_or_default();
        // Only the group without short timers waits for all.
        let at_once = round.waiting.load(Ordering::SeqCst);
        assert!(at_once > streams / 2, "only {at_once} at once: {ends:?}");
        assert_eq!((count(End::Stuck), count(End::Odd)), (0, 0), "{ends:?}");
        for end in [End::Whole, End::Broken, End::Left] {
            assert!(count(end) > streams / 20, "too few {end:?}: {ends:?}");
        }
        let known = [408, 429, 500, 502].map(End::Refused);
        let others = [End::Whole, End::Broken, End::Left];
        let all: usize = known.into_iter().chain(others).map(count).sum();
        assert_eq!(all, streams, "{ends:?}");
        eventually("requests in flight", &0, || in_flight(&gateway));
        eventually("rows, customers", &(streams, streams), || {
            rows(&gateway, &home, &round)
        });
        resident.push(gateway.resident_bytes());
    }

    println!("resident after each round: {resident:?}");
    assert!(
        resident[1] < resident[0] + GROWTH + GROWTH_BY_STREAM * streams,
        "{resident:?}"
    );
    let one_more = gateway.send(&stream_request("m").bearer(&key));
    one_more.assert_status(200);
    assert_eq!(
        one_more.header("x-ratelimit-api_key-remaining-max_parallel_requests"),
        Some((streams - 1).to_string().as_str()),
        "every parallel slot is back"
    );
    assert_nothing_held(&gateway, &upstream, &key, &held);
}
