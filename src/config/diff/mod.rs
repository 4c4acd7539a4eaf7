//! What a gateway would do differently with another configuration: models, deployments, routes, limits, prices, users,
//! timeouts, access. Order, comments and spelling of the files do not count, nor do ids that come from the spelling.
//!
//! Each configuration is told as facts (subject, name, value), and the facts are compared. A secret is compared and
//! never shown.

mod facts;
mod redis;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use self::facts::{Fact, Facts, Subject};
use super::Config;

/// Everything that differs; empty when both behave the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference(pub Vec<Change>);

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which part of the gateway.
    pub area: Part,
    /// `gpt-4o → openai/gpt-4o at https://…`, `user u1`, a setting's section.
    pub subject: String,
    /// What of it changes; absent when the subject comes or goes as a whole.
    pub name: Option<String>,
    /// Before; absent when it was not there.
    pub old: Option<String>,
    /// After; absent when it is gone.
    pub new: Option<String>,
}

/// The parts of the report, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Deployments and their settings.
    Models,
    /// Aliases, fallbacks, retries, cooldowns.
    Routes,
    /// Limits of everybody.
    Limits,
    /// `user_config`.
    Users,
    /// Timers.
    Timeouts,
    /// Keys, database, sharing, caching, reporting.
    Gateway,
}

impl Part {
    fn title(self) -> &'static str {
        match self {
            Self::Models => "Models",
            Self::Routes => "Routes",
            Self::Limits => "Limits",
            Self::Users => "Users",
            Self::Timeouts => "Timeouts",
            Self::Gateway => "Gateway",
        }
    }
}

/// Compares two configurations.
pub fn diff(old: &Config, new: &Config) -> Difference {
    let (old, new) = (Facts::of(old), Facts::of(new));
    let subjects: BTreeSet<&Subject> = old.0.keys().chain(new.0.keys()).collect();
    let none = BTreeMap::new();
    let mut changes = Vec::new();
    for subject in subjects {
        let (area, name) = subject;
        let change = |what: Option<&String>, old: Option<String>, new: Option<String>| Change {
            area: *area,
            subject: name.clone(),
            name: what.cloned(),
            old,
            new,
        };
        // Settings always exist; a deployment, a user, an alias may come and go.
        let whole = matches!(area, Part::Models | Part::Users);
        match (old.0.get(subject), new.0.get(subject)) {
            (None, Some(facts)) if whole => {
                changes.push(change(None, None, Some(summary(facts))));
            }
            (Some(facts), None) if whole => {
                changes.push(change(None, Some(summary(facts)), None));
            }
            (old, new) => {
                let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
                let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for fact in names {
                    let (before, after) = (old.get(fact), new.get(fact));
                    if before != after {
                        let shown = |value: Option<&Fact>| value.map(|value| value.shown.clone());
                        changes.push(change(Some(fact), shown(before), shown(after)));
                    }
                }
            }
        }
    }
    Difference(changes)
}

fn summary(facts: &BTreeMap<String, Fact>) -> String {
    let facts: Vec<String> = facts
        .iter()
        .map(|(name, fact)| format!("{name} {}", fact.shown))
        .collect();
    facts.join(", ")
}

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "No difference in behaviour.");
        }
        let mut part = None;
        for change in &self.0 {
            if part != Some(change.area) {
                writeln!(f, "{}:", change.area.title())?;
                part = Some(change.area);
            }
            writeln!(f, "  {change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = "not set";
        match (&self.name, &self.old, &self.new) {
            (None, None, Some(new)) if new.is_empty() => write!(f, "+ {}", self.subject),
            (None, None, Some(new)) => write!(f, "+ {} ({new})", self.subject),
            (None, _, _) => write!(f, "- {}", self.subject),
            (Some(name), old, new) if old == new => {
                write!(f, "~ {}: {name} changes (not shown)", self.subject)
            }
            (Some(name), old, new) => write!(
                f,
                "~ {}: {name}: {} → {}",
                self.subject,
                old.as_deref().unwrap_or(none),
                new.as_deref().unwrap_or(none)
            ),
        }
    }
}

impl Difference {
    /// `[{"area", "subject", "name", "old", "new"}]`; a secret that changes has equal texts.
    pub fn to_json(&self) -> Value {
        let changes = self.0.iter().map(|change| {
            json!({
                "area": change.area.title().to_ascii_lowercase(),
                "subject": change.subject,
                "name": change.name,
                "old": change.old,
                "new": change.new,
            })
        });
        Value::Array(changes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::config::{CliOverrides, Config, ConfigSource, MapEnv, load};

    fn config(text: &str) -> Config {
        let source = ConfigSource::Text {
            name: "config.yaml",
            text,
        };
        load(source, &CliOverrides::default(), &MapEnv::default())
            .unwrap_or_else(|err| panic!("{err}"))
    }

    const OLD: &str = "model_list:
- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-one-1234, rpm: 10}}
- {model_name: b, litellm_params: {model: openai/gpt-4o-mini, api_key: sk-one-1234}}
router_settings: {fallbacks: [{a: [b]}]}
user_config: [{user_id: u, rpm_limit: 5}]
";

    #[test]
    fn text_alone_is_no_difference() {
        let other = "# Comment\nuser_config:\n- rpm_limit: '5'\n  user_id: u\nlitellm_settings:\n  fallbacks: [{a: b}]\nmodel_list:\n- litellm_params:\n    rpm: 10\n    api_key: sk-one-1234\n    model: openai/gpt-4o\n  model_name: a\n- {model_name: b, litellm_params: {api_key: sk-one-1234, model: openai/gpt-4o-mini}}\n";
        let other = other.replace("[{a: b}]", "[{a: [b]}]");
        assert_eq!(
            diff(&config(OLD), &config(&other)).to_string(),
            "No difference in behaviour.\n"
        );
    }

    #[test]
    fn what_changes_is_told_by_part_and_secrets_are_not_shown() {
        let new = "model_list:
- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-two-5678, rpm: 20}}
- {model_name: c, litellm_params: {model: openai/gpt-4.1, api_key: sk-one-1234, input_cost_per_token: 1e-6, output_cost_per_token: 2e-6}}
router_settings: {fallbacks: [{a: [c]}], num_retries: 0}
user_config: [{user_id: u, max_budget: 10, budget_duration: 30d}]
trunkline: {timeouts: {idle: 5}}
";
        let told = diff(&config(OLD), &config(new)).to_string();
        for line in [
            "  ~ a → openai/gpt-4o at https://api.openai.com/v1: api_key changes (not shown)",
            "  ~ a → openai/gpt-4o at https://api.openai.com/v1: rpm: 10 → 20",
            "  - b → openai/gpt-4o-mini at https://api.openai.com/v1",
            "  ~ fallbacks: a: b → c",
            "  ~ router: num_retries: 2 → 0",
            "  ~ u: rpm_limit: 5 → not set",
            "  ~ u: max_budget: not set → 10 USD",
            "  ~ timers: idle: 120 s → 5 s",
        ] {
            assert!(told.lines().any(|told| told == line), "{line}\n{told}");
        }
        assert!(told.contains("  + c → openai/gpt-4.1"), "{told}");
        assert!(!told.contains("sk-"), "{told}");
    }
}
