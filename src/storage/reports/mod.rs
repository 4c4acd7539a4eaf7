//! What the books are asked by people: sums by day and name, and pages of rows. The questions and answers are here, and what
//! both databases make of them (`sums`, `log_rows`: text of statements); the databases run them.
//!
//! One question serves every sum ([`Sums`]): over which days, of whom, split by what. It is answered from the smallest roll-up
//! that has the names asked for.

#[cfg(test)]
pub(super) mod conformance;
pub(super) mod log_rows;
#[cfg(test)]
pub(super) mod plans;
pub(super) mod statement;
pub(super) mod sums;

use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, RequestId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, SpendRecord};

use super::StorageError;

/// A stretch of days in UTC, as numbers of days since 1970-01-01; both ends are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub first: i64,
    /// The last day.
    pub last: i64,
}

/// By what sums can be split, and whose they can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// The virtual key, by id.
    Key,
    /// The internal user.
    User,
    /// The team.
    Team,
    /// The organisation.
    Organisation,
    /// The model group that was asked for.
    ModelGroup,
    /// The provider's model.
    Model,
    /// The provider.
    Provider,
    /// The sort of call, `acompletion`.
    CallType,
    /// A tag of the request. A request with two tags is in the sums of both.
    Tag,
    /// The customer that the request names.
    EndUser,
}

/// Whose sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    /// The sort of name.
    pub facet: Facet,
    /// Which.
    pub which: Which,
}

/// Which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Any, but one.
    Named,
    /// One of these; of none there are none.
    OneOf(Vec<String>),
}

/// In which order, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By day and name; at most so many.
    Name(u32),
    /// The largest amount first; at most so many.
    Spend(u32),
    /// By day, and of each day at most so many, the largest amount first.
    SpendOfEachDay(u32),
}

/// A question for sums.
///
/// Precondition: tags and customers are not asked for together, nor either of them with users, teams or organisations: no
/// roll-up has these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Over these days.
    pub days: Days,
    /// Only of these.
    pub of: Vec<Of>,
    /// One line for each day; else one for all.
    pub by_day: bool,
    /// One line for each combination of these, besides.
    pub by: Vec<Facet>,
    /// Which of the sums.
    pub counting: Counting,
    /// Order and number of the lines.
    pub order: Order,
}

/// Which columns are added up. Adding up costs more than reading where there are many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Requests and what they cost; everything else is zero.
    Spend,
    /// Tokens sent and made, too.
    Tokens,
    /// Everything in [`Tally`].
    All,
}

/// One line of the answer to [`Sums`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumLine {
    /// The day, if asked for by day.
    pub day: Option<i64>,
    /// A name for each of [`Sums::by`]; empty where a request has none.
    pub names: Vec<String>,
    /// The sums.
    pub tally: Tally,
}

/// Counts and amounts of some requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// Those that were answered.
    pub successful: u64,
    /// Those that were not, or of which nobody knows.
    pub failed: u64,
    /// Those whose cost is unknown: not part of `spend`.
    pub unpriced: u64,
    /// Those answered from the gateway's cache.
    pub cache_hits: u64,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens made.
    pub completion_tokens: u64,
    /// Tokens read from the provider's cache, part of those sent.
    pub cache_read_tokens: u64,
    /// Tokens written to the provider's cache, part of those sent.
    pub cache_write_tokens: u64,
    /// How long all of them took together.
    pub duration_ms: u64,
    /// The known costs. Adjustments can make it negative.
    pub spend: Usd,
}

/// What a stored key is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The key.
    pub id: KeyId,
    /// `sk-...` and the last four characters.
    pub key_name: String,
    /// The operator's name for it.
    pub alias: Option<String>,
    /// Whose it is.
    pub user: Option<UserId>,
}

/// Which rows of the books.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// Received at this time or later.
    pub since: Option<UnixMs>,
    /// Received before this time.
    pub until: Option<UnixMs>,
    /// With this id: the gateway's own or the provider's.
    pub request_id: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Of this team.
    pub team: Option<String>,
    /// Of this customer.
    pub end_user: Option<String>,
    /// That ended so: in success, or not.
    pub successful: Option<bool>,
    /// With these texts in these columns.
    pub with: Vec<(LogColumn, String)>,
    /// With a cost of this or more.
    pub min_spend: Option<Usd>,
    /// With a cost of this or less.
    pub max_spend: Option<Usd>,
    /// Answered from the cache, or not.
    pub cache_hit: Option<bool>,
}

/// Columns of a row that can be asked for besides those with a field of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogColumn {
    /// The provider's model.
    Model,
    /// The model group.
    ModelGroup,
    /// The deployment.
    Deployment,
    /// The provider.
    Provider,
    /// The key's alias at the time.
    KeyAlias,
    /// The organisation.
    Organisation,
    /// The error's code.
    ErrorCode,
}

/// Which page of rows, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Of these rows.
    pub filter: LogFilter,
    /// Behind this row, the last one seen.
    pub after: Option<RequestId>,
    /// Leave out so many. Each of them is walked over.
    pub skip: u32,
    /// At most so many.
    pub limit: u32,
    /// How many rows there are is counted up to this; 0 is not at all.
    pub count_to: u32,
}

/// A page of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The rows, the newest first.
    pub rows: Vec<SpendRecord>,
    /// Where the next page begins: behind this row. `None` at the end.
    pub next: Option<RequestId>,
    /// How many rows there are, at most [`LogQuery::count_to`]. Behind filters that no index has, those among the newest
    /// [`MOST_WALKED`] alone are counted.
    pub total: u64,
}

/// Rows that one page looks through for filters that no index has. A page may be short, even empty, and not the last one:
/// [`LogPage::next`] says.
pub const MOST_WALKED: u32 = 20_000;

/// What becomes of rows that are older than the operator wants to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Removed {
    /// Rows.
    pub rows: u64,
    /// Days that went as a whole; their rows are counted above.
    pub days: u64,
}

/// Reads the books for people. What the ledger has not shipped yet is not in any answer.
pub trait SpendReports: Send + Sync {
    /// Answers each question, all over one moment of the books.
    ///
    /// # Errors
    /// The database's; [`StorageError::NotKept`] for names that no roll-up has together.
    fn sums(&self, questions: Vec<Sums>) -> BoxFuture<'_, Result<Vec<Vec<SumLine>>, StorageError>>;

    /// One page of rows.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn log_page(&self, query: LogQuery) -> BoxFuture<'_, Result<LogPage, StorageError>>;

    /// What those of the keys are called that are stored, in order of id.
    ///
    /// # Errors
    /// The database's.
    fn key_names(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<KeyName>, StorageError>>;

    /// Every name of that sort that spent anything, in order; at most so many.
    ///
    /// # Errors
    /// The database's.
    fn names(&self, of: Facet, limit: u32) -> BoxFuture<'_, Result<Vec<String>, StorageError>>;
}

/// What grows with every request and is removed when it is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aging {
    /// Rows of the books. Roll-ups and balances stay: what was spent is known for ever, who asked for what is not.
    SpendRows,
    /// What was asked and answered.
    Transcripts,
}

/// Removes what is old.
pub trait Expiry: Send + Sync {
    /// Removes rows of requests received before `day` (UTC, days since 1970-01-01): whole days where the database can, else
    /// at most `batch` rows. There may be more when the answer is not empty.
    ///
    /// # Errors
    /// The database's.
    fn remove_before(
        &self,
        what: Aging,
        day: i64,
        batch: u32,
    ) -> BoxFuture<'_, Result<Removed, StorageError>>;
}

/// Where the page behind `rows` begins. `walked` is the last row that a search looked at, if it went as far as it may.
pub(super) fn next_page(
    query: &LogQuery,
    rows: &[SpendRecord],
    walked: Option<RequestId>,
) -> Option<RequestId> {
    let is_full = u32::try_from(rows.len()).is_ok_and(|found| found >= query.limit);
    if is_full {
        rows.last().map(|row| row.id)
    } else {
        walked
    }
}

// === impl Aging ===

impl Aging {
    /// The table, by the same name in every database.
    pub fn table(self) -> &'static str {
        match self {
            Self::SpendRows => "spend_logs",
            Self::Transcripts => "transcripts",
        }
    }
}

// === impl Days ===

impl Days {
    /// How many there are.
    pub fn count(&self) -> u64 {
        u64::try_from(self.last - self.first + 1).unwrap_or_default()
    }
}

// === impl Of ===

impl Of {
    /// Nobody's.
    pub fn none(facet: Facet) -> Self {
        Self::these(facet, Vec::new())
    }

    /// Anybody's that has a name.
    pub fn named(facet: Facet) -> Self {
        Self {
            facet,
            which: Which::Named,
        }
    }

    /// Those of any of the names.
    pub fn these(facet: Facet, names: Vec<String>) -> Self {
        Self {
            facet,
            which: Which::OneOf(names),
        }
    }

    /// Those of one name.
    pub fn one(facet: Facet, name: impl Into<String>) -> Self {
        Self::these(facet, vec![name.into()])
    }
}

// === impl Removed ===

impl Removed {
    /// Nothing was there to remove.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Tally ===

impl Tally {
    /// Tokens sent and made.
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.requests, other.requests),
            (&mut self.successful, other.successful),
            (&mut self.failed, other.failed),
            (&mut self.unpriced, other.unpriced),
            (&mut self.cache_hits, other.cache_hits),
            (&mut self.prompt_tokens, other.prompt_tokens),
            (&mut self.completion_tokens, other.completion_tokens),
            (&mut self.cache_read_tokens, other.cache_read_tokens),
            (&mut self.cache_write_tokens, other.cache_write_tokens),
            (&mut self.duration_ms, other.duration_ms),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.spend += other.spend;
    }
}
