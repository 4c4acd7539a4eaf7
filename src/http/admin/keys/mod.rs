//! Virtual keys over HTTP. Contract: `endpoints` §3, §8, §10.
//!
//! | file | endpoints |
//! | --- | --- |
//! | `generate` | `/key/generate`, `/key/service-account/generate` |
//! | `update` | `/key/update`, `/key/block`, `/key/unblock` |
//! | `delete` | `/key/delete` |
//! | `regenerate` | `/key/regenerate`, `/key/{key}/regenerate` |
//! | `many` | `/v2/key/info`, `/key/bulk_update`, `/key/aliases`, `/key/health` |
//! | `info` | `/key/info`, `/key/list` |
//! | `reset_spend` | `/key/{key}/reset_spend` |
//! | `rotation` | when a key is to get another secret |
//!
//! A key is named by its text or by its hash. Whose it may be is decided in `owner`.

pub mod delete;
pub mod generate;
pub mod info;
pub mod many;
mod owner;
pub mod regenerate;
pub mod reset_spend;
mod rotation;
mod throughput;
pub mod update;

pub(super) use self::owner::MEMBER_PERMISSIONS;

use serde::Serialize;
use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, Subject, TeamId, UserId};
use trunkline_actors::money::Usd;

use super::fields::{Change, Fields};
use super::terms::{Shown, model_aliases};
use super::{PlainUsd, ship};
use crate::auth::key_rules::{
    ALIASES, ALLOWED_IPS, ALLOWED_ROUTES, IN_OTHER_HANDS, KEY_TYPE, check_addresses, check_routes,
    check_type,
};
use crate::auth::terms::TermsError;
use crate::auth::{Identity, RPM_LIMIT_TYPE, TPM_LIMIT_TYPE, key};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::http::time::iso;
use crate::storage::KeyRow;

/// Members of a body that say what a key is; its terms come on top.
const FIELDS: &[&str] = &[
    "key_alias",
    "user_id",
    "team_id",
    "organization_id",
    "budget_id",
    "models",
    "duration",
    "blocked",
    "metadata",
    "tags",
    ALLOWED_ROUTES,
    ALLOWED_IPS,
    KEY_TYPE,
    ALIASES,
    rotation::AUTO_ROTATE,
    rotation::INTERVAL,
    RPM_LIMIT_TYPE,
    TPM_LIMIT_TYPE,
];

/// Most keys that one call names.
const MOST_NAMED: usize = 1_000;

/// A key as answers show it.
#[derive(Debug, Serialize)]
struct KeyAnswer<'a> {
    key_name: &'a str,
    key_alias: Option<&'a str>,
    user_id: Option<&'a str>,
    team_id: Option<&'a str>,
    org_id: Option<&'a str>,
    organization_id: Option<&'a str>,
    budget_id: Option<&'a str>,
    models: &'a [String],
    spend: PlainUsd,
    total_spend: PlainUsd,
    #[serde(flatten)]
    terms: Shown<'a>,
    budget_reset_at: Option<String>,
    blocked: bool,
    metadata: &'a Map<String, Value>,
    allowed_routes: Vec<&'a str>,
    allowed_ips: Vec<&'a str>,
    key_type: Option<&'a str>,
    aliases: Map<String, Value>,
    rpm_limit_type: Option<&'a str>,
    tpm_limit_type: Option<&'a str>,
    expires: Option<String>,
    auto_rotate: bool,
    rotation_interval: Option<&'a str>,
    rotation_count: u64,
    last_rotation_at: Option<String>,
    key_rotation_at: Option<String>,
    created_at: Option<String>,
    created_by: Option<&'a str>,
    updated_at: Option<String>,
}

/// What a key has spent.
#[derive(Debug, Default)]
struct Spent {
    /// In the window of its budget that runs; without a budget, since the last reset.
    window: Usd,
    /// Ever.
    total: Usd,
    resets_at: Option<UnixMs>,
}

// === impl KeyAnswer ===

impl<'a> KeyAnswer<'a> {
    fn of(row: &'a KeyRow, spent: &Spent) -> Self {
        let organisation = row.organisation.as_ref().map(OrganisationId::as_str);
        Self {
            key_name: &row.key_name,
            key_alias: row.alias.as_deref(),
            user_id: row.user.as_ref().map(UserId::as_str),
            team_id: row.team.as_ref().map(TeamId::as_str),
            org_id: organisation,
            organization_id: organisation,
            budget_id: row.budget_id.as_deref(),
            models: &row.models,
            spend: PlainUsd(spent.window),
            total_spend: PlainUsd(spent.total),
            terms: Shown::of(&row.terms),
            budget_reset_at: spent.resets_at.and_then(iso),
            blocked: row.blocked,
            metadata: &row.metadata,
            allowed_routes: texts(&row.settings, ALLOWED_ROUTES),
            allowed_ips: texts(&row.settings, ALLOWED_IPS),
            key_type: row.settings.get(KEY_TYPE).and_then(Value::as_str),
            aliases: row
                .settings
                .get(ALIASES)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            rpm_limit_type: row.settings.get(RPM_LIMIT_TYPE).and_then(Value::as_str),
            tpm_limit_type: row.settings.get(TPM_LIMIT_TYPE).and_then(Value::as_str),
            expires: row.expires_at.and_then(iso),
            auto_rotate: row.rotation.due_at.is_some(),
            rotation_interval: row.rotation.interval.as_deref(),
            rotation_count: row.rotation.count,
            last_rotation_at: row.rotation.last_at.and_then(iso),
            key_rotation_at: row.rotation.due_at.and_then(iso),
            created_at: iso(row.created_at),
            created_by: row.created_by.as_deref(),
            updated_at: iso(row.updated_at),
        }
    }
}

fn texts<'a>(settings: &'a Map<String, Value>, name: &str) -> Vec<&'a str> {
    let list = settings.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

async fn find(call: &Call, named: &str) -> Result<KeyRow, ApiError> {
    find_any(call, named).await?.ok_or_else(not_found)
}

/// 404, with LiteLLM's type.
pub(super) fn not_found() -> ApiError {
    ApiError::new(Code::NotFound, "Key not found in database")
        .kind("not_found_error")
        .param("key")
}

/// The key of that id, or with that secret.
async fn find_any(call: &Call, named: &str) -> Result<Option<KeyRow>, ApiError> {
    let keys = &call.app().store.keys;
    let id = key::id_of_named(named);
    if let Some(found) = keys.by_secret(id.clone(), UnixMs::now()).await? {
        return Ok(Some(found.row));
    }
    // A key that got another secret is still named by its id, but no more by the secret that the id was made of.
    let is_secret = named.starts_with(key::PREFIX);
    Ok(if is_secret {
        None
    } else {
        keys.by_id(id).await?
    })
}

/// What a key has spent, once the newest requests are in the store.
async fn spent(call: &Call, row: &KeyRow) -> Result<Spent, ApiError> {
    ship(call).await;
    spent_as_shipped(call, row).await
}

/// What a key has spent, as the store has it.
async fn spent_as_shipped(call: &Call, row: &KeyRow) -> Result<Spent, ApiError> {
    let app = call.app();
    let subject = Subject::from(&row.id);
    let total = app.store.spend.key_spend(row.id.clone()).await?;
    let budget_id = row.budget_id.as_deref();
    let state = app.payers.state(&subject, &row.terms, budget_id).await?;
    Ok(Spent {
        window: state.spent,
        total,
        resets_at: state.resets_at,
    })
}

/// `metadata`, with `tags` in it, as LiteLLM keeps them.
fn change_metadata(fields: &Fields, metadata: &mut Map<String, Value>) -> Result<(), ApiError> {
    let written = fields.get("metadata", "an object")?;
    let tags = fields.texts("tags")?.map(Value::from);
    // Who writes the metadata and sends null for what it does not use says there which tags there are.
    let is_unused = matches!(written, Change::Set(_)) && tags == Change::Clear;
    written.apply_or_default(metadata);
    if !is_unused {
        tags.put(metadata, "tags");
    }
    Ok(())
}

/// What the key may do less than its user.
fn change_settings(fields: &Fields, settings: &mut Map<String, Value>) -> Result<(), ApiError> {
    let checked = |name, check: fn(&[String]) -> Result<(), TermsError>| {
        fields.texts(name)?.try_map(|list| {
            check(&list)
                .map(|()| Value::from(list))
                .map_err(ApiError::from)
        })
    };
    checked(ALLOWED_ROUTES, check_routes)?.put(settings, ALLOWED_ROUTES);
    checked(ALLOWED_IPS, check_addresses)?.put(settings, ALLOWED_IPS);
    let word = fields.text(KEY_TYPE)?;
    let word = word.try_map(|word| check_type(&word).map(|()| Value::from(word)))?;
    word.put(settings, KEY_TYPE);
    model_aliases(fields, ALIASES)?.put(settings, ALIASES);
    throughput::change(fields, settings)?;
    Ok(())
}

/// A secret that is shown to a key that others may hold is shown to these.
fn mark(identity: &Identity, settings: &mut Map<String, Value>) {
    if identity.is_in_other_hands() {
        settings.insert(IN_OTHER_HANDS.to_owned(), Value::Bool(true));
    }
}
