//! `os.environ/NAME`: any text in the file may stand for a variable.
//!
//! A variable that is not set reads as "not given", as in LiteLLM; [`Missing`] remembers it, and the stages that need
//! the value name the variable in what they say.

use std::collections::HashMap;

use super::env::Env;
use super::report::Report;
use super::yaml::{KeyPath, Node};

/// What a text that stands for a variable begins with.
pub const VARIABLE: &str = "os.environ/";

/// The variable that a text stands for; `None`: it stands for itself.
pub fn variable(text: &str) -> Option<&str> {
    text.strip_prefix(VARIABLE).map(str::trim)
}

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
            let Some(name) = variable(text) else {
                return;
            };
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

/// Variables that the file itself sets (`environment_variables`) over those of the process. The process's own are left
/// alone: what is set here is for this configuration.
pub(super) struct FileEnv<'e> {
    /// `None`: set to nothing, which hides the process's.
    set: HashMap<String, Option<String>>,
    process: &'e dyn Env,
}

impl<'e> FileEnv<'e> {
    /// The process's variables under those that `root` sets. A value may refer to a variable of the process or to one
    /// that stands above it.
    pub(super) fn new(root: &Node, process: &'e dyn Env, report: &mut Report<'_>) -> Self {
        let mut env = Self {
            set: HashMap::new(),
            process,
        };
        let path = KeyPath::of(&["environment_variables"]);
        let map = match root.get("environment_variables") {
            None | Some(Node::Null) => return env,
            Some(Node::Map(map)) => map,
            Some(other) => {
                let what = format!("expected a mapping, found {}", other.describe());
                report.problem(&path, what, "write `NAME: value` lines, indented");
                return env;
            }
        };
        for entry in &map.0 {
            let value = match &entry.value {
                Node::Null => continue,
                Node::Text(text) => match variable(text) {
                    None => Some(text.clone()),
                    Some(name) => match env.var(name.trim()) {
                        None => continue,
                        found => found,
                    },
                },
                Node::Number(number) => Some(number.text.clone()),
                Node::Bool(value) => Some(value.to_string()),
                Node::List(_) | Node::Map(_) => {
                    let what = format!("expected a text, found {}", entry.value.describe());
                    report.problem(&path.key(&entry.key), what, "write one value");
                    continue;
                }
            };
            let value = value.filter(|value| !value.is_empty());
            env.set.insert(entry.key.clone(), value);
        }
        env
    }
}

impl Env for FileEnv<'_> {
    fn var(&self, name: &str) -> Option<String> {
        match self.set.get(name) {
            Some(value) => value.clone(),
            None => self.process.var(name),
        }
    }
}
