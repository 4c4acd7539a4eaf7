//! The process's `log` sink: one line per record on standard error, JSON unless a person is watching.
//!
//! Lines go through a bounded queue to a thread of their own, so a slow terminal or pipe never blocks a worker. When the
//! queue is full the line is counted and dropped; the count is logged as soon as there is room again.
//!
//! ```json
//! {"timestamp":"2026-11-22T10:00:00.123Z","level":"INFO","target":"trunkline::server","message":"listening","address":"127.0.0.1:4000"}
//! ```

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use jiff::Timestamp;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};

/// Lines that may wait for the writer before further ones are dropped.
const QUEUE_LINES: usize = 8192;

/// How a line is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// `TIME LEVEL message key=value`, for a person at a terminal.
    Text,
}

impl Format {
    /// [`Format::Text`] at a terminal, [`Format::Json`] for a pipe or file, or when asked for by `json`.
    pub fn for_stderr(json: bool) -> Self {
        if json || !stderr().is_terminal() {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// Stops the writer thread after it has written what is queued. Dropping it does the same.
#[derive(Debug)]
pub struct Guard {
    sender: Option<SyncSender<Option<String>>>,
    writer: Option<JoinHandle<()>>,
}

/// Installs the sink.
///
/// # Errors
/// When a logger is installed already.
pub fn install(level: LevelFilter, format: Format) -> Result<Guard, SetLoggerError> {
    let (sender, receiver) = sync_channel(QUEUE_LINES);
    log::set_boxed_logger(Box::new(Sink {
        sender: sender.clone(),
        dropped: AtomicU64::new(0),
        format,
        level,
    }))?;
    log::set_max_level(level);
    let writer = Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&receiver))
        .ok();
    Ok(Guard {
        sender: Some(sender),
        writer,
    })
}

struct Sink {
    sender: SyncSender<Option<String>>,
    dropped: AtomicU64,
    format: Format,
    level: LevelFilter,
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        // `None` ends the writer: the sink itself lives as long as the process, so the channel never closes by itself.
        if let Some(sender) = self.sender.take() {
            sender.send(None).ok();
        }
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

// === impl Sink ===

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Dependencies log their inner life at info; only their warnings are an operator's business.
        let limit = if is_ours(metadata) {
            self.level
        } else {
            self.level.min(LevelFilter::Warn)
        };
        metadata.level() <= limit
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = match self.format {
            Format::Json => json_line(record),
            Format::Text => text_line(record),
        };
        if self.sender.try_send(Some(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let note = dropped_note(self.format, dropped);
            if self.sender.try_send(Some(note)).is_err() {
                self.dropped.fetch_add(dropped, Ordering::Relaxed);
            }
        }
    }

    fn flush(&self) {}
}

fn write_lines(receiver: &Receiver<Option<String>>) {
    let mut pending = Vec::with_capacity(16 * 1024);
    while let Ok(Some(line)) = receiver.recv() {
        pending.extend_from_slice(line.as_bytes());
        let mut ended = false;
        while pending.len() < 64 * 1024 {
            match receiver.try_recv() {
                Ok(Some(line)) => pending.extend_from_slice(line.as_bytes()),
                Ok(None) => {
                    ended = true;
                    break;
                }
                Err(_) => break,
            }
        }
        // A closed standard error must not stop the gateway.
        stderr().write_all(&pending).ok();
        pending.clear();
        if ended {
            return;
        }
    }
}

fn json_line(record: &Record<'_>) -> String {
    let mut fields = serde_json::Map::new();
    fields.insert("timestamp".to_owned(), timestamp().into());
    fields.insert("level".to_owned(), level(record).as_str().into());
    fields.insert("target".to_owned(), record.target().into());
    fields.insert("message".to_owned(), record.args().to_string().into());
    record.key_values().visit(&mut JsonFields(&mut fields)).ok();
    let mut line = serde_json::Value::Object(fields).to_string();
    line.push('\n');
    line
}

fn text_line(record: &Record<'_>) -> String {
    let mut line = format!(
        "{} {:5} {}",
        timestamp(),
        level(record).as_str(),
        record.args()
    );
    record.key_values().visit(&mut TextFields(&mut line)).ok();
    // A path or an error text may hold line breaks and terminal escapes: a line stays one line.
    if line.contains(char::is_control) {
        line = line
            .chars()
            .flat_map(|c| {
                let escaped = c.is_control().then(|| c.escape_default());
                let plain = escaped.is_none().then_some(c);
                escaped.into_iter().flatten().chain(plain)
            })
            .collect();
    }
    line.push('\n');
    line
}

fn dropped_note(format: Format, lines: u64) -> String {
    let keys = [("lines", Value::from(lines))];
    let note = Record::builder()
        .args(format_args!("log lines dropped"))
        .level(Level::Warn)
        .target(module_path!())
        .key_values(&keys)
        .build();
    match format {
        Format::Json => json_line(&note),
        Format::Text => text_line(&note),
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("trunkline")
}

/// `ERROR` means that someone should act. A dependency cannot know that: a client's malformed request is one to it.
fn level(record: &Record<'_>) -> Level {
    if is_ours(record.metadata()) {
        record.level()
    } else {
        record.level().max(Level::Warn)
    }
}

fn timestamp() -> String {
    format!("{:.3}", Timestamp::now())
}

struct JsonFields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = serde_json::to_value(&value)
            .unwrap_or_else(|_| serde_json::Value::String(value.to_string()));
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

struct TextFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        write!(self.0, " {key}={value}").map_err(Error::boxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_holds_the_message_and_its_keys_as_values() {
        let keys = [
            ("status", Value::from(200)),
            ("model", Value::from("a\"b\n")),
        ];
        let line = json_line(
            &Record::builder()
                .args(format_args!("done"))
                .level(Level::Info)
                .target("trunkline")
                .key_values(&keys)
                .build(),
        );
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["message"], "done");
        assert_eq!(parsed["status"], 200);
        assert_eq!(parsed["model"], "a\"b\n");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn a_text_line_stays_one_line_whatever_it_is_given() {
        let keys = [("path", Value::from("/a\n\u{1b}[31mb"))];
        let line = text_line(
            &Record::builder()
                .args(format_args!("done"))
                .level(Level::Info)
                .target("trunkline")
                .key_values(&keys)
                .build(),
        );
        assert!(line.ends_with("path=/a\\n\\u{1b}[31mb\n"), "{line:?}");
        assert_eq!(line.matches(char::is_control).count(), 1);
        let note = dropped_note(Format::Text, 3);
        assert!(note.ends_with("log lines dropped lines=3\n"), "{note:?}");
    }
}
