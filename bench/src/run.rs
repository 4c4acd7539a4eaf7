//! The cases, and running each of them against every server in turns.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::keys;
use crate::load::{self, Request, Seen};
use crate::procs::{self, MASTER_KEY, Model, Server};
use crate::report::{Facts, Figure, Report, median};
use crate::servers::postgres::Postgres;

/// From the command line.
#[derive(Default)]
pub struct Options {
    pub gateway: PathBuf,
    pub quick: bool,
    pub only: Option<String>,
    pub json: Option<PathBuf>,
    pub litellm: Option<PathBuf>,
    /// There is a PostgreSQL server on the machine.
    pub postgres: bool,
    /// The file that the curves of `scale` are put into.
    pub write: Option<PathBuf>,
    /// How long `soak` goes on; 0 is half an hour.
    pub minutes: u64,
}

/// The models of most cases.
pub const MODELS: [Model<'static>; 6] = [
    Model {
        name: "chat",
        dialect: "openai",
        behaviour: "now",
    },
    Model {
        name: "stream",
        dialect: "openai",
        behaviour: "stream",
    },
    Model {
        name: "hold",
        dialect: "openai",
        behaviour: "hold",
    },
    Model {
        name: "slow",
        dialect: "openai",
        behaviour: "slow",
    },
    Model {
        name: "claude",
        dialect: "anthropic",
        behaviour: "now",
    },
    Model {
        name: "claude-stream",
        dialect: "anthropic",
        behaviour: "stream",
    },
];

/// Requests that make a server ready to be looked at.
const WARMING: usize = 200;

/// One load.
struct Case {
    name: String,
    model: &'static Model<'static>,
    /// Bytes of the prompt.
    prompt: usize,
    connections: usize,
    /// Each turn of each server takes that long.
    turn: Duration,
    turns: usize,
}

impl Case {
    fn is_streamed(&self) -> bool {
        self.model.behaviour == "stream" || self.model.behaviour == "slow"
    }

    /// Whole answers, in one dialect, that are not large.
    fn is_plain(&self) -> bool {
        self.model.name == "chat" && self.prompt < 1024 * 1024
    }

    /// The body that a client of `server` sends.
    fn body(&self, native: bool) -> String {
        let model = self.model.name;
        let text = "Tell me about the weather in Paris. ".repeat(self.prompt / 36 + 1);
        let text = &text[..self.prompt];
        let stream = if self.is_streamed() {
            "\"stream\":true,"
        } else {
            ""
        };
        // Where the provider is called directly and speaks Anthropic's dialect, so must the client; the bodies look alike.
        let model = if native { "gpt-4o-mini" } else { model };
        format!(
            "{{\"model\":\"{model}\",{stream}\"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
        )
    }
}

fn cases(quick: bool) -> Vec<Case> {
    let (turns, turn) = if quick {
        (3, Duration::from_millis(1500))
    } else {
        (4, Duration::from_secs(2))
    };
    let case = |model: usize, size: &str, prompt: usize, connections: usize| {
        let model = &MODELS[model];
        let kind = match (model.behaviour, model.dialect) {
            ("stream", "anthropic") => "stream, OpenAI to Anthropic",
            ("stream", _) => "stream, OpenAI to OpenAI",
            (_, "anthropic") => "chat, OpenAI to Anthropic",
            _ => "chat, OpenAI to OpenAI",
        };
        Case {
            name: format!("{kind}, {size}"),
            model,
            prompt,
            connections,
            turn,
            turns,
        }
    };
    let mut cases = Vec::new();
    let connections: &[usize] = if quick { &[1, 64] } else { &[1, 16, 64, 256] };
    for count in connections {
        cases.push(case(0, "small", 60, *count));
    }
    for count in if quick { &[64][..] } else { connections } {
        cases.push(case(0, "16 KB", 16 * 1024, *count));
    }
    for count in if quick { &[16][..] } else { &[1, 16, 64][..] } {
        cases.push(case(0, "1 MB", 1024 * 1024, *count));
    }
    for count in if quick { &[64][..] } else { connections } {
        cases.push(case(4, "small", 60, *count));
    }
    for count in if quick { &[64][..] } else { connections } {
        cases.push(case(1, "100 chunks", 60, *count));
        cases.push(case(5, "100 chunks", 60, *count));
    }
    cases
}

/// A server, how it is called, and with which key.
struct Side {
    name: &'static str,
    server: Rc<Server>,
    key: String,
    /// Its books are in the PostgreSQL server that this program runs.
    on_postgres: bool,
    /// It passes on what it gets: the path says what the provider does, and nothing is translated.
    is_native: bool,
}

impl Side {
    fn request(&self, case: &Case) -> Request {
        let path = match (self.is_native, case.model.dialect) {
            (true, "anthropic") => format!("/{}/v1/messages", case.model.behaviour),
            (true, _) => format!("/{}/v1/chat/completions", case.model.behaviour),
            (false, _) => "/v1/chat/completions".to_owned(),
        };
        let body = case.body(self.is_native);
        Request {
            to: self.server.address,
            bytes: Rc::new(load::request(self.server.address, &path, &self.key, &body)),
            streamed: case.is_streamed(),
            ends_with: match (self.is_native, case.model.dialect) {
                (true, "anthropic") => "{\"type\":\"message_stop\"}",
                _ => "[DONE]",
            },
        }
    }
}

/// Runs everything and prints it.
pub async fn all(options: &Options, dir: &Path) -> io::Result<()> {
    let report = measure(options, dir).await?;
    print!("{}", report.text());
    if let Some(path) = &options.json {
        fs::write(path, report.json())?;
    }
    Ok(())
}

async fn measure(options: &Options, dir: &Path) -> io::Result<Report> {
    let provider = Rc::new(procs::provider(dir)?);
    let to = provider.address;
    let binary = fs::canonicalize(&options.gateway)?;
    let wanted = |name: &str| {
        options
            .only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    };

    let mut report = Report {
        facts: Facts::default(),
        figures: Vec::new(),
    };
    if wanted("start") {
        report.facts.binary_mib = fs::metadata(&binary)?.len() as f64 / 1024.0 / 1024.0;
        report.facts.start_ms = start_time(dir, &binary, to).await?;
    }

    let gateway = procs::trunkline(dir, &binary, to, &MODELS)?.ready(Duration::from_secs(20))?;
    let gateway = Rc::new(gateway);
    sleep(Duration::from_secs(1)).await;
    report.facts.idle_mib = gateway.rss_kib() / 1024.0;
    let key = generate_key(&gateway).await?;
    let side = |name, server: &Rc<Server>, key: &str, is_native| Side {
        name,
        server: Rc::clone(server),
        key: key.to_owned(),
        on_postgres: false,
        is_native,
    };
    let database = options.postgres.then(Postgres::start);
    let on_postgres = match &database {
        Some(database) => {
            let url = database.database("bench");
            let gateway = procs::trunkline_on_postgres(dir, &binary, to, &MODELS, &url)?
                .ready(Duration::from_secs(20))?;
            let key = generate_key(&gateway).await?;
            Some((Rc::new(gateway), key))
        }
        None => None,
    };
    let buffering = Rc::new(procs::nginx(dir, to, true)?);
    let unbuffered = Rc::new(procs::nginx(dir, to, false)?);
    let peer = match &options.litellm {
        Some(program) => Some(Rc::new(procs::litellm(dir, program, to, &MODELS)?)),
        None => None,
    };
    for case in cases(options.quick) {
        if !wanted(&format!("{} at {}", case.name, case.connections)) {
            continue;
        }
        let nginx = if case.is_streamed() {
            &unbuffered
        } else {
            &buffering
        };
        let mut sides = vec![
            side("direct", &provider, "sk-none", true),
            side("nginx", nginx, "sk-none", true),
            side("trunkline", &gateway, &key, false),
        ];
        if let Some((gateway, key)) = on_postgres.as_ref().filter(|_| case.is_plain()) {
            sides.push(Side {
                on_postgres: true,
                ..side("on postgres", gateway, key, false)
            });
        }
        // With more connections its answers take seconds, and so would each turn.
        if let Some(peer) = peer.as_ref().filter(|_| case.connections <= 64) {
            sides.push(side("litellm", peer, MASTER_KEY, false));
        }
        eprintln!("{}, {} connections", case.name, case.connections);
        report.figures.extend(in_turns(&case, &sides).await);
    }
    if wanted("memory") {
        eprintln!("memory");
        // A process each: memory that an earlier case left behind would be used again, and not be seen.
        let mut each = Vec::new();
        for (model, count) in [(&MODELS[2], 1000), (&MODELS[3], 5000)] {
            let own = dir.join(model.name);
            fs::create_dir_all(&own)?;
            let nginx = Rc::new(procs::nginx(&own, to, false)?);
            each.push(occupy(&side("nginx", &nginx, "sk-none", true), model, count).await?);
            let gateway = procs::trunkline(&own, &binary, to, &MODELS)?;
            let gateway = Rc::new(gateway.ready(Duration::from_secs(20))?);
            let key = generate_key(&gateway).await?;
            let side = side("trunkline", &gateway, &key, false);
            each.push(occupy(&side, model, count).await?);
        }
        report.facts.memory = vec![("nginx", each[0], each[2]), ("trunkline", each[1], each[3])];
    }
    // Takes minutes: not one of the main ones.
    if wanted("many keys") && (!options.quick || options.only.is_some()) {
        report.facts.keys = Some(keys::measure(dir, &binary, to, options.quick).await?);
    }
    Ok(report)
}

/// What one server did in one turn.
struct Turn {
    cpu: f64,
    /// Not a number where no PostgreSQL server has part in it.
    database_cpu: f64,
    secs: f64,
    seen: Seen,
}

async fn in_turns(case: &Case, sides: &[Side]) -> Vec<Figure> {
    let mut turns: Vec<Vec<Turn>> = sides.iter().map(|_| Vec::new()).collect();
    for turn in 0..=case.turns {
        for (side, turns) in sides.iter().zip(&mut turns) {
            let request = side.request(case);
            // The first turn only warms up.
            let time = if turn == 0 {
                Duration::from_millis(300)
            } else {
                case.turn
            };
            let database = || match side.on_postgres {
                true => procs::postgres_cpu_micros(),
                false => f64::NAN,
            };
            let (began, cpu) = (Instant::now(), side.server.cpu_micros());
            let database_cpu = database();
            let seen = load::run(&[request], case.connections, time).await;
            if turn > 0 {
                turns.push(Turn {
                    cpu: side.server.cpu_micros() - cpu,
                    database_cpu: database() - database_cpu,
                    secs: began.elapsed().as_secs_f64(),
                    seen,
                });
            }
        }
    }
    let mut figures: Vec<Figure> = sides
        .iter()
        .zip(turns)
        .map(|(side, turns)| {
            let over = |figure: &dyn Fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
            let requests = |turn: &Turn| turn.seen.latencies.len() as f64;
            Figure {
                case: case.name.clone(),
                connections: case.connections,
                server: side.name,
                streamed: case.is_streamed(),
                cpu_micros: over(&|turn| turn.cpu / requests(turn)),
                database_cpu_micros: over(&|turn| turn.database_cpu / requests(turn)),
                cpu_micros_per_chunk: over(&|turn| turn.cpu / turn.seen.chunks as f64),
                per_second: over(&|turn| requests(turn) / turn.secs),
                p50: over(&|turn| turn.seen.percentile(0.50)),
                p99: over(&|turn| turn.seen.percentile(0.99)),
                errors: turns.iter().map(|turn| turn.seen.errors).sum(),
                example: turns.iter().find_map(|turn| turn.seen.example.clone()),
                ..Figure::default()
            }
        })
        .collect();
    let direct = figures.first().map(|direct| (direct.p50, direct.p99));
    let nginx = figures.get(1).map(|nginx| nginx.cpu_micros);
    for figure in &mut figures {
        if let Some((p50, p99)) = direct {
            figure.added_p50 = figure.p50 - p50;
            figure.added_p99 = figure.p99 - p99;
        }
        figure.ratio = figure.cpu_micros / nginx.unwrap_or(f64::NAN);
        if figure.server == "direct" {
            // The provider's own CPU is nobody's overhead.
            (figure.cpu_micros, figure.cpu_micros_per_chunk, figure.ratio) =
                (f64::NAN, f64::NAN, f64::NAN);
        }
    }
    figures
}

/// A key with a budget and both limits, none of which is ever reached.
pub async fn generate_key(gateway: &Server) -> io::Result<String> {
    let body = r#"{"user_id":"bench","max_budget":1000000,"rpm_limit":1000000000,"tpm_limit":1000000000000}"#;
    let bytes = load::request(gateway.address, "/key/generate", MASTER_KEY, body);
    let answer = once(gateway, &bytes).await?;
    let begin = answer.find("\"key\":\"").map(|at| at + 7);
    begin
        .and_then(|begin| answer[begin..].split('"').next())
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("no key was made: {answer}")))
}

/// The answer to one request on a connection of its own.
pub async fn once(server: &Server, bytes: &[u8]) -> io::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.address).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    // The answers looked at here are short; the connection stays open.
    timeout(Duration::from_secs(5), async {
        loop {
            if stream.read_buf(&mut answer).await? == 0
                || crate::http::head_end(&answer).is_some_and(|end| {
                    answer.len() >= end + crate::http::content_length(&answer[..end])
                })
            {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    })
    .await
    .map_err(io::Error::other)?
}

/// From the start of the process to the first answer of a model, in milliseconds; the best of five.
async fn start_time(dir: &Path, binary: &Path, provider: std::net::SocketAddr) -> io::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let began = Instant::now();
        let gateway =
            procs::trunkline(dir, binary, provider, &MODELS)?.ready(Duration::from_secs(20))?;
        let body = r#"{"model":"chat","messages":[{"role":"user","content":"Hi"}]}"#;
        let bytes = load::request(gateway.address, "/v1/chat/completions", MASTER_KEY, body);
        let answer = once(&gateway, &bytes).await?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!(
                "the first answer is no success: {answer}"
            )));
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

/// Memory that each of `count` requests under way takes, in KiB, and how many of them failed.
async fn occupy(
    side: &Side,
    model: &'static Model<'static>,
    count: usize,
) -> io::Result<(f64, u64)> {
    let case = Case {
        name: String::new(),
        model,
        prompt: 60,
        connections: count,
        turn: Duration::ZERO,
        turns: 1,
    };
    let request = side.request(&case);
    let seen = Rc::new(RefCell::new(Seen::default()));
    // What the first requests bring into memory is not theirs.
    let chat = side.request(&Case {
        model: &MODELS[0],
        ..case
    });
    for _ in 0..WARMING {
        load::exchange(&mut None, &chat, &seen).await?;
    }
    let before = side.server.rss_kib();
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let (request, seen) = (request.clone(), Rc::clone(&seen));
            spawn_local(async move {
                if let Err(err) = load::exchange(&mut None, &request, &seen).await {
                    let mut seen = seen.borrow_mut();
                    seen.errors += 1;
                    seen.example.get_or_insert_with(|| err.to_string());
                }
            })
        })
        .collect();
    sleep(crate::mock::HOLD * 2 / 3).await;
    let each = (side.server.rss_kib() - before) / count as f64;
    for client in clients {
        client.await.ok();
    }
    let seen = seen.borrow();
    if let Some(example) = &seen.example {
        eprintln!("{}: {example}", side.name);
    }
    Ok((each, seen.errors))
}
