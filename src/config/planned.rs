//! Sections that are understood and kept, and that nothing acts on yet: the response cache, log exports.

use super::model::{CacheSettings, LogExport};
use super::raw::{RawCache, RawLitellm, RawLogging};
use super::report::Report;
use super::secret::Secret;
use super::section::{self, seconds_above_zero};
use super::support::Within;
use super::yaml::{KeyPath, Node};

/// The cache, if it is switched on: by `litellm_settings.cache`, else by a section `cache_settings`.
pub(super) fn cache(
    root: &Node,
    litellm: &RawLitellm,
    report: &mut Report<'_>,
) -> Option<CacheSettings> {
    let path = KeyPath::of(&["cache_settings"]);
    let node = root.get("cache_settings").unwrap_or(&Node::Null);
    let other: RawCache = section::read_with(node, &path, Within::Planned, report, |_| {});
    let params = &litellm.cache_params;
    let here = KeyPath::of(&["litellm_settings"]);
    let params_path = here.key("cache_params");
    seconds_above_zero(litellm.cache_ttl, &here.key("cache_ttl"), report);
    for (raw, path) in [(params, &params_path), (&other, &path)] {
        seconds_above_zero(raw.ttl, &path.key("ttl"), report);
        if raw
            .similarity_threshold
            .is_some_and(|least| !(0.0..=1.0).contains(&least))
        {
            report.problem(
                &path.key("similarity_threshold"),
                "is not a similarity",
                "write a number from 0 to 1, such as 0.8",
            );
        }
    }
    if !litellm.cache.unwrap_or(*node != Node::Null) {
        return None;
    }
    let similarity_threshold = params.similarity_threshold.or(other.similarity_threshold);
    let kind = params.kind.as_deref().or(other.kind.as_deref());
    let kind = match kind.unwrap_or("redis") {
        "redis" if similarity_threshold.is_some() => "redis-semantic",
        kind => kind,
    };
    Some(CacheSettings {
        kind: kind.to_owned(),
        host: params.host.clone().or(other.host),
        port: params.port.or(other.port),
        password: secret(params.password.as_deref().or(other.password.as_deref())),
        ttl_secs: params.ttl.or(other.ttl).or(litellm.cache_ttl),
        similarity_threshold,
    })
}

/// `logging`.
pub(super) fn log_exports(root: &Node, report: &mut Report<'_>) -> Vec<LogExport> {
    let path = KeyPath::of(&["logging"]);
    let items = match root.get("logging") {
        None | Some(Node::Null) => return Vec::new(),
        Some(Node::List(items)) => items,
        Some(other) => {
            let what = format!("expected a list, found {}", other.describe());
            report.problem(&path, what, "write one `- type: …` entry for each service");
            return Vec::new();
        }
    };
    let mut exports = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let mut settings = Vec::new();
        let raw: RawLogging = section::read_with(item, &path, Within::Planned, report, |tail| {
            let text = match item.at(tail) {
                Some(Node::Text(text)) => text.clone(),
                Some(Node::Null) | None => return,
                Some(other) => other.to_json().to_string(),
            };
            settings.push((tail.to_string(), Secret::new(text)));
        });
        match raw.kind.as_deref().map(str::trim) {
            None | Some("") => {
                report.problem(&path.key("type"), "is missing", "write `type: datadog`");
            }
            Some(kind) => exports.push(LogExport {
                kind: kind.to_owned(),
                settings,
            }),
        }
    }
    exports
}

/// An empty password is none.
fn secret(text: Option<&str>) -> Option<Secret> {
    text.filter(|text| !text.is_empty()).map(Secret::new)
}
