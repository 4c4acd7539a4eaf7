//! Reading one section of the tree as one struct of [`super::raw`], with everything wrong or unknown reported.

use serde::de::DeserializeOwned;

use super::error::NoticeKind;
use super::report::Report;
use super::support::is_planned;
use super::yaml::{KeyPath, Node, typed};

/// Said of a documented key without effect.
pub(super) const NOT_ACTED_ON: &str =
    "is understood but not acted on yet: it has no effect in this version";
/// Said of any other key without effect.
pub(super) const UNKNOWN: &str = "is not a known key and has no effect; check the spelling";

/// Reads `node`, which stands at `path`. Keys that `T` does not have go to `ignored` with their path in the file and
/// their path below `node`.
pub(super) fn read<'t, T: DeserializeOwned + Default>(
    node: &Node,
    path: &KeyPath,
    report: &mut Report<'t>,
    mut ignored: impl FnMut(&mut Report<'t>, &KeyPath, &KeyPath),
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
    for tail in unknown {
        ignored(report, &path.join(&tail), &tail);
    }
    value.unwrap_or_default()
}

/// The usual answer to a key that has no effect.
pub(super) fn note_ignored(report: &mut Report<'_>, full: &KeyPath, _tail: &KeyPath) {
    if is_planned(&full.keys_only()) {
        report.notice(NoticeKind::NotActedOn, full, NOT_ACTED_ON);
    } else {
        report.notice(NoticeKind::UnknownKey, full, UNKNOWN);
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
