//! Stored settings, read: what they put in the place of the config's.
//!
//! ```json
//! {"router_settings.fallbacks": {"gpt-4o": ["claude", "gpt-4o-mini"]}, "general_settings.allowed_ips": ["10.0.0.0/8"]}
//! ```

use std::collections::BTreeMap;

use serde_json::from_value;

use crate::config::RouterSettings;
use crate::storage::SettingRow;

/// Whom each group falls back to, in the order of trial.
pub type FallbackMap = BTreeMap<String, Vec<String>>;

/// The name of the stored list of addresses.
pub const ALLOWED_IPS: &str = "general_settings.allowed_ips";

/// After which failures fallbacks are asked. Words and names: LiteLLM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackType {
    /// Any that has none of its own.
    General,
    /// The prompt did not fit.
    ContextWindow,
    /// The provider refused the content.
    ContentPolicy,
}

/// The settings of the database. One that cannot be read is not among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredSettings {
    general: FallbackMap,
    context_window: FallbackMap,
    content_policy: FallbackMap,
    allowed_ips: Vec<String>,
}

// === impl FallbackType ===

impl FallbackType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::General, Self::ContextWindow, Self::ContentPolicy];

    /// As `fallback_type` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
        }
    }

    /// The key of `router_settings` that holds them.
    pub fn key(self) -> &'static str {
        match self {
            Self::General => "fallbacks",
            Self::ContextWindow => "context_window_fallbacks",
            Self::ContentPolicy => "content_policy_fallbacks",
        }
    }

    /// The name of the stored setting.
    pub fn setting(self) -> &'static str {
        match self {
            Self::General => "router_settings.fallbacks",
            Self::ContextWindow => "router_settings.context_window_fallbacks",
            Self::ContentPolicy => "router_settings.content_policy_fallbacks",
        }
    }
}

// === impl StoredSettings ===

impl StoredSettings {
    /// As stored. Beside them what is left out, by name, and why.
    pub(super) fn read(rows: &[SettingRow]) -> (Self, Vec<(String, String)>) {
        let mut read = Self::default();
        let mut left_out = Vec::new();
        for row in rows {
            let kind = FallbackType::ALL
                .into_iter()
                .find(|kind| kind.setting() == row.name);
            let put = match kind {
                Some(kind) => from_value(row.value.clone())
                    .map(|fallbacks| *read.of_mut(kind) = fallbacks)
                    .map_err(|err| err.to_string()),
                None if row.name == ALLOWED_IPS => from_value(row.value.clone())
                    .map(|addresses| read.allowed_ips = addresses)
                    .map_err(|err| err.to_string()),
                // A newer gateway's, on the same database.
                None => Err("this version does not know it".to_owned()),
            };
            if let Err(why) = put {
                left_out.push((row.name.clone(), why));
            }
        }
        (read, left_out)
    }

    /// Stored fallbacks of that type.
    pub fn fallbacks(&self, kind: FallbackType) -> &FallbackMap {
        match kind {
            FallbackType::General => &self.general,
            FallbackType::ContextWindow => &self.context_window,
            FallbackType::ContentPolicy => &self.content_policy,
        }
    }

    /// Stored addresses, beside those of the config.
    pub fn allowed_ips(&self) -> &[String] {
        &self.allowed_ips
    }

    fn of_mut(&mut self, kind: FallbackType) -> &mut FallbackMap {
        match kind {
            FallbackType::General => &mut self.general,
            FallbackType::ContextWindow => &mut self.context_window,
            FallbackType::ContentPolicy => &mut self.content_policy,
        }
    }

    /// The config's settings of routing with the stored ones in their place: those of a group count instead of those that the
    /// config has for it.
    pub fn over(&self, configured: &RouterSettings) -> RouterSettings {
        let mut router = configured.clone();
        put_over(&mut router.fallbacks, &self.general);
        for (stored, list) in [
            (&self.context_window, &mut router.context_window_fallbacks),
            (&self.content_policy, &mut router.content_policy_fallbacks),
        ] {
            // A list that there is stands alone, also an empty one: none is made for nothing.
            if !stored.is_empty() {
                put_over(list.get_or_insert_default(), stored);
            }
        }
        router
    }
}

fn put_over(list: &mut Vec<(String, Vec<String>)>, stored: &FallbackMap) {
    list.retain(|(group, _)| !stored.contains_key(group));
    let stored = stored
        .iter()
        .map(|(group, targets)| (group.clone(), targets.clone()));
    list.splice(0..0, stored);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use trunkline_actors::clock::UnixMs;

    use super::*;
    use crate::config::{CliOverrides, ConfigSource, MapEnv, load};
    use crate::storage::AsRead;

    fn row(name: &str, value: Value) -> SettingRow {
        SettingRow {
            name: name.to_owned(),
            value,
            updated_at: UnixMs(1),
            updated_by: None,
            as_read: AsRead::default(),
        }
    }

    fn entry(group: &str, targets: &[&str]) -> (String, Vec<String>) {
        let targets = targets.iter().map(|&target| target.to_owned());
        (group.to_owned(), targets.collect())
    }

    #[test]
    fn stored_fallbacks_stand_in_for_those_of_the_same_group_alone() {
        let stored = row("router_settings.fallbacks", json!({"a": ["x", "y"]}));
        let (settings, left_out) = StoredSettings::read(&[stored]);
        assert!(left_out.is_empty(), "{left_out:?}");
        let text = "model_list: [{model_name: '*', litellm_params: {model: openai/*, api_key: k}}]\n\
             router_settings: {fallbacks: [{b: [c]}, {a: [c]}, {a: [d]}], default_fallbacks: [e]}\n";
        let source = ConfigSource::Text {
            name: "config.yaml",
            text,
        };
        let config = load(source, &CliOverrides::default(), &MapEnv::default()).unwrap();
        let configured = config.router;
        assert_eq!(configured.fallbacks.len(), 4);
        let router = settings.over(&configured);
        let wanted = [
            entry("a", &["x", "y"]),
            entry("b", &["c"]),
            entry("*", &["e"]),
        ];
        assert_eq!(router.fallbacks, wanted);
        // A list for a kind of failure is final where there is one.
        assert_eq!(router.context_window_fallbacks, None);
        let same = StoredSettings::default().over(&configured);
        assert_eq!(same.fallbacks, configured.fallbacks);
    }

    #[test]
    fn what_is_stored_comes_back_and_what_cannot_be_read_is_left_out() {
        let fallbacks: FallbackMap = [entry("a", &["x"])].into_iter().collect();
        let rows = [
            row("router_settings.context_window_fallbacks", json!(fallbacks)),
            row("router_settings.fallbacks", json!({"a": "x"})),
            row("router_settings.of_tomorrow", json!(true)),
        ];
        let (settings, left_out) = StoredSettings::read(&rows);
        assert_eq!(settings.fallbacks(FallbackType::ContextWindow), &fallbacks);
        assert!(settings.fallbacks(FallbackType::General).is_empty());
        let names: Vec<&str> = left_out.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["router_settings.fallbacks", "router_settings.of_tomorrow"]
        );
    }
}
