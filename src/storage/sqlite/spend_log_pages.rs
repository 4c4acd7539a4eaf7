//! Reads pages of rows back. The statements are in `reports::log_rows`.

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params_from_iter};
use serde::de::DeserializeOwned;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, TeamId, UserId,
};
use trunkline_actors::ports::{SpendRecord, UsageParts};

use super::convert::{money, parse_json, time, unsigned};
use super::pool::WorkError;
use super::spend_reports::values;
use crate::storage::StorageError;
use crate::storage::books::status_named;
use crate::storage::reports::log_rows::statements;
use crate::storage::reports::statement::{Dialect, Statement};
use crate::storage::reports::{LogPage, LogQuery, next_page};

/// One page.
///
/// Precondition: `connection` is in a transaction, or rows and count may be of two moments.
pub(super) fn page(connection: &Connection, query: &LogQuery) -> Result<LogPage, WorkError> {
    let statements = statements(Dialect::Sqlite, query);
    let mut prepared = connection.prepare_cached(&statements.rows.sql)?;
    let mut found = prepared.query(params_from_iter(values(&statements.rows.args)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(record(row)?);
    }
    let walked = one::<String>(connection, statements.walked.as_ref())?
        .map(|id| parse_id(&id))
        .transpose()?;
    let total: i64 = one(connection, statements.count.as_ref())?.unwrap_or_default();
    Ok(LogPage {
        next: next_page(query, &rows, walked),
        rows,
        total: u64::try_from(total).unwrap_or_default(),
    })
}

/// The one value of the first row, if there is one.
fn one<T: FromSql>(
    connection: &Connection,
    statement: Option<&Statement>,
) -> rusqlite::Result<Option<T>> {
    let Some(statement) = statement else {
        return Ok(None);
    };
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let mut found = prepared.query(params_from_iter(values(&statement.args)))?;
    found.next()?.map(|row| row.get(0)).transpose()
}

fn record(row: &Row<'_>) -> Result<SpendRecord, WorkError> {
    let text = |column: &str| row.get::<_, String>(column);
    let optional = |column: &str| row.get::<_, Option<String>>(column);
    let count =
        |column: &str| -> rusqlite::Result<u64> { Ok(unsigned(row, column)?.unwrap_or_default()) };
    let usage = UsageParts {
        input_uncached: count("input_uncached")?,
        cache_read: count("cache_read")?,
        cache_write_5m: count("cache_write_5m")?,
        cache_write_1h: count("cache_write_1h")?,
        audio_input: count("audio_input")?,
        image_input: count("image_input")?,
        output_text: count("output_text")?,
        reasoning: count("reasoning")?,
        audio_output: count("audio_output")?,
        prompt_tokens: count("prompt_tokens")?,
        completion_tokens: count("completion_tokens")?,
        total_tokens: count("total_tokens")?,
    };
    Ok(SpendRecord {
        id: parse_id(&text("id")?)?,
        provider_request_id: optional("request_id")?,
        call_type: text("call_type")?,
        status: status_named(&text("status")?),
        key: optional("key_id")?.map(KeyId::from),
        key_alias: optional("key_alias")?,
        user: optional("user_id")?.map(UserId::from),
        team: optional("team_id")?.map(TeamId::from),
        organisation: optional("organization_id")?.map(OrganisationId::from),
        end_user: optional("end_user")?,
        client_ip: optional("client_ip")?,
        model_group: ModelGroup::from(text("model_group")?),
        model: text("model")?,
        deployment: optional("deployment")?.map(DeploymentId::from),
        provider: text("provider")?,
        api_base: optional("api_base")?,
        stream: row.get("stream")?,
        started_at: time(row, "started_at")?,
        first_content_at: unsigned(row, "first_content_at")?.map(UnixMs),
        ended_at: time(row, "ended_at")?,
        usage,
        pieces: json_of(optional("pieces")?, "pieces")?,
        service_tier: optional("service_tier")?,
        usage_estimated: row.get("usage_estimated")?,
        cost: money(row, "cost")?,
        price_version: optional("price_version")?,
        price_id: optional("price_id")?.map(Into::into),
        price_sheet: None,
        adjusts: optional("adjusts")?.map(|id| parse_id(&id)).transpose()?,
        cache_hit: row.get("cache_hit")?,
        attempts: u32::try_from(count("attempts")?).unwrap_or(u32::MAX),
        error_code: optional("error_code")?,
        tags: json_of(optional("tags")?, "tags")?.unwrap_or_default(),
        budgets: json_of(optional("budgets")?, "budgets")?.unwrap_or_default(),
    })
}

fn json_of<T: DeserializeOwned>(
    text: Option<String>,
    column: &'static str,
) -> Result<Option<T>, StorageError> {
    text.map(|text| parse_json(&text, "spend_logs", column))
        .transpose()
}

fn parse_id(text: &str) -> Result<RequestId, StorageError> {
    text.parse().map_err(|err| StorageError::Unreadable {
        table: "spend_logs",
        column: "id",
        source: Box::new(err),
    })
}
