//! `GET /key/info` and `GET /key/list`. Who is no administrator sees the key that it asks with, and its user's keys.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::{Value, json};
use trunkline_actors::ids::{KeyId, UserId};

use super::{KeyAnswer, find, spent};
use crate::auth::{Identity, Role};
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AnyKey, Call, Caller};
use crate::storage::{KeyPage, KeyRow};

/// Keys of a page, unless `size` says otherwise.
const PAGE: u32 = 10;
const LARGEST_PAGE: u32 = 100;

#[derive(Debug, Serialize)]
struct Info<'a> {
    key: &'a str,
    info: KeyAnswer<'a>,
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    token: &'a str,
    #[serde(flatten)]
    row: KeyAnswer<'a>,
}

/// One key: `?key=`, else the caller's own.
pub(crate) async fn show(caller: Caller<AnyKey>, call: Call) -> Result<HttpResponse, ApiError> {
    let asked = call.query("key").filter(|key| !key.is_empty());
    let own = caller
        .identity
        .key()
        .map(|key| key.row.id.as_str().to_owned());
    let named = asked.or(own).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "Which key? Send ?key= with a key or its hash; the master key has no row of its own.",
        )
        .param("key")
    })?;
    let row = find(&call, &named).await?;
    if !may_see(&caller.identity, &row) {
        return Err(ApiError::new(
            Code::OthersData,
            "You are not allowed to access this key's info.",
        )
        .param("key"));
    }
    let spent = spent(&call, &row).await?;
    Ok(HttpResponse::Ok().json(Info {
        key: &named,
        info: KeyAnswer::of(&row, &spent),
    }))
}

/// A page of keys, in order of their hashes; `next` is what to ask for as `after`.
pub(crate) async fn list(caller: Caller<AnyKey>, call: Call) -> Result<HttpResponse, ApiError> {
    let user = match (caller.identity.role(), call.query("user_id")) {
        (Role::ProxyAdmin, asked) => asked.map(UserId::new),
        (_, asked) => {
            let own = caller.identity.key().and_then(|key| key.row.user.clone());
            let own = own.filter(|own| asked.is_none_or(|asked| asked == own.as_str()));
            Some(own.ok_or_else(|| {
                ApiError::new(
                    Code::OthersData,
                    "Only an administrator may list the keys of others. Leave user_id out for your own.",
                )
                .param("user_id")
            })?)
        }
    };
    let size = match call.query("size") {
        None => PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|size| (1..=LARGEST_PAGE).contains(size))
            .ok_or_else(|| {
                ApiError::new(
                    Code::BadRequest,
                    format!("'size' must be a number from 1 to {LARGEST_PAGE}."),
                )
                .param("size")
            })?,
    };
    let rows = call
        .app()
        .store
        .keys
        .list(KeyPage {
            user,
            after: call.query("after").map(KeyId::new),
            limit: size,
        })
        .await?;
    let whole = call.query("return_full_object").as_deref() == Some("true");
    let mut keys: Vec<Value> = Vec::with_capacity(rows.len());
    for row in &rows {
        keys.push(if whole {
            let spent = spent(&call, row).await?;
            json!(Listed {
                token: row.id.as_str(),
                row: KeyAnswer::of(row, &spent),
            })
        } else {
            json!(row.id.as_str())
        });
    }
    let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows == size);
    let next = rows.last().filter(|_| is_full).map(|row| row.id.as_str());
    Ok(HttpResponse::Ok().json(json!({"keys": keys, "next": next})))
}

fn may_see(identity: &Identity, row: &KeyRow) -> bool {
    identity.role() == Role::ProxyAdmin
        || identity.key().is_some_and(|key| {
            key.row.id == row.id || (row.user.is_some() && key.row.user == row.user)
        })
}
