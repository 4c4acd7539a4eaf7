//! `credential_list`: parameters with a name, for deployments that say `litellm_credential_name`.
//!
//! Works on the tree before variables are resolved, so that a variable that is not set is missed by the deployment
//! that wants it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::env::Env;
use super::env_refs;
use super::error::NoticeKind;
use super::report::Report;
use super::support::{self, Within};
use super::yaml::{KeyPath, Mapping, Node};

pub(super) const NAME: &str = "litellm_credential_name";

/// Fills the parameters of each deployment from the credential it names; what it says itself wins, as in LiteLLM. With
/// `stored`, others may be in the database: the places of entries that name one are answered.
pub(super) fn apply(
    root: &mut Node,
    env: &dyn Env,
    stored: bool,
    report: &mut Report<'_>,
) -> Vec<usize> {
    let mut waiting = Vec::new();
    let credentials = credentials(root, env, report);
    let Node::Map(root) = root else {
        return waiting;
    };
    let Some(Node::List(entries)) = root.get_mut("model_list") else {
        return waiting;
    };
    for (index, entry) in entries.iter_mut().enumerate() {
        let Node::Map(entry) = entry else { continue };
        let Some(Node::Map(params)) = entry.get_mut("litellm_params") else {
            continue;
        };
        let Some(name) = params.get(NAME).and_then(|node| text(node, env)) else {
            continue;
        };
        if let Some(values) = credentials.get(&name) {
            for given in &values.0 {
                if matches!(params.get(&given.key), None | Some(Node::Null)) {
                    params.set(&given.key, given.value.clone());
                }
            }
        } else {
            let path = KeyPath::of(&["model_list"])
                .index(index)
                .key("litellm_params")
                .key(NAME);
            if stored {
                let message = format!(
                    "no credential of this file is called `{}`, so this deployment is served when the database has one",
                    name.escape_debug()
                );
                report.notice(NoticeKind::Adjusted, &path, message);
                waiting.push(index);
                continue;
            }
            report.problem(
                &path,
                format!("no credential is called `{}`", name.escape_debug()),
                "write the credential_name of an entry of credential_list",
            );
        }
    }
    waiting
}

/// The entry at `index` as it is written, but for the credential's name, which may be a variable's value.
pub(super) fn waiting_entry(index: usize, written: &Node, resolved: &Node) -> Option<Value> {
    let path = KeyPath::of(&["model_list"]).index(index);
    let mut entry = written.at(&path)?.to_json();
    let params = path.key("litellm_params");
    let name = resolved.at(&params.key(NAME))?.to_json();
    entry
        .get_mut("litellm_params")?
        .as_object_mut()?
        .insert(NAME.to_owned(), name);
    Some(entry)
}

fn credentials(root: &Node, env: &dyn Env, report: &mut Report<'_>) -> BTreeMap<String, Mapping> {
    let path = KeyPath::of(&["credential_list"]);
    let mut credentials = BTreeMap::new();
    let node = match root.get("credential_list") {
        None | Some(Node::Null) => return credentials,
        Some(node) => node,
    };
    let Node::List(items) = node else {
        let what = format!("expected a list, found {}", node.describe());
        report.problem(
            &path,
            what,
            "write one `- credential_name: …` entry for each",
        );
        return credentials;
    };
    support::check_each(node, &path, Within::Live, report);
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let name = item.get("credential_name").and_then(|node| text(node, env));
        let values = match item.get("credential_values") {
            Some(Node::Map(values)) => Some(values.clone()),
            _ => None,
        };
        let (Some(name), Some(values)) = (name, values) else {
            report.problem(
                &path,
                "has no credential_name or no credential_values",
                "write `credential_name: NAME` and `credential_values:` with parameters under it",
            );
            continue;
        };
        if credentials.contains_key(&name) {
            let what = format!("`{}` stands in an entry above too", name.escape_debug());
            report.problem(&path.key("credential_name"), what, "write another name");
        }
        credentials.insert(name, values);
    }
    credentials
}

/// The text at `node`, or of the variable it refers to.
fn text(node: &Node, env: &dyn Env) -> Option<String> {
    let mut node = node.clone();
    env_refs::resolve(&mut node, &KeyPath::default(), env, &mut Vec::new());
    match node {
        Node::Text(text) => Some(text),
        Node::Number(number) => Some(number.text),
        Node::Null | Node::Bool(_) | Node::List(_) | Node::Map(_) => None,
    }
}
