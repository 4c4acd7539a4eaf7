//! Several keys at once: `/v2/key/info`, `/key/bulk_update`, `/key/aliases`; and `/key/health`. Contract: `endpoints` §3.
//!
//! ```json
//! {"keys": [{"key": "sk-…", "max_budget": 5}, {"key": "<hash>", "blocked": true}]}
//! ```

use actix_web::HttpResponse;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use trunkline_actors::ids::KeyId;

use super::super::fields::{Change, Fields};
use super::super::query::{text, wrong};
use super::super::ship;
use super::super::terms;
use super::update::{change, store};
use super::{FIELDS, KeyAnswer, MOST_NAMED, find, find_any, spent_as_shipped, throughput};
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller, Own, View};
use crate::storage::{KeyFilter, KeyPage};

/// Most keys that one call changes.
const MOST_CHANGED: usize = 500;
/// Most names that one call answers with.
const MOST_ALIASES: u32 = 1_000;

/// `POST /v2/key/info` with `{"keys": […]}`: those of them that there are.
pub(crate) async fn info(_caller: Caller<View>, mut call: Call) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["keys"]])?;
    let Change::Set(names) = fields.texts("keys")? else {
        return Err(wrong("keys", "'keys' must be an array of keys or hashes."));
    };
    if names.len() > MOST_NAMED {
        return Err(wrong(
            "keys",
            format!("'keys' must hold at most {MOST_NAMED}."),
        ));
    }
    ship(&call).await;
    let mut found: Vec<Value> = Vec::with_capacity(names.len());
    for named in &names {
        if let Some(row) = find_any(&call, named).await? {
            let spent = spent_as_shipped(&call, &row).await?;
            found.push(json!(KeyAnswer::of(&row, &spent)));
        }
    }
    Ok(HttpResponse::Ok().json(json!({"key": names, "info": found})))
}

/// `POST /key/bulk_update`: each by itself; those that cannot be changed are told with the reason.
pub(crate) async fn update(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["keys"]])?;
    let wanted = "an array such as [{\"key\": \"sk-…\", \"max_budget\": 5}]";
    let items: Vec<&RawValue> = fields.get("keys", wanted)?.set().unwrap_or_default();
    if items.is_empty() || items.len() > MOST_CHANGED {
        return Err(wrong(
            "keys",
            format!("'keys' must hold 1 to {MOST_CHANGED} changes."),
        ));
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for item in &items {
        let fields = Fields::parse(item.get().as_bytes())?;
        let named = fields.required("key")?;
        match update_one(&call, &caller.identity, &fields, &named).await {
            Ok(info) => done.push(json!({"key": named, "key_info": info})),
            Err(err) if err.code() == Code::Database => return Err(err),
            Err(err) => failed.push(json!({"key": named, "failed_reason": err.message()})),
        }
    }
    Ok(HttpResponse::Ok().json(json!({
        "total_requested": items.len(),
        "successful_updates": done,
        "failed_updates": failed,
    })))
}

async fn update_one(
    call: &Call,
    identity: &Identity,
    fields: &Fields,
    named: &str,
) -> Result<Value, ApiError> {
    fields.only(&[FIELDS, terms::FIELDS, &["key"]])?;
    let mut row = find(call, named).await?;
    let before = row.clone();
    change(fields, &mut row)?;
    throughput::check(call, Some(&before), &row).await?;
    store(call, identity, &row).await?;
    let spent = spent_as_shipped(call, &row).await?;
    Ok(json!(KeyAnswer::of(&row, &spent)))
}

/// `GET /key/aliases`: the names of keys, a thousand at a time behind `?after=`, the `next` of the answer before.
pub(crate) async fn aliases(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let filter = KeyFilter {
        has_alias: true,
        ..KeyFilter::default()
    };
    let keys = &call.app().store.keys;
    let total = keys.count(filter.clone()).await?;
    let page = KeyPage {
        after: text(&call, "after").map(KeyId::new),
        ..KeyPage::of(filter, MOST_ALIASES)
    };
    let rows = keys.list(page).await?;
    let is_full = rows.len() == MOST_ALIASES as usize;
    let next = rows.last().filter(|_| is_full).map(|row| row.id.as_str());
    let aliases: Vec<&str> = rows.iter().filter_map(|row| row.alias.as_deref()).collect();
    Ok(HttpResponse::Ok().json(json!({"aliases": aliases, "total_count": total, "next": next})))
}

/// `POST /key/health`: whether the key that asks is of use. Who gets here is.
pub(crate) async fn health(_caller: Caller<Own>, _call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(json!({
        "key": "healthy",
        "logging_callbacks": {"callbacks": [], "status": null, "details": null},
    })))
}
