//! Whether a request costs the same however much there is of everything: keys, deployments, open streams.
//!
//! The figures of one question come from the same processes in turns, so that a noisy machine is noisy for all of them. They
//! are printed, and with `--write FILE` put between the two marks of that file, as a table and a plot that Markdown shows.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::load::{self, Request, chat, chat_at};
use crate::procs::{self, Model, Server};
use crate::report::median;
use crate::run::{Options, generate_key};

const KEYS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const DEPLOYMENTS: [usize; 4] = [1, 10, 50, 200];
const STREAMS: [usize; 5] = [1, 16, 256, 1_000, 5_000];
/// Chunks a second of all streams together, but for the few that can go no faster than [`FASTEST`].
const CHUNKS_A_SECOND: usize = 5_000;
const FASTEST: usize = 2;
const CONNECTIONS: usize = 64;
const TURNS: usize = 5;
/// Turns come round about once in the minute for which a key is used before it is read again: ten thousand of them would all be
/// read again within the two seconds of theirs.
const KEYS_ARE_BELIEVED: &str = "user_api_key_cache_ttl: 3600";
const OURS: &str = "Trunkline";
const BEGIN: &str = "<!-- scale -->";
const END: &str = "<!-- /scale -->";

const CHAT: Model = Model {
    name: "chat",
    dialect: "openai",
    behaviour: "now",
};

/// One question, its points, and what each costs in microseconds of CPU.
struct Curve {
    title: &'static str,
    axis: &'static str,
    points: Vec<usize>,
    /// Whose CPU, with a figure for each point.
    lines: Vec<(&'static str, Vec<f64>)>,
}

/// What one point is measured with.
struct Point {
    at: usize,
    /// Whose CPU it is.
    of: &'static str,
    server: Rc<Server>,
    requests: Vec<Request>,
    connections: usize,
    turn: Duration,
}

/// Runs the three questions.
pub async fn all(options: &Options, dir: &Path) -> io::Result<()> {
    let provider = procs::provider(dir)?;
    let binary = fs::canonicalize(&options.gateway)?;
    let start = |models: &[Model], copies| {
        procs::trunkline_of(
            dir,
            &binary,
            provider.address,
            models,
            copies,
            KEYS_ARE_BELIEVED,
        )?
        .ready(Duration::from_secs(20))
        .map(Rc::new)
    };
    let curves = [
        keys(&start(&[CHAT], 1)?).await?,
        deployments(|copies| start(&[CHAT], copies)).await?,
        streams(start, Rc::new(procs::nginx(dir, provider.address, false)?)).await?,
    ];
    let text = curves
        .iter()
        .map(Curve::text)
        .collect::<Vec<_>>()
        .join("\n");
    println!("{text}");
    match &options.write {
        Some(path) => write_into(path, &text),
        None => Ok(()),
    }
}

async fn keys(server: &Rc<Server>) -> io::Result<Curve> {
    let most = KEYS.iter().copied().max().unwrap_or_default();
    eprintln!("making {most} keys");
    let mut all = Vec::with_capacity(most);
    for _ in 0..most {
        let key = generate_key(server).await?;
        all.push(chat(server.address, &key, "chat", false));
    }
    let points = KEYS.map(|count| Point {
        at: count,
        of: OURS,
        server: Rc::clone(server),
        requests: all[..count].to_vec(),
        connections: CONNECTIONS,
        turn: Duration::from_secs(2),
    });
    let title = "A small chat, by the number of keys in use";
    Ok(Curve::of(title, "keys", &points, false).await)
}

async fn deployments(start: impl Fn(usize) -> io::Result<Rc<Server>>) -> io::Result<Curve> {
    let mut points = Vec::new();
    for count in DEPLOYMENTS {
        let server = start(count)?;
        let key = generate_key(&server).await?;
        points.push(Point {
            at: count,
            of: OURS,
            requests: vec![chat(server.address, &key, "chat", false)],
            server,
            connections: CONNECTIONS,
            turn: Duration::from_secs(2),
        });
    }
    let title = "A small chat, by the number of deployments of its model";
    Ok(Curve::of(title, "deployments", &points, false).await)
}

/// Beside nginx: a chunk costs the kernel more when it comes alone, and each of many streams is cold when its next one comes.
async fn streams(
    start: impl Fn(&[Model], usize) -> io::Result<Rc<Server>>,
    nginx: Rc<Server>,
) -> io::Result<Curve> {
    // One chunk each so many milliseconds, so that all streams together are as fast in each turn.
    let paces = STREAMS.map(|count| (count * 1000 / CHUNKS_A_SECOND).max(FASTEST));
    let behaviours = paces.map(|pace| format!("pace-{pace}"));
    let models: Vec<Model> = behaviours
        .iter()
        .map(|behaviour| Model {
            name: behaviour,
            dialect: "openai",
            behaviour,
        })
        .collect();
    let server = start(&models, 1)?;
    let key = generate_key(&server).await?;
    let points: Vec<Point> = STREAMS
        .iter()
        .zip(&behaviours)
        .flat_map(|(count, model)| {
            let ours = chat(server.address, &key, model, true);
            let path = format!("/{model}/v1/chat/completions");
            let passed_on = chat_at(nginx.address, &path, &key, model, true);
            [(OURS, &server, ours), ("nginx", &nginx, passed_on)].map(|(of, server, request)| {
                Point {
                    at: *count,
                    of,
                    server: Rc::clone(server),
                    requests: vec![request],
                    connections: *count,
                    turn: Duration::from_secs(3),
                }
            })
        })
        .collect();
    let title = "A chunk of a stream, by the number of open streams";
    Ok(Curve::of(title, "streams", &points, true).await)
}

/// Replaces what lies between the marks of a file.
fn write_into(path: &Path, text: &str) -> io::Result<()> {
    let whole = fs::read_to_string(path)?;
    let parts = whole
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts
        .ok_or_else(|| io::Error::other(format!("{} has no {BEGIN} … {END}", path.display())))?;
    fs::write(path, format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

// === impl Curve ===

impl Curve {
    async fn of(title: &'static str, axis: &'static str, points: &[Point], by_chunk: bool) -> Self {
        let mut turns: Vec<Vec<f64>> = points.iter().map(|_| Vec::new()).collect();
        for turn in 0..=TURNS {
            for (point, turns) in points.iter().zip(&mut turns) {
                eprintln!("{} {axis}, turn {turn}", point.at);
                let (began, before) = (Instant::now(), point.server.cpu_micros());
                let seen = load::run(&point.requests, point.connections, point.turn).await;
                let cpu = point.server.cpu_micros() - before;
                if let Some(example) = &seen.example {
                    eprintln!("{} errors in {:?}: {example}", seen.errors, began.elapsed());
                }
                let count = if by_chunk {
                    seen.chunks as f64
                } else {
                    seen.latencies.len() as f64
                };
                // The first turn reads each key from the database once, and warms up everything else.
                if turn > 0 {
                    turns.push(cpu / count);
                }
            }
        }
        let mut curve = Self {
            title,
            axis,
            points: Vec::new(),
            lines: Vec::new(),
        };
        for (point, turns) in points.iter().zip(turns) {
            curve.add(point, median(turns));
        }
        curve
    }

    fn add(&mut self, point: &Point, cpu: f64) {
        if !self.points.contains(&point.at) {
            self.points.push(point.at);
        }
        match self.lines.iter_mut().find(|(of, _)| *of == point.of) {
            Some((_, line)) => line.push(cpu),
            None => self.lines.push((point.of, vec![cpu])),
        }
    }

    /// A table, and a plot in the language of Mermaid.
    fn text(&self) -> String {
        let heads: Vec<&str> = self.lines.iter().map(|(of, _)| *of).collect();
        let mut out = format!(
            "{}:\n\n| {} | {} |\n| --- |{}\n",
            self.title,
            self.axis,
            heads.join(" | "),
            " --- |".repeat(heads.len())
        );
        for (row, at) in self.points.iter().enumerate() {
            write!(out, "| {at} |").ok();
            for (_, line) in &self.lines {
                write!(out, " {:.1} µs |", line[row]).ok();
            }
            out.push('\n');
        }
        let names: Vec<String> = self.points.iter().map(|at| format!("\"{at}\"")).collect();
        let all = self.lines.iter().flat_map(|(_, line)| line);
        let most = all.copied().fold(0.0, f64::max);
        write!(
            out,
            "\n```mermaid\nxychart-beta\n    x-axis \"{}\" [{}]\n    y-axis \"µs of CPU\" 0 --> {:.0}\n",
            self.axis,
            names.join(", "),
            (most * 1.2).ceil(),
        )
        .ok();
        for (_, line) in &self.lines {
            let values: Vec<String> = line.iter().map(|cpu| format!("{cpu:.1}")).collect();
            writeln!(out, "    line [{}]", values.join(", ")).ok();
        }
        out.push_str("```\n");
        out
    }
}
