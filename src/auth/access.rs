//! Which models a list allows. Source: contract `auth-budgets-limits` §4.

use crate::config::TeamModel;

/// An entry that is no model's name: a list that holds it alone allows none (LiteLLM's word).
pub(super) const NO_MODEL: &str = "no-default-models";

/// Whose list it is. Each layer that has one must let a model through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The key's own.
    Key,
    /// Its team's.
    Team,
    /// That of its user within the team.
    Member,
    /// Its user's; of keys that belong to no team.
    User,
    /// That of the customer whom the request names.
    Customer,
    /// The organisation's.
    Organisation,
}

/// The models that one layer allows; not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelList {
    /// Whose it is.
    pub layer: Layer,
    /// As stored.
    pub allowed: Vec<String>,
}

// === impl Layer ===

impl Layer {
    /// The type of the error that says so.
    pub const fn error_type(self) -> &'static str {
        match self {
            Self::Key => "key_model_access_denied",
            Self::Team | Self::Member => "team_model_access_denied",
            Self::User => "user_model_access_denied",
            Self::Customer => "customer_model_access_denied",
            Self::Organisation => "org_model_access_denied",
        }
    }
}

// === impl ModelList ===

impl ModelList {
    /// The list of a layer, if it says anything.
    pub fn of(layer: Layer, allowed: &[String]) -> Option<Self> {
        (!allowed.is_empty()).then(|| Self {
            layer,
            allowed: allowed.to_vec(),
        })
    }

    /// Whether it need not name a model of that team: what is a team's own, its list allows.
    pub fn is_silent_on(&self, team: Option<&TeamModel>) -> bool {
        self.layer == Layer::Team && team.is_some()
    }
}

/// Whether `allowed` (a key's `models`) lets `model` through; `in_access_group` tells the groups of its deployments.
///
/// Empty, `*`, `all-proxy-models` and `all-team-models` (the team's own list is asked besides) allow everything; otherwise the name,
/// one of its access groups, or a pattern such as `openai/*` must be listed.
pub fn may_use_model(
    allowed: &[String],
    model: &str,
    in_access_group: impl Fn(&str) -> bool,
) -> bool {
    allowed.is_empty()
        || allowed.iter().any(|entry| {
            matches!(entry.as_str(), "*" | "all-proxy-models" | "all-team-models")
                || entry == model
                || in_access_group(entry)
                || entry.contains('*') && glob(entry, model)
        })
}

/// `*` stands for any run of characters; everything else for itself.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_list_allows_names_groups_and_patterns() {
        let in_beta = |group: &str| group == "beta";
        for (allowed, model, want) in [
            (&[][..], "gpt-4", true),
            (&["gpt-4"], "gpt-4", true),
            (&["gpt-4"], "gpt-4o", false),
            (&["*"], "gpt-4o", true),
            (&["all-proxy-models"], "x", true),
            (&["beta"], "anything", true),
            (&["openai/*"], "openai/gpt-4", true),
            (&["openai/*"], "azure/gpt-4", false),
            (&["openai/gpt-*-mini"], "openai/gpt-4o-mini", true),
            (&["openai/gpt-*-mini"], "openai/gpt-4o", false),
            (&["a*a"], "a", false),
        ] {
            let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(
                may_use_model(&allowed, model, in_beta),
                want,
                "{allowed:?} {model}"
            );
        }
    }
}
