//! Which groups answer when a group cannot, by the contract's rules (routing §5).

use std::collections::HashMap;

use super::config::RoutingConfig;
use crate::deployment::{FailureKind, FallbackList};

/// The key of the entry for all groups without one.
const DEFAULT: &str = "*";

/// The configured fallbacks.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    general: HashMap<String, Vec<String>>,
    context_window: Option<HashMap<String, Vec<String>>>,
    content_policy: Option<HashMap<String, Vec<String>>>,
}

// === impl Fallbacks ===

impl Fallbacks {
    pub(super) fn new(config: &RoutingConfig) -> Self {
        let table = |entries: &Vec<(String, Vec<String>)>| {
            let mut table: HashMap<String, Vec<String>> = HashMap::new();
            for (group, targets) in entries {
                let known = table.entry(group.clone()).or_default();
                known.extend(targets.iter().cloned());
            }
            table
        };
        Self {
            general: table(&config.fallbacks),
            context_window: config.context_window_fallbacks.as_ref().map(table),
            content_policy: config.content_policy_fallbacks.as_ref().map(table),
        }
    }

    /// Targets for that group after that failure (`None`: nobody could even be asked).
    ///
    /// A special table that is configured is final: without an entry there, the general ones are not tried.
    pub(super) fn targets(&self, names: &[&str], failure: Option<FailureKind>) -> &[String] {
        let special = match failure.map(|kind| kind.treatment().fallbacks) {
            Some(FallbackList::ContextWindow) => self.context_window.as_ref(),
            Some(FallbackList::ContentPolicy) => self.content_policy.as_ref(),
            Some(FallbackList::General) | None => None,
        };
        find(special.unwrap_or(&self.general), names)
    }

    /// Targets for that group after whatever failure: those of every table, since nobody knows yet how it will fail.
    pub(super) fn every_target(&self, names: &[&str]) -> Vec<&str> {
        let tables = [
            Some(&self.general),
            self.context_window.as_ref(),
            self.content_policy.as_ref(),
        ];
        let targets = tables.into_iter().flatten();
        targets
            .flat_map(|table| find(table, names))
            .map(String::as_str)
            .collect()
    }

    /// The targets for groups without an entry of their own.
    pub(super) fn defaults(&self) -> &[String] {
        find(&self.general, &[])
    }
}

/// The entry for the first name that has one: as asked, without its provider, by pattern, then the default.
fn find<'a>(table: &'a HashMap<String, Vec<String>>, names: &[&str]) -> &'a [String] {
    let short = names
        .first()
        .and_then(|name| name.split_once('/'))
        .map(|(_provider, model)| model);
    let first = names.first().copied();
    let others = names.iter().skip(1).copied();
    first
        .into_iter()
        .chain(short)
        .chain(others)
        .chain([DEFAULT])
        .find_map(|name| table.get(name))
        .map_or(&[], Vec::as_slice)
}
