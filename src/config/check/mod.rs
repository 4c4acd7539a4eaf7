//! `trunkline check`: everything that can be said about a config file without starting. This module makes the report;
//! `text` and `json` show it.

mod json;
pub(super) mod lines;
mod models;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::env::Env;
use super::error::{ConfigErrors, Notice, NoticeKind, Problem, order};
use super::include;
use super::keys::{self, Status};
use super::load::{CliOverrides, ConfigSource, load};
use super::model::Config;

pub use lines::{KeyLine, Standing};
pub use models::{AliasLine, DeploymentLine, FallbackLine, Models, UserLine};
pub use text::{Problems, problems};

/// The report on one configuration.
#[derive(Debug)]
pub struct CheckReport {
    /// How messages name it.
    pub name: String,
    /// What must be mended before it starts.
    pub errors: Vec<Problem>,
    /// What it starts with, but hardly was meant.
    pub warnings: Vec<Notice>,
    /// What becomes of each key of the file, in its order.
    pub keys: Vec<KeyLine>,
    /// Where requests go; absent while there are errors.
    pub models: Option<Models>,
}

/// What the report comes to; the exit code of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Starts.
    Fine,
    /// Starts, with warnings or with keys that have no effect.
    Warnings,
    /// Does not start.
    Errors,
}

/// More files are not listed.
const MOST_FILES: usize = 64;

/// Checks the configuration at `source` as `serve` would read it.
pub fn check(source: ConfigSource<'_>, env: &dyn Env) -> CheckReport {
    let (name, keys) = match source {
        ConfigSource::Text { name, text } => (name.to_owned(), lines::of(name, text)),
        ConfigSource::Path(path) => (path.display().to_string(), keys_of(path.to_owned())),
        ConfigSource::Environment => match env.var("CONFIG_FILE_PATH") {
            Some(path) => (path.clone(), keys_of(PathBuf::from(path))),
            None => ("the environment".to_owned(), Vec::new()),
        },
    };
    let loaded = load(source, &CliOverrides::default(), env);
    CheckReport::new(name, loaded, keys)
}

/// The keys of a file and of those that it includes. A file that cannot be read is reported by the reader.
fn keys_of(path: PathBuf) -> Vec<KeyLine> {
    let mut keys = Vec::new();
    let mut files = vec![path];
    let mut next = 0;
    while let Some(path) = files.get(next).cloned() {
        next += 1;
        let Ok(text) = include::read_text(&path, "") else {
            continue;
        };
        keys.append(&mut lines::of(&path.display().to_string(), &text));
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for name in lines::included(&text) {
            let path = folder.join(name);
            if files.len() < MOST_FILES && !files.contains(&path) {
                files.push(path);
            }
        }
    }
    keys
}

// === impl CheckReport ===

impl CheckReport {
    fn new(name: String, loaded: Result<Config, ConfigErrors>, keys: Vec<KeyLine>) -> Self {
        let (errors, notices, models) = match loaded {
            Ok(config) => {
                let models = Models::of(&config);
                (Vec::new(), config.warnings, Some(models))
            }
            Err(errors) => {
                let ConfigErrors { problems, notices } = errors.sorted();
                (problems, notices, None)
            }
        };
        let mut warnings: Vec<Notice> = notices.into_iter().filter(is_warning).collect();
        warnings.sort_by_cached_key(|notice| order(notice.location.as_ref()));
        let mut report = Self {
            name,
            errors,
            warnings,
            keys,
            models,
        };
        report.mark();
        report
    }

    /// Tells the keys whose values are wrong, and those of deployments that are left out.
    fn mark(&mut self) {
        let name = &self.name;
        let left_out: BTreeSet<&str> = self
            .warnings
            .iter()
            .filter(|notice| notice.kind == NoticeKind::SkippedDeployment)
            .filter(|notice| {
                notice
                    .location
                    .as_ref()
                    .is_some_and(|place| place.file == *name)
            })
            .filter_map(|notice| notice.path.split('.').next())
            .collect();
        let idle: BTreeSet<&str> = self
            .warnings
            .iter()
            .filter(|notice| notice.kind == NoticeKind::NotActedOn)
            .map(|notice| notice.path.as_str())
            .collect();
        for line in &mut self.keys {
            let entry = line.path.split('.').next().unwrap_or_default();
            let there = line.file == *name && line.standing == Standing::Works;
            if there && left_out.contains(entry) {
                line.standing = Standing::LeftOut;
            }
            if there && idle.contains(line.path.as_str()) {
                line.standing = Standing::PlannedValue;
            }
            // In an included file the paths of lists differ, so there the place decides.
            let same = |problem: &Problem| {
                let place = problem.location.as_ref();
                let there = place.is_some_and(|place| place.file == line.file);
                let number = place.and_then(|place| place.position).map(|(line, _)| line);
                let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
                there
                    && (problem.path == line.path
                        || (line.file != *name
                            && number == line.line
                            && last(&problem.path) == last(&line.path)))
            };
            if line.standing == Standing::Works && self.errors.iter().take(1000).any(same) {
                line.standing = Standing::Wrong;
            }
        }
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let idle =
            |line: &KeyLine| matches!(line.standing, Standing::Planned(_) | Standing::Unknown);
        if !self.errors.is_empty() {
            Verdict::Errors
        } else if !self.warnings.is_empty() || self.keys.iter().any(idle) {
            Verdict::Warnings
        } else {
            Verdict::Fine
        }
    }
}

/// What the list of keys says already is no warning beside it: planned and ignored ones.
fn is_warning(notice: &Notice) -> bool {
    if notice.kind != NoticeKind::NotActedOn {
        return true;
    }
    // A value without effect of a key that has one.
    let bare = without_indices(&notice.path);
    keys::key(&bare).is_some_and(|key| key.status == Status::Supported)
}

/// `model_list[0].litellm_params.rpm` → `model_list.litellm_params.rpm`.
fn without_indices(path: &str) -> String {
    let mut bare = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '[' => inside = true,
            ']' if inside => inside = false,
            _ if inside => {}
            other => bare.push(other),
        }
    }
    bare
}

// === impl Verdict ===

impl Verdict {
    /// 0 fine, 1 warnings where they count, 2 errors.
    pub fn exit_code(self, strict: bool) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Warnings => u8::from(strict),
            Self::Errors => 2,
        }
    }
}
