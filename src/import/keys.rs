//! Virtual keys as they are stored here. LiteLLM's hash of a key is its id here, so it goes on working.

use std::collections::BTreeSet;

use serde_json::Value;
use trunkline_actors::ids::{KeyId, OrganisationId, Subject, TeamId, UserId};

use super::row::SourceRow;
use super::tenants::{LITELLMS_PAGES, is_empty, kept, times};
use super::terms;
use super::{Context, Mapped, Refused, Remark};
use crate::auth::key_rules::{ALIASES, ALLOWED_ROUTES, KEY_TYPE};
use crate::auth::{RPM_LIMIT_TYPE, TPM_LIMIT_TYPE, key, terms as checks};
use crate::storage::{AsRead, ImportedRow, KeyRow, Rotation};

/// Columns that are kept as they are, as rules of the key.
const RULES: &[&str] = &[ALIASES, ALLOWED_ROUTES, KEY_TYPE];

/// Columns that are kept as they are and that this version does not act on.
const IDLE: &[&str] = &[
    "config",
    "router_settings",
    "permissions",
    "allowed_cache_controls",
    "policies",
    "access_group_ids",
    "budget_fallbacks",
    "object_permission_id",
    "agent_id",
    "project_id",
];

/// Members of the metadata that LiteLLM acts on and this version does not.
const IDLE_METADATA: &[&str] = &[
    "tag_rpm_limit",
    "tag_tpm_limit",
    "guardrails",
    "disable_fallbacks",
    "enforced_params",
    "end_user_budget_id",
    "logging",
    "cache",
];

/// Members of the metadata that are settings of a key here.
const SETTINGS_IN_METADATA: [&str; 2] = [RPM_LIMIT_TYPE, TPM_LIMIT_TYPE];

/// Letters of a SHA-256.
const HASH: usize = 64;

/// The row that `POST /key/generate` would have made.
pub(super) fn map(row: &SourceRow<'_>, context: &Context<'_>) -> Result<Mapped, Refused> {
    let mut remarks = BTreeSet::new();
    let id = id(row)?;
    let team = row.name("team_id")?;
    if team.as_deref() == Some(LITELLMS_PAGES) {
        return Err(Refused::LeftOut("is a session in LiteLLM's pages"));
    }
    let (created, updated) = times(row, context.now)?;
    let mut metadata = row.object("metadata")?;
    let mut read = terms::read(row, &mut remarks)?;
    terms::take_increase(&mut metadata, &mut read.terms, &mut remarks);
    terms::take_model_limits(&mut metadata, &mut read.terms);
    for name in IDLE_METADATA {
        if metadata.get(*name).is_some_and(|value| !is_empty(value)) {
            remarks.insert(Remark::Idle(name));
        }
    }
    let subject = Subject::from(&id);
    let openings = read.openings(row, &subject, context, &mut remarks)?;
    let alias = row.text("key_alias")?.filter(|alias| {
        let is_name = checks::name("key_alias", alias).is_ok();
        if !is_name {
            remarks.insert(Remark::Note(
                "key_alias is too long or holds control characters: it has none here",
            ));
        }
        is_name
    });
    let mut settings = kept(row, RULES, IDLE, &mut remarks)?;
    for name in SETTINGS_IN_METADATA {
        let word = metadata.remove(name).filter(Value::is_string);
        settings.extend(word.map(|word| (name.to_owned(), word)));
    }
    let rotation = rotation(row, context, &mut remarks)?;
    let row = KeyRow {
        id,
        key_name: key_name(row)?,
        alias,
        user: row.name("user_id")?.map(UserId::new),
        team: team.map(TeamId::new),
        organisation: row.name("organization_id")?.map(OrganisationId::new),
        budget_id: row.name("budget_id")?,
        models: row.texts("models")?,
        terms: read.terms,
        expires_at: row.time("expires")?,
        rotation,
        blocked: row.get("blocked")?.unwrap_or_default(),
        metadata,
        settings,
        created_at: created,
        created_by: row.text("created_by")?,
        updated_at: updated,
        as_read: AsRead::default(),
    };
    Ok(Mapped {
        row: ImportedRow::Key(Box::new(row)),
        openings,
        remarks,
    })
}

/// When the key is to get another secret. What LiteLLM had not planned yet is due.
fn rotation(
    row: &SourceRow<'_>,
    context: &Context<'_>,
    remarks: &mut BTreeSet<Remark>,
) -> Result<Rotation, Refused> {
    let written = row.text("rotation_interval")?;
    let is_wanted = row.get("auto_rotate")?.unwrap_or_default();
    let interval = written
        .clone()
        .filter(|text| checks::period("rotation_interval", text).is_ok());
    if interval.is_none() && (is_wanted || written.is_some()) {
        remarks.insert(Remark::Note(
            "rotation_interval is missing or cannot be read: the key is never due for another secret",
        ));
    }
    let due_at = match &interval {
        Some(_) if is_wanted => Some(row.time("key_rotation_at")?.unwrap_or(context.now)),
        _ => None,
    };
    Ok(Rotation {
        interval,
        due_at,
        count: row.count("rotation_count")?.unwrap_or_default(),
        last_at: row.time("last_rotation_at")?,
    })
}

/// The hash; versions that kept the key itself are hashed here.
fn id(row: &SourceRow<'_>) -> Result<KeyId, Refused> {
    let token = row.text("token")?.unwrap_or_default();
    if token.starts_with(key::PREFIX) {
        return Ok(key::id_of(&token));
    }
    let is_hash = token.len() == HASH && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        return Err(Refused::Because("token is no SHA-256".to_owned()));
    }
    Ok(KeyId::new(token.to_ascii_lowercase()))
}

/// `sk-...` and four characters, and nothing more: some versions kept more of a key.
fn key_name(row: &SourceRow<'_>) -> Result<String, Refused> {
    Ok(match row.text("key_name")? {
        Some(name) if is_shortened(&name) => name,
        Some(name) if name.starts_with(key::PREFIX) => key::short_name(&name),
        _ => "sk-...".to_owned(),
    })
}

/// Whether a key's name is one, and not the key.
pub(super) fn is_shortened(name: &str) -> bool {
    name.strip_prefix("sk-...")
        .is_some_and(|rest| rest.chars().count() <= 4)
}
