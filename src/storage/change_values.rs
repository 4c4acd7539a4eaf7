//! What the change log says of a key or tenant: JSON in one spelling, without secrets, not too long.
//!
//! Keys are their hashes, and what an operator keeps in free fields under a name that speaks of a secret is withheld, however
//! deep it lies. A value that is longer than [`LONGEST`] is told by its length and its hash.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};

use super::{EntryKind, EntryRow, KeyRow, SettingRow, TenantKind, TenantRow, Terms};
use crate::sealed::SEALED;
use crate::telemetry::redact::MASK;

/// Most bytes of a value before, or after.
const LONGEST: usize = 16 * 1024;

/// LiteLLM's name of the table of keys.
pub(super) const KEYS: &str = "LiteLLM_VerificationToken";
/// Of stored deployments.
pub(super) const MODELS: &str = "LiteLLM_ProxyModelTable";
/// Of stored credentials.
pub(super) const CREDENTIALS: &str = "LiteLLM_CredentialsTable";
/// Of stored settings.
pub(super) const SETTINGS: &str = "LiteLLM_Config";

pub(super) fn entry_table(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Model => MODELS,
        EntryKind::Credential => CREDENTIALS,
    }
}

/// LiteLLM's names.
pub(super) fn table_name(kind: TenantKind) -> &'static str {
    match kind {
        TenantKind::Organisation => "LiteLLM_OrganizationTable",
        TenantKind::Team => "LiteLLM_TeamTable",
        TenantKind::User => "LiteLLM_UserTable",
        TenantKind::TeamMember => "LiteLLM_TeamMembership",
        TenantKind::OrganisationMember => "LiteLLM_OrganizationMembership",
        TenantKind::EndUser => "LiteLLM_EndUserTable",
        TenantKind::Tag => "LiteLLM_TagTable",
        TenantKind::Budget => "LiteLLM_BudgetTable",
    }
}

pub(super) fn key_value(row: &KeyRow) -> Value {
    let mut value = json!({
        "token": row.id.as_str(),
        "key_name": row.key_name,
        "key_alias": row.alias,
        "user_id": row.user.as_ref().map(UserId::as_str),
        "team_id": row.team.as_ref().map(TeamId::as_str),
        "organization_id": row.organisation.as_ref().map(OrganisationId::as_str),
        "budget_id": row.budget_id,
        "models": row.models,
        "expires": row.expires_at.map(|at| at.0),
        "blocked": row.blocked,
        "auto_rotate": row.rotation.due_at.is_some(),
        "rotation_interval": row.rotation.interval,
        "rotation_count": row.rotation.count,
        "key_rotation_at": row.rotation.due_at.map(|at| at.0),
        "metadata": without_secrets(&row.metadata),
        "settings": without_secrets(&row.settings),
    });
    add_terms(&mut value, &row.terms);
    value
}

pub(super) fn tenant_value(row: &TenantRow) -> Value {
    let mut value = json!({
        "id": row.id,
        "alias": row.alias,
        "user_email": row.email,
        "role": row.role,
        "organization_id": row.organisation.as_ref().map(OrganisationId::as_str),
        "budget_id": row.budget_id,
        "models": row.models,
        "blocked": row.blocked,
        "settings": without_secrets(&row.settings),
    });
    add_terms(&mut value, &row.terms);
    value
}

pub(super) fn entry_value(row: &EntryRow) -> Value {
    let (id, name, params, info) = match row.kind {
        EntryKind::Model => ("model_id", "model_name", "litellm_params", "model_info"),
        EntryKind::Credential => (
            "credential_name",
            "display_name",
            "credential_values",
            "credential_info",
        ),
    };
    json!({
        id: row.id,
        name: row.name,
        params: unsealed(&Value::Object(row.params.clone())),
        info: without_secrets(&row.info),
        "blocked": row.blocked,
    })
}

pub(super) fn setting_value(row: &SettingRow) -> Value {
    json!({"param_name": row.name, "param_value": row.value})
}

/// What is encrypted is withheld. That it was replaced by something else is to be seen all the same.
fn unsealed(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(SEALED) => {
            let mut digest = hex::encode(Sha256::digest(text.as_bytes()));
            digest.truncate(8);
            Value::from(format!("{MASK} {digest}"))
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), unsealed(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(unsealed).collect(),
        other => other.clone(),
    }
}

fn add_terms(value: &mut Value, terms: &Terms) {
    let Some(members) = value.as_object_mut() else {
        return;
    };
    // What is stored as JSON; the plain figures are left out of it.
    if let Ok(Value::Object(more)) = serde_json::to_value(terms) {
        members.extend(more);
    }
    let max_budget = terms.max_budget.map(|amount| amount.to_string());
    members.insert("max_budget".to_owned(), json!(max_budget));
    for (name, limit) in [
        ("rpm_limit", terms.rpm_limit),
        ("tpm_limit", terms.tpm_limit),
        ("max_parallel_requests", terms.max_parallel_requests),
    ] {
        members.insert(name.to_owned(), json!(limit));
    }
}

/// Free fields: a text, list or object under a name that speaks of a secret is withheld, however deep it lies.
fn without_secrets(members: &Map<String, Value>) -> Value {
    let kept = members.iter().map(|(name, value)| {
        let value = match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            _ if speaks_of_secret(name) => Value::from(MASK),
            other => inside(other),
        };
        (name.clone(), value)
    });
    Value::Object(kept.collect())
}

fn inside(value: &Value) -> Value {
    match value {
        Value::Object(members) => without_secrets(members),
        Value::Array(items) => items.iter().map(inside).collect(),
        other => other.clone(),
    }
}

fn speaks_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "secret",
        "password",
        "passwd",
        "token",
        "credential",
        "authorization",
        "private",
        "api_key",
        "apikey",
        "_key",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// JSON in one spelling: members by name.
pub(super) fn text(mut value: Value) -> String {
    value.sort_all_objects();
    let text = value.to_string();
    if text.len() <= LONGEST {
        return text;
    }
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    json!({"sha256": hash, "too_long_bytes": text.len()}).to_string()
}

#[cfg(test)]
mod tests {
    use trunkline_actors::clock::UnixMs;

    use super::*;

    fn tenant(alias: &str) -> TenantRow {
        TenantRow {
            alias: Some(alias.to_owned()),
            ..TenantRow::new(TenantKind::Team, "t", UnixMs(1))
        }
    }

    #[test]
    fn what_speaks_of_a_secret_is_withheld_however_deep() {
        let mut row = tenant("a");
        row.settings = json!({"metadata": {"logging": [{"langfuse_secret_key": "hush", "max_tokens": 5}], "password": "hush"}})
            .as_object()
            .unwrap()
            .clone();
        let text = text(tenant_value(&row));
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains(r#""max_tokens":5"#), "{text}");
    }

    #[test]
    fn a_long_value_is_told_by_its_length_and_hash() {
        let row = TenantRow {
            models: vec!["m".repeat(LONGEST)],
            ..tenant("a")
        };
        let text = text(tenant_value(&row));
        assert!(text.len() < 200, "{text}");
        assert!(text.contains("too_long_bytes"));
    }
}
