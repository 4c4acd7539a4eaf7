//! `POST /key/delete`: keys stop working at once; what they spent stays on the books. Contract: `endpoints` §3.
//!
//! ```json
//! {"keys": ["sk-…", "<hash>"]}                        {"key_aliases": ["mine"]}
//! {"deleted_keys": ["sk-…", "<hash>"]}
//! ```
//!
//! All of them are deleted or none: one that is not there, or not the caller's, is a 400 that names it by its place.

use actix_web::HttpResponse;
use serde_json::json;

use super::super::change::apply;
use super::super::fields::{Change, Fields};
use super::super::reach::{Hold, Reach};
use super::{MOST_NAMED, find_any};
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Manage};
use crate::storage::{KeyFilter, KeyPage, KeyRow, Write};

/// Deletes keys.
pub(crate) async fn delete(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["keys", "key_aliases"]])?;
    let (param, names) = match (fields.texts("keys")?, fields.texts("key_aliases")?) {
        (Change::Set(keys), _) => ("keys", keys),
        (_, Change::Set(aliases)) => ("key_aliases", aliases),
        _ => ("keys", Vec::new()),
    };
    if names.is_empty() || names.len() > MOST_NAMED {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("Send 1 to {MOST_NAMED} 'keys', as keys or hashes, or 'key_aliases'."),
        )
        .param(param));
    }
    let reach = Reach::of(&call, &caller.identity).await?;
    let mut writes = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let row = match param {
            "keys" => find_any(&call, name).await?,
            _ => by_alias(&call, name).await?,
        };
        let row = match row {
            Some(row) if may_delete(&call, &reach, &row).await? => row,
            _ => return Err(not_there(param, at)),
        };
        writes.push(Write::DeleteKey(row.id));
    }
    apply(&call, &caller.identity, writes).await?;
    Ok(HttpResponse::Ok().json(json!({"deleted_keys": names})))
}

async fn may_delete(call: &Call, reach: &Reach, row: &KeyRow) -> Result<bool, ApiError> {
    if reach.key(call, row).await? < Hold::Own {
        return Ok(false);
    }
    let Some(user) = &row.user else {
        return Ok(true);
    };
    match reach.check_not_above(call, user).await {
        Ok(()) => Ok(true),
        Err(err) if err.code() == Code::OthersData => Ok(false),
        Err(err) => Err(err),
    }
}

/// It does not tell whether there is one that is somebody else's.
fn not_there(param: &'static str, at: usize) -> ApiError {
    ApiError::new(
        Code::BadRequest,
        format!("'{param}[{at}]' is no key of yours, your team's or your organization's. Nothing was deleted."),
    )
    .param(param)
}

async fn by_alias(call: &Call, alias: &str) -> Result<Option<KeyRow>, ApiError> {
    let filter = KeyFilter {
        alias: Some(alias.to_owned()),
        ..KeyFilter::default()
    };
    let found = call.app().store.keys.list(KeyPage::of(filter, 1)).await?;
    Ok(found.into_iter().next())
}
