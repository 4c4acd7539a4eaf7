//! `os.environ/NAME`: any text in the file may stand for a variable.
//!
//! A variable that is not set reads as "not given", as in LiteLLM; [`Missing`] remembers it, and the stages that need
//! the value name the variable in what they say.

use super::env::Env;
use super::yaml::{KeyPath, Node};

const PREFIX: &str = "os.environ/";

/// A reference to a variable that is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) path: KeyPath,
    pub(super) variable: String,
}

/// The variable that was wanted at `path`, if it was not set.
pub(super) fn missing_at<'m>(missing: &'m [Missing], path: &KeyPath) -> Option<&'m str> {
    missing
        .iter()
        .find(|missing| missing.path == *path)
        .map(|missing| missing.variable.as_str())
}

/// Replaces every reference below `node`.
pub(super) fn resolve(node: &mut Node, path: &KeyPath, env: &dyn Env, missing: &mut Vec<Missing>) {
    match node {
        Node::Text(text) => {
            let Some(name) = text.strip_prefix(PREFIX) else {
                return;
            };
            let name = name.trim();
            if let Some(value) = env.var(name) {
                *node = Node::Text(value);
            } else {
                missing.push(Missing {
                    path: path.clone(),
                    variable: name.to_owned(),
                });
                *node = Node::Null;
            }
        }
        Node::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                resolve(item, &path.index(index), env, missing);
            }
        }
        Node::Map(map) => {
            // Keys that end in `_ref` hold references for others to resolve.
            for entry in map
                .0
                .iter_mut()
                .filter(|entry| !entry.key.ends_with("_ref"))
            {
                resolve(&mut entry.value, &path.key(&entry.key), env, missing);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

/// Variables that the file itself sets (`environment_variables`) over those of the process.
pub(super) struct FileEnv<'e> {
    set: Vec<(String, String)>,
    process: &'e dyn Env,
}

impl<'e> FileEnv<'e> {
    /// The process's variables under those that `root` sets.
    pub(super) fn new(root: &Node, process: &'e dyn Env) -> Self {
        let mut set = Vec::new();
        if let Some(Node::Map(map)) = root.get("environment_variables") {
            for entry in &map.0 {
                let value = match &entry.value {
                    Node::Text(text) => match text.strip_prefix(PREFIX) {
                        Some(name) => process.var(name.trim()),
                        None => Some(text.clone()),
                    },
                    Node::Number(number) => Some(number.text.clone()),
                    Node::Bool(value) => Some(value.to_string()),
                    Node::Null | Node::List(_) | Node::Map(_) => None,
                };
                set.extend(
                    value
                        .filter(|value| !value.is_empty())
                        .map(|value| (entry.key.clone(), value)),
                );
            }
        }
        Self { set, process }
    }
}

impl Env for FileEnv<'_> {
    fn var(&self, name: &str) -> Option<String> {
        let own = self
            .set
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone());
        own.or_else(|| self.process.var(name))
    }
}
