//! The report for programs, as one JSON object.
//!
//! ```json
//! {"file": "config.yaml", "verdict": "warnings", "errors": [], "warnings": [{"file": "config.yaml", "line": 5,
//!  "column": 5, "path": "router_settings.num_retrys", "message": "…", "kind": "unknown_key"}],
//!  "keys": [{"file": "config.yaml", "line": 1, "path": "model_list", "status": "works", "note": ""}],
//!  "models": {"deployments": [], "aliases": [], "fallbacks": [], "users": []}}
//! ```

use serde_json::{Value, json};

use super::models::Models;
use super::{CheckReport, Verdict};
use crate::config::error::{Location, Notice, NoticeKind, Problem};

impl CheckReport {
    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.name,
            "verdict": match self.verdict() {
                Verdict::Fine => "fine",
                Verdict::Warnings => "warnings",
                Verdict::Errors => "errors",
            },
            "errors": self.errors.iter().map(error).collect::<Vec<_>>(),
            "warnings": self.warnings.iter().map(warning).collect::<Vec<_>>(),
            "keys": self.keys.iter().map(|line| json!({
                "file": line.file,
                "line": line.line,
                "path": line.path,
                "status": line.standing.word(),
                "note": line.standing.note(),
            })).collect::<Vec<_>>(),
            "models": self.models.as_ref().map(models),
        })
    }
}

fn error(problem: &Problem) -> Value {
    let mut value = place(problem.location.as_ref(), &problem.path);
    if let Value::Object(map) = &mut value {
        map.insert("message".to_owned(), problem.what.as_str().into());
        map.insert("fix".to_owned(), problem.fix.as_str().into());
    }
    value
}

fn warning(notice: &Notice) -> Value {
    let mut value = place(notice.location.as_ref(), &notice.path);
    let kind = match notice.kind {
        NoticeKind::UnknownKey => "unknown_key",
        NoticeKind::NotActedOn => "not_acted_on",
        NoticeKind::DuplicateKey => "duplicate_key",
        NoticeKind::SkippedDeployment => "skipped_deployment",
        NoticeKind::Weak => "weak",
        NoticeKind::Adjusted => "adjusted",
    };
    if let Value::Object(map) = &mut value {
        map.insert("message".to_owned(), notice.message.as_str().into());
        map.insert("kind".to_owned(), kind.into());
    }
    value
}

fn place(location: Option<&Location>, path: &str) -> Value {
    let position = location.and_then(|location| location.position);
    json!({
        "file": location.map(|location| location.file.as_str()),
        "line": position.map(|(line, _)| line),
        "column": position.map(|(_, column)| column),
        "path": path,
    })
}

fn models(models: &Models) -> Value {
    json!({
        "deployments": models.deployments.iter().map(|one| json!({
            "group": one.group,
            "model": one.model,
            "address": one.address,
            "key": one.key,
            "priced": one.priced,
            "settings": one.settings,
        })).collect::<Vec<_>>(),
        "aliases": models.aliases.iter().map(|one| json!({
            "alias": one.alias,
            "group": one.group,
        })).collect::<Vec<_>>(),
        "fallbacks": models.fallbacks.iter().map(|one| json!({
            "when": one.when,
            "group": one.group,
            "targets": one.targets,
        })).collect::<Vec<_>>(),
        "users": models.users.iter().map(|one| json!({
            "id": one.id,
            "settings": one.settings,
        })).collect::<Vec<_>>(),
    })
}
