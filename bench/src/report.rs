//! The figures, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::keys::Keys;

/// One server under one load.
#[derive(Default, Clone)]
pub struct Figure {
    pub case: String,
    pub connections: usize,
    pub server: &'static str,
    pub streamed: bool,
    /// Microseconds per request.
    pub cpu_micros: f64,
    /// Of the PostgreSQL server behind it; not a number where there is none.
    pub database_cpu_micros: f64,
    /// Microseconds per chunk with content.
    pub cpu_micros_per_chunk: f64,
    /// CPU beside nginx's in the same turns.
    pub ratio: f64,
    pub per_second: f64,
    /// Until the end of an answer, or a stream's first content; microseconds, as the next three.
    pub p50: f64,
    pub p99: f64,
    pub added_p50: f64,
    pub added_p99: f64,
    pub errors: u64,
    pub example: Option<String>,
}

/// What is measured once.
#[derive(Default)]
pub struct Facts {
    pub idle_mib: f64,
    pub start_ms: f64,
    pub binary_mib: f64,
    /// Server, then KiB and errors of 1,000 held requests, and of 5,000 open streams.
    pub memory: Vec<(&'static str, (f64, u64), (f64, u64))>,
    pub keys: Option<Keys>,
}

pub struct Report {
    pub facts: Facts,
    pub figures: Vec<Figure>,
}

/// The middle one; of an even number, the lower of the two.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures
        .get(figures.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

impl Report {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut case = "";
        for figure in &self.figures {
            if figure.case != case {
                case = &figure.case;
                let chunk = if figure.streamed { "us/chunk" } else { "" };
                writeln!(
                    out,
                    "\n{case}\n{:>5}  {:<11} {:>8} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6}",
                    "conns",
                    "server",
                    "CPU us",
                    chunk,
                    "x nginx",
                    "req/s",
                    "p50 ms",
                    "p99 ms",
                    "+p50 ms",
                    "+p99 ms",
                    "errors"
                )
                .ok();
            }
            let number = |number: f64, digits: usize| {
                if number.is_finite() {
                    format!("{number:.digits$}")
                } else {
                    "-".to_owned()
                }
            };
            let chunk = if figure.streamed {
                number(figure.cpu_micros_per_chunk, 2)
            } else {
                String::new()
            };
            writeln!(
                out,
                "{:>5}  {:<11} {:>8} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6}",
                figure.connections,
                figure.server,
                number(figure.cpu_micros, 1),
                chunk,
                number(figure.ratio, 2),
                number(figure.per_second, 0),
                number(figure.p50 / 1e3, 3),
                number(figure.p99 / 1e3, 3),
                number(figure.added_p50 / 1e3, 3),
                number(figure.added_p99 / 1e3, 3),
                figure.errors
            )
            .ok();
            if figure.database_cpu_micros.is_finite() {
                writeln!(
                    out,
                    "       {:>20} in its database",
                    number(figure.database_cpu_micros, 1)
                )
                .ok();
            }
            if let Some(example) = &figure.example {
                writeln!(
                    out,
                    "       {}",
                    example.chars().take(200).collect::<String>()
                )
                .ok();
            }
        }
        let facts = &self.facts;
        writeln!(out, "\nidle memory {:.1} MiB", facts.idle_mib).ok();
        if facts.start_ms > 0.0 {
            writeln!(
                out,
                "start to first answer {:.0} ms\nbinary {:.1} MiB",
                facts.start_ms, facts.binary_mib
            )
            .ok();
        }
        for (server, held, streams) in &facts.memory {
            writeln!(
                out,
                "{server}: {:.1} KiB per held request at 1,000 ({} errors), {:.1} KiB per open stream at 5,000 ({} errors)",
                held.0, held.1, streams.0, streams.1
            )
            .ok();
        }
        if let Some(keys) = &facts.keys {
            out += &keys.text();
        }
        out
    }

    pub fn json(&self) -> String {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "case": figure.case,
                    "connections": figure.connections,
                    "server": figure.server,
                    "cpu_us_per_request": figure.cpu_micros,
                    "database_cpu_us_per_request": figure.database_cpu_micros.is_finite().then_some(figure.database_cpu_micros),
                    "cpu_us_per_chunk": figure.streamed.then_some(figure.cpu_micros_per_chunk),
                    "cpu_ratio_to_nginx": figure.ratio,
                    "requests_per_second": figure.per_second,
                    "p50_us": figure.p50,
                    "p99_us": figure.p99,
                    "added_p50_us": figure.added_p50,
                    "added_p99_us": figure.added_p99,
                    "errors": figure.errors,
                })
            })
            .collect();
        let memory: Vec<Value> = self
            .facts
            .memory
            .iter()
            .map(|(server, held, streams)| {
                json!({
                    "server": server,
                    "kib_per_held_request": held.0,
                    "held_errors": held.1,
                    "kib_per_open_stream": streams.0,
                    "stream_errors": streams.1,
                })
            })
            .collect();
        let report = json!({
            "idle_mib": self.facts.idle_mib,
            "start_to_first_answer_ms": self.facts.start_ms,
            "binary_mib": self.facts.binary_mib,
            "memory": memory,
            "many_keys": self.facts.keys.as_ref().map(Keys::json),
            "figures": figures,
        });
        format!("{report:#}\n")
    }
}
