//! `POST /key/regenerate` and `POST /key/{key}/regenerate`: a key gets another secret. It stays the same key: id, spend, budgets
//! and limits go on. Contract: `endpoints` §3.
//!
//! ```json
//! {"key": "sk-…", "grace_period": "24h", "duration": "90d"}
//! ```
//!
//! Without a `grace_period`, or one for all (`LITELLM_KEY_ROTATION_GRACE_PERIOD`), the old secret stops working at once. Beside it the members of `/key/update` may stand.

use actix_web::HttpResponse;
use trunkline_actors::clock::UnixMs;

use super::super::change::apply;
use super::super::fields::Fields;
use super::super::reach::{Hold, Reach, others};
use super::super::terms;
use super::generate::{Response, secret};
use super::owner::check_changes;
use super::update::change_checked;
use super::{FIELDS, KeyAnswer, find, mark, rotation, spent};
use crate::auth::{Identity, expiry, key};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Manage};
use crate::storage::{KeyRow, Write};

/// The key that the body names.
pub(crate) async fn by_body(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let named = fields.required("key")?;
    regenerate(&call, &caller.identity, &fields, &named).await
}

/// The key that the path names.
pub(crate) async fn by_path(
    caller: Caller<Manage>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let named = call.path("key").unwrap_or_default();
    regenerate(&call, &caller.identity, &fields, &named).await
}

async fn regenerate(
    call: &Call,
    identity: &Identity,
    fields: &Fields,
    named: &str,
) -> Result<HttpResponse, ApiError> {
    fields.only(&[FIELDS, terms::FIELDS, &["key", "new_key", "grace_period"]])?;
    let mut row = find(call, named).await?;
    let reach = Reach::of(call, identity).await?;
    let free = ["key", "key_alias", "new_key", "grace_period"];
    let hold = check_changes(call, &reach, &row, fields, &free).await?;
    check_takes(hold, &row)?;
    let now = UnixMs::now();
    let grace = fields.text("grace_period")?.set();
    let grace = grace.filter(|text| !text.is_empty());
    let usual = call.app().config.general.rotation_grace;
    let until = match grace {
        Some(text) => Some(expiry("grace_period", &text, now)?),
        None => usual.map(|grace| now.after(grace)),
    };
    change_checked(call, &reach, identity, fields, &mut row, "/key/regenerate").await?;
    let secret = secret(fields, "new_key")?.unwrap_or_else(key::generate);
    row.key_name = key::short_name(secret.expose());
    mark(identity, &mut row.settings);
    rotation::replaced(&mut row.rotation, now)?;
    let write = Write::RotateKey {
        row: Box::new(row.clone()),
        secret: key::id_of(secret.expose()),
        until,
    };
    apply(call, identity, vec![write]).await?;
    let spent = spent(call, &row).await?;
    Ok(HttpResponse::Ok().json(Response {
        key: secret.expose(),
        token: row.id.as_str(),
        token_id: row.id.as_str(),
        row: KeyAnswer::of(&row, &spent),
    }))
}

/// A secret is a way to act as the key's user: that of a key without a team is for the user itself, and for administrators.
fn check_takes(hold: Hold, row: &KeyRow) -> Result<(), ApiError> {
    let is_personal = row.user.is_some() && row.team.is_none();
    if is_personal && hold == Hold::Manages {
        return Err(others(
            "key",
            "The secret of a user's own key is for that user. Delete the key, or ask an administrator.",
        ));
    }
    Ok(())
}
