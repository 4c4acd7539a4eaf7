//! Which models a list allows. Source: contract `auth-budgets-limits` §4.

/// Whether `allowed` (a key's `models`) lets `model` through; `in_access_group` tells the groups of its deployments.
///
/// Empty, `*`, `all-proxy-models` and `all-team-models` allow everything (teams come with tenants); otherwise the name,
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
fn glob(pattern: &str, text: &str) -> bool {
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
