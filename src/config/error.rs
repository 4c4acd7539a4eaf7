//! What is wrong with a configuration ([`ConfigErrors`]: all of it at once) and what is merely worth saying
//! ([`Notice`]). One line each here; [`super::check`] shows them with the line of the file and a caret.

use std::error::Error;
use std::fmt;

use super::excerpt::Excerpt;

/// A place in a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file as the operator named it.
    pub file: String,
    /// Line and column, both from 1; `None` when only the file is known.
    pub position: Option<(usize, usize)>,
    /// The line itself, where there is one.
    pub excerpt: Option<Excerpt>,
}

impl Location {
    /// A file as a whole.
    pub fn of_file(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            position: None,
            excerpt: None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// One thing that is wrong: `file:line:column: key.path: what is wrong; what to write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Absent for values that came from the command line or the environment.
    pub location: Option<Location>,
    /// Dotted path of the key, `model_list[0].litellm_params.model`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: String,
}

impl Problem {
    /// Something wrong with a file as a whole.
    pub fn of_file(file: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            location: Some(Location::of_file(file)),
            path: String::new(),
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.location.as_ref(), &self.path)?;
        write!(f, "{}; {}", self.what, self.fix)
    }
}

/// Everything that is wrong, in the order found, and what else was noticed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Never empty.
    pub problems: Vec<Problem>,
    /// As [`super::Config::warnings`].
    pub notices: Vec<Notice>,
}

impl ConfigErrors {
    /// The same, in the order of the file; what stands elsewhere comes last.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.problems
            .sort_by_cached_key(|problem| order(problem.location.as_ref()));
        self
    }
}

/// To sort by: file after file, each as a whole and then its lines, then what is in no file.
pub(super) fn order(location: Option<&Location>) -> impl Ord + use<> {
    let file = location.map(|place| place.file.clone());
    let position = location.and_then(|place| place.position);
    (file.is_none(), file, position)
}

impl From<Problem> for ConfigErrors {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
            notices: Vec::new(),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// Why a [`Notice`] is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Nobody knows this key.
    UnknownKey,
    /// A documented key that has no effect, or none yet.
    NotActedOn,
    /// A repeated key; the last one won.
    DuplicateKey,
    /// A deployment that is left out.
    SkippedDeployment,
    /// The configuration works, but is not safe or hardly does what was meant.
    Weak,
    /// A value was replaced or ignored.
    Adjusted,
}

/// Something the operator should know although the configuration loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its kind.
    pub kind: NoticeKind,
    /// Where, if from a file.
    pub location: Option<Location>,
    /// Dotted path of the key.
    pub path: String,
    /// The whole sentence.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.location.as_ref(), &self.path)?;
        f.write_str(&self.message)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, location: Option<&Location>, path: &str) -> fmt::Result {
    if let Some(location) = location {
        write!(f, "{location}: ")?;
    }
    if !path.is_empty() {
        write!(f, "{path}: ")?;
    }
    Ok(())
}
