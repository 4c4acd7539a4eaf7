//! Who somebody is here whom the identity provider knows: the user of that id, made at the first sign-in as
//! `litellm_settings.default_internal_user_params` says. Roles that claims give are stored at each sign-in, and roles that groups gave
//! are gone with them.

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::UserId;
use trunkline_actors::money::Usd;

use crate::app::App;
use crate::auth::{claim_texts, is_of, terms};
use crate::config::{NewUsers, SsoProvider, USER_ROLES};
use crate::http::error::{ApiError, Code};
use crate::storage::{ChangedBy, StorageError, TenantKind, TenantRow, Terms, Write};

/// Who makes these changes, in the log.
const MAKER: &str = "sign-in";

/// Whom the claims name; in the store it is there afterwards.
pub(super) async fn signed_in(
    app: &App,
    provider: &SsoProvider,
    claims: &Map<String, Value>,
) -> Result<String, ApiError> {
    let id = one(claims, &provider.id_claim).ok_or_else(|| {
        denied(format!(
            "The identity provider says no '{}', which is to be the user's id. GENERIC_USER_ID_ATTRIBUTE names another claim.",
            provider.id_claim
        ))
    })?;
    terms::name("user_id", id)?;
    let email = one(claims, &provider.email_claim);
    check_domain(&provider.email_domains, email)?;
    let settings = &app.config.sign_in;
    let role = if settings.admin_user.as_deref() == Some(id) {
        Some("proxy_admin")
    } else {
        role(provider, claims)
    };
    let now = UnixMs::now();
    let known = app.store.tenants.by_id(TenantKind::User, id.to_owned());
    let write = match known.await? {
        None => Some(Write::EnsureTenant(Box::new(new(
            &settings.new_users,
            id,
            email,
            role,
            now,
        )))),
        Some(row) => {
            let role = role.or_else(|| {
                is_lost(provider, row.role.as_deref()).then_some(&*settings.new_users.role)
            });
            changed(row, email, role, now).map(|row| Write::PutTenant(Box::new(row)))
        }
    };
    if let Some(write) = write {
        store(app, write).await?;
    }
    Ok(id.to_owned())
}

async fn store(app: &App, write: Write) -> Result<(), ApiError> {
    let stored = app
        .store
        .changes
        .apply(ChangedBy::program(MAKER), vec![write]);
    match stored.await {
        // Somebody else changes the user at this moment: the next sign-in says the role again.
        Ok(()) | Err(StorageError::Changed { .. }) => {}
        Err(err) => return Err(err.into()),
    }
    // Keys of the user act with its role.
    app.keys.forget_all();
    Ok(())
}

fn new(
    params: &NewUsers,
    id: &str,
    email: Option<&str>,
    role: Option<&str>,
    now: UnixMs,
) -> TenantRow {
    TenantRow {
        email: email.map(str::to_owned),
        role: Some(role.unwrap_or(&params.role).to_owned()),
        models: params.models.clone(),
        terms: Terms {
            max_budget: params.max_budget.map(Usd::rounded),
            budget_duration: params.budget_duration.clone(),
            since: Some(now),
            ..Terms::default()
        },
        created_by: Some(MAKER.to_owned()),
        ..TenantRow::user(&UserId::new(id), now)
    }
}

/// The row with what claims say of it, where that is something else.
fn changed(
    row: TenantRow,
    email: Option<&str>,
    role: Option<&str>,
    now: UnixMs,
) -> Option<TenantRow> {
    let role = role.or(row.role.as_deref()).map(str::to_owned);
    let email = row.email.clone().or_else(|| email.map(str::to_owned));
    (role != row.role || email != row.email).then(|| TenantRow {
        role,
        email,
        updated_at: now,
        ..row
    })
}

fn one<'c>(claims: &'c Map<String, Value>, claim: &str) -> Option<&'c str> {
    claim_texts(claims, claim).find(|text| !text.is_empty())
}

/// Whether a role that groups give is had by somebody of whom claims say no role: whoever left the group is as a new user. A role
/// that no group gives is somebody's word here, and stays.
fn is_lost(provider: &SsoProvider, had: Option<&str>) -> bool {
    let mut given = provider.role_groups.iter();
    provider.group_claim.is_some() && given.any(|(role, _)| Some(role.as_str()) == had)
}

/// What claims say of the role: by groups where these are mapped, else by the role's name.
fn role<'p>(provider: &'p SsoProvider, claims: &Map<String, Value>) -> Option<&'p str> {
    if let Some(claim) = &provider.group_claim {
        let has = |wanted: &String| claim_texts(claims, claim).any(|group| group == wanted);
        let given = provider.role_groups.iter();
        let mut given = given.filter(|(_, groups)| groups.iter().any(has));
        let given = given.next().map(|(role, _)| role.as_str());
        return given.or(provider.default_role.as_deref());
    }
    // Of several the one that may most, as with groups.
    USER_ROLES
        .into_iter()
        .find(|role| claim_texts(claims, &provider.role_claim).any(|said| said == *role))
}

fn check_domain(domains: &[String], email: Option<&str>) -> Result<(), ApiError> {
    let is_allowed = |email| domains.iter().any(|domain| is_of(email, domain));
    if domains.is_empty() || email.is_some_and(is_allowed) {
        return Ok(());
    }
    Err(denied(
        "Your email address is of no domain that may sign in here (ALLOWED_EMAIL_DOMAINS)."
            .to_owned(),
    ))
}

fn denied(message: String) -> ApiError {
    ApiError::new(Code::CallerDenied, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::config::Secret;

    fn provider() -> SsoProvider {
        let at = Url::parse("https://idp.example").unwrap();
        SsoProvider {
            client_id: String::new(),
            client_secret: Secret::new(""),
            authorization_endpoint: at.clone(),
            token_endpoint: at.clone(),
            userinfo_endpoint: at,
            scope: String::new(),
            includes_client_id: false,
            id_claim: "sub".to_owned(),
            email_claim: "email".to_owned(),
            role_claim: "app.role".to_owned(),
            group_claim: None,
            role_groups: Vec::new(),
            default_role: None,
            email_domains: Vec::new(),
        }
    }

    #[test]
    fn claims_say_a_role_by_its_name_or_by_groups() {
        let by_name = provider();
        let by_group = SsoProvider {
            group_claim: Some("groups".to_owned()),
            role_groups: vec![
                ("proxy_admin".to_owned(), vec!["ops".to_owned()]),
                ("internal_user".to_owned(), vec!["dev".to_owned()]),
            ],
            default_role: Some("internal_user_viewer".to_owned()),
            ..provider()
        };
        for (provider, claims, want) in [
            (
                &by_name,
                json!({"app": {"role": "proxy_admin"}}),
                Some("proxy_admin"),
            ),
            (
                &by_name,
                json!({"app": {"role": ["x", "internal_user", "proxy_admin_viewer"]}}),
                Some("proxy_admin_viewer"),
            ),
            (&by_name, json!({"app": {"role": "root"}}), None),
            (&by_name, json!({}), None),
            (
                &by_group,
                json!({"groups": ["dev", "ops"]}),
                Some("proxy_admin"),
            ),
            (&by_group, json!({"groups": "dev"}), Some("internal_user")),
            (
                &by_group,
                json!({"groups": [], "app": {"role": "proxy_admin"}}),
                Some("internal_user_viewer"),
            ),
        ] {
            let claims = claims.as_object().unwrap();
            assert_eq!(role(provider, claims), want, "{claims:?}");
        }
    }

    #[test]
    fn an_address_must_be_of_a_domain_that_is_listed() {
        let domains = ["example.com".to_owned()];
        assert!(check_domain(&[], None).is_ok());
        assert!(check_domain(&domains, Some("a@Example.com")).is_ok());
        for wrong in [None, Some("a@example.com.evil"), Some("example.com")] {
            assert!(check_domain(&domains, wrong).is_err(), "{wrong:?}");
        }
    }
}
