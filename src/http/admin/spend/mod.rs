//! What was spent: the reading side of the books over HTTP. Contract: `endpoints` §6, §9, §10.
//!
//! | file | endpoints |
//! | --- | --- |
//! | `totals` | `/user/spend`, `/global/spend` |
//! | `logs` | `/spend/logs`, `/spend/logs/v2`; `row` is what a row looks like |
//! | `transcript` | `/spend/logs/ui/{request_id}`: what was asked and answered |
//! | `own` | `/spend/keys`, `/spend/users`: those that are stored, with what they spent |
//! | `lists` | `/spend/tags`, `/global/spend/…` |
//! | `activity` | `/global/activity…` |
//! | `daily` | `/user/daily/activity` and its likes |
//! | `report` | `/global/spend/report`, `/key/spend/report` and its likes |
//! | `calculate`, `estimate` | `/spend/calculate`, `/cost/estimate`: what a call would cost |
//!
//! Whose rows a caller may see is decided in `sight`, dates and sizes are read in `range`, spreadsheets are written in `csv`.
//! What the journal holds is shipped first, so that a request that was answered is in every answer.

pub mod activity;
pub mod calculate;
mod csv;
pub mod daily;
pub mod estimate;
pub mod lists;
pub mod logs;
pub mod own;
pub(super) mod range;
pub mod report;
mod row;
mod sight;
pub mod totals;
pub mod transcript;

use std::array::from_fn;

use super::ship;
use crate::http::error::ApiError;
use crate::http::extract::Call;
use crate::storage::reports::{SumLine, Sums};

/// The answers to some questions, the newest requests among them.
async fn sums<const N: usize>(
    call: &Call,
    questions: [Sums; N],
) -> Result<[Vec<SumLine>; N], ApiError> {
    ship(call).await;
    let mut answers = call
        .app()
        .store
        .reports
        .sums(questions.into())
        .await?
        .into_iter();
    Ok(from_fn(|_| answers.next().unwrap_or_default()))
}
