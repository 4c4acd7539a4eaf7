//! What the process itself does: addresses, timers, the journal, what is kept.

use std::path::PathBuf;
use std::time::Duration;

/// The process itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// Host name or address to bind; `None` = not said: all interfaces with a master key, loopback without.
    pub host: Option<String>,
    /// Default 4000.
    pub port: u16,
    /// HTTP workers; `None` = one per core.
    pub workers: Option<usize>,
    /// Largest request body. Default 32 MiB.
    pub max_body_bytes: usize,
    /// Journal and default database.
    pub data_dir: PathBuf,
    /// How long open streams may finish after a stop signal. Default 30 s.
    pub shutdown_timeout: Duration,
    /// How much longer a known key is believed while the database fails; zero: not at all. Default 1 h.
    pub stale_keys: Duration,
    /// The timers of one upstream call.
    pub timeouts: Timeouts,
    /// What happens to answers whose client has left.
    pub client_gone: ClientGone,
    /// What answers say of their cost.
    pub receipts: Receipts,
    /// The books on their way to the database.
    pub journal: JournalSettings,
    /// Whether requests wait that a rate limit refuses. Default: they do not.
    pub queue: Option<QueueSettings>,
}

/// How requests wait that a rate limit refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long at most.
    pub max_wait: Duration,
    /// How many at the same time. Default 1000.
    pub max_waiting: usize,
    /// How many for the limits of one key, team or whoever else has them. Default 100.
    pub max_waiting_per_subject: usize,
}

/// How what is asked and answered is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TranscriptSettings {
    /// How long; a day at least. Default 30 days.
    pub retention: Duration,
    /// A longer text within a body is kept as its beginning and end. Default 2048 characters.
    pub max_text_chars: usize,
    /// A body that is larger even so is kept as its beginning and end. Default 1 MiB.
    pub max_body_bytes: usize,
    /// Bodies in memory, of requests under way and on their way to the database. Default 128 MiB.
    pub buffer_bytes: usize,
}

impl Default for TranscriptSettings {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(30 * 24),
            max_text_chars: 2048,
            max_body_bytes: 1 << 20,
            buffer_bytes: 128 << 20,
        }
    }
}

/// What answers say of their cost, beside the headers that LiteLLM's clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipts {
    /// Usage, price version and what is left of the budget, in headers. Default true.
    pub headers: bool,
    /// The same and the cost in a comment before the last event of a stream. Default true.
    pub stream_comment: bool,
}

impl Default for Receipts {
    fn default() -> Self {
        Self {
            headers: true,
            stream_comment: true,
        }
    }
}

/// How the journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSettings {
    /// Default: every 100 ms.
    pub fsync: Fsync,
    /// What it may take of the disk. Default 1 GiB, at least 1 MiB.
    pub max_bytes: u64,
    /// Default: refuse.
    pub when_full: WhenFull,
}

/// When the journal is forced to the disk, which only a power loss tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before a provider is called, and before the end of an answer is released.
    Always,
    /// This often.
    Interval(Duration),
    /// When the operating system likes.
    Never,
}

/// What happens to requests that the journal has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// They get a 503.
    Refuse,
    /// They are served and are on no books.
    Unrecorded,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            fsync: Fsync::Interval(Duration::from_millis(100)),
            max_bytes: 1 << 30,
            when_full: WhenFull::Refuse,
        }
    }
}

/// What happens to an answer whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientGone {
    /// The provider is left at once; what was delivered is charged, by estimate.
    #[default]
    Cancel,
    /// The answer is read on, within bounds, so that the provider's own figures are charged.
    Drain(DrainBounds),
}

/// How far answers without a client are read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainBounds {
    /// One answer. Default 60 s.
    pub time: Duration,
    /// One stream. Default 8 MiB.
    pub bytes: usize,
    /// All of them. Default 64.
    pub requests: usize,
}

impl Default for DrainBounds {
    fn default() -> Self {
        Self {
            time: Duration::from_mins(1),
            bytes: 8 * 1024 * 1024,
            requests: 64,
        }
    }
}

/// The named timers; each above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup, TCP and TLS. Default 10 s.
    pub connect: Duration,
    /// Until the status line of the answer. Default 600 s.
    pub first_byte: Duration,
    /// Until the first content of a stream. Default 600 s.
    pub first_content: Duration,
    /// Between two events of a stream. Default 120 s.
    pub idle: Duration,
    /// The whole attempt. Default 6000 s.
    pub total: Duration,
    /// The whole request, every retry and fallback included. Default 6000 s.
    pub request: Duration,
    /// How long the client's status waits for first content before comments are sent. Default 45 s.
    pub header_wait: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_mins(10),
            first_content: Duration::from_mins(10),
            idle: Duration::from_mins(2),
            total: Duration::from_mins(100),
            request: Duration::from_mins(100),
            header_wait: Duration::from_secs(45),
        }
    }
}
