//! Checks that need more than one key: ids, fallback targets, aliases.

use std::collections::BTreeMap;

use super::env_refs::{Missing, missing_at};
use super::error::{NoticeKind, Problem};
use super::model::{DeploymentConfig, RouterSettings};
use super::report::Report;
use super::yaml::{KeyPath, Node};

/// A deployment and the entry it came from.
pub(super) type Placed = (KeyPath, DeploymentConfig);

/// Ids are unique: a repeated one that was written is a problem, a repeated computed one (two equal entries) gets a
/// number.
pub(super) fn unique_ids(deployments: &mut [Placed], report: &mut Report<'_>) {
    let mut seen: BTreeMap<String, (KeyPath, usize)> = BTreeMap::new();
    for (path, deployment) in deployments {
        match seen.get_mut(&deployment.id) {
            None => {
                seen.insert(deployment.id.clone(), (path.clone(), 1));
            }
            Some((_, times)) if is_computed(&deployment.id) => {
                *times += 1;
                deployment.id = super::deployment::stable_id(&[&deployment.id, &times.to_string()]);
            }
            Some((first, _)) => {
                let what = format!("`{}` is the id of {first} too", deployment.id);
                report.problem(
                    &path.key("model_info").key("id"),
                    what,
                    "write another id or remove the key",
                );
            }
        }
    }
}

fn is_computed(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An empty list is only an error when there was something in it: then every reason becomes a problem.
pub(super) fn something_is_left(deployments: &[Placed], report: &mut Report<'_>) {
    if !deployments.is_empty() || !report.problems.is_empty() {
        return;
    }
    let (skipped, kept) = report
        .notices
        .drain(..)
        .partition(|notice| notice.kind == NoticeKind::SkippedDeployment);
    report.notices = kept;
    let skipped: Vec<super::error::Notice> = skipped;
    for notice in skipped {
        let (what, fix) = notice
            .message
            .split_once("; ")
            .unwrap_or((&notice.message, "correct the entry"));
        let what = format!("{what} (and no other deployment remains)");
        report.problems.push(Problem {
            location: notice.location,
            path: notice.path,
            what,
            fix: fix.to_owned(),
        });
    }
    if report.problems.is_empty() {
        report.problem(
            &KeyPath::of(&["model_list"]),
            "is empty",
            "write at least one deployment, or remove the key",
        );
    }
}

/// Says which variables were wanted and are not set, wherever no other message does.
pub(super) fn unset_variables(missing: &[Missing], report: &mut Report<'_>) {
    for Missing { path, variable } in missing {
        let shown = path.to_string();
        let mut said = report.notices.iter().any(|notice| notice.path == shown);
        for problem in report
            .problems
            .iter_mut()
            .filter(|problem| problem.path == shown)
        {
            said = true;
            if !problem.what.contains(variable.as_str()) {
                problem.what = format!("environment variable {variable} is not set");
                problem.fix = format!("set {variable} or write the value");
            }
        }
        if !said {
            let message =
                format!("environment variable {variable} is not set, so this counts as not given");
            report.notice(NoticeKind::Adjusted, path, message);
        }
    }
}

/// Every fallback target must be a group (or alias) that is served; a group left out above is only worth a notice.
pub(super) fn fallback_targets(
    root: &Node,
    router: &RouterSettings,
    deployments: &[Placed],
    missing: &[Missing],
    report: &mut Report<'_>,
) {
    let served = |name: &str| {
        name == "*"
            || router
                .model_group_alias
                .iter()
                .any(|(alias, _)| alias == name)
            || deployments.iter().any(|(_, deployment)| {
                matches(&deployment.model_name, name) || deployment.id == name
            })
    };
    let written = |name: &str| match root.get("model_list") {
        Some(Node::List(entries)) => entries
            .iter()
            .any(|entry| entry.get("model_name") == Some(&Node::Text(name.to_owned()))),
        _ => false,
    };
    for (section, key) in ["router_settings", "litellm_settings"]
        .iter()
        .flat_map(|section| {
            [
                "fallbacks",
                "context_window_fallbacks",
                "content_policy_fallbacks",
                "default_fallbacks",
            ]
            .map(|key| (*section, key))
        })
    {
        let path = KeyPath::of(&[section, key]);
        let Some(node) = root.at(&path) else { continue };
        let mut names = Vec::new();
        collect(node, &path, &mut names);
        for (path, name) in names {
            if served(&name) || missing_at(missing, &path).is_some() {
                continue;
            }
            if written(&name) {
                report.notice(
                    NoticeKind::Adjusted,
                    &path,
                    format!("`{name}` is left out, so this fallback cannot be used"),
                );
            } else {
                let fix = "write the model_name of an entry of model_list, or an alias";
                report.problem(&path, format!("no model group is called `{name}`"), fix);
            }
        }
    }
}

/// The target names below `node`, with their paths. Group names (keys) are not targets.
fn collect(node: &Node, path: &KeyPath, names: &mut Vec<(KeyPath, String)>) {
    match node {
        Node::Text(name) => names.push((path.clone(), name.clone())),
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &path.index(index), names);
            }
        }
        Node::Map(map) => {
            // A target that is a mapping overrides parameters; its name stands under `model`.
            if let Some(name @ Node::Text(_)) = map.get("model") {
                collect(name, &path.key("model"), names);
                return;
            }
            for entry in &map.0 {
                collect(&entry.value, &path.key(&entry.key), names);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

/// Whether `pattern`, which may hold `*`, covers `name`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == name;
    };
    // More than one star is matched by its first and last piece: enough to tell a typing error.
    let end = end.rsplit('*').next().unwrap_or(end);
    name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
}
