//! What names a model group: fallbacks, aliases, the models of users. Unknown names, a group that falls back to itself,
//! and circles.

use std::collections::{BTreeMap, BTreeSet};

use super::env_refs::{Missing, missing_at};
use super::error::NoticeKind;
use super::model::RouterSettings;
use super::report::Report;
use super::suggest::nearest;
use super::validate::Placed;
use super::yaml::{KeyPath, Node};

/// The keys that hold fallbacks, in each section that may have them.
const FALLBACKS: &[(&str, &[&str])] = &[
    (
        "router_settings",
        &[
            "fallbacks",
            "context_window_fallbacks",
            "content_policy_fallbacks",
        ],
    ),
    (
        "litellm_settings",
        &[
            "fallbacks",
            "context_window_fallbacks",
            "content_policy_fallbacks",
        ],
    ),
];

/// The groups that can be named.
struct Groups<'c> {
    root: &'c Node,
    elsewhere: Elsewhere<'c>,
    /// Groups, aliases, ids of deployments and access groups.
    names: BTreeSet<&'c str>,
    /// Groups that hold a `*`.
    patterns: Vec<&'c str>,
    /// Every `model_name` of the file, be it left out or broken.
    written: BTreeSet<&'c str>,
    access_groups: BTreeSet<&'c str>,
}

/// So many names are compared with one that is not known.
const MOST_NAMES: usize = 2000;

/// Longer circles are not looked for.
const DEEPEST: usize = 50;

/// One name and where it stands.
type Named = (KeyPath, String);

/// One entry of a list of fallbacks: the group, where it stands, and whom it falls back to.
struct Edge {
    path: KeyPath,
    group: String,
    targets: Vec<Named>,
}

/// What is known of names that the file does not have.
#[derive(Clone, Copy)]
pub(super) struct Elsewhere<'c> {
    /// Variables that are not set.
    pub(super) missing: &'c [Missing],
    /// Groups may be stored in the database.
    pub(super) stored: bool,
}

/// Checks everything in the file that names a group.
pub(super) fn check(
    root: &Node,
    router: &RouterSettings,
    deployments: &[Placed],
    elsewhere: Elsewhere<'_>,
    report: &mut Report<'_>,
) {
    let groups = Groups::new(root, router, deployments, elsewhere);
    for (section, keys) in FALLBACKS {
        for key in *keys {
            let path = KeyPath::of(&[section, key]);
            fallbacks(&edges(root.at(&path), &path), &groups, report);
        }
        let path = KeyPath::of(&[section, "default_fallbacks"]);
        for name in targets(root.at(&path), &path) {
            groups.must_serve(&name, "this fallback", report);
        }
    }
    let path = KeyPath::of(&["fallback_mapping"]);
    fallbacks(&edges(root.at(&path), &path), &groups, report);
    for (section, key) in [
        ("router_settings", "model_group_alias"),
        ("router_settings", "model_group_alias_map"),
        ("litellm_settings", "model_alias_map"),
    ] {
        let path = KeyPath::of(&[section, key]);
        let Some(Node::Map(map)) = root.at(&path) else {
            continue;
        };
        for entry in &map.0 {
            for name in targets(Some(&entry.value), &path.key(&entry.key)) {
                groups.must_serve(&name, "this alias", report);
            }
        }
    }
    let path = KeyPath::of(&["router_settings", "model_group_retry_policy"]);
    if let Some(Node::Map(map)) = root.at(&path) {
        for entry in &map.0 {
            if !groups.serves(&entry.key) && !groups.is_written(&entry.key) {
                let hint = groups.hint(&entry.key);
                let message =
                    format!("no model group is called so, and this policy is never used; {hint}");
                report.notice(NoticeKind::Weak, &path.key(&entry.key), message);
            }
        }
    }
    users(&groups, report);
}

fn fallbacks(edges: &[Edge], groups: &Groups<'_>, report: &mut Report<'_>) {
    for edge in edges {
        if !groups.serves(&edge.group) && !groups.is_written(&edge.group) {
            let hint = groups.hint(&edge.group);
            let message =
                format!("no model group is called so, and these fallbacks are never used; {hint}");
            report.notice(NoticeKind::Weak, &edge.path, message);
        }
        for target in &edge.targets {
            if target.1 == edge.group {
                report.problem(
                    &target.0,
                    format!("`{}` falls back to itself", target.1),
                    "write another group, or remove this one",
                );
            } else {
                groups.must_serve(target, "this fallback", report);
            }
        }
    }
    circles(edges, report);
}

/// Says of each circle once that it is one. It ends, because fallbacks of fallbacks are followed to a depth.
fn circles(edges: &[Edge], report: &mut Report<'_>) {
    let mut next: BTreeMap<&str, &Edge> = BTreeMap::new();
    for edge in edges {
        next.entry(&edge.group).or_insert(edge);
    }
    // The bound keeps a file of nothing but fallbacks from taking long.
    let mut search = Search {
        next,
        steps: 20_000,
    };
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for edge in edges {
        let mut way = vec![edge.group.as_str()];
        if !done.contains(edge.group.as_str()) && search.closes(edge, &mut way) {
            let circle = format!("{} → {}", way.join(" → "), edge.group);
            let message = format!(
                "these fallbacks go in a circle ({circle}): groups are asked again that have failed; remove one of them"
            );
            report.notice(NoticeKind::Weak, &edge.path, message);
            done.extend(way);
        }
    }
}

struct Search<'e> {
    next: BTreeMap<&'e str, &'e Edge>,
    steps: usize,
}

impl<'e> Search<'e> {
    /// Whether a way of two groups or more leads from the end of `way` back to its start; `way` is then that way.
    fn closes(&mut self, from: &'e Edge, way: &mut Vec<&'e str>) -> bool {
        for (_, target) in &from.targets {
            if way.len() > 1 && way.first() == Some(&target.as_str()) {
                return true;
            }
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 || way.len() > DEEPEST || way.contains(&target.as_str()) {
                continue;
            }
            if let Some(next) = self.next.get(target.as_str()).copied() {
                way.push(target);
                if self.closes(next, way) {
                    return true;
                }
                way.pop();
            }
        }
        false
    }
}

/// Models that users may use. A user without any model is a nuisance, no danger.
fn users(groups: &Groups<'_>, report: &mut Report<'_>) {
    let path = KeyPath::of(&["user_config"]);
    if !matches!(groups.root.get("model_list"), Some(Node::List(_))) {
        return;
    }
    let Some(Node::List(users)) = groups.root.at(&path) else {
        return;
    };
    for (index, user) in users.iter().enumerate() {
        let path = path.index(index).key("models");
        for (path, name) in targets(user.get("models"), &path) {
            let access_group = groups.access_groups.contains(name.as_str());
            let general =
                name.contains('*') || name == "all-proxy-models" || name == "no-default-models";
            if !general && !access_group && !groups.serves(&name) && !groups.is_written(&name) {
                let hint = groups.hint(&name);
                let message = format!("no model group is called `{name}`; {hint}");
                report.notice(NoticeKind::Weak, &path, message);
            }
        }
    }
}

// === impl Groups ===

impl<'c> Groups<'c> {
    fn new(
        root: &'c Node,
        router: &'c RouterSettings,
        deployments: &'c [Placed],
        elsewhere: Elsewhere<'c>,
    ) -> Self {
        let entries = match root.get("model_list") {
            Some(Node::List(entries)) => entries.as_slice(),
            _ => &[],
        };
        let written = entries.iter().filter_map(|entry| {
            let Some(Node::Text(name)) = entry.get("model_name") else {
                return None;
            };
            Some(name.as_str())
        });
        let deployments = || deployments.iter().map(|(_, deployment)| deployment);
        let aliases = router.model_group_alias.iter().map(|(alias, _)| alias);
        let served = deployments().flat_map(|one| [&one.model_name, &one.id]);
        let patterns = deployments().map(|one| one.model_name.as_str());
        let patterns: BTreeSet<&str> = patterns.filter(|name| name.contains('*')).collect();
        Self {
            root,
            elsewhere,
            names: served.chain(aliases).map(String::as_str).collect(),
            patterns: patterns.into_iter().collect(),
            written: written.collect(),
            access_groups: deployments()
                .flat_map(|one| &one.model_info.access_groups)
                .map(String::as_str)
                .collect(),
        }
    }

    /// Whether requests can name it.
    fn serves(&self, name: &str) -> bool {
        name == "*"
            || self.names.contains(name)
            || self.patterns.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether the file has it, be it left out or broken.
    fn is_written(&self, name: &str) -> bool {
        self.written.contains(name)
    }

    /// Reports `name` unless requests can name it too.
    fn must_serve(&self, (path, name): &Named, what: &str, report: &mut Report<'_>) {
        if self.serves(name) || missing_at(self.elsewhere.missing, path).is_some() {
            return;
        }
        if self.is_written(name) {
            report.notice(
                NoticeKind::Adjusted,
                path,
                format!("`{name}` is left out, so {what} cannot be used"),
            );
        } else if self.elsewhere.stored {
            let hint = self.hint(name);
            let message = format!(
                "no model group of this file is called `{name}`, so {what} needs one of the database; {hint}"
            );
            report.notice(NoticeKind::Adjusted, path, message);
        } else {
            report.problem(
                path,
                format!("no model group is called `{name}`"),
                self.hint(name),
            );
        }
    }

    /// What may have been meant.
    fn hint(&self, name: &str) -> String {
        // Ids that were computed are far from everything.
        let known = self.written.iter().chain(&self.names).take(MOST_NAMES);
        match nearest(name, known.copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write the model_name of an entry of model_list, or an alias".to_owned(),
        }
    }
}

/// The entries of a list of mappings, or of one mapping.
fn edges(node: Option<&Node>, path: &KeyPath) -> Vec<Edge> {
    match node {
        Some(Node::List(items)) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| match item {
                Node::Map(_) => edges(Some(item), &path.index(index)),
                _ => Vec::new(),
            })
            .collect(),
        Some(Node::Map(map)) => map
            .0
            .iter()
            .map(|entry| {
                let path = path.key(&entry.key);
                Edge {
                    group: entry.key.clone(),
                    targets: targets(Some(&entry.value), &path),
                    path,
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The names in a list, or one name. A target that is a mapping overrides parameters; its name stands under `model`.
fn targets(node: Option<&Node>, path: &KeyPath) -> Vec<Named> {
    match node {
        Some(Node::Text(name)) => vec![(path.clone(), name.clone())],
        Some(Node::List(items)) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| match item {
                Node::List(_) => Vec::new(),
                item => targets(Some(item), &path.index(index)),
            })
            .collect(),
        Some(Node::Map(map)) => match map.get("model") {
            Some(Node::Text(name)) => vec![(path.key("model"), name.clone())],
            _ => Vec::new(),
        },
        _ => Vec::new(),
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
