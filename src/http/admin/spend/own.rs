//! What keys and users spent that are stored: `GET /spend/keys` and `/spend/users`. The caller's own, unless it is an
//! administrator. Contract: `endpoints` §6.
//!
//! ```text
//! /spend/keys     [{"token","key_name","key_alias","spend","user_id","models","max_budget","blocked","expires","created_at"}]
//! /spend/users    [{"user_id","user_email","user_role","spend","max_budget","created_at"}]
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::ids::KeyId;
use trunkline_actors::money::Usd;

use super::lists::dearest;
use super::range::ever;
use super::sight::Sight;
use super::{csv, sums};
use crate::http::admin::PlainUsd;
use crate::http::admin::query::{count, text};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Own};
use crate::http::time::iso;
use crate::storage::reports::{Facet, Of};
use crate::storage::{KeyPage, TenantKind, TenantPage, TenantRow};

/// The most lines of a list.
const MOST: u32 = 1_000;

#[derive(Serialize)]
struct KeyRowAnswer {
    token: String,
    key_name: String,
    key_alias: Option<String>,
    spend: PlainUsd,
    user_id: Option<String>,
    models: Vec<String>,
    max_budget: Option<PlainUsd>,
    blocked: bool,
    expires: Option<String>,
    created_at: Option<String>,
}

/// `GET /spend/keys`: the keys that there are and what each spent, the dearest first. The caller's own, unless it is an
/// administrator. At most `limit` (1000) in order of id, from behind `after`.
pub(crate) async fn keys(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let limit = count(&call, "limit", MOST, MOST)?;
    let store = &call.app().store;
    let sight = Sight::of(&caller.identity);
    let rows = match sight.keys() {
        Some(filter) => {
            let page = KeyPage {
                after: text(&call, "after").map(KeyId::from),
                ..KeyPage::of(filter, limit)
            };
            store.keys.list(page).await?
        }
        None => Vec::new(),
    };
    let ids = rows.iter().map(|row| row.id.as_str().to_owned()).collect();
    let asked = dearest(Facet::Key, ever(), vec![Of::these(Facet::Key, ids)], MOST);
    let [lines] = sums(&call, [asked]).await?;
    let spent: HashMap<&str, Usd> = lines
        .iter()
        .filter_map(|line| Some((line.names.first()?.as_str(), line.tally.spend)))
        .collect();
    let mut rows: Vec<KeyRowAnswer> = rows
        .into_iter()
        .map(|row| KeyRowAnswer {
            spend: PlainUsd(spent.get(row.id.as_str()).copied().unwrap_or_default()),
            token: row.id.as_str().to_owned(),
            key_name: row.key_name,
            key_alias: row.alias,
            user_id: row.user.map(|user| user.as_str().to_owned()),
            models: row.models,
            max_budget: row.terms.max_budget.map(PlainUsd),
            blocked: row.blocked,
            expires: row.expires_at.and_then(iso),
            created_at: iso(row.created_at),
        })
        .collect();
    rows.sort_by_key(|row| Reverse(row.spend.0));
    let columns = [
        "token",
        "key_name",
        "key_alias",
        "user_id",
        "spend",
        "max_budget",
    ];
    let cells = rows.iter().map(|row| {
        vec![
            row.token.as_str().into(),
            row.key_name.as_str().into(),
            row.key_alias.as_deref().into(),
            row.user_id.as_deref().into(),
            row.spend.into(),
            row.max_budget.into(),
        ]
    });
    csv::answer(&call, "keys", &rows, &columns, cells)
}

#[derive(Serialize)]
struct UserAnswer {
    user_id: String,
    user_email: Option<String>,
    user_role: Option<String>,
    spend: PlainUsd,
    max_budget: Option<PlainUsd>,
    created_at: Option<String>,
}

/// `GET /spend/users?user_id=`: the users that there are and those that spent anything, the dearest first. The caller itself,
/// unless it is an administrator. At most `limit` (1000) of those that are stored, in order of id, from behind `after`.
pub(crate) async fn users(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let limit = count(&call, "limit", MOST, MOST)?;
    let sight = Sight::of(&caller.identity);
    let one = match (&sight, sight.user(text(&call, "user_id"))?) {
        (_, Some(user)) => Some(user),
        (Sight::User(own) | Sight::Member { user: own, .. }, None) => Some(own.clone()),
        (Sight::Everything, None) => None,
        // The key belongs to no user.
        (_, None) => Some(String::new()),
    };
    let tenants = &call.app().store.tenants;
    let stored: Vec<TenantRow> = if let Some(user) = &one {
        let row = tenants.by_id(TenantKind::User, user.clone()).await?;
        row.into_iter().collect()
    } else {
        let page = TenantPage {
            after: text(&call, "after"),
            ..TenantPage::of(TenantKind::User, limit)
        };
        tenants.list(page).await?
    };
    let mut of = sight.limits();
    of.extend(one.iter().map(|user| Of::one(Facet::User, user)));
    let ids = stored.iter().map(|row| row.id.clone()).collect();
    let mut of_stored = sight.limits();
    of_stored.push(Of::these(Facet::User, ids));
    let questions = [
        dearest(Facet::User, ever(), of, limit),
        dearest(Facet::User, ever(), of_stored, limit),
    ];
    let [spenders, of_stored] = sums(&call, questions).await?;
    let mut amounts: BTreeMap<String, Usd> = spenders
        .into_iter()
        .chain(of_stored)
        .filter_map(|line| Some((line.names.into_iter().next()?, line.tally.spend)))
        .collect();
    let mut rows: Vec<UserAnswer> = stored
        .into_iter()
        .map(|row| {
            let amount = amounts.remove(&row.id).unwrap_or_default();
            UserAnswer::of(row.id.clone(), amount, Some(row))
        })
        .collect();
    rows.extend(
        amounts
            .into_iter()
            .map(|(user, amount)| UserAnswer::of(user, amount, None)),
    );
    rows.sort_by_key(|row| Reverse(row.spend.0));
    let columns = ["user_id", "user_email", "user_role", "spend", "max_budget"];
    let cells = rows.iter().map(|row| {
        vec![
            row.user_id.as_str().into(),
            row.user_email.as_deref().into(),
            row.user_role.as_deref().into(),
            row.spend.into(),
            row.max_budget.into(),
        ]
    });
    csv::answer(&call, "users", &rows, &columns, cells)
}

// === impl UserAnswer ===

impl UserAnswer {
    fn of(user_id: String, spend: Usd, row: Option<TenantRow>) -> Self {
        let answer = Self {
            user_id,
            user_email: None,
            user_role: None,
            spend: PlainUsd(spend),
            max_budget: None,
            created_at: None,
        };
        let Some(row) = row else {
            return answer;
        };
        Self {
            user_email: row.email,
            user_role: row.role,
            max_budget: row.terms.max_budget.map(PlainUsd),
            created_at: iso(row.created_at),
            ..answer
        }
    }
}
