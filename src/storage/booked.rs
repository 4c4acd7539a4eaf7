//! A row of `spend_logs` as the record that it was made of, whichever database keeps it. No SQL but the names of columns.

use std::error::Error;

use serde::de::DeserializeOwned;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, TeamId, UserId,
};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{SpendRecord, SpendStatus, UsageParts};

use super::StorageError;
use super::books::{cost_that_fits, integer, status, tokens};

/// The columns of a record that are read as they are; `tags`, `pieces` and `budgets` are asked for as text.
const COLUMNS: &str = "id, request_id, call_type, status, key_id, key_alias, user_id, end_user, model_group, \
     model, deployment, provider, api_base, stream, started_at, first_content_at, ended_at, input_uncached, cache_read, \
     cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, audio_output, prompt_tokens, \
     completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, attempts, error_code, team_id, \
     organization_id, client_ip, service_tier, price_id, adjusts";

/// All columns of a record. `as_text` makes a text of JSON: `::text`, or nothing where it is one.
pub(super) fn columns(as_text: &str) -> String {
    format!(
        "{COLUMNS}, tags{as_text} AS tags, pieces{as_text} AS pieces, budgets{as_text} AS budgets"
    )
}

/// A row of one of the drivers.
pub(super) trait Booked {
    type Error: From<StorageError>;

    fn text(&self, column: &'static str) -> Result<Option<String>, Self::Error>;
    fn number(&self, column: &'static str) -> Result<Option<i64>, Self::Error>;
    fn flag(&self, column: &'static str) -> Result<bool, Self::Error>;
    fn amount(&self, column: &'static str) -> Result<Option<Usd>, Self::Error>;
}

/// The record of a row.
pub(super) fn record<R: Booked>(row: &R) -> Result<SpendRecord, R::Error> {
    let required = |column| Ok::<_, R::Error>(row.text(column)?.unwrap_or_default());
    let count = |column| Ok::<_, R::Error>(whole(row.number(column)?));
    let adjusts = row.text("adjusts")?;
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
        id: id(&required("id")?, "id")?,
        provider_request_id: row.text("request_id")?,
        call_type: required("call_type")?,
        status: status_named(&required("status")?)?,
        key: row.text("key_id")?.map(KeyId::from),
        key_alias: row.text("key_alias")?,
        user: row.text("user_id")?.map(UserId::from),
        team: row.text("team_id")?.map(TeamId::from),
        organisation: row.text("organization_id")?.map(OrganisationId::from),
        end_user: row.text("end_user")?,
        client_ip: row.text("client_ip")?,
        model_group: ModelGroup::from(required("model_group")?),
        model: required("model")?,
        deployment: row.text("deployment")?.map(DeploymentId::from),
        provider: required("provider")?,
        api_base: row.text("api_base")?,
        stream: row.flag("stream")?,
        started_at: UnixMs(count("started_at")?),
        first_content_at: row
            .number("first_content_at")?
            .map(|at| UnixMs(whole(Some(at)))),
        ended_at: UnixMs(count("ended_at")?),
        usage,
        pieces: row
            .text("pieces")?
            .map(|text| json(&text, "pieces"))
            .transpose()?,
        service_tier: row.text("service_tier")?,
        usage_estimated: row.flag("usage_estimated")?,
        cost: row.amount("cost")?,
        price_version: row.text("price_version")?,
        price_id: row.text("price_id")?.map(Into::into),
        price_sheet: None,
        adjusts: adjusts.map(|text| id(&text, "adjusts")).transpose()?,
        cache_hit: row.flag("cache_hit")?,
        attempts: u32::try_from(count("attempts")?).unwrap_or(u32::MAX),
        error_code: row.text("error_code")?,
        tags: json(&required("tags")?, "tags")?,
        budgets: json(&required("budgets")?, "budgets")?,
    })
}

/// What every store makes of a record; `fits` says which costs its column takes.
pub(super) fn as_kept(mut record: SpendRecord, fits: impl FnOnce(&Usd) -> bool) -> SpendRecord {
    let cut = |count: &mut u64| *count = whole(Some(tokens(*count)));
    let usage = &mut record.usage;
    [
        &mut usage.input_uncached,
        &mut usage.cache_read,
        &mut usage.cache_write_5m,
        &mut usage.cache_write_1h,
        &mut usage.audio_input,
        &mut usage.image_input,
        &mut usage.output_text,
        &mut usage.reasoning,
        &mut usage.audio_output,
        &mut usage.prompt_tokens,
        &mut usage.completion_tokens,
        &mut usage.total_tokens,
    ]
    .into_iter()
    .for_each(cut);
    let at = |at: UnixMs| UnixMs(whole(Some(integer(at.0))));
    record.started_at = at(record.started_at);
    record.ended_at = at(record.ended_at);
    record.first_content_at = record.first_content_at.map(at);
    record.cost = cost_that_fits(&record, fits);
    record.price_sheet = None;
    record
}

/// Milliseconds, tokens and the like are never negative.
fn whole(value: Option<i64>) -> u64 {
    value
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or_default()
}

pub(super) fn id(text: &str, column: &'static str) -> Result<RequestId, StorageError> {
    text.parse()
        .map_err(|err| unreadable(column, Box::new(err)))
}

fn json<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|err| unreadable(column, Box::new(err)))
}

fn status_named(word: &str) -> Result<SpendStatus, StorageError> {
    [
        SpendStatus::Success,
        SpendStatus::Failure,
        SpendStatus::Unknown,
        SpendStatus::Adjustment,
    ]
    .into_iter()
    .find(|known| status(*known) == word)
    .ok_or_else(|| unreadable("status", "no such status".into()))
}

fn unreadable(column: &'static str, source: Box<dyn Error + Send + Sync>) -> StorageError {
    StorageError::Unreadable {
        table: "spend_logs",
        column,
        source,
    }
}
