//! `POST /key/generate`. Contract: `endpoints` §3.1.
//!
//! ```json
//! {"models": ["gpt-4o"], "max_budget": 10.0, "budget_duration": "30d", "duration": "90d", "user_id": "u1"}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;

use super::super::fields::{Change, Fields};
use super::super::terms;
use super::{FIELDS, KeyAnswer, Spent, alias_taken, change_metadata, check_owners};
use crate::auth::{NewKey, key};
use crate::config::Secret;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};

/// Shortest secret of the operator's own (LiteLLM's rule).
const SHORTEST_KEY: usize = 16;

#[derive(Debug, Serialize)]
struct Response<'a> {
    /// The one time that it is shown.
    key: &'a str,
    token: &'a str,
    token_id: &'a str,
    #[serde(flatten)]
    row: KeyAnswer<'a>,
}

/// Makes a key and shows it once.
pub(crate) async fn create(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    fields.only(&[FIELDS, terms::FIELDS, &["key"]])?;
    check_owners(&call, &fields).await?;
    let mut new = NewKey {
        secret: secret(&fields)?,
        alias: fields.text("key_alias")?.set(),
        user_id: fields.text("user_id")?.set(),
        team_id: fields.text("team_id")?.set(),
        organization_id: fields.text("organization_id")?.set(),
        budget_id: fields.text("budget_id")?.set(),
        models: fields.texts("models")?.set().unwrap_or_default(),
        duration: fields.text("duration")?.set(),
        blocked: fields
            .get("blocked", "true or false")?
            .set()
            .unwrap_or_default(),
        created_by: caller
            .identity
            .user_id()
            .map(|user| user.as_str().to_owned()),
        ..NewKey::default()
    };
    terms::change(&fields, &mut new.terms)?;
    change_metadata(&fields, &mut new.metadata)?;
    let made = new.make(UnixMs::now())?;
    made.store(&call.app().store).await.map_err(alias_taken)?;
    let row = &made.row;
    call.app().keys.forget(&row.id);
    Ok(HttpResponse::Ok().json(Response {
        key: made.secret.expose(),
        token: row.id.as_str(),
        token_id: row.id.as_str(),
        row: KeyAnswer::of(row, &Spent::default()),
    }))
}

/// A secret of the operator's own.
fn secret(fields: &Fields<'_>) -> Result<Option<Secret>, ApiError> {
    let Change::Set(text) = fields.text("key")? else {
        return Ok(None);
    };
    let graphic = text.chars().all(|c| c.is_ascii_graphic());
    if !text.starts_with(key::PREFIX) || text.len() < SHORTEST_KEY || !graphic {
        return Err(ApiError::new(
            Code::BadRequest,
            format!(
                "'key' must begin with sk- and have at least {SHORTEST_KEY} visible ASCII characters. Leave it out to have one drawn."
            ),
        )
        .param("key"));
    }
    Ok(Some(Secret::new(text)))
}
