//! What goes wrong at a provider, said in either dialect, and what must become of the request.

use serde_json::json;

use crate::support::claude;
use crate::support::reply::{
    DONE_EVENT, Ending, Framing, Gate, Reply, chat_body, event, finish_event, opening_event,
    text_event, usage_event,
};

/// The API that a client or a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
}

/// One way to fail. The number says how many texts came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing listens.
    Refuses,
    /// The connection is never made: a listener whose backlog is full.
    SlowConnect,
    /// Takes the request and never says a byte.
    Silent,
    /// Would answer well, but after the timer.
    Late,
    Stalls(usize),
    Cut(usize),
    Malformed,
    /// An error with status 200.
    ErrorInside(usize),
    RateLimitedFor1s,
    RateLimited,
    ServerError,
    HtmlBadGateway,
    /// One event over the cap, or a whole answer over its own.
    Huge(usize),
    /// Compressed, although identity was asked for.
    Gzip,
    /// The same in an error.
    GzipServerError,
}

/// What becomes of a request whose first deployment has the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is answered all the same.
    Answered,
    /// The attempt fails with this status, unseen by the client while anybody else may answer.
    Fails(u16),
    /// The stream breaks off where the client sees it.
    Breaks(u16),
}

/// What a provider says before it fails, and what a client must then have.
pub(super) const SAID: [&str; 2] = ["one ", "two "];
const MESSAGE: &str = "the provider says no";
const HTML: &str = "<html><h1>Bad Gateway</h1></html>";
/// Over the gateway's cap for an event, 16 MiB.
const HUGE_EVENT: usize = 17 * 1024 * 1024;
/// Over the gateway's cap for a whole answer, 64 MiB.
const HUGE_ANSWER_MIB: usize = 65;

/// A chat completion, compressed.
const GZIP_ANSWER: &str = "1f8b0800000000000203158d410e02210c45eff2d7c4e896ab186310aad430944cbb9848e6ee9655d3f6fdff26b8202223405e5fcab6969aec92651b8d8ca5fb2bef948c1cbc056c52a83975ac7b15cea488f709ee850ec4ab13a49a3e8438b14bf389a4ca6aa9dbca4837eacbf3e331bcf40c787367ad4fb7a8fb22d464e07c9c7f6b4bcff69e000000";
/// A chat stream of one text and its end, compressed.
const GZIP_STREAM: &str = "1f8b08000000000002031d8e310ec2300c45f79c02798e2a5833c30a07a82a141ca3045a3b22ae5451f5eeb88cdffff9e9a7a8311c56280902207890c78b50f790a37628531d498b708779e6b701f8a1a864f8c9c32489466397fd9ea5203508bdd938d102e1e8c17a8d1056406125dec5df52abfd6f1e9e854bcb771336616b9a4a856dd89c4bff59fdf976bd0ccefd00f125b884a5000000";

impl Fault {
    /// Every fault, with its name in the failure message.
    pub(super) const ALL: [(&str, Self); 19] = [
        ("refuses", Self::Refuses),
        ("slow-connect", Self::SlowConnect),
        ("silent", Self::Silent),
        ("late", Self::Late),
        ("stalls-first", Self::Stalls(0)),
        ("stalls-midway", Self::Stalls(2)),
        ("cut-first", Self::Cut(0)),
        ("cut-midway", Self::Cut(2)),
        ("malformed", Self::Malformed),
        ("error-first", Self::ErrorInside(0)),
        ("error-midway", Self::ErrorInside(2)),
        ("429-with-retry-after", Self::RateLimitedFor1s),
        ("429-without", Self::RateLimited),
        ("500", Self::ServerError),
        ("html-502", Self::HtmlBadGateway),
        ("huge-first", Self::Huge(0)),
        ("huge-midway", Self::Huge(2)),
        ("gzip", Self::Gzip),
        ("gzip-500", Self::GzipServerError),
    ];

    /// Seconds of the timers that have to run out. What comes before must have come by then, on a busy machine too.
    pub(super) fn timer(self) -> Option<&'static str> {
        match self {
            Self::Silent | Self::Late | Self::Stalls(0) => Some("0.4"),
            Self::Stalls(_) => Some("2"),
            _ => None,
        }
    }

    /// Whether the provider sees the request.
    pub(super) fn is_reached(self) -> bool {
        !matches!(self, Self::Refuses | Self::SlowConnect)
    }

    /// Whether the fault is one of streams only.
    pub(super) fn needs_a_stream(self) -> bool {
        matches!(
            self,
            Self::ErrorInside(2) | Self::Huge(2) | Self::Cut(2) | Self::Stalls(2)
        )
    }

    pub(super) fn fate(self, provider: Dialect, client: Dialect, stream: bool) -> Fate {
        let same_dialect = provider == client;
        match self {
            Self::Stalls(2) => Fate::Breaks(408),
            Self::Cut(2) | Self::Huge(2) => Fate::Breaks(502),
            Self::ErrorInside(2) => Fate::Breaks(500),
            // Events are passed on as they come; only what must be translated must be understood.
            Self::Malformed if stream && same_dialect => Fate::Answered,
            Self::Malformed if stream => Fate::Breaks(502),
            Self::SlowConnect | Self::Silent | Self::Late | Self::Stalls(_) => Fate::Fails(408),
            Self::Cut(_) | Self::Malformed | Self::HtmlBadGateway | Self::Huge(_) | Self::Gzip => {
                Fate::Fails(502)
            }
            Self::RateLimitedFor1s | Self::RateLimited => Fate::Fails(429),
            Self::Refuses | Self::ErrorInside(_) | Self::ServerError | Self::GzipServerError => {
                Fate::Fails(500)
            }
        }
    }

    /// What the provider says; a late answer comes when `late` opens.
    pub(super) fn reply(self, dialect: Dialect, stream: bool, late: &Gate) -> Reply {
        match self {
            Self::Refuses | Self::SlowConnect | Self::Silent => Reply::never(),
            Self::Late => dialect.well(stream).after(late),
            Self::Stalls(texts) if stream => {
                Reply::events(dialect.beginning(texts)).ending(Ending::Hang)
            }
            Self::Cut(texts) if stream => {
                Reply::events(dialect.beginning(texts)).ending(Ending::Cut)
            }
            Self::Stalls(_) => dialect.half_an_answer().ending(Ending::Hang),
            Self::Cut(_) => dialect.half_an_answer().ending(Ending::Cut),
            Self::Malformed if stream => {
                let mut events = dialect.whole_stream(&SAID);
                events.insert(events.len() - 3, b"data: {\"no\": json\n\n".to_vec());
                Reply::events(events)
            }
            Self::Malformed => Reply::bytes(200, "application/json", "{\"no\": json"),
            Self::ErrorInside(texts) if stream => {
                let mut events = dialect.beginning(texts);
                events.push(dialect.error_event());
                Reply::events(events)
            }
            Self::ErrorInside(_) => Reply {
                status: 200,
                ..dialect.error(500)
            },
            Self::RateLimitedFor1s => dialect.error(429).header("retry-after", "1"),
            Self::RateLimited => dialect.error(429),
            Self::ServerError => dialect.error(500),
            Self::HtmlBadGateway => Reply::bytes(502, "text/html", HTML),
            Self::Huge(texts) if stream => {
                let mut events = dialect.beginning(texts);
                events.push(text_event(&"x".repeat(HUGE_EVENT)));
                Reply::events(events)
            }
            Self::Huge(_) => {
                let mib = vec![b' '; 1024 * 1024];
                let mut reply = Reply::events(vec![mib; HUGE_ANSWER_MIB]);
                reply.headers = Reply::json(200, &json!({})).headers;
                reply
            }
            Self::Gzip if stream => {
                Reply::bytes(200, "text/event-stream", bytes_of(GZIP_STREAM)).gzip()
            }
            Self::Gzip => Reply::bytes(200, "application/json", bytes_of(GZIP_ANSWER)).gzip(),
            Self::GzipServerError => {
                Reply::bytes(500, "application/json", bytes_of(GZIP_ANSWER)).gzip()
            }
        }
    }
}

impl Reply {
    fn gzip(self) -> Self {
        self.header("content-encoding", "gzip")
    }
}

impl Dialect {
    /// A good answer that says "well".
    pub(super) fn well(self, stream: bool) -> Reply {
        match (self, stream) {
            (_, true) => Reply::events(self.whole_stream(&["well"])),
            (Self::OpenAi, false) => Reply::chat("well"),
            (Self::Anthropic, false) => Reply::json(200, &claude::message("well")),
        }
    }

    /// `error.type` for the client, and in OpenAI's dialect the `code`.
    pub(super) fn error_words(self, status: u16) -> String {
        let kind = match (self, status) {
            (Self::OpenAi, 408) => "invalid_request_error",
            (Self::OpenAi, 429) => "throttling_error",
            (Self::OpenAi, _) => "internal_server_error",
            (Self::Anthropic, 408) => "timeout_error",
            (Self::Anthropic, 429) => "rate_limit_error",
            (Self::Anthropic, _) => "api_error",
        };
        match self {
            Self::OpenAi => format!("{kind} \"{status}\""),
            Self::Anthropic => format!("{kind} null"),
        }
    }

    fn whole_stream(self, texts: &[&str]) -> Vec<Vec<u8>> {
        match self {
            Self::OpenAi => {
                let mut events = vec![opening_event()];
                events.extend(texts.iter().map(|text| text_event(text)));
                events.extend([finish_event(), usage_event(), DONE_EVENT.to_vec()]);
                events
            }
            Self::Anthropic => claude::events(texts),
        }
    }

    /// A stream up to so many texts.
    fn beginning(self, texts: usize) -> Vec<Vec<u8>> {
        let mut events = self.whole_stream(&SAID[..texts]);
        // Both dialects end a stream in three events.
        events.truncate(events.len() - 3);
        events
    }

    fn half_an_answer(self) -> Reply {
        let whole = match self {
            Self::OpenAi => chat_body("never whole"),
            Self::Anthropic => claude::message("never whole"),
        };
        let mut bytes = whole.to_string().into_bytes();
        let length = bytes.len();
        bytes.truncate(length / 2);
        Reply::bytes(200, "application/json", bytes).framed(Framing::ClaimedLength(length))
    }

    fn error(self, status: u16) -> Reply {
        let kind = match status {
            429 => "rate_limit_error",
            _ => "api_error",
        };
        match self {
            Self::OpenAi => Reply::error(status, kind, MESSAGE),
            Self::Anthropic => claude::error(status, kind, MESSAGE),
        }
    }

    fn error_event(self) -> Vec<u8> {
        match self {
            Self::OpenAi => event(&json!({"error": {
                "message": MESSAGE, "type": "server_error", "param": null, "code": "500",
            }})),
            Self::Anthropic => claude::event(
                &json!({"type": "error", "error": {"type": "api_error", "message": MESSAGE}}),
            ),
        }
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hex digits")
        })
        .collect()
}
