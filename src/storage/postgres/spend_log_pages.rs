//! Reads pages of rows back. The statements are in `reports::log_rows`.

use deadpool_postgres::GenericClient;
use trunkline_actors::ports::SpendRecord;

use super::booked::record;
use super::pool::WorkError;
use super::spend_reports::rows;
use crate::storage::booked;
use crate::storage::reports::log_rows::statements;
use crate::storage::reports::statement::Dialect;
use crate::storage::reports::{LogPage, LogQuery, next_page};

/// One page.
///
/// Precondition: `client` is in a transaction that sees one moment, or rows and count may be of two.
pub(super) async fn page(
    client: &impl GenericClient,
    query: &LogQuery,
) -> Result<LogPage, WorkError> {
    let statements = statements(Dialect::Postgres, query);
    let found = rows(client, &statements.rows).await?;
    let found: Vec<SpendRecord> = found.iter().map(record).collect::<Result<_, _>>()?;
    let walked = match &statements.walked {
        Some(statement) => rows(client, statement)
            .await?
            .first()
            .map(|row| Ok::<_, WorkError>(booked::id(row.try_get(0)?, "id")?))
            .transpose()?,
        None => None,
    };
    let total: i64 = match &statements.count {
        Some(statement) => rows(client, statement)
            .await?
            .first()
            .map(|row| row.try_get(0))
            .transpose()?
            .unwrap_or_default(),
        None => 0,
    };
    Ok(LogPage {
        next: next_page(query, &found, walked),
        rows: found,
        total: u64::try_from(total).unwrap_or_default(),
    })
}
