//! Reads the books in order to check, explain and correct them: rows as they were written, prices, and what roll-ups and
//! balances should add up to. Apart from [`SpendQueries`](super::SpendQueries), because a serving gateway asks none of it.

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::{BoxFuture, SpendRecord};

use super::StorageError;

/// Rows by id, and so by the time at which they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSpan {
    /// Behind this one.
    pub after: RequestId,
    /// Before this one.
    pub before: RequestId,
}

/// How the sums of the books compare with their rows, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SumsAudit {
    /// Days whose roll-ups were compared.
    pub days: u64,
    /// Days with roll-ups whose rows were removed: before the first day that has any. They cannot be compared.
    pub days_without_rows: u64,
    /// Lines of the roll-ups of the days compared.
    pub lines: u64,
    /// Budget windows that were compared.
    pub windows: u64,
    /// Windows that began before the first row there is, and do not add up: with rows that were removed they may.
    pub windows_without_rows: u64,
    /// Where roll-ups differ from rows: the first ones.
    pub roll_ups: Vec<Difference>,
    /// Where balances differ from rows: the first ones.
    pub balances: Vec<Difference>,
}

/// One line that does not say what the rows say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which line, as `daily_spend 2026-11-23 key_id=…`.
    pub place: String,
    /// By column, how much more the rows say than the line does: `spend`, `-0.5`.
    pub columns: Vec<(&'static str, String)>,
}

/// Checks, explanations, corrections.
///
/// Rows come without [`SpendRecord::price_sheet`]: [`price`](Self::price) has it.
pub trait LedgerAudit: Send + Sync {
    /// The rows with that id of ours, or that id of the provider's: the newest, at most 20.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn rows_named(&self, name: String) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>>;

    /// Those of the rows that are there, in order of id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn rows(&self, ids: Vec<RequestId>) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>>;

    /// The first `limit` rows of the span, in order of id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn page(
        &self,
        span: RowSpan,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>>;

    /// The adjustments of those rows, the oldest first.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn adjustments(
        &self,
        ids: Vec<RequestId>,
    ) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>>;

    /// The text of the price sheet with that id.
    ///
    /// # Errors
    /// The database's.
    fn price(&self, id: String) -> BoxFuture<'_, Result<Option<String>, StorageError>>;

    /// What reading the record back gives, once it is on the books: counts, costs and texts as their columns take them.
    fn as_kept(&self, record: SpendRecord) -> SpendRecord;

    /// Compares roll-ups and balances with the rows, at one moment of the database. Of each kind of difference it names at
    /// most `most`, and one more if there are more.
    ///
    /// # Errors
    /// The database's.
    fn sums(&self, most: usize) -> BoxFuture<'_, Result<SumsAudit, StorageError>>;
}
