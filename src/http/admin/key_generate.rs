//! `POST /key/generate`, first form. Contract: `endpoints` §3.1.
//!
//! ```json
//! {"models": ["gpt-4o"], "max_budget": 10.0, "duration": "30d", "user_id": "u1"}
//! ```

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::UserId;
use trunkline_actors::money::Usd;

use crate::auth::NewKey;
use crate::http::admin::PlainUsd;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::storage::StorageError;

/// Fields of the first form; others are refused by name, so that no limit is taken for set that is not.
const FIELDS: [&str; 9] = [
    "key_alias",
    "user_id",
    "models",
    "max_budget",
    "rpm_limit",
    "tpm_limit",
    "max_parallel_requests",
    "duration",
    "metadata",
];

/// The body's members as written: money never passes through a float.
type Members<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Debug, Serialize)]
struct Response<'a> {
    /// The one time that it is shown.
    key: &'a str,
    token: &'a str,
    token_id: &'a str,
    key_name: &'a str,
    key_alias: Option<&'a str>,
    user_id: Option<&'a str>,
    models: &'a [String],
    spend: PlainUsd,
    max_budget: Option<PlainUsd>,
    rpm_limit: Option<u64>,
    tpm_limit: Option<u64>,
    max_parallel_requests: Option<u64>,
    metadata: &'a Map<String, Value>,
    expires: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    created_by: Option<&'a str>,
}

/// Makes a key and shows it once.
pub(crate) async fn create(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let text = if body.is_empty() {
        b"{}".as_slice()
    } else {
        &body
    };
    let members: Members<'_> = serde_json::from_slice(text).map_err(|err| {
        ApiError::new(Code::BadRequest, format!("Invalid JSON payload: {err}"))
            .param("request_body")
    })?;
    if let Some(name) = members.iter().find_map(|(name, value)| {
        (!FIELDS.contains(&name.as_str()) && value.get() != "null").then_some(name)
    }) {
        return Err(ApiError::new(
            Code::BadRequest,
            format!(
                "'{name}' is not acted on by this version, so a key that relies on it is not made. Leave it out, or use one of {}.",
                FIELDS.join(", ")
            ),
        )
        .param(name));
    }
    let made = NewKey {
        alias: field(&members, "key_alias", "a string")?,
        user_id: field(&members, "user_id", "a string")?,
        models: field(&members, "models", "an array of strings")?.unwrap_or_default(),
        max_budget: members
            .get("max_budget")
            .map(|raw| raw.get())
            .filter(|raw| *raw != "null")
            .map(str::to_owned),
        rpm_limit: field(&members, "rpm_limit", "a whole number")?,
        tpm_limit: field(&members, "tpm_limit", "a whole number")?,
        max_parallel_requests: field(&members, "max_parallel_requests", "a whole number")?,
        duration: field(&members, "duration", "a string such as \"30d\"")?,
        metadata: field(&members, "metadata", "an object")?.unwrap_or_default(),
        created_by: caller
            .identity
            .user_id()
            .map(|user| user.as_str().to_owned()),
    }
    .make(UnixMs::now())
    .map_err(|err| ApiError::new(Code::BadRequest, err.to_string()).param(err.field()))?;

    made.store(&call.app().store)
        .await
        .map_err(|err| match err {
            StorageError::AlreadyExists { .. } => ApiError::new(
                Code::BadRequest,
                "A key with this key_alias exists already. Choose another alias.",
            )
            .param("key_alias"),
            other => other.into(),
        })?;
    let row = &made.row;
    call.app().keys.forget(&row.id);

    Ok(HttpResponse::Ok().json(Response {
        key: made.secret.expose(),
        token: row.id.as_str(),
        token_id: row.id.as_str(),
        key_name: &row.key_name,
        key_alias: row.alias.as_deref(),
        user_id: row.user.as_ref().map(UserId::as_str),
        models: &row.models,
        spend: PlainUsd(Usd::ZERO),
        max_budget: row.terms.max_budget.map(PlainUsd),
        rpm_limit: row.terms.rpm_limit,
        tpm_limit: row.terms.tpm_limit,
        max_parallel_requests: row.terms.max_parallel_requests,
        metadata: &row.metadata,
        expires: row.expires_at.and_then(iso),
        created_at: iso(row.created_at),
        updated_at: iso(row.created_at),
        created_by: row.created_by.as_deref(),
    }))
}

fn field<'a, T: Deserialize<'a>>(
    members: &Members<'a>,
    name: &'static str,
    wanted: &str,
) -> Result<Option<T>, ApiError> {
    let Some(raw) = members.get(name) else {
        return Ok(None);
    };
    serde_json::from_str(raw.get()).map_err(|_wrong_type| {
        ApiError::new(Code::BadRequest, format!("'{name}' must be {wanted}.")).param(name)
    })
}

/// RFC 3339, UTC.
fn iso(at: UnixMs) -> Option<String> {
    let at = i64::try_from(at.0).ok()?;
    Some(Timestamp::from_millisecond(at).ok()?.to_string())
}
