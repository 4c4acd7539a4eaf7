//! A row of `spend_logs` as this driver reads it.

use tokio_postgres::Row;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::SpendRecord;

use super::convert::money;
use super::pool::WorkError;
use crate::storage::booked::{self, Booked};

/// The record of a row that was asked for by [`booked::columns`].
pub(super) fn record(row: &Row) -> Result<SpendRecord, WorkError> {
    booked::record(&Found(row))
}

/// A row, in the words of [`booked`].
struct Found<'a>(&'a Row);

impl Booked for Found<'_> {
    type Error = WorkError;

    fn text(&self, column: &'static str) -> Result<Option<String>, WorkError> {
        Ok(self.0.try_get(column)?)
    }

    fn number(&self, column: &'static str) -> Result<Option<i64>, WorkError> {
        Ok(self.0.try_get(column)?)
    }

    fn flag(&self, column: &'static str) -> Result<bool, WorkError> {
        Ok(self.0.try_get(column)?)
    }

    fn amount(&self, column: &'static str) -> Result<Option<Usd>, WorkError> {
        Ok(money(self.0, column)?)
    }
}
