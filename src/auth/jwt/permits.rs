//! What a token may by its roles and scopes, beyond what its user and team may: lists of models and of routes, each of which
//! must let a request through.

use crate::auth::access::{NO_MODEL, glob};
use crate::config::{ScopeMapping, TokenRole, TokenRoles};

/// Lists that hold a token's requests; no list is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::auth) struct Permits {
    /// Of models, as a key has one.
    pub(in crate::auth) models: Vec<Vec<String>>,
    /// Of routes and groups of them; an empty one lets nothing through.
    pub(in crate::auth) routes: Vec<Vec<String>>,
}

// === impl Permits ===

impl Permits {
    /// Of a token that is of that sort and has those scopes.
    pub(super) fn of(rules: &TokenRoles, role: Option<TokenRole>, scopes: &[&str]) -> Self {
        let mut permits = Self::default();
        if let Some(mappings) = &rules.scopes {
            permits.add_scopes(mappings, scopes);
        }
        let permissions = rules.permissions.iter().flatten();
        // As LiteLLM: the first entry of a role counts.
        let mut own = permissions.filter(|entry| Some(entry.role) == role);
        if let Some(entry) = own.next() {
            permits.models.extend(entry.models.as_deref().map(models));
            permits.routes.extend(entry.routes.clone());
        }
        permits
    }

    fn add_scopes(&mut self, mappings: &[ScopeMapping], scopes: &[&str]) {
        let open = || {
            mappings
                .iter()
                .filter(|mapping| scopes.contains(&mapping.scope.as_str()))
        };
        let named: Vec<String> = open().flat_map(|mapping| mapping.models.clone()).collect();
        self.models.push(models(&named));
        // A scope without routes opens all of them.
        if open().all(|mapping| !mapping.routes.is_empty()) {
            let routes = open().flat_map(|mapping| mapping.routes.clone()).collect();
            self.routes.push(routes);
        }
    }
}

/// A list as a key has it: there an empty one would allow everything.
fn models(listed: &[String]) -> Vec<String> {
    if listed.is_empty() {
        return vec![NO_MODEL.to_owned()];
    }
    listed.to_vec()
}

/// What the first mapping that fits one of the roles says.
pub(super) fn mapped<'r, T>(
    mappings: &'r [(String, T)],
    roles: &[&str],
    fits: impl Fn(&str, &str) -> bool,
) -> Option<&'r T> {
    mappings
        .iter()
        .find(|(wanted, _)| roles.iter().any(|role| fits(wanted, role)))
        .map(|(_, given)| given)
}

/// A role that a mapping names whole, or with `*`.
pub(super) fn fits_pattern(wanted: &str, role: &str) -> bool {
    wanted == role || wanted.contains('*') && glob(wanted, role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RolePermissions;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn scope(scope: &str, models: &[&str], routes: &[&str]) -> ScopeMapping {
        ScopeMapping {
            scope: scope.to_owned(),
            models: texts(models),
            routes: texts(routes),
        }
    }

    #[test]
    fn scopes_open_their_models_and_routes_and_no_scope_opens_none() {
        let rules = TokenRoles {
            scopes: Some(vec![
                scope("small", &["mini"], &["/v1/chat/completions"]),
                scope("big", &["max"], &["/v1/embeddings"]),
                scope("any-route", &["mini"], &[]),
                scope("no-model", &[], &["/key/info"]),
            ]),
            ..TokenRoles::default()
        };
        let none: &[&str] = &[];
        for (scopes, models, routes) in [
            (none, &[NO_MODEL][..], Some(none)),
            (&["else"], &[NO_MODEL], Some(none)),
            (&["small"], &["mini"], Some(&["/v1/chat/completions"])),
            (
                &["small", "big"],
                &["mini", "max"],
                Some(&["/v1/chat/completions", "/v1/embeddings"]),
            ),
            (&["small", "any-route"], &["mini", "mini"], None),
            (&["no-model"], &[NO_MODEL], Some(&["/key/info"])),
        ] {
            let want = Permits {
                models: vec![texts(models)],
                routes: routes.map(texts).into_iter().collect(),
            };
            assert_eq!(Permits::of(&rules, None, scopes), want, "{scopes:?}");
        }
        let free = Permits::of(&TokenRoles::default(), None, &["small"]);
        assert_eq!(free, Permits::default());
    }

    #[test]
    fn a_sort_of_token_may_what_its_first_entry_says() {
        let entry = |role, models: Option<&[&str]>, routes: Option<&[&str]>| RolePermissions {
            role,
            models: models.map(texts),
            routes: routes.map(texts),
        };
        let rules = TokenRoles {
            permissions: Some(vec![
                entry(TokenRole::Team, Some(&["mini"]), None),
                entry(TokenRole::Team, Some(&["max"]), Some(&["/x"])),
                entry(TokenRole::User, Some(&[]), Some(&[])),
            ]),
            ..TokenRoles::default()
        };
        let of = |role| Permits::of(&rules, role, &[]);
        assert_eq!(of(Some(TokenRole::Team)).models, [texts(&["mini"])]);
        assert!(of(Some(TokenRole::Team)).routes.is_empty());
        let user = of(Some(TokenRole::User));
        assert_eq!(user.models, [texts(&[NO_MODEL])]);
        assert_eq!(user.routes, [texts(&[])]);
        assert_eq!(of(Some(TokenRole::Admin)), Permits::default());
    }

    #[test]
    fn roles_are_mapped_in_the_order_of_the_file() {
        let mappings = [("ops-*".to_owned(), 1), ("dev".to_owned(), 2)];
        let of = |roles: &[&str]| mapped(&mappings, roles, fits_pattern).copied();
        assert_eq!(of(&["dev", "ops-eu"]), Some(1));
        assert_eq!(of(&["dev"]), Some(2));
        assert_eq!(of(&["devs", "ops"]), None);
    }
}
