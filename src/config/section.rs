//! Reading one section of the tree as one struct of [`super::raw`], with everything wrong or unknown reported.

use serde::de::DeserializeOwned;

use super::keys::{self, Status};
use super::report::Report;
use super::support::{self, Within};
use super::yaml::{KeyPath, Node, typed};

/// Reads `node`, which stands at `path`. What becomes of its keys is said by [`support::check`].
pub(super) fn read<T: DeserializeOwned + Default>(
    node: &Node,
    path: &KeyPath,
    report: &mut Report<'_>,
) -> T {
    read_with(node, path, Within::Live, report, |_| {})
}

/// [`read`] for sections that are planned as a whole, or whose other keys somebody wants: `others` gets each key of
/// `node` itself that `T` does not have.
pub(super) fn read_with<T: DeserializeOwned + Default>(
    node: &Node,
    path: &KeyPath,
    within: Within,
    report: &mut Report<'_>,
    mut others: impl FnMut(&KeyPath),
) -> T {
    let mut unknown = Vec::new();
    let mut wrong = Vec::new();
    let value = typed(
        node,
        |tail, err| wrong.push((path.join(tail), err)),
        |tail| unknown.push(tail.clone()),
    );
    for (path, err) in wrong {
        report.problem(&path, err.what, err.fix);
    }
    support::check(node, path, within, report);
    for tail in unknown {
        if tail.0.len() > 1 {
            deeper(&path.join(&tail), report);
        } else {
            others(&tail);
        }
    }
    value.unwrap_or_default()
}

/// Says what becomes of a key below the keys of a section.
fn deeper(full: &KeyPath, report: &mut Report<'_>) {
    /// A target that is a mapping may override parameters, an alias may be hidden.
    const REFERENCES: &[&str] = &[
        "model_group_alias",
        "model_group_alias_map",
        "model_alias_map",
        "fallbacks",
        "context_window_fallbacks",
        "content_policy_fallbacks",
        "fallback_mapping",
    ];
    let above = full.parent().keys_only();
    let section = keys::section(&above);
    let known = full
        .last_key()
        .and_then(|name| section.and_then(|section| section.key(name)));
    if let Some(key) = known {
        let is_live = keys::key(&above).is_some_and(|above| above.status == Status::Supported);
        match key.status {
            Status::Ignored(reason) => report.keys.ignored(full, reason),
            Status::Refused(instead) => report.problem(full, "cannot be had here", instead),
            // Where the section as a whole is planned, that was said.
            Status::Planned(_) if is_live => report.keys.not_acted_on(full),
            Status::Planned(_) | Status::Supported => {}
        }
    } else if full.has_key(REFERENCES) {
        report.keys.not_acted_on(full);
    } else {
        report.keys.unknown(full, section);
    }
}

/// Seconds beyond which a timer is as good as none; keeps every sum of durations far from overflow.
const MOST_SECONDS: f64 = 31_536_000.0;

/// Checks a time that must be above zero.
pub(super) fn seconds_above_zero(value: Option<f64>, path: &KeyPath, report: &mut Report<'_>) {
    if value.is_some_and(|value| value <= 0.0 || value > MOST_SECONDS) {
        report.problem(
            path,
            "is not a time this can wait",
            "write seconds above 0, at most 31536000",
        );
    }
}

/// Checks a pause, which may be zero.
pub(super) fn seconds_or_zero(value: Option<f64>, path: &KeyPath, report: &mut Report<'_>) {
    if value.is_some_and(|value| !(0.0..=MOST_SECONDS).contains(&value)) {
        report.problem(
            path,
            "is not a time this can wait",
            "write seconds, 0 to 31536000",
        );
    }
}
