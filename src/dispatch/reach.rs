//! How far a request may get: its model's deployments and, through fallbacks, those of other groups.
//!
//! Decides nothing about the route (the Supervisor's plan does); it bounds what the route may cost.

use trunkline_actors::supervisor::{Resolved, RoutingTable};
use trunkline_wire::request::RequestPeek;

use super::{Candidate, Shared, candidates};
use crate::config::RouterSettings;

/// The entry for groups without one of their own.
const DEFAULT: &str = "*";

/// What the model's name stands for; an unknown one is the default fallbacks' business (contract `routing` §1.3).
pub(super) fn resolve(shared: &Shared, table: &RoutingTable, model: &str) -> Option<Resolved> {
    table.resolve(model).or_else(|| {
        entry(&shared.router.fallbacks, &[DEFAULT]).find_map(|target| table.resolve(target))
    })
}

/// The deployments of every fallback that a request for `first` may come to, `first` itself left out.
pub(super) fn fallbacks(
    shared: &Shared,
    table: &RoutingTable,
    first: &Resolved,
    peek: &RequestPeek,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    if peek.disable_fallbacks {
        return found;
    }
    let mut seen = vec![first.group.clone()];
    let mut open = vec![first.clone()];
    while let Some(resolved) = open.pop() {
        for target in targets(&shared.router, peek, &resolved) {
            let Some(next) = table.resolve(target) else {
                continue;
            };
            if !seen.contains(&next.group) {
                seen.push(next.group.clone());
                found.extend(candidates(shared, &next));
                open.push(next);
            }
        }
    }
    found
}

/// The fallbacks of one group: the request's own, else the configured ones of every kind, since nobody knows yet how the
/// group will fail.
fn targets<'a>(
    router: &'a RouterSettings,
    peek: &'a RequestPeek,
    resolved: &Resolved,
) -> Vec<&'a str> {
    if let Some(own) = &peek.fallbacks {
        return own.iter().map(String::as_str).collect();
    }
    let group = resolved.group.as_str();
    let short = group
        .split_once('/')
        .map_or(group, |(_provider, name)| name);
    let names = [group, short, resolved.entry.as_str(), DEFAULT];
    [
        Some(&router.fallbacks),
        router.context_window_fallbacks.as_ref(),
        router.content_policy_fallbacks.as_ref(),
    ]
    .into_iter()
    .flatten()
    .flat_map(|table| entry(table, &names))
    .collect()
}

/// The targets of the first name that has an entry.
fn entry<'a>(
    table: &'a [(String, Vec<String>)],
    names: &[&str],
) -> impl Iterator<Item = &'a str> + use<'a> {
    let first = names
        .iter()
        .find_map(|name| table.iter().find(|(group, _)| group == name));
    let group = first.map(|(group, _)| group);
    table
        .iter()
        .filter(move |(known, _)| Some(known) == group)
        .flat_map(|(_, targets)| targets.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_with_an_entry_decides_and_the_default_comes_last() {
        let own = |group: &str, targets: &[&str]| {
            let targets = targets.iter().map(|&target| target.to_owned());
            (group.to_owned(), targets.collect::<Vec<_>>())
        };
        let table = [own("a", &["b", "c"]), own("*", &["d"]), own("a", &["e"])];
        for (names, want) in [
            (&["a", "*"][..], &["b", "c", "e"][..]),
            (&["x", "*"], &["d"]),
            (&["x"], &[]),
        ] {
            let found: Vec<&str> = entry(&table, names).collect();
            assert_eq!(found, want, "{names:?}");
        }
    }
}
