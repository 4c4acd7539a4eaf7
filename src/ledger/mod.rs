//! The books looked at as an accountant does: what a row cost and why, whether journal, rows, roll-ups and balances agree, and
//! what other prices would make of them.
//!
//! | file | for |
//! | --- | --- |
//! | `recompute` | a row's cost again, from its vector and the price that it names |
//! | `explain` | the same in lines that a person can follow |
//! | `verify` | everything against everything |
//! | `reprice` | adjustment rows under other prices |
//!
//! Reads through [`LedgerAudit`](crate::storage::LedgerAudit), writes adjustments through the books' one writer. No SQL, no
//! command line: `cli` prints what comes out of here.

mod explain;
mod recompute;
mod reprice;
mod sheets;
#[cfg(test)]
mod tests;
mod verify;

use std::io;

use trunkline_actors::ports::StoreError;

use crate::storage::StorageError;

pub use explain::{Explanation, explain};
pub use recompute::{Verdict, recompute};
pub use reprice::{Plan, Repriced, reprice};
pub use sheets::Sheets;
pub use verify::{Check, Report, verify};

/// Rows that are read at a time.
const PAGE: u32 = 1000;

/// What keeps the books from being looked at.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal.
    #[error("the journal cannot be read")]
    Journal(#[from] io::Error),
    /// The writing of adjustments.
    #[error("the adjustments cannot be written")]
    Write(#[from] StoreError),
}
