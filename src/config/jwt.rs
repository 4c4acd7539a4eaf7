//! `general_settings.enable_jwt_auth` and `litellm_jwtauth`: callers that show a token of an identity provider.

use std::time::Duration;

use url::Url;

use super::env::Env;
use super::error::NoticeKind;
use super::jwt_issuers::{TokenIssuer, issuers};
use super::jwt_roles::{TokenRoles, roles};
use super::raw::{RawGeneral, RawJwt};
use super::report::Report;
use super::section::{seconds_above_zero, seconds_or_zero};
use super::settings::duration;
use super::yaml::KeyPath;

/// Whose tokens are believed, and what their claims mean.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the config, and none depends on another"
)]
pub struct JwtSettings {
    /// Where the keys are that tokens are signed with: key sets, or `OpenID` discovery documents.
    pub keys_at: Vec<Url>,
    /// A token must be for one of these; none: for anybody.
    pub audiences: Vec<String>,
    /// A token must be of this issuer; none: of whoever has a key.
    pub issuer: Option<String>,
    /// How far clocks may be apart. Default zero.
    pub leeway: Duration,
    /// How long keys are used before they are fetched again, above zero; less than 5 s counts as that. Default 10 minutes.
    pub keys_ttl: Duration,
    /// How much longer while they cannot be fetched. Default an hour.
    pub keys_stale: Duration,
    /// Which claim says what.
    pub claims: ClaimNames,
    /// Who has this scope is an administrator. Default `litellm_proxy_admin`.
    pub admin_scope: String,
    /// What such an administrator may call.
    pub admin_routes: Vec<String>,
    /// What a caller of a team may call.
    pub team_routes: Vec<String>,
    /// Where a token names no team.
    pub default_team: Option<String>,
    /// One of these roles is needed; empty: none.
    pub allowed_roles: Vec<String>,
    /// The domain that a user's address must be of.
    pub email_domain: Option<String>,
    /// Users that are not known are made.
    pub makes_users: bool,
    /// The team that a token names is made where it is not known.
    pub makes_teams: bool,
    /// Users become members of the team that their token is of.
    pub adds_members: bool,
    /// A user's role and teams are stored as its token says them.
    pub syncs: bool,
    /// A token needs a team.
    pub needs_team: bool,
    /// A token that names no team is of one of its user's.
    pub falls_back: bool,
    /// A token that names no team that there is, is of its user's only one.
    pub forgives_teams: bool,
    /// What tokens may by their roles and scopes.
    pub roles: TokenRoles,
    /// Issuers with keys, audiences and claims of their own; all that stands above is of other tokens.
    pub issuers: Vec<TokenIssuer>,
}

/// Names of claims, with dots between where one lies within another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user. Default `sub`, without `role_mappings`.
    pub user: Option<String>,
    /// The user's address.
    pub email: Option<String>,
    /// The user's roles, one of which must be allowed.
    pub roles: Option<String>,
    /// The roles that mappings translate.
    pub mapped_roles: Option<String>,
    /// The team or user, as a mapped role says.
    pub object: Option<String>,
    /// The team.
    pub team: Option<String>,
    /// The team's name.
    pub team_alias: Option<String>,
    /// Several teams; the first that there is counts.
    pub teams: Option<String>,
    /// The organisation.
    pub organisation: Option<String>,
    /// The organisation's name.
    pub organisation_alias: Option<String>,
    /// The customer.
    pub customer: Option<String>,
}

impl Default for JwtSettings {
    fn default() -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            keys_at: Vec::new(),
            audiences: Vec::new(),
            issuer: None,
            leeway: Duration::ZERO,
            keys_ttl: Duration::from_mins(10),
            keys_stale: Duration::from_hours(1),
            claims: ClaimNames {
                user: Some("sub".to_owned()),
                ..ClaimNames::default()
            },
            admin_scope: "litellm_proxy_admin".to_owned(),
            admin_routes: owned(&ADMIN_ROUTES),
            team_routes: owned(&TEAM_ROUTES),
            default_team: None,
            allowed_roles: Vec::new(),
            email_domain: None,
            makes_users: false,
            makes_teams: false,
            adds_members: false,
            syncs: false,
            needs_team: false,
            falls_back: false,
            forgives_teams: false,
            roles: TokenRoles::default(),
            issuers: Vec::new(),
        }
    }
}

const ADMIN_ROUTES: [&str; 4] = [
    "management_routes",
    "spend_tracking_routes",
    "global_spend_tracking_routes",
    "info_routes",
];
const TEAM_ROUTES: [&str; 4] = [
    "openai_routes",
    "info_routes",
    "/v1/messages",
    "/v1/messages/count_tokens",
];

/// `None`: tokens are no keys.
pub(super) fn jwt(raw: &RawGeneral, env: &dyn Env, report: &mut Report<'_>) -> Option<JwtSettings> {
    if !raw.enable_jwt_auth.unwrap_or(false) {
        return None;
    }
    let here = KeyPath::of(&["general_settings", "litellm_jwtauth"]);
    let said = &raw.litellm_jwtauth;
    seconds_above_zero(said.public_key_ttl, &here.key("public_key_ttl"), report);
    for (key, value) in [
        ("public_key_stale_ttl", said.public_key_stale_ttl),
        ("leeway", said.leeway),
    ] {
        seconds_or_zero(value, &here.key(key), report);
    }
    let (audiences, issuer) = (listed(env, "JWT_AUDIENCE"), env.var("JWT_ISSUER"));
    let keys_at = keys_at(env, !said.issuers.is_empty(), report);
    let takes_others = said.issuers.is_empty() || !keys_at.is_empty();
    if audiences.is_empty() && takes_others {
        report.notice(
            NoticeKind::Weak,
            &KeyPath::of(&["general_settings", "enable_jwt_auth"]),
            "every token of the identity provider is let in, whomever it is for: set JWT_AUDIENCE"
                .to_owned(),
        );
    }
    let seconds = |value: Option<f64>, default| value.and_then(duration).unwrap_or(default);
    let default = JwtSettings::default();
    let roles = roles(raw, &here, report);
    let said = said.clone();
    let claims = claims(&said, default.claims);
    let issuers = issuers(&said.issuers, &claims, &here, report);
    Some(JwtSettings {
        keys_at,
        audiences,
        issuer,
        leeway: seconds(said.leeway, default.leeway),
        keys_ttl: seconds(said.public_key_ttl, default.keys_ttl),
        keys_stale: seconds(said.public_key_stale_ttl, default.keys_stale),
        claims,
        admin_scope: said.admin_jwt_scope.unwrap_or(default.admin_scope),
        admin_routes: said.admin_allowed_routes.unwrap_or(default.admin_routes),
        team_routes: said.team_allowed_routes.unwrap_or(default.team_routes),
        default_team: said.team_id_default,
        allowed_roles: said.user_allowed_roles.unwrap_or(default.allowed_roles),
        email_domain: said.user_allowed_email_domain,
        makes_users: said.user_id_upsert.unwrap_or(default.makes_users),
        makes_teams: said.team_id_upsert.unwrap_or_default(),
        adds_members: said.upsert_sso_user_to_team.unwrap_or_default(),
        syncs: said.sync_user_role_and_teams.unwrap_or_default(),
        needs_team: said.enforce_team_based_model_access.unwrap_or_default(),
        falls_back: said.fallback_to_db_teams.unwrap_or_default(),
        forgives_teams: said.team_claim_fallback.unwrap_or_default(),
        roles,
        issuers,
    })
}

fn claims(said: &RawJwt, default: ClaimNames) -> ClaimNames {
    // Where roles say what a token is, not each of them is a user's.
    let usual = default.user.filter(|_| said.role_mappings.is_empty());
    ClaimNames {
        user: said.user_id_jwt_field.clone().or(usual),
        email: said.user_email_jwt_field.clone(),
        roles: said.user_roles_jwt_field.clone(),
        mapped_roles: said.roles_jwt_field.clone(),
        object: said.object_id_jwt_field.clone(),
        team: said.team_id_jwt_field.clone(),
        team_alias: said.team_alias_jwt_field.clone(),
        teams: said.team_ids_jwt_field.clone(),
        organisation: said.org_id_jwt_field.clone(),
        organisation_alias: said.org_alias_jwt_field.clone(),
        customer: said.end_user_id_jwt_field.clone(),
    }
}

fn keys_at(env: &dyn Env, has_issuers: bool, report: &mut Report<'_>) -> Vec<Url> {
    let name = "JWT_PUBLIC_KEY_URL";
    let mut urls = Vec::new();
    for text in listed(env, name) {
        match web_address(&text) {
            Some(url) => urls.push(url),
            None => report.problem_outside(
                name,
                format!("`{}` is no address", text.escape_debug()),
                "set the address of a key set, or of an OpenID discovery document; several with commas between",
            ),
        }
    }
    if urls.is_empty() && !has_issuers {
        report.problem_outside(
            name,
            "is not set, and general_settings.enable_jwt_auth is on",
            "set the address of the identity provider's key set, or of its OpenID discovery document",
        );
    }
    urls
}

/// `https://idp.example/keys`
pub(super) fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// The words of a variable, with commas between.
pub(super) fn listed(env: &dyn Env, name: &str) -> Vec<String> {
    let text = env.var(name).unwrap_or_default();
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}
