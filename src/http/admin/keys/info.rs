//! `GET /key/info` and `GET /key/list`, of the keys that the caller reaches.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};

use super::super::query::{Sizes, page, text, wrong};
use super::super::reach::Reach;
use super::super::ship;
use super::owner::check_sees;
use super::{KeyAnswer, find, spent, spent_as_shipped};
use crate::auth::key::id_of_named;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Own};
use crate::rotation::overdue;
use crate::storage::{KeyFilter, KeyPage};

/// Keys of a page.
const KEYS: Sizes = Sizes {
    name: "size",
    usual: 10,
    largest: 100,
};

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
pub(crate) async fn show(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let own = caller
        .identity
        .key()
        .map(|key| key.row.id.as_str().to_owned());
    let named = text(&call, "key").or(own).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "Which key? Send ?key= with a key or its hash; the master key has no row of its own.",
        )
        .param("key")
    })?;
    let row = find(&call, &named).await?;
    let reach = Reach::of(&call, &caller.identity).await?;
    check_sees(&call, &reach, &row).await?;
    let spent = spent(&call, &row).await?;
    Ok(HttpResponse::Ok().json(Info {
        key: &named,
        info: KeyAnswer::of(&row, &spent),
    }))
}

/// A page of keys, in order of their hashes, of those that the caller reaches: `?page=` and `?size=`, or behind `?after=`, which
/// is the `next` of the page before.
pub(crate) async fn list(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let reach = Reach::of(&call, &caller.identity).await?;
    let filter = filter(&call, &reach)?;
    let further = "Go on with ?after= and the 'next' of the page before.";
    let page = page(&call, KEYS, further)?;
    let keys = &call.app().store.keys;
    let total = keys.count(filter.clone()).await?;
    let rows = keys
        .list(KeyPage {
            filter,
            after: text(&call, "after").map(KeyId::new),
            skip: page.skip,
            limit: page.size,
        })
        .await?;
    let whole = call.query("return_full_object").as_deref() == Some("true");
    let mut keys: Vec<Value> = Vec::with_capacity(rows.len());
    if whole {
        ship(&call).await;
    }
    for row in &rows {
        keys.push(if whole {
            let spent = spent_as_shipped(&call, row).await?;
            json!(Listed {
                token: row.id.as_str(),
                row: KeyAnswer::of(row, &spent),
            })
        } else {
            json!(row.id.as_str())
        });
    }
    let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows == page.size);
    let next = rows.last().filter(|_| is_full).map(|row| row.id.as_str());
    Ok(HttpResponse::Ok().json(json!({
        "keys": keys,
        "total_count": total,
        "current_page": page.number,
        "total_pages": total.div_ceil(page.size.into()),
        "next": next,
    })))
}

fn filter(call: &Call, reach: &Reach) -> Result<KeyFilter, ApiError> {
    let asked = |name| text(call, name);
    let user = asked("user_id");
    let own = reach.user().map(UserId::as_str);
    if !reach.is_everything() && user.is_some() && user.as_deref() != own {
        return Err(ApiError::new(
            Code::OthersData,
            "Only an administrator may list the keys of others. Leave user_id out for all that you may see.",
        )
        .param("user_id"));
    }
    for name in ["sort_by", "sort_order", "search"] {
        if asked(name).is_some() {
            return Err(wrong(
                name,
                format!("Keys are listed in order of their hashes: leave '{name}' out."),
            ));
        }
    }
    let now = UnixMs::now();
    let standing = match asked("status").as_deref() {
        None => KeyFilter::default(),
        Some("active") => KeyFilter {
            blocked: Some(false),
            expired: Some((now, false)),
            ..KeyFilter::default()
        },
        Some("blocked") => KeyFilter {
            blocked: Some(true),
            ..KeyFilter::default()
        },
        Some("expired") => KeyFilter {
            expired: Some((now, true)),
            ..KeyFilter::default()
        },
        Some("rotation_due") => overdue(now),
        Some(_) => {
            return Err(wrong(
                "status",
                "'status' must be active, blocked, expired or rotation_due.",
            ));
        }
    };
    Ok(KeyFilter {
        id: asked("key_hash").map(|named| id_of_named(&named)),
        alias: asked("key_alias"),
        user: user.map(UserId::new),
        team: asked("team_id").map(TeamId::new),
        organisation: asked("organization_id").map(OrganisationId::new),
        budget: asked("budget_id"),
        reach: reach.keys(),
        ..standing
    })
}
