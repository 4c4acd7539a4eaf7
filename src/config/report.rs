//! Collects what the stages find, and adds the place in the file.

use super::error::{Location, Notice, NoticeKind, Problem};
use super::yaml::{Duplicate, KeyPath, locate};

/// The text that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

/// Problems and notices so far.
#[derive(Debug)]
pub(super) struct Report<'t> {
    source: Option<Source<'t>>,
    duplicates: Vec<Duplicate>,
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<Notice>,
}

impl<'t> Report<'t> {
    /// An empty report on `source`.
    pub(super) fn new(source: Option<Source<'t>>) -> Self {
        Self {
            source,
            duplicates: Vec::new(),
            problems: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Tells which keys stand in the file more than once, with a notice for each.
    pub(super) fn set_duplicates(&mut self, duplicates: Vec<Duplicate>) {
        let paths: Vec<(KeyPath, usize)> = duplicates
            .iter()
            .map(|dup| (dup.path.clone(), dup.times))
            .collect();
        self.duplicates = duplicates;
        for (path, times) in paths {
            let message = format!(
                "stands here {times} times in the same mapping; this last one counts, the others are ignored"
            );
            self.notice(NoticeKind::DuplicateKey, &path, message);
        }
    }

    /// Something wrong at `path` of the file.
    pub(super) fn problem(
        &mut self,
        path: &KeyPath,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let location = self.location(path);
        self.problems.push(Problem {
            location,
            path: path.to_string(),
            what: what.into(),
            fix: fix.into(),
        });
    }

    /// Something wrong at a position that the parser told.
    pub(super) fn problem_at(
        &mut self,
        position: Option<(usize, usize)>,
        what: impl Into<String>,
        fix: &str,
    ) {
        let location = self.source.map(|source| Location {
            file: source.name.to_owned(),
            position,
        });
        self.problems.push(Problem {
            location,
            path: String::new(),
            what: what.into(),
            fix: fix.to_owned(),
        });
    }

    /// Something wrong that is not in the file: a variable or an argument called `name`.
    pub(super) fn problem_outside(
        &mut self,
        name: &str,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.problems.push(Problem {
            location: None,
            path: name.to_owned(),
            what: what.into(),
            fix: fix.into(),
        });
    }

    /// Something worth saying about `path` of the file.
    pub(super) fn notice(&mut self, kind: NoticeKind, path: &KeyPath, message: impl Into<String>) {
        let location = self.location(path);
        self.notices.push(Notice {
            kind,
            location,
            path: path.to_string(),
            message: message.into(),
        });
    }

    /// Something worth saying about a variable called `name`.
    pub(super) fn notice_outside(
        &mut self,
        kind: NoticeKind,
        name: &str,
        message: impl Into<String>,
    ) {
        self.notices.push(Notice {
            kind,
            location: None,
            path: name.to_owned(),
            message: message.into(),
        });
    }

    fn location(&self, path: &KeyPath) -> Option<Location> {
        let source = self.source?;
        let position = locate(source.text, path, &self.duplicates);
        Some(Location {
            file: source.name.to_owned(),
            position,
        })
    }
}
