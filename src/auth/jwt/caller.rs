//! Whom the claims of a token name.
//!
//! ```json
//! {"sub": "ann", "email": "ann@example.com", "groups": ["search", "ads"], "realm": {"roles": ["engineer"]},
//!  "scope": "openid litellm_proxy_admin", "exp": 1795390000}
//! ```

use std::sync::Arc;

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;

use super::TokenFault;
use super::keys::SigningKeys;
use super::verify::{Claims, texts, verify};
use crate::config::JwtSettings;

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
    pub(in crate::auth) organisation: Option<String>,
    pub(in crate::auth) customer: Option<String>,
    pub(in crate::auth) is_admin: bool,
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
        let names = &self.settings.claims;
        let claim = |name: &Option<String>| name.as_deref().and_then(|name| within(all, name));
        let text = |name: &Option<String>| {
            let text = texts(claim(name)).next()?;
            (!text.is_empty() && text.len() <= MOST_NAME).then(|| text.to_owned())
        };
        let email = text(&names.email);
        if let Some(domain) = &self.settings.email_domain {
            let is_of = |email: &String| {
                email
                    .rsplit_once('@')
                    .is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain))
            };
            if !email.as_ref().is_some_and(is_of) {
                return Err(TokenFault::Domain);
            }
        }
        let scopes = texts(all.get("scope")).flat_map(str::split_whitespace);
        let is_admin = scopes
            .into_iter()
            .any(|scope| scope == self.settings.admin_scope);
        let allowed = &self.settings.allowed_roles;
        if !is_admin && !allowed.is_empty() {
            let mut roles = texts(claim(&names.roles));
            if !roles.any(|role| allowed.iter().any(|one| one == role)) {
                return Err(TokenFault::Roles);
            }
        }
        let one_team = text(&names.team);
        let teams = texts(claim(&names.teams)).map(str::to_owned);
        let mut teams: Vec<String> = one_team.into_iter().chain(teams).take(MOST_TEAMS).collect();
        if teams.is_empty() {
            teams.extend(self.settings.default_team.clone());
        }
        Ok(Named {
            user: text(&names.user),
            email,
            teams,
            organisation: text(&names.organisation),
            customer: text(&names.customer),
            is_admin,
            expires_at: *expires_at,
        })
    }
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
            organisation: text("acme"),
            customer: text("c1"),
            is_admin: true,
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
        assert_eq!(named.teams, ["all"]);
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
