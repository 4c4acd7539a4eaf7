//! Collects what the stages find, and adds the place in the file: line, column and the line itself. Secrets go no
//! further than here, neither in a line nor in a quoted value.

use std::cell::Cell;

use super::error::{ConfigErrors, Location, Notice, NoticeKind, Problem};
use super::excerpt::{Excerpt, names_secret, scrub, scrub_path};
use super::include::{Included, IncludedFile};
use super::support::KeyNotes;
use super::yaml::{Duplicate, KeyPath, Segment, Surprise, locate};

/// A place is found by reading the text again; after so many bytes messages have no line any more. Only a file that is
/// large and wrong in very many places comes so far.
const MOST_BYTES: usize = 16 * 1024 * 1024;

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
    read: Cell<usize>,
    included: Included,
    /// Keys without effect, until [`super::support::say`].
    pub(super) keys: KeyNotes,
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<Notice>,
}

impl<'t> Report<'t> {
    /// An empty report on `source`.
    pub(super) fn new(source: Option<Source<'t>>) -> Self {
        Self {
            source,
            duplicates: Vec::new(),
            read: Cell::new(0),
            included: Included::default(),
            keys: KeyNotes::default(),
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
            let message = repeated(times);
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
            path: scrub_path(&path.to_string()),
            what: scrub(&what.into()),
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
            excerpt: position.and_then(|position| Excerpt::of(source.text, position, false)),
        });
        self.problems.push(Problem {
            location,
            path: String::new(),
            what: scrub(&what.into()),
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
            path: scrub_path(&path.to_string()),
            message: scrub(&message.into()),
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

    /// Whether a problem at `path` is known. Of very many, the later ones are not looked at.
    pub(super) fn has_problem(&self, path: &KeyPath) -> bool {
        let shown = scrub_path(&path.to_string());
        let mut known = self.problems.iter().take(1000);
        known.any(|problem| problem.path == shown)
    }

    /// What was found, when something is wrong.
    pub(super) fn into_errors(self) -> ConfigErrors {
        ConfigErrors {
            problems: self.problems,
            notices: self.notices,
        }
    }

    /// Tells which parts of the tree stand in other files.
    pub(super) fn set_included(&mut self, included: Included) {
        self.included = included;
    }

    /// What the parser noticed in a file that is not part of the tree yet.
    pub(super) fn say_of_included(&mut self, file: &IncludedFile, surprises: &[Surprise]) {
        let source = Source {
            name: &file.name,
            text: &file.text,
        };
        for duplicate in &file.duplicates {
            let location = self.location_in(source, &duplicate.path, &file.duplicates);
            self.notices.push(Notice {
                kind: NoticeKind::DuplicateKey,
                location: Some(location),
                path: duplicate.path.to_string(),
                message: repeated(duplicate.times),
            });
        }
        for surprise in surprises {
            let location = self.location_in(source, &surprise.path, &file.duplicates);
            self.notices.push(Notice {
                kind: NoticeKind::Adjusted,
                location: Some(location),
                path: surprise.path.to_string(),
                message: surprise.to_string(),
            });
        }
    }

    /// Something wrong at a position of an included file that cannot be read.
    pub(super) fn problem_in(
        &mut self,
        name: &str,
        text: &str,
        position: Option<(usize, usize)>,
        what: &str,
        fix: String,
    ) {
        let location = Some(Location {
            file: name.to_owned(),
            position,
            excerpt: position.and_then(|position| Excerpt::of(text, position, false)),
        });
        self.problems.push(Problem {
            location,
            path: String::new(),
            what: scrub(what),
            fix,
        });
    }

    fn location(&self, path: &KeyPath) -> Option<Location> {
        if let Some((file, path)) = self.included.place(path) {
            let source = Source {
                name: &file.name,
                text: &file.text,
            };
            return Some(self.location_in(source, &path, &file.duplicates));
        }
        Some(self.location_in(self.source?, path, &self.duplicates))
    }

    fn location_in(
        &self,
        source: Source<'_>,
        path: &KeyPath,
        duplicates: &[Duplicate],
    ) -> Location {
        self.read.set(self.read.get() + source.text.len());
        let position = (self.read.get() <= MOST_BYTES)
            .then(|| locate(source.text, path, duplicates))
            .flatten();
        let secret = path
            .0
            .iter()
            .any(|segment| matches!(segment, Segment::Key(key) if names_secret(key)));
        Location {
            file: source.name.to_owned(),
            position,
            excerpt: position.and_then(|position| Excerpt::of(source.text, position, secret)),
        }
    }
}

fn repeated(times: usize) -> String {
    format!(
        "stands here {times} times in the same mapping; this last one counts, the others are ignored"
    )
}
