//! How people sign in: the form's name and password, and an `OpenID` Connect provider. All of it is said by variables, as LiteLLM
//! has them; `litellm_settings.default_internal_user_params` says what a new user gets.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::env::Env;
use super::jwt::{listed, web_address};
use super::raw::RawLitellm;
use super::report::Report;
use super::secret::Secret;
use super::span;
use super::yaml::KeyPath;
use crate::cost::parse_price;
use rust_decimal::Decimal;

/// Roles that a user may have, whoever gives them: the one that may most first.
pub const USER_ROLES: [&str; 4] = [
    "proxy_admin",
    "proxy_admin_viewer",
    "internal_user",
    "internal_user_viewer",
];

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSettings {
    /// `UI_USERNAME`: who administers by the form. Default `admin`.
    pub username: String,
    /// `UI_PASSWORD`; `None`: the master key.
    pub password: Option<Secret>,
    /// How long a session lasts, a minute at least. Default 8 hours.
    pub session_life: Duration,
    /// `PROXY_BASE_URL`: where people see this gateway, with a path that ends in `/`.
    pub base_url: Option<Url>,
    /// `PROXY_ADMIN_ID`: this user administers, whatever else is said of it.
    pub admin_user: Option<String>,
    /// The provider; `None`: the form alone.
    pub provider: Option<SsoProvider>,
    /// What a user gets that signs in for the first time.
    pub new_users: NewUsers,
}

/// Where people are sent, and what is read of what comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoProvider {
    /// Who this gateway is there.
    pub client_id: String,
    /// What it proves that with.
    pub client_secret: Secret,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where a code becomes tokens.
    pub token_endpoint: Url,
    /// Where a token tells of its user.
    pub userinfo_endpoint: Url,
    /// What is asked for, with spaces between.
    pub scope: String,
    /// The id goes into the body besides, for providers that want it there.
    pub includes_client_id: bool,
    /// Claim with the user's id.
    pub id_claim: String,
    /// Claim with the user's address.
    pub email_claim: String,
    /// Claim with a role by its name here; nobody's role is changed where it is not there.
    pub role_claim: String,
    /// Claim with groups.
    pub group_claim: Option<String>,
    /// Role and the groups that give it, the role that may most first.
    pub role_groups: Vec<(String, Vec<String>)>,
    /// The role of who is in none of them.
    pub default_role: Option<String>,
    /// Domains that addresses must be of; none: any.
    pub email_domains: Vec<String>,
}

/// `default_internal_user_params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUsers {
    /// Default `internal_user_viewer` (LiteLLM's).
    pub role: String,
    /// USD.
    pub max_budget: Option<Decimal>,
    /// The budget's period.
    pub budget_duration: Option<String>,
    /// Models; empty: all.
    pub models: Vec<String>,
}

impl Default for NewUsers {
    fn default() -> Self {
        Self {
            role: "internal_user_viewer".to_owned(),
            max_budget: None,
            budget_duration: None,
            models: Vec::new(),
        }
    }
}

/// Reads the variables.
pub(super) fn sign_in(
    litellm: &RawLitellm,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> SignInSettings {
    let provider = provider(env, report);
    let mut base_url = url("PROXY_BASE_URL", env, report);
    if client(env).is_some() && env.var("PROXY_BASE_URL").is_none() {
        report.problem_outside(
            "PROXY_BASE_URL",
            "is not set, and people are to sign in with an identity provider",
            "set the address at which people see this gateway, such as https://llm.example.com: the provider sends them back to it",
        );
    }
    if let Some(url) = base_url.as_mut().filter(|url| !url.path().ends_with('/')) {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    SignInSettings {
        username: env.var("UI_USERNAME").unwrap_or_else(|| "admin".to_owned()),
        password: env.var("UI_PASSWORD").map(Secret::new),
        session_life: session_life(env, report),
        base_url,
        admin_user: env.var("PROXY_ADMIN_ID"),
        provider,
        new_users: new_users(litellm, report),
    }
}

fn session_life(env: &dyn Env, report: &mut Report<'_>) -> Duration {
    let name = "LITELLM_UI_SESSION_DURATION";
    let usual = Duration::from_hours(8);
    let Some(text) = env.var(name) else {
        return usual;
    };
    match span::parse(text.trim()) {
        Some(life) if life >= Duration::from_mins(1) => life,
        _ => {
            let fix = "write a number and a unit, a minute at least, such as 8h";
            report.problem_outside(name, "is not how long a session can last", fix);
            usual
        }
    }
}

fn url(name: &str, env: &dyn Env, report: &mut Report<'_>) -> Option<Url> {
    let url = web_address(&env.var(name)?);
    if url.is_none() {
        report.problem_outside(name, "is no address", "write it with https:// or http://");
    }
    url
}

/// The first that has a client id, in LiteLLM's order, if all that it needs is there.
fn provider(env: &dyn Env, report: &mut Report<'_>) -> Option<SsoProvider> {
    client(env).and_then(|(name, client_id)| named(name, client_id, env, report))
}

/// The provider that is asked, and who this gateway is there.
fn client(env: &dyn Env) -> Option<(&'static str, String)> {
    ["GOOGLE", "MICROSOFT", "GENERIC"]
        .into_iter()
        .find_map(|name| Some((name, env.var(&format!("{name}_CLIENT_ID"))?)))
}

/// Endpoints of a provider that is known: where people sign in, tokens, users.
fn known(name: &str, env: &dyn Env, report: &mut Report<'_>) -> Option<[String; 3]> {
    if name == "GOOGLE" {
        let known = [
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://openidconnect.googleapis.com/v1/userinfo",
        ];
        return Some(known.map(str::to_owned));
    }
    let tenant = required("MICROSOFT_TENANT", env, report)?;
    let at = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0");
    Some([
        format!("{at}/authorize"),
        format!("{at}/token"),
        "https://graph.microsoft.com/v1.0/me".to_owned(),
    ])
}

fn required(name: &str, env: &dyn Env, report: &mut Report<'_>) -> Option<String> {
    let value = env.var(name);
    if value.is_none() {
        report.problem_outside(
            name,
            "is not set, and the client id of that identity provider is",
            "set it as the provider says, or remove the client id",
        );
    }
    value
}

fn named(
    name: &str,
    client_id: String,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<SsoProvider> {
    let secret = required(&format!("{name}_CLIENT_SECRET"), env, report);
    let variables =
        ["AUTHORIZATION", "TOKEN", "USERINFO"].map(|what| format!("{name}_{what}_ENDPOINT"));
    let known = match name {
        "GENERIC" => None,
        name => Some(known(name, env, report)?),
    };
    let mut endpoints = Vec::with_capacity(variables.len());
    for (at, variable) in variables.iter().enumerate() {
        let usual = known.as_ref().and_then(|known| known.get(at));
        let usual = usual.and_then(|text| Url::parse(text).ok());
        let found = match (usual, env.var(variable)) {
            // Microsoft has other clouds.
            (_, Some(_)) => url(variable, env, report),
            (Some(usual), None) => Some(usual),
            (None, None) => {
                required(variable, env, report);
                None
            }
        };
        endpoints.extend(found);
    }
    let (usual_scope, id, email, role) = match name {
        "GOOGLE" => ("openid email profile", "sub", "email", "role"),
        "MICROSOFT" => (
            "openid email profile User.Read",
            "id",
            "userPrincipalName",
            "roles",
        ),
        _ => (
            "openid email profile",
            "preferred_username",
            "email",
            "role",
        ),
    };
    let claim = |what: &str, usual: &str| {
        let said = env.var(&format!("{name}_USER_{what}_ATTRIBUTE"));
        said.unwrap_or_else(|| usual.to_owned())
    };
    let default_role = "GENERIC_ROLE_MAPPINGS_DEFAULT_ROLE";
    let default_role = env.var(default_role).filter(|role| {
        let is_one = USER_ROLES.contains(&role.as_str());
        if !is_one {
            let fix = format!("write one of {}", USER_ROLES.join(", "));
            report.problem_outside(default_role, "is not a role of users", fix);
        }
        is_one
    });
    let role_groups = role_groups(env, report);
    let [authorization_endpoint, token_endpoint, userinfo_endpoint] =
        <[Url; 3]>::try_from(endpoints).ok()?;
    Some(SsoProvider {
        client_id,
        client_secret: Secret::new(secret?),
        authorization_endpoint,
        token_endpoint,
        userinfo_endpoint,
        scope: env
            .var(&format!("{name}_SCOPE"))
            .unwrap_or_else(|| usual_scope.to_owned()),
        includes_client_id: env.is_on("GENERIC_INCLUDE_CLIENT_ID"),
        id_claim: claim("ID", id),
        email_claim: claim("EMAIL", email),
        role_claim: claim("ROLE", role),
        group_claim: env.var("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM"),
        role_groups,
        default_role,
        email_domains: listed(env, "ALLOWED_EMAIL_DOMAINS"),
    })
}

/// `{"proxy_admin": ["ops"]}`, or as Python writes it.
fn role_groups(env: &dyn Env, report: &mut Report<'_>) -> Vec<(String, Vec<String>)> {
    type Groups = BTreeMap<String, Vec<String>>;
    let name = "GENERIC_ROLE_MAPPINGS_ROLES";
    let Some(text) = env.var(name) else {
        return Vec::new();
    };
    let json = serde_json::from_str(&text);
    let read = json.or_else(|_python| serde_json::from_str::<Groups>(&text.replace('\'', "\"")));
    let known = |groups: &Groups| {
        groups
            .keys()
            .all(|role| USER_ROLES.contains(&role.as_str()))
    };
    let Some(mut groups) = read.ok().filter(known) else {
        let fix = format!(
            "write groups by role, such as {{\"proxy_admin\": [\"ops\"]}}; roles are {}",
            USER_ROLES.join(", ")
        );
        report.problem_outside(name, "cannot be read", fix);
        return Vec::new();
    };
    USER_ROLES
        .into_iter()
        .filter_map(|role| Some((role.to_owned(), groups.remove(role)?)))
        .collect()
}

fn new_users(litellm: &RawLitellm, report: &mut Report<'_>) -> NewUsers {
    let here = KeyPath::of(&["litellm_settings", "default_internal_user_params"]);
    let said = &litellm.default_internal_user_params;
    let mut new = NewUsers {
        models: said.models.clone(),
        budget_duration: said.budget_duration.clone(),
        ..NewUsers::default()
    };
    match said.user_role.as_deref() {
        Some(role) if USER_ROLES.contains(&role) => role.clone_into(&mut new.role),
        Some(_) => report.problem(
            &here.key("user_role"),
            "is not a role of users",
            format!("write one of {}", USER_ROLES.join(", ")),
        ),
        None => {}
    }
    if let Some(text) = &said.max_budget {
        new.max_budget = parse_price(text);
        if new.max_budget.is_none() {
            let fix = "write USD, 0 or more, such as 100.0";
            report.problem(&here.key("max_budget"), "is not an amount", fix);
        }
    }
    span::read(
        said.budget_duration.as_deref(),
        &here.key("budget_duration"),
        report,
    );
    new
}
