//! Whom the claims of a token name.
//!
//! ```json
//! {"sub": "ann", "email": "ann@example.com", "groups": ["search", "ads"], "realm": {"roles": ["engineer"]},
//!  "scope": "openid litellm_proxy_admin", "roles": ["gateway-team"], "exp": 1795390000}
//! ```

use std::sync::Arc;

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;

use super::TokenFault;
use super::keys::SigningKeys;
use super::permits::{Permits, fits_pattern, mapped};
use super::verify::{Claims, issuer, texts, verify};
use crate::config::{JwtSettings, TokenRole};

/// Teams of a token that are looked up, at most.
const MOST_TEAMS: usize = 32;
/// A longer name is nobody's.
const MOST_NAME: usize = 256;

/// Reads tokens by the settings.
#[derive(Debug)]
pub(in crate::auth) struct TokenCaller {
    pub(super) settings: JwtSettings,
    keys: Arc<SigningKeys>,
}

/// What a token that holds says of its caller.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::auth) struct Named {
    pub(in crate::auth) user: Option<String>,
    pub(in crate::auth) email: Option<String>,
    /// In the order of the token; the first that exists counts.
    pub(in crate::auth) teams: Vec<String>,
    /// The team by name, where there is none by id.
    pub(in crate::auth) team_alias: Option<String>,
    /// The team of tokens that name none.
    pub(in crate::auth) default_team: Option<String>,
    /// The one team that is made where it is not known. Its id holds no colon.
    pub(in crate::auth) new_team: Option<String>,
    /// The teams that the user is to be a member of; `None`: the token says nothing of that, or nobody listens.
    pub(in crate::auth) groups: Option<Vec<String>>,
    /// The role that the user is to have.
    pub(in crate::auth) given_role: Option<String>,
    /// The token says roles, and none gives one here: a role that another gave is gone.
    pub(in crate::auth) gives_no_role: bool,
    pub(in crate::auth) organisation: Option<String>,
    /// The organisation by name, where there is none by id.
    pub(in crate::auth) organisation_alias: Option<String>,
    pub(in crate::auth) customer: Option<String>,
    pub(in crate::auth) is_admin: bool,
    pub(in crate::auth) permits: Permits,
    pub(in crate::auth) expires_at: UnixMs,
}

// === impl TokenCaller ===

impl TokenCaller {
    /// With keys that somebody fetches.
    pub(in crate::auth) fn new(settings: JwtSettings, keys: Arc<SigningKeys>) -> Self {
        Self { settings, keys }
    }

    /// The identity provider's keys are there.
    pub(in crate::auth) fn has_keys(&self) -> bool {
        self.keys.are_there()
    }

    /// Checks a token and reads whom it names.
    pub(in crate::auth) async fn read(
        &self,
        token: &str,
        now: UnixMs,
    ) -> Result<Named, TokenFault> {
        let claims = verify(token, &self.keys, &self.settings, now).await?;
        self.named(&claims)
    }

    fn named(&self, claims: &Claims) -> Result<Named, TokenFault> {
        let Claims { all, expires_at } = claims;
        let settings = &self.settings;
        let names = settings.rules(issuer(all)).claims;
        let claim = |name: &Option<String>| name.as_deref().and_then(|name| within(all, name));
        let text = |name: &Option<String>| one(claim(name));
        let email = text(&names.email);
        if let Some(domain) = &settings.email_domain
            && !email.as_deref().is_some_and(|email| is_of(email, domain))
        {
            return Err(TokenFault::Domain);
        }
        let scopes = texts(all.get("scope")).flat_map(str::split_whitespace);
        let scopes: Vec<&str> = scopes.collect();
        let roles: Vec<&str> = texts(claim(&names.mapped_roles)).collect();
        let whole = |wanted: &str, role: &str| wanted == role;
        let role = mapped(&settings.roles.mappings, &roles, whole).copied();
        let is_admin =
            scopes.contains(&settings.admin_scope.as_str()) || role == Some(TokenRole::Admin);
        let allowed = &settings.allowed_roles;
        if !is_admin && !allowed.is_empty() {
            let mut roles = texts(claim(&names.roles));
            if !roles.any(|role| allowed.iter().any(|one| one == role)) {
                return Err(TokenFault::Roles);
            }
        }
        let object = text(&names.object);
        let (user, own_team) = match role {
            // Such a token is nobody's in the team.
            Some(TokenRole::Team) => (None, object.or_else(|| text(&names.team))),
            Some(TokenRole::User) => (object.or_else(|| text(&names.user)), text(&names.team)),
            Some(TokenRole::Admin) | None => (text(&names.user), text(&names.team)),
        };
        let groups: Vec<String> = texts(claim(&names.teams)).map(str::to_owned).collect();
        let teams = own_team.clone().into_iter().chain(groups.iter().cloned());
        let teams: Vec<String> = teams.take(MOST_TEAMS).collect();
        let team_alias = text(&names.team_alias).filter(|_| teams.is_empty());
        let names_team = !teams.is_empty() || team_alias.is_some();
        let default_team = settings.default_team.clone().filter(|_| !names_team);
        let has_team = names_team || default_team.is_some();
        let role = if is_admin {
            Some(TokenRole::Admin)
        } else if has_team {
            Some(TokenRole::Team)
        } else {
            user.as_ref().map(|_| TokenRole::User)
        };
        if role.is_none() && settings.roles.permissions.is_some() {
            return Err(TokenFault::NoRole);
        }
        let is_stored = settings.syncs && !is_admin;
        let given_role = mapped(&settings.roles.of_users, &roles, fits_pattern);
        let says_roles = is_stored && claim(&names.mapped_roles).is_some();
        let organisation = text(&names.organisation);
        Ok(Named {
            user,
            email,
            // A member is named with its team's id and a colon: one of another team must not be meant by it.
            new_team: own_team.filter(|team| settings.makes_teams && !team.contains(':')),
            teams,
            default_team,
            team_alias,
            // Where the claim is not there, the token is no word about teams; nor where its user's own count for none.
            groups: claim(&names.teams)
                .filter(|_| is_stored && (names_team || !settings.falls_back))
                .map(|_| groups),
            gives_no_role: says_roles && given_role.is_none(),
            given_role: given_role.filter(|_| is_stored).cloned(),
            organisation_alias: text(&names.organisation_alias).filter(|_| organisation.is_none()),
            organisation,
            customer: text(&names.customer),
            is_admin,
            permits: Permits::of(&settings.roles, role, &scopes),
            expires_at: *expires_at,
        })
    }
}

/// The one name that a claim holds.
fn one(claim: Option<&Value>) -> Option<String> {
    let text = texts(claim).next()?;
    (!text.is_empty() && text.len() <= MOST_NAME).then(|| text.to_owned())
}

/// Whether an address is of that domain, and of none below it.
pub fn is_of(email: &str, domain: &str) -> bool {
    email
        .rsplit_once('@')
        .is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain))
}

/// The texts of the claim at a path, such as `realm.roles`.
pub fn claim_texts<'c>(
    claims: &'c Map<String, Value>,
    path: &str,
) -> impl Iterator<Item = &'c str> {
    texts(within(claims, path))
}

/// The claim at a path: one called just so, else one within another.
fn within<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use trunkline_actors::clock::Clock;

    use super::*;
    use crate::config::ClaimNames;

    fn named(settings: JwtSettings, claims: &Value) -> Result<Named, TokenFault> {
        let keys = Arc::new(SigningKeys::new(1, Duration::ZERO, Clock::start()));
        TokenCaller::new(settings, keys).named(&Claims {
            all: claims.as_object().unwrap().clone(),
            expires_at: UnixMs(1),
        })
    }

    fn names() -> ClaimNames {
        let name = |text: &str| Some(text.to_owned());
        ClaimNames {
            user: name("sub"),
            email: name("email"),
            roles: name("realm.roles"),
            team: name("team"),
            teams: name("groups"),
            organisation: name("https://example.com/org"),
            customer: name("customer.id"),
            ..ClaimNames::default()
        }
    }

    #[tokio::test]
    async fn claims_are_found_by_name_and_within_each_other() {
        let settings = JwtSettings {
            claims: names(),
            ..JwtSettings::default()
        };
        let claims = json!({
            "sub": "ann", "email": "ann@example.com", "team": "first", "groups": ["search", 7, "ads"],
            "https://example.com/org": "acme", "customer": {"id": "c1"}, "scope": "openid litellm_proxy_admin",
        });
        let text = |text: &str| Some(text.to_owned());
        let want = Named {
            user: text("ann"),
            email: text("ann@example.com"),
            teams: ["first", "search", "ads"].map(str::to_owned).to_vec(),
            default_team: None,
            team_alias: None,
            new_team: None,
            groups: None,
            given_role: None,
            gives_no_role: false,
            organisation: text("acme"),
            organisation_alias: None,
            customer: text("c1"),
            is_admin: true,
            permits: Permits::default(),
            expires_at: UnixMs(1),
        };
        assert_eq!(named(settings, &claims), Ok(want));
    }

    #[tokio::test]
    async fn a_token_without_claims_is_of_the_default_team_and_nobody_else() {
        let settings = JwtSettings {
            claims: names(),
            default_team: Some("all".to_owned()),
            ..JwtSettings::default()
        };
        let named = named(
            settings,
            &json!({"sub": "", "scope": "litellm_proxy_admin2"}),
        )
        .unwrap();
        assert_eq!(named.user, None);
        assert!(named.teams.is_empty());
        assert_eq!(named.default_team.as_deref(), Some("all"));
        assert!(!named.is_admin);
    }

    #[tokio::test]
    async fn domains_and_roles_let_nobody_else_in() {
        let settings = || JwtSettings {
            claims: names(),
            email_domain: Some("example.com".to_owned()),
            allowed_roles: vec!["engineer".to_owned()],
            ..JwtSettings::default()
        };
        let claims = |email: &str, roles: Value| json!({"email": email, "realm": {"roles": roles}});
        let good = claims("a@Example.com", json!(["engineer", "x"]));
        assert!(named(settings(), &good).is_ok());
        for (claims, want) in [
            (
                claims("a@example.com.evil", json!(["engineer"])),
                TokenFault::Domain,
            ),
            (
                claims("example.com", json!(["engineer"])),
                TokenFault::Domain,
            ),
            (json!({}), TokenFault::Domain),
            (
                claims("a@example.com", json!(["engineers"])),
                TokenFault::Roles,
            ),
            (claims("a@example.com", json!(null)), TokenFault::Roles),
        ] {
            assert_eq!(named(settings(), &claims), Err(want), "{claims}");
        }
        let admin = json!({"email": "a@example.com", "scope": "litellm_proxy_admin"});
        assert!(named(settings(), &admin).is_ok());
    }
}
