//! What the actors need from outside, as traits: the journal, the spend store, and other replicas (`shared`).
//!
//! `journal` and `storage` of the root crate implement the first two; the records that cross are defined here.
//! Nothing here knows a file format or SQL.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Not;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, Subject, TeamId, UserId,
};
use crate::money::Usd;

mod shared;

pub use shared::{
    SharedAnswer, SharedAsk, SharedLimits, SharedReceipt, SharedRefusal, SharedTake, SharedUse,
};

/// A boxed future that may go to another thread: what makes an async trait usable behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names one budget window. A reset is a new `generation`, a new period a new `window_start`: never a write to zero. What was
/// spent in a window counts from the later of both, so the books can tell it without a line for the window.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BudgetKey {
    /// Whose budget it is.
    pub subject: Subject,
    /// Which of the subject's budgets.
    #[serde(default, skip_serializing_if = "BudgetName::is_own")]
    pub budget: BudgetName,
    /// When it was last reset by hand, in unix milliseconds; 0: never.
    pub generation: u64,
    /// When the window began; 0 for a budget that never resets.
    pub window_start: UnixMs,
}

/// Which of a subject's budgets: its own (the empty name), one more of another period (`window/1d`), or the one for a
/// model group (`model/gpt-4o`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BudgetName(Arc<str>);

/// What a window that takes over its predecessor's excess begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carry {
    /// The window before.
    pub previous: BudgetKey,
    /// What could be spent in it.
    pub limit: Usd,
}

/// Written before the upstream call: what is known of a request whose outcome is not.
#[derive(Clone, PartialEq, Debug)]
pub struct StartedRecord {
    /// The gateway's id of the request.
    pub id: RequestId,
    /// When it was received.
    pub started_at: UnixMs,
    /// The virtual key; `None` for the master key or no key at all.
    pub key: Option<KeyId>,
    /// The internal user.
    pub user: Option<UserId>,
    /// The team that the key belongs to.
    pub team: Option<TeamId>,
    /// The organisation of the team or key.
    pub organisation: Option<OrganisationId>,
    /// The customer named by the request.
    pub end_user: Option<String>,
    /// Request tags.
    pub tags: Vec<String>,
    /// The group asked for.
    pub model_group: ModelGroup,
    /// Estimated prompt tokens.
    pub estimated_prompt_tokens: u64,
    /// The hold's input part; `None` when the model has no price.
    pub estimated_input_cost: Option<Usd>,
    /// `acompletion`, `atext_completion`, `aembedding`.
    pub call_type: String,
    /// The request asked for a stream.
    pub stream: bool,
    /// The budget windows that hold money for it, so that a replayed `unknown` row is charged where its hold was.
    pub budgets: Vec<BudgetKey>,
}

/// How a settled request ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendStatus {
    /// The client was given a complete answer.
    Success,
    /// It ended in an error, or the client left.
    Failure,
    /// The process died between `started` and `settled`; made at replay.
    Unknown,
    /// No request: the difference that another price makes to one, made by hand. Its cost may be negative, its usage is zero.
    Adjustment,
}

/// What was billed by the piece, where anything was. Absent counts are 0; seconds are decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pieces {
    /// Queries or search units of a reranker.
    #[serde(skip_serializing_if = "is_zero")]
    pub queries: u64,
    /// Pictures sent.
    #[serde(skip_serializing_if = "is_zero")]
    pub images_in: u64,
    /// Pictures made.
    #[serde(skip_serializing_if = "is_zero")]
    pub images_out: u64,
    /// Tokens of the pictures made.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output_tokens: u64,
    /// Pixels of the pictures made.
    #[serde(skip_serializing_if = "is_zero")]
    pub pixels: u64,
    /// Characters sent.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters_in: u64,
    /// Characters answered.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters_out: u64,
    /// Seconds of audio sent.
    #[serde(skip_serializing_if = "Decimal::is_zero")]
    pub seconds_in: Decimal,
    /// Seconds of audio made.
    #[serde(skip_serializing_if = "Decimal::is_zero")]
    pub seconds_out: Decimal,
}

/// The price that a cost was made with. A row names it by `id`; what it says is kept once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PriceSheet {
    /// A digest of `text`.
    pub id: Arc<str>,
    /// Figures and terms, as `cost` writes and reads them.
    pub text: Arc<str>,
}

/// Token usage in disjoint parts, and the totals they add up to. Absent parts are 0, and parts of 0 are not written: most
/// requests have four of twelve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct UsageParts {
    /// Plain input tokens: not cached, not audio, not image.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_uncached: u64,
    /// Input tokens read from the provider's cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Input tokens written to a five-minute cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// Input tokens written to a one-hour cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Audio input tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Image input tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Plain output tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_text: u64,
    /// Reasoning tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Audio output tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// All input parts together.
    #[serde(skip_serializing_if = "is_zero")]
    pub prompt_tokens: u64,
    /// All output parts together.
    #[serde(skip_serializing_if = "is_zero")]
    pub completion_tokens: u64,
    /// Both together.
    #[serde(skip_serializing_if = "is_zero")]
    pub total_tokens: u64,
}

/// One line of the books: a request with its outcome, usage and cost.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SpendRecord {
    /// The gateway's id; unique on the books.
    pub id: RequestId,
    /// The provider's id of the answer; not unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
    /// `acompletion`, `atext_completion`, `aembedding`.
    pub call_type: String,
    /// How it ended.
    pub status: SpendStatus,
    /// The virtual key; `None` for the master key or no key at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The key's alias at the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_alias: Option<String>,
    /// The internal user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The team that the key belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The organisation of the team or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<OrganisationId>,
    /// The customer named by the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// Where the request came from: an IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The group that answered (or failed last).
    pub model_group: ModelGroup,
    /// The provider's model name.
    pub model: String,
    /// The deployment that answered (or failed last); `None` when none was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// The provider, `openai`.
    pub provider: String,
    /// The base URL called, without query or credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_base: Option<String>,
    /// The answer was streamed.
    pub stream: bool,
    /// When the request was received.
    pub started_at: UnixMs,
    /// When the first content came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_content_at: Option<UnixMs>,
    /// When it was settled.
    pub ended_at: UnixMs,
    /// What was used.
    pub usage: UsageParts,
    /// What was billed by the piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Pieces>,
    /// The service tier that was billed: `flex`, `priority`, `batch`; `None` is the standard one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The provider sent no usage: these are the gateway's figures.
    #[serde(skip_serializing_if = "Not::not")]
    pub usage_estimated: bool,
    /// What it cost; `None` is unknown, not free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// Version of the price list used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// [`PriceSheet::id`] of the price used, to recompute the cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_id: Option<Arc<str>>,
    /// What that price says, until the books of this process have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_sheet: Option<Arc<str>>,
    /// The row that an adjustment corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjusts: Option<RequestId>,
    /// The answer came from the gateway's cache.
    #[serde(skip_serializing_if = "Not::not")]
    pub cache_hit: bool,
    /// Upstream calls made for it.
    pub attempts: u32,
    /// The error's code, for a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Request tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The budget windows that this cost was charged to: those its holds named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetKey>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

// === impl StartedRecord ===

impl StartedRecord {
    /// A request that was received at the time in its id, of nobody and with no estimate.
    pub fn new(id: RequestId, model_group: ModelGroup, call_type: &str) -> Self {
        Self {
            id,
            started_at: UnixMs(id.unix_ms()),
            key: None,
            user: None,
            team: None,
            organisation: None,
            end_user: None,
            tags: Vec::new(),
            model_group,
            estimated_prompt_tokens: 0,
            estimated_input_cost: None,
            call_type: call_type.to_owned(),
            stream: false,
            budgets: Vec::new(),
        }
    }
}

// === impl SpendRecord ===

impl SpendRecord {
    /// The record of a request of which is known that it started, and no more.
    pub fn of(started: StartedRecord) -> Self {
        Self {
            id: started.id,
            provider_request_id: None,
            call_type: started.call_type,
            status: SpendStatus::Unknown,
            key: started.key,
            key_alias: None,
            user: started.user,
            team: started.team,
            organisation: started.organisation,
            end_user: started.end_user,
            client_ip: None,
            model: String::new(),
            model_group: started.model_group,
            deployment: None,
            provider: String::new(),
            api_base: None,
            stream: started.stream,
            started_at: started.started_at,
            first_content_at: None,
            ended_at: started.started_at,
            usage: UsageParts::default(),
            pieces: None,
            service_tier: None,
            usage_estimated: false,
            cost: None,
            price_version: None,
            price_id: None,
            price_sheet: None,
            adjusts: None,
            cache_hit: false,
            attempts: 0,
            error_code: None,
            tags: started.tags,
            budgets: started.budgets,
        }
    }
}

// === impl BudgetName ===

impl BudgetName {
    /// The budget of that name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// One of several windows: `1d`.
    pub fn window(period: &str) -> Self {
        Self(format!("window/{period}").into())
    }

    /// For one model group.
    pub fn model(group: &str) -> Self {
        Self(format!("model/{group}").into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The group, for a budget over one.
    pub fn model_group(&self) -> Option<&str> {
        self.0.strip_prefix("model/")
    }

    /// The period, for one of several windows.
    pub fn period(&self) -> Option<&str> {
        self.0.strip_prefix("window/")
    }

    /// The subject's own budget.
    pub fn is_own(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for BudgetName {
    fn default() -> Self {
        // No allocation for the usual one.
        static OWN: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        Self(Arc::clone(&OWN))
    }
}

/// Where a reader stands in the journal: opaque to the ledger, ordered within one reader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct JournalPosition(pub u64);

/// Records to ship, and what may be released once the store has them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct JournalBatch {
    /// Settled records, and at start `unknown` rows for requests that never settled.
    pub records: Vec<SpendRecord>,
    /// Hand this to [`JournalReader::release`] after the commit.
    pub up_to: JournalPosition,
}

/// The journal did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No room for this record and its settlement: refuse the request.
    #[error("the journal has no room left")]
    NoRoom,
    /// The record cannot be written as it is.
    #[error("the journal cannot hold this record: {reason}")]
    Record {
        /// What is wrong with it.
        reason: String,
    },
    /// The disk said no.
    #[error("the journal could not {operation}")]
    Io {
        /// What was tried, as a verb with its object.
        operation: &'static str,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The journal was closed for shutdown.
    #[error("the journal is closed")]
    Closed,
}

/// The store did not do what was asked. Shipping is retried whatever the reason; the text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operation failed.
    #[error("the spend store could not {operation}: {source}")]
    Failed {
        /// What was tried, as a verb with its object.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store was closed for shutdown.
    #[error("the spend store is closed")]
    Closed,
}

/// Appends to the journal: one per worker, synchronous, so that even `Drop` can settle.
pub trait JournalWriter: Send + Sync {
    /// Notes that a request is about to be sent upstream, reserving the room of its settlement.
    ///
    /// # Errors
    /// [`JournalError::NoRoom`] is a 503 at admission; anything else too, but logged.
    fn started(&self, record: &StartedRecord) -> Result<(), JournalError>;

    /// Notes the outcome, before the client is given the end of its answer.
    ///
    /// # Errors
    /// Any error means that the record is not on the books.
    fn settled(&self, record: &SpendRecord) -> Result<(), JournalError>;

    /// What to wait for until all that this writer has appended survives a power loss; `None` where that is not promised,
    /// which costs nothing.
    ///
    /// Dropping the future is harmless. An error means that the disk may not hold what was appended.
    fn synced(&self) -> Option<BoxFuture<'static, Result<(), JournalError>>> {
        None
    }
}

/// Reads the journal for shipping. May block on the disk: the ledger calls it on a blocking thread, one call at a time.
pub trait JournalReader: Send + Sync {
    /// Up to `max` settled records that are not released yet, oldest first per writer.
    ///
    /// Without a [`release`](Self::release) in between, a repeated call starts at the same record. Fewer than `max`
    /// records mean that nothing else was there when the call began: `Flush` rests on that.
    ///
    /// # Errors
    /// The ledger retries any of them with backoff.
    fn next_batch(&self, max: usize) -> Result<JournalBatch, JournalError>;

    /// Forgets everything up to that position. Called only after the store committed.
    ///
    /// # Errors
    /// The ledger retries; the store ignores records that it already has.
    fn release(&self, up_to: JournalPosition) -> Result<(), JournalError>;
}

/// Keeps the books.
pub trait SpendStore: Send + Sync {
    /// Inserts rows, ignoring ids that are already there; roll-ups and balances change by the new ones only.
    /// One transaction. Answers how many were new.
    fn insert(&self, rows: Vec<SpendRecord>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// What was charged to a budget window so far, with what it began with.
    fn charged(&self, key: BudgetKey) -> BoxFuture<'_, Result<Usd, StoreError>>;

    /// Lets a window begin with what was spent beyond the limit in the one before it. Done once for each window, by
    /// whoever is first.
    fn carry_over(&self, key: BudgetKey, carry: Carry) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Lets a new generation of a budget begin with that much spent already.
    fn begin_with(&self, key: BudgetKey, spent: Usd) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Shares cooldowns with other replicas. The supervisor calls it at each of its ticks, on the actors' thread: it must
/// not block, and a deadline may so arrive a tick late.
pub trait CooldownExchange: fmt::Debug + Send + Sync {
    /// A deployment cools down here for so long; told once for each deadline.
    fn raised(&self, deployment: &DeploymentId, left: Duration);

    /// What others raised since the last call, and how long it still lasts.
    fn raised_elsewhere(&self) -> Vec<(DeploymentId, Duration)>;
}

/// A gateway that is alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReplicas;

impl CooldownExchange for NoReplicas {
    fn raised(&self, _deployment: &DeploymentId, _left: Duration) {}

    fn raised_elsewhere(&self) -> Vec<(DeploymentId, Duration)> {
        Vec::new()
    }
}
