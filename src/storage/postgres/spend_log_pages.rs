//! Reads pages of rows back. The statements are in `reports::log_rows`.

use std::error::Error;

use deadpool_postgres::GenericClient;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::Row;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, TeamId, UserId,
};
use trunkline_actors::ports::{SpendRecord, UsageParts};

use super::convert::{money, time, unsigned};
use super::pool::WorkError;
use super::spend_reports::rows;
use crate::storage::StorageError;
use crate::storage::books::status_named;
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
            .map(|row| parse_id(row.try_get(0)?))
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

fn record(row: &Row) -> Result<SpendRecord, WorkError> {
    let text = |column: &str| row.try_get::<_, String>(column);
    let optional = |column: &str| row.try_get::<_, Option<String>>(column);
    let count = |column: &str| -> Result<u64, tokio_postgres::Error> {
        Ok(unsigned(row, column)?.unwrap_or_default())
    };
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
        id: parse_id(row.try_get("id")?)?,
        provider_request_id: optional("request_id")?,
        call_type: text("call_type")?,
        status: status_named(row.try_get("status")?),
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
        stream: row.try_get("stream")?,
        started_at: time(row, "started_at")?,
        first_content_at: unsigned(row, "first_content_at")?.map(UnixMs),
        ended_at: time(row, "ended_at")?,
        usage,
        pieces: json(row, "pieces")?,
        service_tier: optional("service_tier")?,
        usage_estimated: row.try_get("usage_estimated")?,
        cost: money(row, "cost")?,
        price_version: optional("price_version")?,
        price_id: optional("price_id")?.map(Into::into),
        price_sheet: None,
        adjusts: optional("adjusts")?.map(|id| parse_id(&id)).transpose()?,
        cache_hit: row.try_get("cache_hit")?,
        attempts: u32::try_from(count("attempts")?).unwrap_or(u32::MAX),
        error_code: optional("error_code")?,
        tags: json(row, "tags")?.unwrap_or_default(),
        budgets: json(row, "budgets")?.unwrap_or_default(),
    })
}

fn json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>, WorkError> {
    let Some(value) = row.try_get::<_, Option<Value>>(column)? else {
        return Ok(None);
    };
    let read = serde_json::from_value(value).map_err(|err| unreadable(column, err));
    Ok(Some(read?))
}

fn parse_id(text: &str) -> Result<RequestId, WorkError> {
    Ok(text.parse().map_err(|err| unreadable("id", err))?)
}

fn unreadable(column: &'static str, err: impl Error + Send + Sync + 'static) -> StorageError {
    StorageError::Unreadable {
        table: "spend_logs",
        column,
        source: Box::new(err),
    }
}
