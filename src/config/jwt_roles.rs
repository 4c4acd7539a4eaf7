//! What tokens may by their roles and scopes: `role_mappings`, `jwt_litellm_role_map`, `scope_mappings` of `litellm_jwtauth`, and
//! `general_settings.role_permissions`.
//!
//! ```yaml
//! role_mappings: [{role: gateway-team, internal_role: team}]
//! jwt_litellm_role_map: [{jwt_role: "ops-*", litellm_role: proxy_admin_viewer}]
//! scope_mappings: [{scope: chat.small, models: [gpt-4o-mini], routes: [/v1/chat/completions]}]
//! role_permissions: [{role: team, models: [gpt-4o], routes: [openai_routes]}]
//! ```

use super::error::NoticeKind;
use super::raw::{RawGeneral, RawJwt};
use super::report::Report;
use super::sign_in::USER_ROLES;
use super::yaml::KeyPath;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRole {
    /// Managing the gateway.
    Admin,
    /// A team, and nobody in it.
    Team,
    /// A user.
    User,
}

/// What the config says of roles and scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRoles {
    /// What a token with a role of the identity provider's is; the first that fits counts.
    pub mappings: Vec<(String, TokenRole)>,
    /// The role that a user with one of the identity provider's gets, which may hold `*`; the first that fits counts.
    pub of_users: Vec<(String, String)>,
    /// What each scope opens; `None`: scopes open nothing and close nothing.
    pub scopes: Option<Vec<ScopeMapping>>,
    /// What each sort of token may; `None`: a token needs to be of none of them.
    pub permissions: Option<Vec<RolePermissions>>,
}

/// What a scope opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeMapping {
    /// The word in `scope`.
    pub scope: String,
    /// Models, as in a key's list; none: no model.
    pub models: Vec<String>,
    /// Routes and groups of routes; none: all.
    pub routes: Vec<String>,
}

/// What a sort of token may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePermissions {
    /// Which sort.
    pub role: TokenRole,
    /// Models, as in a key's list; `None`: all.
    pub models: Option<Vec<String>>,
    /// Routes and groups of routes; `None`: all.
    pub routes: Option<Vec<String>>,
}

// === impl TokenRole ===

impl TokenRole {
    fn read(word: Option<&str>, path: &KeyPath, report: &mut Report<'_>) -> Option<Self> {
        match word {
            Some("proxy_admin") => Some(Self::Admin),
            Some("team") => Some(Self::Team),
            Some("internal_user") => Some(Self::User),
            _ => {
                let fix = "write proxy_admin, team or internal_user";
                report.problem(path, "is missing or not a role of tokens", fix);
                None
            }
        }
    }
}

/// Reads all of it.
pub(super) fn roles(raw: &RawGeneral, here: &KeyPath, report: &mut Report<'_>) -> TokenRoles {
    let said = &raw.litellm_jwtauth;
    for (key, is_said) in [
        ("role_mappings", !said.role_mappings.is_empty()),
        (
            "jwt_litellm_role_map",
            !said.jwt_litellm_role_map.is_empty(),
        ),
    ] {
        if is_said && said.roles_jwt_field.is_none() {
            let fix = "write roles_jwt_field: the claim that holds roles";
            let what = "says what roles mean, and roles_jwt_field does not say where they are";
            report.problem(&here.key(key), what, fix);
        }
    }
    if said.object_id_jwt_field.is_some() && said.role_mappings.is_empty() {
        let fix = "write role_mappings, which say whether it is a team or a user";
        report.problem(&here.key("object_id_jwt_field"), "needs role_mappings", fix);
    }
    TokenRoles {
        mappings: mappings(said, &here.key("role_mappings"), report),
        of_users: of_users(said, here, report),
        scopes: scopes(said, here, report),
        permissions: permissions(raw, report),
    }
}

fn required(text: Option<&String>, path: &KeyPath, report: &mut Report<'_>) -> Option<String> {
    let text = text.filter(|text| !text.trim().is_empty());
    if text.is_none() {
        report.problem(
            path,
            "is missing",
            "write the role or scope as tokens have it",
        );
    }
    text.cloned()
}

fn mappings(said: &RawJwt, list: &KeyPath, report: &mut Report<'_>) -> Vec<(String, TokenRole)> {
    let mut read = Vec::new();
    for (at, one) in said.role_mappings.iter().enumerate() {
        let here = list.index(at);
        let role = required(one.role.as_ref(), &here.key("role"), report);
        let is = TokenRole::read(
            one.internal_role.as_deref(),
            &here.key("internal_role"),
            report,
        );
        read.extend(role.zip(is));
    }
    read
}

fn of_users(said: &RawJwt, here: &KeyPath, report: &mut Report<'_>) -> Vec<(String, String)> {
    let list = here.key("jwt_litellm_role_map");
    if !said.jwt_litellm_role_map.is_empty() && !said.sync_user_role_and_teams.unwrap_or(false) {
        let what = "changes nobody's role without sync_user_role_and_teams: true";
        report.notice(NoticeKind::Adjusted, &list, what.to_owned());
    }
    let mut read = Vec::new();
    for (at, one) in said.jwt_litellm_role_map.iter().enumerate() {
        let here = list.index(at);
        let role = required(one.jwt_role.as_ref(), &here.key("jwt_role"), report);
        let given = one.litellm_role.as_deref();
        if let Some(given) = given.filter(|given| USER_ROLES.contains(given)) {
            read.extend(role.map(|role| (role, given.to_owned())));
        } else {
            report.problem(
                &here.key("litellm_role"),
                "is missing or not a role of users",
                format!("write one of {}", USER_ROLES.join(", ")),
            );
        }
    }
    read
}

fn scopes(said: &RawJwt, here: &KeyPath, report: &mut Report<'_>) -> Option<Vec<ScopeMapping>> {
    let list = here.key("scope_mappings");
    let is_enforced = said.enforce_scope_based_access.unwrap_or(false);
    if !is_enforced && !said.scope_mappings.is_empty() {
        let fix = "write enforce_scope_based_access: true, or remove the key";
        report.problem(&list, "holds nobody to anything", fix);
    }
    if is_enforced && said.scope_mappings.is_empty() {
        let fix = "write scope_mappings, such as [{scope: chat, models: [gpt-4o]}]";
        let key = here.key("enforce_scope_based_access");
        report.problem(&key, "needs scope_mappings: no scope opens a model", fix);
    }
    let mut read = Vec::new();
    for (at, one) in said.scope_mappings.iter().enumerate() {
        let here = list.index(at);
        let scope = required(one.scope.as_ref(), &here.key("scope"), report);
        read.extend(scope.map(|scope| ScopeMapping {
            scope,
            models: one.models.clone(),
            routes: one.routes.clone(),
        }));
    }
    is_enforced.then_some(read)
}

fn permissions(raw: &RawGeneral, report: &mut Report<'_>) -> Option<Vec<RolePermissions>> {
    let list = KeyPath::of(&["general_settings", "role_permissions"]);
    let is_enforced = raw.litellm_jwtauth.enforce_rbac.unwrap_or(false);
    if !is_enforced && !raw.role_permissions.is_empty() {
        report.notice(
            NoticeKind::Weak,
            &list,
            "holds nobody to anything without litellm_jwtauth.enforce_rbac: true".to_owned(),
        );
    }
    let mut read = Vec::new();
    for (at, one) in raw.role_permissions.iter().enumerate() {
        let role = list.index(at).key("role");
        let role = TokenRole::read(one.role.as_deref(), &role, report);
        read.extend(role.map(|role| RolePermissions {
            role,
            models: one.models.clone(),
            routes: one.routes.clone(),
        }));
    }
    is_enforced.then_some(read)
}
