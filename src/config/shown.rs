//! The settings of a file as an administrator may see them, over the network too: without secrets. A reference to a variable
//! stays one where the value is a text, whatever its key is called.

use std::fmt;

use serde_json::{Map, Value};

use super::env::Env;
use super::env_refs::variable;
use super::excerpt::{looks_secret, names_secret};
use super::keys::{self, Kind};
use super::yaml::Node;

/// Sections that are shown.
const SECTIONS: &[&str] = &["general_settings", "router_settings", "litellm_settings"];
/// What stands in a secret's place.
const MASK: &str = "[REDACTED]";
/// Settings that a variable sets where the file does not.
const BY_VARIABLE: &[(&str, &str)] = &[
    ("master_key", "LITELLM_MASTER_KEY"),
    ("database_url", "DATABASE_URL"),
    ("store_model_in_db", "STORE_MODEL_IN_DB"),
    ("store_prompts_in_spend_logs", "STORE_PROMPTS_IN_SPEND_LOGS"),
    ("log_level", "LITELLM_LOG"),
];

/// The values of a file, secrets removed.
#[derive(Clone, Default, PartialEq)]
pub struct ShownSettings {
    sections: Map<String, Value>,
    /// Of `general_settings`.
    by_variable: Map<String, Value>,
}

// === impl ShownSettings ===

impl fmt::Debug for ShownSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How a file is written is no part of what it means: two that mean the same print alike.
        f.debug_struct("ShownSettings").finish_non_exhaustive()
    }
}

impl ShownSettings {
    /// `root` is what `written` comes to with its variables.
    pub(super) fn new(root: &Node, written: &Node, env: &dyn Env) -> Self {
        let mut sections = Map::new();
        for name in SECTIONS {
            let (Some(node), Some(written)) = (root.get(name), written.get(name)) else {
                continue;
            };
            sections.insert((*name).to_owned(), shown(node, written, name));
        }
        let mut by_variable = Map::new();
        for (name, variable) in BY_VARIABLE {
            if let Some(value) = env.var(variable) {
                let node = Node::Text(value);
                let path = format!("general_settings.{name}");
                by_variable.insert((*name).to_owned(), shown(&node, &node, &path));
            }
        }
        Self {
            sections,
            by_variable,
        }
    }

    /// What the file says of a key of a section, if it says anything.
    pub fn written(&self, section: &str, key: &str) -> Option<&Value> {
        let value = self.sections.get(section)?.get(key)?;
        (!value.is_null()).then_some(value)
    }

    /// What the environment says of a key of `general_settings`.
    pub fn by_variable(&self, key: &str) -> Option<&Value> {
        self.by_variable.get(key)
    }
}

/// `path` has dots and no list indices.
fn shown(node: &Node, written: &Node, path: &str) -> Value {
    match (node, written) {
        (Node::Map(map), written) => {
            let members = map.0.iter().map(|entry| {
                let below = written.get(&entry.key).unwrap_or(&Node::Null);
                let path = format!("{path}.{}", entry.key);
                (entry.key.clone(), shown(&entry.value, below, &path))
            });
            Value::Object(members.collect())
        }
        (Node::List(items), Node::List(as_written)) => {
            let pairs = items.iter().zip(as_written);
            pairs
                .map(|(item, written)| shown(item, written, path))
                .collect()
        }
        (Node::Text(_), Node::Text(reference)) if variable(reference).is_some() => {
            Value::from(reference.as_str())
        }
        (Node::Text(text), _) if is_secret(path, text) => Value::from(MASK),
        (Node::Number(_), _) if names_a_secret(path) => Value::from(MASK),
        (other, _) => other.to_json(),
    }
}

fn is_secret(path: &str, text: &str) -> bool {
    names_a_secret(path) || text.split_whitespace().any(looks_secret)
}

/// Of itself, or of what it lies in.
fn names_a_secret(path: &str) -> bool {
    let kind = keys::key(path).map(|key| key.kind);
    match kind {
        Some(Kind::Secret) => true,
        // A count of tokens is no token.
        Some(
            Kind::Switch
            | Kind::Whole
            | Kind::PerMinute
            | Kind::Seconds
            | Kind::Usd
            | Kind::Number
            | Kind::Tokens,
        ) => false,
        _ => path.split('.').skip(1).any(names_secret),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::{CliOverrides, ConfigSource, MapEnv, load};

    #[test]
    fn no_secret_is_shown_whatever_its_key_is_called() {
        let text = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}}]\n\
                    general_settings: {master_key: sk-hush-0123456789, database_url: 'postgresql://u:hush@h/d', max_parallel_requests: os.environ/MANY,\n\
                    user_header_name: os.environ/HUSH, alert_to_webhook_url: {x: [https://hush/1]}}\n\
                    router_settings: {redis_password: hush, redis_url: 'redis://:hush@h', fallbacks: [{a: [a2]}], num_retries: 5}\n\
                    litellm_settings: {success_callback: [langfuse], cache_params: {password: hush}, langfuse_default_tags: [sk-hush-0123456789]}\n";
        let text = text.replace("[{a: [a2]}]", "[]");
        let source = ConfigSource::Text {
            name: "config.yaml",
            text: &text,
        };
        let env = MapEnv::new([("MANY", "7"), ("HUSH", "hush"), ("LITELLM_LOG", "DEBUG")]);
        let shown = load(source, &CliOverrides::default(), &env).unwrap().shown;
        let all = json!([shown.sections, shown.by_variable]).to_string();
        assert!(!all.contains("hush"), "{all}");
        let general = |key: &str| shown.written("general_settings", key).cloned();
        assert_eq!(general("master_key"), Some(json!("[REDACTED]")));
        assert_eq!(
            general("max_parallel_requests").map(|value| value.to_string().replace('"', "")),
            Some("os.environ/MANY".to_owned())
        );
        assert_eq!(general("user_header_name"), Some(json!("os.environ/HUSH")));
        assert_eq!(general("log_level"), None);
        assert_eq!(shown.by_variable("log_level"), Some(&json!("DEBUG")));
        assert_eq!(
            shown.written("router_settings", "num_retries"),
            Some(&json!(5))
        );
        assert_eq!(
            shown.written("litellm_settings", "success_callback"),
            Some(&json!(["langfuse"]))
        );
    }
}
