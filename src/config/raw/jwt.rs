//! What is written of callers that show a token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::OneOrMany;

/// `general_settings.litellm_jwtauth`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::config) struct RawJwt {
    pub(in crate::config) user_id_jwt_field: Option<String>,
    pub(in crate::config) user_email_jwt_field: Option<String>,
    pub(in crate::config) user_roles_jwt_field: Option<String>,
    pub(in crate::config) user_allowed_roles: Option<Vec<String>>,
    pub(in crate::config) user_allowed_email_domain: Option<String>,
    pub(in crate::config) user_id_upsert: Option<bool>,
    pub(in crate::config) team_id_jwt_field: Option<String>,
    pub(in crate::config) team_ids_jwt_field: Option<String>,
    pub(in crate::config) team_id_default: Option<String>,
    pub(in crate::config) team_allowed_routes: Option<Vec<String>>,
    pub(in crate::config) org_id_jwt_field: Option<String>,
    pub(in crate::config) end_user_id_jwt_field: Option<String>,
    pub(in crate::config) admin_jwt_scope: Option<String>,
    pub(in crate::config) admin_allowed_routes: Option<Vec<String>>,
    pub(in crate::config) public_key_ttl: Option<f64>,
    pub(in crate::config) public_key_stale_ttl: Option<f64>,
    pub(in crate::config) leeway: Option<f64>,
    pub(in crate::config) team_id_upsert: Option<bool>,
    pub(in crate::config) team_alias_jwt_field: Option<String>,
    pub(in crate::config) org_alias_jwt_field: Option<String>,
    pub(in crate::config) upsert_sso_user_to_team: Option<bool>,
    pub(in crate::config) sync_user_role_and_teams: Option<bool>,
    pub(in crate::config) jwt_litellm_role_map: Vec<RawUserRole>,
    pub(in crate::config) roles_jwt_field: Option<String>,
    pub(in crate::config) role_mappings: Vec<RawRoleMapping>,
    pub(in crate::config) object_id_jwt_field: Option<String>,
    pub(in crate::config) scope_mappings: Vec<RawScopeMapping>,
    pub(in crate::config) enforce_scope_based_access: Option<bool>,
    pub(in crate::config) enforce_rbac: Option<bool>,
    pub(in crate::config) enforce_team_based_model_access: Option<bool>,
    pub(in crate::config) fallback_to_db_teams: Option<bool>,
    pub(in crate::config) team_claim_fallback: Option<bool>,
    pub(in crate::config) issuers: Vec<RawIssuer>,
}

/// One entry of `issuers`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::config) struct RawIssuer {
    pub(in crate::config) issuer: Option<String>,
    pub(in crate::config) jwks_url: Option<String>,
    pub(in crate::config) audience: OneOrMany,
    pub(in crate::config) disable_audience_validation: Option<bool>,
    pub(in crate::config) user_id_jwt_field: Option<String>,
    pub(in crate::config) user_email_jwt_field: Option<String>,
    pub(in crate::config) team_id_jwt_field: Option<String>,
    pub(in crate::config) team_ids_jwt_field: Option<String>,
    pub(in crate::config) org_id_jwt_field: Option<String>,
    pub(in crate::config) end_user_id_jwt_field: Option<String>,
    #[serde(flatten)]
    pub(in crate::config) others: BTreeMap<String, Value>,
}

/// One entry of `role_mappings`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::config) struct RawRoleMapping {
    pub(in crate::config) role: Option<String>,
    pub(in crate::config) internal_role: Option<String>,
}

/// One entry of `jwt_litellm_role_map`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::config) struct RawUserRole {
    pub(in crate::config) jwt_role: Option<String>,
    pub(in crate::config) litellm_role: Option<String>,
}

/// One entry of `scope_mappings`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::config) struct RawScopeMapping {
    pub(in crate::config) scope: Option<String>,
    pub(in crate::config) models: Vec<String>,
    pub(in crate::config) routes: Vec<String>,
}

/// One entry of `general_settings.role_permissions`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::config) struct RawRolePermissions {
    pub(in crate::config) role: Option<String>,
    pub(in crate::config) models: Option<Vec<String>>,
    pub(in crate::config) routes: Option<Vec<String>>,
}
