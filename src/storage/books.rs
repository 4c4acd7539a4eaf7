//! What a batch of rows does to the books, whichever database keeps them: its daily sums and what its budgets are charged.
//! No SQL here.

use std::collections::BTreeMap;

use trunkline_actors::ids::{KeyId, RequestId, SubjectKind, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, SpendRecord, SpendStatus, StoreError};

use super::StorageError;

/// Milliseconds of one day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// No request uses this many tokens. Larger counts, a broken provider's, are cut to it: they would overflow the sums, and
/// a row that cannot be inserted would hold up every row behind it.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// A sum over some of the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// The known costs.
    pub(super) spend: Usd,
    /// Requests whose cost is unknown.
    pub(super) unpriced: i64,
}

/// What the rows that were new add to the books.
#[derive(Debug, Default)]
pub(super) struct Additions<'a> {
    /// Lines of the roll-up.
    pub(super) days: BTreeMap<DayKey<'a>, DayCounts>,
    /// Balances.
    pub(super) charges: BTreeMap<&'a BudgetKey, Sum>,
}

/// One line of the roll-up, ordered as its primary key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DayKey<'a> {
    /// Days since 1970-01-01 UTC.
    pub(super) day: i64,
    pub(super) key: &'a str,
    pub(super) user: &'a str,
    pub(super) model_group: &'a str,
    pub(super) model: &'a str,
    pub(super) provider: &'a str,
}

/// The counts of one line of the roll-up.
#[derive(Debug, Default)]
pub(super) struct DayCounts {
    pub(super) requests: i64,
    pub(super) successful: i64,
    pub(super) failed: i64,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) cache_read_tokens: i64,
    pub(super) cache_write_tokens: i64,
    pub(super) sum: Sum,
}

/// Where the books name the subjects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Every row counts.
    Everywhere,
    /// In this column of the rows and of the roll-up.
    InRollUp(&'static str),
    /// In this column of the rows; the roll-up does not know that kind.
    InRows(&'static str),
    /// Among the rows' tags; the roll-up does not know them.
    InTags,
}

// === impl Named ===

impl Named {
    /// `None`: teams, their members and organisations are not named in the rows.
    pub(super) fn of(kind: SubjectKind) -> Option<Self> {
        Some(match kind {
            SubjectKind::Global => Self::Everywhere,
            SubjectKind::User => Self::InRollUp("user_id"),
            SubjectKind::Key => Self::InRollUp("key_id"),
            SubjectKind::Model => Self::InRollUp("model_group"),
            SubjectKind::Provider => Self::InRollUp("provider"),
            SubjectKind::EndUser => Self::InRows("end_user"),
            SubjectKind::Deployment => Self::InRows("deployment"),
            SubjectKind::Tag => Self::InTags,
            SubjectKind::Organisation | SubjectKind::Team | SubjectKind::TeamMember => return None,
        })
    }
}

// === impl Additions ===

impl<'a> Additions<'a> {
    /// Adds a row that was not there yet, with the cost that its column holds.
    pub(super) fn add(&mut self, row: &'a SpendRecord, cost: Option<Usd>) {
        self.days.entry(DayKey::of(row)).or_default().add(row, cost);
        for budget in &row.budgets {
            self.charges.entry(budget).or_default().add(cost);
        }
    }
}

// === impl DayKey ===

impl<'a> DayKey<'a> {
    fn of(row: &'a SpendRecord) -> Self {
        Self {
            day: day(row.id.unix_ms()),
            key: row.key.as_ref().map_or("", KeyId::as_str),
            user: row.user.as_ref().map_or("", UserId::as_str),
            model_group: row.model_group.as_str(),
            model: &row.model,
            provider: &row.provider,
        }
    }
}

// === impl DayCounts ===

impl DayCounts {
    fn add(&mut self, row: &SpendRecord, cost: Option<Usd>) {
        let usage = &row.usage;
        let cache_write = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
        self.requests += 1;
        if row.status == SpendStatus::Success {
            self.successful += 1;
        } else {
            self.failed += 1;
        }
        self.prompt_tokens += tokens(usage.prompt_tokens);
        self.completion_tokens += tokens(usage.completion_tokens);
        self.cache_read_tokens += tokens(usage.cache_read);
        self.cache_write_tokens += tokens(cache_write);
        self.sum.add(cost);
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, cost: Option<Usd>) {
        match cost {
            Some(cost) => self.spend += cost,
            None => self.unpriced += 1,
        }
    }
}

/// A time, limit or other number that never comes near the end of the range.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A token count.
pub(super) fn tokens(count: u64) -> i64 {
    integer(count.min(MOST_TOKENS))
}

/// The day on which a time lies, in days since 1970-01-01 UTC.
pub(super) fn day(unix_ms: u64) -> i64 {
    integer(unix_ms / DAY_MS)
}

/// The smallest id of that time: ids sort by time, so an index on ids is also one on time.
pub(super) fn first_id_at(unix_ms: u64) -> String {
    RequestId::generate(unix_ms, 0).to_string()
}

/// The word in the column.
pub(super) fn status(status: SpendStatus) -> &'static str {
    match status {
        SpendStatus::Success => "success",
        SpendStatus::Failure => "failure",
        SpendStatus::Unknown => "unknown",
    }
}

/// The cost that goes on the books: `None` for an unknown one, and for one that no column holds, which is said.
pub(super) fn cost_that_fits(row: &SpendRecord, fits: impl FnOnce(&Usd) -> bool) -> Option<Usd> {
    let cost = Usd::rounded(row.cost?.as_decimal());
    if fits(&cost) {
        return Some(cost);
    }
    log::error!(
        request_id:% = row.id, cost_usd:% = cost;
        "a cost is beyond what the books can hold and is recorded as unknown"
    );
    None
}

/// A failure as the spend ledger sees it, which logs the error and one cause: the driver's words, where there are any.
pub(super) fn failed(operation: &'static str, err: StorageError) -> StoreError {
    let source = match err {
        StorageError::Backend { source, .. } => source,
        err => err.into(),
    };
    StoreError::Failed { operation, source }
}
