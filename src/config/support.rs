//! What is said about keys without effect: looked up in [`super::keys`], the same key of many entries in one line.

use std::collections::BTreeMap;
use std::mem;

use super::error::NoticeKind;
use super::keys::{self, Key, Kind, Others, Section, Status};
use super::report::Report;
use super::suggest::nearest;
use super::yaml::{KeyPath, Node};

/// Said of a documented key without effect.
const NOT_ACTED_ON: &str = "is understood but not acted on yet: it has no effect in this version";
/// So many different keys are named as unknown; the rest is counted.
const MOST_UNKNOWN: usize = 50;

/// Keys without effect so far.
#[derive(Debug, Default)]
pub(super) struct KeyNotes {
    order: Vec<Note>,
    /// From what is said of which key to its place in `order`.
    index: BTreeMap<(String, String), usize>,
    unknown: usize,
    more: usize,
}

/// One line: the first place, and how many more there are.
#[derive(Debug)]
struct Note {
    kind: NoticeKind,
    first: KeyPath,
    message: String,
    times: usize,
}

impl KeyNotes {
    fn add(&mut self, kind: NoticeKind, path: &KeyPath, message: String) {
        let place = (path.keys_only(), message);
        if let Some(note) = self
            .index
            .get(&place)
            .and_then(|at| self.order.get_mut(*at))
        {
            note.times += 1;
            return;
        }
        if kind == NoticeKind::UnknownKey {
            self.unknown += 1;
            if self.unknown > MOST_UNKNOWN {
                self.more += 1;
                return;
            }
        }
        let message = place.1.clone();
        self.index.insert(place, self.order.len());
        self.order.push(Note {
            kind,
            first: path.clone(),
            message,
            times: 1,
        });
    }

    /// Adds a documented key without effect.
    pub(super) fn not_acted_on(&mut self, path: &KeyPath) {
        self.add(NoticeKind::NotActedOn, path, NOT_ACTED_ON.to_owned());
    }

    /// Adds a key without effect for good.
    pub(super) fn ignored(&mut self, path: &KeyPath, reason: &str) {
        let message = format!("has no effect here: {reason}");
        self.add(NoticeKind::NotActedOn, path, message);
    }

    /// Adds a key that nobody knows.
    pub(super) fn unknown(&mut self, path: &KeyPath, section: Option<&Section>) {
        let name = path.last_key().unwrap_or_default();
        let known = section.map_or(&[][..], |section| section.keys);
        let message = match nearest(name, known.iter().map(|key| key.name)) {
            Some(meant) => {
                format!("is not a known key and has no effect; did you mean `{meant}`?")
            }
            None => match belongs(name, section) {
                Some(home) => {
                    format!("is not a known key here and has no effect; it belongs under `{home}`")
                }
                None => "is not a known key and has no effect; check the spelling".to_owned(),
            },
        };
        self.add(NoticeKind::UnknownKey, path, message);
    }
}

/// The one other section of the file that has this key.
fn belongs(name: &str, section: Option<&Section>) -> Option<&'static str> {
    let here = section?.path;
    let has = |section: &&'static Section| {
        section.path != here && section.keys.iter().any(|key| key.name == name)
    };
    // A parameter that stands beside `litellm_params` is the usual slip; `rpm` and the like are known in both.
    if here == "model_list" {
        return keys::section("model_list.litellm_params")
            .filter(has)
            .map(|section| section.path);
    }
    let settings = [
        "router_settings",
        "litellm_settings",
        "general_settings",
        "trunkline",
    ];
    let mut homes = settings
        .iter()
        .filter_map(|path| keys::section(path))
        .filter(has);
    homes
        .next()
        .filter(|_| homes.next().is_none())
        .map(|home| home.path)
}

/// Turns what was collected into notices.
pub(super) fn say(report: &mut Report<'_>) {
    let notes = mem::take(&mut report.keys);
    for note in notes.order {
        let message = match note.times {
            1 => note.message,
            2 => format!("{} (here and at one more place)", note.message),
            times => format!("{} (here and at {} more places)", note.message, times - 1),
        };
        report.notice(note.kind, &note.first, message);
    }
    if notes.more > 0 {
        let message = format!("{} more keys are not known and have no effect", notes.more);
        report.notice(NoticeKind::UnknownKey, &KeyPath::default(), message);
    }
}

/// How the keys of a section are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// A section that is acted on.
    Live,
    /// One that is planned as a whole, which was said already.
    Planned,
}

/// Whether a planned switch is where it is anyway: nothing is missed then.
pub(super) fn is_as_ever(key: &Key, value: &Node) -> bool {
    let is_planned_switch = key.kind == Kind::Switch && matches!(key.status, Status::Planned(_));
    is_planned_switch && matches!(value, Node::Bool(on) if on.to_string() == key.default)
}

/// Says of each key of the mapping at `path` what becomes of it.
pub(super) fn check(node: &Node, path: &KeyPath, within: Within, report: &mut Report<'_>) {
    let (Node::Map(map), Some(section)) = (node, keys::section(&path.keys_only())) else {
        return;
    };
    for entry in &map.0 {
        let full = path.key(&entry.key);
        let key = section.key(&entry.key);
        if key.is_some_and(|key| is_as_ever(key, &entry.value)) {
            continue;
        }
        match key.map(|key| key.status) {
            // A key without a value gives nothing, so nothing is missed.
            Some(Status::Planned(_) | Status::Ignored(_) | Status::Refused(_))
                if entry.value == Node::Null => {}
            Some(Status::Planned(_)) if within == Within::Live => {
                report.keys.not_acted_on(&full);
            }
            Some(Status::Ignored(reason)) => {
                report.keys.ignored(&full, reason);
            }
            Some(Status::Refused(instead)) => {
                report.problem(&full, "cannot be had here", instead);
            }
            None if section.others == Others::Unknown => {
                report.keys.unknown(&full, Some(section));
            }
            Some(Status::Supported | Status::Planned(_)) | None => {}
        }
    }
}

/// [`check`] for a list of such mappings.
pub(super) fn check_each(node: &Node, path: &KeyPath, within: Within, report: &mut Report<'_>) {
    if let Node::List(items) = node {
        for (index, item) in items.iter().enumerate() {
            check(item, &path.index(index), within, report);
        }
    }
}
