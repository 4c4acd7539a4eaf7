//! What a key may do less than its user: the routes that it is for, and the addresses that it comes from. Contract:
//! `auth-budgets-limits` §2, `endpoints` §3.1.
//!
//! ```json
//! {"key_type": "llm_api", "allowed_routes": ["llm_api_routes", "/key/*"], "allowed_ips": ["10.0.0.0/8", "192.0.2.7"]}
//! ```
//!
//! They are kept in a key's settings, as written, and read once, when the key is loaded.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::error::AuthError;
use super::role::Permission;
use super::terms::TermsError;
use crate::config::AddressList;

/// The member of a key's settings.
pub const ALLOWED_ROUTES: &str = "allowed_routes";
/// The member of a key's settings.
pub const ALLOWED_IPS: &str = "allowed_ips";
/// The member of a key's settings.
pub const KEY_TYPE: &str = "key_type";

/// The member of a key's settings that has its names for models.
pub const ALIASES: &str = "aliases";
/// The same of a team's settings.
pub const MODEL_ALIASES: &str = "model_aliases";

/// The member of a key's settings that says that others than its user may hold it.
pub const IN_OTHER_HANDS: &str = "in_other_hands";

/// The group of all routes that call no model.
pub(super) const MANAGEMENT: &str = "management_routes";

/// Most entries of either list: each is looked at with every request.
const MOST: usize = 64;

/// Names of groups of routes. Those that this gateway has no routes of let nothing through.
const GROUPS: [&str; 8] = [
    "llm_api_routes",
    "openai_routes",
    "anthropic_routes",
    "info_routes",
    "management_routes",
    "spend_tracking_routes",
    "global_spend_tracking_routes",
    "mcp_routes",
];

/// A key's type is a short name of a group.
const TYPES: [(&str, Option<&str>); 4] = [
    ("default", None),
    ("llm_api", Some("llm_api_routes")),
    ("management", Some("management_routes")),
    ("read_only", Some("info_routes")),
];

/// See the module. Without rules everything is let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// Lists, each of which must hold a route.
    routes: Vec<Vec<String>>,
    addresses: AddressList,
}

/// What is called: the path as it was asked for, and the pattern that it fits.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// `/key/abc/regenerate`
    pub path: &'a str,
    /// `/key/{key}/regenerate`
    pub pattern: Option<&'a str>,
}

// === impl KeyRules ===

impl KeyRules {
    /// As stored.
    pub fn of(settings: &Map<String, Value>) -> Self {
        let texts = |name: &str| {
            let list = settings.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str)
        };
        let mut routes: Vec<String> = texts(ALLOWED_ROUTES).map(str::to_owned).collect();
        if routes.is_empty()
            && let Some(word) = settings.get(KEY_TYPE).and_then(Value::as_str)
        {
            routes.extend(group_of(word).map(str::to_owned));
        }
        let routes = if routes.is_empty() {
            Vec::new()
        } else {
            vec![routes]
        };
        Self {
            routes,
            addresses: AddressList::of(texts(ALLOWED_IPS)),
        }
    }

    /// It is for the routes of one more list only; an empty one has none.
    pub(super) fn limit_to(&mut self, routes: Vec<String>) {
        self.routes.push(routes);
    }

    /// Whether it is for some routes only.
    pub fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Whether the key is for that route.
    ///
    /// # Errors
    /// [`AuthError::RouteNotOfKey`].
    pub fn check_route(&self, permission: Permission, route: Route<'_>) -> Result<(), AuthError> {
        let fits = |allowed: &String| fits(allowed, permission, route);
        match self.routes.iter().find(|list| !list.iter().any(fits)) {
            None => Ok(()),
            Some(list) => Err(AuthError::RouteNotOfKey {
                allowed: list.join(", "),
                route: route.path.to_owned(),
            }),
        }
    }

    /// Whether the key is for callers at that address.
    ///
    /// # Errors
    /// [`AuthError::AddressDenied`].
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<(), AuthError> {
        check_address(&self.addresses, address)
    }
}

/// Whether a list is for callers at that address.
///
/// # Errors
/// [`AuthError::AddressDenied`].
pub fn check_address(allowed: &AddressList, address: Option<IpAddr>) -> Result<(), AuthError> {
    if allowed.holds(address) {
        return Ok(());
    }
    Err(AuthError::AddressDenied {
        address: address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
    })
}

/// Checks the routes that somebody writes.
///
/// # Errors
/// [`TermsError::Routes`].
pub fn check_routes(routes: &[String]) -> Result<(), TermsError> {
    let good = |route: &String| route.starts_with('/') || GROUPS.contains(&route.as_str());
    match routes.iter().find(|route| !good(route)) {
        None if routes.len() <= MOST => Ok(()),
        wrong => Err(TermsError::Routes {
            got: wrong.map_or_else(|| format!("{} entries", routes.len()), Clone::clone),
            groups: GROUPS.join(", "),
        }),
    }
}

/// Checks the addresses that somebody writes.
///
/// # Errors
/// [`TermsError::Addresses`].
pub fn check_addresses(addresses: &[String]) -> Result<(), TermsError> {
    let wrong = addresses.iter().find(|text| !AddressList::takes(text));
    match wrong {
        None if addresses.len() <= MOST => Ok(()),
        wrong => Err(TermsError::Addresses(wrong.map_or_else(
            || format!("{} entries", addresses.len()),
            Clone::clone,
        ))),
    }
}

/// Checks the type that somebody writes.
///
/// # Errors
/// [`TermsError::KeyType`].
pub fn check_type(word: &str) -> Result<(), TermsError> {
    if TYPES.iter().any(|(known, _)| *known == word) {
        return Ok(());
    }
    Err(TermsError::KeyType(word.chars().take(40).collect()))
}

fn group_of(word: &str) -> Option<&'static str> {
    TYPES
        .iter()
        .find(|(known, _)| *known == word)
        .and_then(|(_, group)| *group)
}

fn fits(allowed: &str, permission: Permission, route: Route<'_>) -> bool {
    use Permission as P;
    let is_anthropic = route.path.contains("/v1/messages");
    let is_model = matches!(permission, P::Models | P::AboutModels);
    let is_report = matches!(permission, P::Own | P::View)
        && (route.path.contains("spend") || route.path.contains("activity"));
    match allowed {
        "llm_api_routes" => is_model,
        "openai_routes" => is_model && !is_anthropic,
        "anthropic_routes" => is_model && is_anthropic,
        "info_routes" => matches!(permission, P::Own | P::View | P::AboutModels),
        "management_routes" => permission != P::Models,
        "spend_tracking_routes" => is_report,
        "global_spend_tracking_routes" => is_report && route.path.starts_with("/global/"),
        path => {
            let spelled = |of: &str| match path.strip_suffix("/*") {
                Some(prefix) => of
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('/')),
                None => of == path,
            };
            spelled(route.path) || route.pattern.is_some_and(spelled)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(settings: &Value) -> KeyRules {
        KeyRules::of(settings.as_object().unwrap())
    }

    #[test]
    fn a_key_is_for_the_routes_and_groups_that_it_lists() {
        use Permission as P;
        let chat = (P::Models, "/v1/chat/completions");
        let messages = (P::Models, "/v1/messages");
        let models = (P::AboutModels, "/v1/models");
        let info = (P::Own, "/key/info");
        let generate = (P::Manage, "/key/generate");
        let spend = (P::View, "/global/spend/keys");
        let all = [chat, messages, models, info, generate, spend];
        for (settings, open) in [
            (json!({}), &all[..]),
            (json!({"key_type": "default"}), &all),
            (json!({"key_type": "llm_api"}), &[chat, messages, models]),
            (json!({"key_type": "read_only"}), &[models, info, spend]),
            (
                json!({"key_type": "management"}),
                &[models, info, generate, spend],
            ),
            (json!({"allowed_routes": ["/key/*"]}), &[info, generate]),
            (json!({"allowed_routes": ["/v1/messages"]}), &[messages]),
            (
                json!({"allowed_routes": ["openai_routes"]}),
                &[chat, models],
            ),
            (json!({"allowed_routes": ["anthropic_routes"]}), &[messages]),
            (
                json!({"allowed_routes": ["spend_tracking_routes"]}),
                &[spend],
            ),
            (json!({"allowed_routes": ["mcp_routes"]}), &[]),
            (
                json!({"allowed_routes": ["info_routes"], "key_type": "llm_api"}),
                &[models, info, spend],
            ),
        ] {
            let rules = rules(&settings);
            for (permission, path) in all {
                let route = Route {
                    path,
                    pattern: None,
                };
                let wanted = open.contains(&(permission, path));
                let got = rules.check_route(permission, route).is_ok();
                assert_eq!(got, wanted, "{settings} {path}");
            }
        }
    }

    #[test]
    fn a_pattern_stands_for_its_paths() {
        let rules = rules(&json!({"allowed_routes": ["/key/{key}/regenerate"]}));
        let route = |path, pattern| Route { path, pattern };
        let check = |route| rules.check_route(Permission::Manage, route).is_ok();
        let pattern = Some("/key/{key}/regenerate");
        assert!(check(route("/key/abc/regenerate", pattern)));
        assert!(!check(route(
            "/key/abc/reset_spend",
            Some("/key/{key}/reset_spend")
        )));
    }

    #[test]
    fn a_key_is_for_the_addresses_that_it_lists() {
        for (listed, address, open) in [
            (json!([]), "192.0.2.7", true),
            (json!(["192.0.2.7"]), "192.0.2.7", true),
            (json!(["192.0.2.7"]), "::ffff:192.0.2.7", true),
            (json!(["192.0.2.7"]), "192.0.2.8", false),
            (json!(["10.0.0.0/8"]), "10.255.0.1", true),
            (json!(["10.0.0.0/8"]), "11.0.0.1", false),
            (json!(["0.0.0.0/0"]), "11.0.0.1", true),
            (json!(["::/0"]), "2001:db8::1", true),
            (json!(["2001:db8::/32"]), "2001:db9::1", false),
            (json!(["192.0.2.7"]), "::1", false),
            // Somebody wrote it past the check: nobody is let through by it.
            (json!(["nonsense"]), "192.0.2.7", false),
        ] {
            let rules = rules(&json!({"allowed_ips": listed}));
            let address: IpAddr = address.parse().unwrap();
            let got = rules.check_address(Some(address)).is_ok();
            assert_eq!(got, open, "{listed} {address}");
        }
    }

    #[test]
    fn what_cannot_be_a_rule_is_refused() {
        let texts =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
        assert!(check_routes(&texts(&["/v1/models", "info_routes"])).is_ok());
        assert_eq!(
            check_routes(&texts(&["chat"])).unwrap_err().field(),
            "allowed_routes"
        );
        assert!(check_addresses(&texts(&["10.0.0.0/8"])).is_ok());
        for wrong in ["10.0.0.0/33", "localhost", "::1/129"] {
            assert!(check_addresses(&texts(&[wrong])).is_err(), "{wrong}");
        }
        assert!(check_type("read_only").is_ok());
        assert!(check_type("admin").is_err());
    }
}
