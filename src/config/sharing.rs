//! `litellm_settings.callbacks: [dynamic_rate_limiter]` or `[dynamic_rate_limiter_v3]`, `priority_reservation` and
//! `priority_reservation_settings`: how callers share what a model group grants.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::error::NoticeKind;
use super::report::Report;
use super::yaml::{KeyPath, Node};
use crate::cost::parse_price;

const CALLBACKS: &str = "callbacks";
const RESERVATION: &str = "priority_reservation";
const SETTINGS: &str = "priority_reservation_settings";
const BY_KEYS: &str = "dynamic_rate_limiter";
const BY_PRIORITIES: &str = "dynamic_rate_limiter_v3";

/// How callers share what a model group's deployments grant together (their `rpm` and `tpm`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharingSettings {
    /// Among whom.
    pub by: SharedBy,
    /// What is kept for each priority.
    pub reserved: BTreeMap<String, Reserved>,
    /// The part of callers without a priority of their own, together. Default 0.25.
    pub default_part: Decimal,
    /// From which use of a group on, as a part of what it grants, each priority is held to its own part. Default 0.5.
    pub threshold: Decimal,
}

/// Among whom a model group is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedBy {
    /// The keys that asked for it within the last minute, in equal parts.
    Keys,
    /// Priorities of keys and teams, by what is reserved for each.
    Priorities,
}

/// What is kept for one priority of each model group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// A part of what the group grants; 1 is all.
    Part(Decimal),
    /// As large a part as so many requests a minute are of what the group grants.
    Requests(u64),
    /// The same by tokens a minute.
    Tokens(u64),
}

/// Reads who shares what; `None`: nobody is held to a share.
pub(super) fn sharing(root: &Node, report: &mut Report<'_>) -> Option<SharingSettings> {
    let settings = root.get("litellm_settings")?;
    let path = KeyPath::of(&["litellm_settings"]);
    let by = callbacks(settings.get(CALLBACKS), &path.key(CALLBACKS), report);
    let reserved = reserved(settings.get(RESERVATION), &path.key(RESERVATION), report);
    let place = path.key(SETTINGS);
    let more = settings.get(SETTINGS);
    let mut part = |name: &str, default: Decimal| {
        let value = more.and_then(|more| more.get(name));
        part_of_one(value, &place.key(name), report).unwrap_or(default)
    };
    let default_part = part("default_priority", Decimal::new(25, 2));
    let threshold = part("saturation_threshold", Decimal::new(5, 1));
    if by.is_none() && !reserved.is_empty() {
        report.notice(
            NoticeKind::NotActedOn,
            &path.key(RESERVATION),
            "has no effect without `litellm_settings.callbacks: [dynamic_rate_limiter_v3]`",
        );
    }
    Some(SharingSettings {
        by: by?,
        reserved,
        default_part,
        threshold,
    })
}

/// Which of the limiters is asked for. The other callbacks of LiteLLM are named as without effect.
fn callbacks(value: Option<&Node>, path: &KeyPath, report: &mut Report<'_>) -> Option<SharedBy> {
    let mut by = None;
    let mut name = |node: &Node, report: &mut Report<'_>| match node {
        Node::Text(name) if name == BY_PRIORITIES => by = Some(SharedBy::Priorities),
        Node::Text(name) if name == BY_KEYS => by = by.or(Some(SharedBy::Keys)),
        Node::Text(name) => {
            let message = format!("`{name}` has no effect yet");
            report.notice(NoticeKind::NotActedOn, path, message);
        }
        other => {
            let what = format!("expected a name, found {}", other.describe());
            report.problem(path, what, "write a list such as [dynamic_rate_limiter_v3]");
        }
    };
    match value {
        None | Some(Node::Null) => {}
        Some(Node::List(names)) => names.iter().for_each(|one| name(one, report)),
        Some(one) => name(one, report),
    }
    by
}

fn reserved(
    value: Option<&Node>,
    path: &KeyPath,
    report: &mut Report<'_>,
) -> BTreeMap<String, Reserved> {
    let map = match value {
        None | Some(Node::Null) => return BTreeMap::new(),
        Some(Node::Map(map)) => map,
        Some(other) => {
            let what = format!("expected a mapping, found {}", other.describe());
            report.problem(path, what, "write `priority: 0.5` lines, indented");
            return BTreeMap::new();
        }
    };
    let entries = map.0.iter().filter_map(|entry| {
        let reserved = one(&entry.value, &path.key(&entry.key), report)?;
        Some((entry.key.clone(), reserved))
    });
    entries.collect()
}

/// `0.5`, or `{type: rpm, value: 100}`.
fn one(value: &Node, path: &KeyPath, report: &mut Report<'_>) -> Option<Reserved> {
    let Node::Map(_) = value else {
        return part_of_one(Some(value), path, report).map(Reserved::Part);
    };
    let (amount, place) = (value.get("value"), path.key("value"));
    match value.get("type") {
        None => part_of_one(amount, &place, report).map(Reserved::Part),
        Some(Node::Text(sort)) if sort == "percent" => {
            part_of_one(amount, &place, report).map(Reserved::Part)
        }
        Some(Node::Text(sort)) if sort == "rpm" => {
            whole(amount, &place, report).map(Reserved::Requests)
        }
        Some(Node::Text(sort)) if sort == "tpm" => {
            whole(amount, &place, report).map(Reserved::Tokens)
        }
        Some(_) => {
            let fix = "write `percent`, `rpm` or `tpm`";
            report.problem(&path.key("type"), "is no sort of share", fix);
            None
        }
    }
}

fn part_of_one(value: Option<&Node>, path: &KeyPath, report: &mut Report<'_>) -> Option<Decimal> {
    let part = parse_price(text_of(value?)).filter(|part| *part <= Decimal::ONE);
    if part.is_none() {
        report.problem(
            path,
            "is not a part",
            "write a number from 0 to 1, such as 0.25",
        );
    }
    part
}

fn whole(value: Option<&Node>, path: &KeyPath, report: &mut Report<'_>) -> Option<u64> {
    let count = value.and_then(|value| text_of(value).parse().ok());
    if count.is_none() {
        report.problem(path, "is not a number of a minute", "write a whole number");
    }
    count
}

fn text_of(value: &Node) -> &str {
    match value {
        Node::Number(number) => &number.text,
        Node::Text(text) => text,
        _ => "",
    }
}
