//! Entries of `model_list` that stand in no file: deployments that are stored in the database, checked as a file's are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::deployment::{self, Context};
use super::env::Env;
use super::env_refs::{self, FileEnv, variable};
use super::error::{ConfigErrors, Notice, NoticeKind};
use super::model::DeploymentConfig;
use super::report::Report;
use super::validate::Placed;
use super::yaml::{KeyPath, Mapping, Node};
use super::{cost_terms, credentials, limits, support, validate};
use crate::cost::PriceBook;

/// What of a file an entry depends on.
const SETTINGS: &[&str] = &[
    "environment_variables",
    "credential_list",
    "litellm_settings",
];
/// The gateway's own secrets: whoever may add a deployment would have them sent to an address of its choice.
const OWN_SECRETS: &[&str] = &[
    "LITELLM_MASTER_KEY",
    "LITELLM_SALT_KEY",
    "UI_PASSWORD",
    "GOOGLE_CLIENT_SECRET",
    "MICROSOFT_CLIENT_SECRET",
    "GENERIC_CLIENT_SECRET",
    "DATABASE_URL",
    "DATABASE_PASSWORD",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "REDIS_SENTINEL_PASSWORD",
];
/// Settings whose variables are secrets of the gateway, whatever they are called.
const OWN_SETTINGS: &[&[&str]] = &[
    &["general_settings", "master_key"],
    &["general_settings", "database_url"],
    &["router_settings", "redis_url"],
    &["router_settings", "redis_password"],
    &["router_settings", "redis_sentinel_password"],
    &["litellm_settings", "cache_params"],
    &["trunkline"],
];

/// Reads entries as those of the file would be read.
#[derive(Clone)]
pub struct Entries {
    settings: Mapping,
    /// Variables that no stored entry may name.
    own_secrets: BTreeSet<String>,
    book: Arc<PriceBook>,
}

/// Parameters with a name, as an entry of `credential_list` has them.
#[derive(Clone, Copy)]
pub struct NamedValues<'a> {
    /// `credential_name`.
    pub name: &'a str,
    /// `credential_values`, in the clear.
    pub values: &'a Map<String, Value>,
}

/// An entry of `credential_list` as it is written. Not to be shown as it is.
pub struct WrittenCredential {
    /// `credential_name`.
    pub name: String,
    /// `credential_values`.
    pub values: Map<String, Value>,
    /// `credential_info`.
    pub info: Map<String, Value>,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the file, and it names a credential that is not there ([`Config::waiting`](super::Config::waiting)).
    File,
    /// In the database: whoever wrote it is no operator of this machine.
    Database,
}

/// An entry that can be served.
#[derive(Debug)]
pub struct ReadEntry {
    /// One deployment; several for a list of organisations, or `*`.
    pub deployments: Vec<DeploymentConfig>,
    /// What the operator should know of it.
    pub notices: Vec<Notice>,
}

// === impl Entries ===

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The credentials of the file are among the settings.
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

impl fmt::Debug for NamedValues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedValues")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WrittenCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenCredential")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Entries {
    /// With the settings of the file as they are written.
    pub(super) fn new(written: &Node, book: Arc<PriceBook>) -> Self {
        let mut settings = Mapping::default();
        for key in SETTINGS {
            if let Some(value) = written.get(key) {
                settings.set(key, value.clone());
            }
        }
        let mut own_secrets = OWN_SECRETS.iter().map(|&name| name.to_owned()).collect();
        for path in OWN_SETTINGS {
            if let Some(value) = written.at(&KeyPath::of(path)) {
                variables(value, &mut own_secrets);
            }
        }
        Self {
            settings,
            own_secrets,
            book,
        }
    }

    /// Whether the file has a credential of that name.
    pub fn has_credential(&self, name: &str) -> bool {
        let Some(Node::List(known)) = self.settings.get("credential_list") else {
            return false;
        };
        known
            .iter()
            .any(|one| one.get("credential_name") == Some(&Node::Text(name.to_owned())))
    }

    /// The file's credentials.
    pub fn credentials(&self) -> Vec<WrittenCredential> {
        let Some(Node::List(known)) = self.settings.get("credential_list") else {
            return Vec::new();
        };
        let members = |one: &Node, name: &str| match one.get(name).map(Node::to_json) {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let named = known.iter().filter_map(|one| {
            let Some(Node::Text(name)) = one.get("credential_name") else {
                return None;
            };
            Some(WrittenCredential {
                name: name.clone(),
                values: members(one, "credential_values"),
                info: members(one, "credential_info"),
            })
        });
        named.collect()
    }

    /// Reads one entry, an object with `model_name`, `litellm_params` and `model_info`. It may name a credential of the file,
    /// or that of the database which is given as `credential`; the file's goes first.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its key (`litellm_params.rpm`). What would leave an entry of a file out is
    /// wrong here.
    pub fn read(
        &self,
        entry: &Value,
        origin: Origin,
        credential: Option<NamedValues<'_>>,
        env: &dyn Env,
    ) -> Result<ReadEntry, ConfigErrors> {
        let mut report = Report::new(None);
        let list = KeyPath::of(&["model_list"]);
        let path = list.index(0);
        let entry = Node::from_json(entry);
        let params = path.key("litellm_params");
        let credential = credential.filter(|one| !self.has_credential(one.name));
        if origin == Origin::Database {
            self.check_secrets(&entry, &path, &mut report);
            named_credential(&entry, &params, &mut report);
        }
        let credential = credential.map(|one| (one.name, mapping(one.values)));
        if let Some((_, values)) = &credential {
            self.check_secrets(&Node::Map(values.clone()), &params, &mut report);
        }
        let mut root = Node::Map(self.with(credential, entry));
        let written = root.clone();

        let env = FileEnv::new(&written, env, &mut report);
        credentials::apply(&mut root, &env, false, &mut report);
        let mut missing = Vec::new();
        env_refs::resolve(&mut root, &KeyPath::default(), &env, &mut missing);
        let known_openai = |model: &str| self.book.knows("openai", model);
        let context = Context {
            env: &env,
            missing: &missing,
            known_openai: &known_openai,
        };
        let nothing = Node::Null;
        let read = deployment::read(
            root.at(&path).unwrap_or(&nothing),
            written.at(&path).unwrap_or(&nothing),
            &path,
            context,
            &mut report,
        );
        let mut placed: Vec<Placed> = read.into_iter().map(|one| (path.clone(), one)).collect();
        cost_terms::apply(&root, &mut placed, &mut report);
        limits::check(&root, &placed, &self.book, &mut report);
        if placed.is_empty() {
            validate::left_out(&mut report, "");
        }
        missing.retain(|missing| missing.path.to_string().starts_with(&path.to_string()));
        validate::unset_variables(&missing, &mut report);
        support::say(&mut report);
        finished(placed, report, &path)
    }

    fn with(&self, credential: Option<(&str, Mapping)>, entry: Node) -> Mapping {
        let mut root = self.settings.clone();
        if let Some((name, values)) = credential {
            let mut known = match root.get("credential_list") {
                Some(Node::List(known)) => known.clone(),
                _ => Vec::new(),
            };
            let mut node = Mapping::default();
            node.set("credential_name", Node::Text(name.to_owned()));
            node.set("credential_values", Node::Map(values));
            known.push(Node::Map(node));
            root.set("credential_list", Node::List(known));
        }
        root.set("model_list", Node::List(vec![entry]));
        root
    }

    /// Nothing of the database may name a secret of the gateway.
    fn check_secrets(&self, node: &Node, path: &KeyPath, report: &mut Report<'_>) {
        match node {
            Node::Text(text) => {
                if let Some(name) = variable(text).filter(|name| self.own_secrets.contains(*name)) {
                    report.problem(
                        path,
                        format!("{name} is a secret of the gateway itself"),
                        "name another variable, or write the value",
                    );
                }
            }
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_secrets(item, &path.index(index), report);
                }
            }
            Node::Map(map) => {
                for entry in &map.0 {
                    self.check_secrets(&entry.value, &path.key(&entry.key), report);
                }
            }
            Node::Null | Node::Bool(_) | Node::Number(_) => {}
        }
    }
}

fn mapping(members: &Map<String, Value>) -> Mapping {
    let mut mapping = Mapping::default();
    for (name, value) in members {
        mapping.set(name, Node::from_json(value));
    }
    mapping
}

/// The names of all variables that are referred to.
fn variables(node: &Node, found: &mut BTreeSet<String>) {
    match node {
        Node::Text(text) => found.extend(variable(text).map(str::to_owned)),
        Node::List(items) => items.iter().for_each(|item| variables(item, found)),
        Node::Map(map) => map
            .0
            .iter()
            .for_each(|entry| variables(&entry.value, found)),
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

/// Only what was found of the entry itself, by the keys within it.
fn finished(
    placed: Vec<Placed>,
    report: Report<'_>,
    path: &KeyPath,
) -> Result<ReadEntry, ConfigErrors> {
    let prefix = path.to_string();
    let within = |path: &str| {
        let rest = path.strip_prefix(&prefix)?;
        Some(rest.trim_start_matches('.').to_owned())
    };
    let ConfigErrors {
        mut problems,
        mut notices,
    } = report.into_errors();
    for problem in &mut problems {
        problem.path = within(&problem.path).unwrap_or_default();
    }
    notices.retain_mut(|notice| {
        let own = within(&notice.path);
        let is_own = own.is_some();
        notice.path = own.unwrap_or_default();
        is_own && notice.kind != NoticeKind::SkippedDeployment
    });
    if problems.is_empty() {
        let deployments = placed.into_iter().map(|(_, one)| one).collect();
        return Ok(ReadEntry {
            deployments,
            notices,
        });
    }
    Err(ConfigErrors { problems, notices })
}

/// Who asks which deployments name a credential must find all of them.
fn named_credential(entry: &Node, params: &KeyPath, report: &mut Report<'_>) {
    let named = entry.get("litellm_params");
    let name = named.and_then(|params| params.get(credentials::NAME));
    if let Some(Node::Text(name)) = name
        && variable(name).is_some()
    {
        report.problem(
            &params.key(credentials::NAME),
            "names a variable",
            "write the name of the credential itself",
        );
    }
}

#[cfg(test)]
mod tests;
