//! `include`: further files in one tree, and which part of the tree came from which file.
//!
//! As in LiteLLM: a list of the file is appended to the list of the same section, any other section replaces it. An
//! included file may include others; paths are relative to the file that names them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::env::Env;
use super::env_refs;
use super::error::Problem;
use super::report::Report;
use super::tree::{self, Parsed};
use super::yaml::{Duplicate, KeyPath, MOST_BYTES, Node, Segment};

/// Files within files.
const MOST_DEPTH: usize = 8;
/// Files altogether.
const MOST_FILES: usize = 64;

/// A file that was included.
#[derive(Debug)]
pub(super) struct IncludedFile {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) duplicates: Vec<Duplicate>,
}

/// Which part of the tree stands in which included file.
#[derive(Debug, Default)]
pub(super) struct Included {
    files: Vec<IncludedFile>,
    /// Later ones win.
    parts: Vec<Part>,
}

/// A section of a file, or a run of its items.
#[derive(Debug)]
struct Part {
    section: String,
    file: usize,
    /// First index in the tree and number; `None` for the whole section.
    items: Option<(usize, usize)>,
}

impl Included {
    /// The file that holds `path` of the tree, and the path there; `None` for the main file.
    pub(super) fn place(&self, path: &KeyPath) -> Option<(&IncludedFile, KeyPath)> {
        let Some(Segment::Key(section)) = path.0.first() else {
            return None;
        };
        for part in self.parts.iter().rev() {
            if part.section != *section {
                continue;
            }
            let file = self.files.get(part.file)?;
            match (part.items, path.0.get(1)) {
                (None, _) => return Some((file, path.clone())),
                (Some((start, count)), Some(Segment::Index(index)))
                    if (start..start + count).contains(index) =>
                {
                    let mut there = path.clone();
                    if let Some(step) = there.0.get_mut(1) {
                        *step = Segment::Index(index - start);
                    }
                    return Some((file, there));
                }
                (Some(_), _) => {}
            }
        }
        None
    }
}

/// The text of a file, not longer than a configuration can be.
///
/// # Errors
/// What is wrong with it and what to do.
pub(super) fn read_text(path: &Path, hint: &str) -> Result<String, (String, String)> {
    let unreadable = |err: io::Error| (format!("the file cannot be read ({err})"), hint.to_owned());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > MOST_BYTES {
        return Err(tree::too_long());
    }
    String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        (
            format!("is not UTF-8 text (byte {at})"),
            "save the file as UTF-8".to_owned(),
        )
    })
}

/// Merges what `include` of the main file names into `root`. `main` is that file; without one nothing can be included.
pub(super) fn include(
    root: &mut Node,
    main: Option<&Path>,
    env: &dyn Env,
    report: &mut Report<'_>,
) {
    if matches!(root.get("include"), None | Some(Node::Null)) {
        return;
    }
    let path = KeyPath::of(&["include"]);
    let Some(main) = main else {
        report.problem(
            &path,
            "only a file can include others",
            "name the file with --config",
        );
        return;
    };
    let mut work = Work {
        included: Included::default(),
        above: BTreeSet::from([canonical(main)]),
        env,
    };
    let wanted = work.wanted(root, main, |index, what, fix| {
        let path = index.map_or_else(|| path.clone(), |index| path.index(index));
        report.problem(&path, what, fix);
    });
    for (index, file) in wanted {
        work.add(root, &file, 1, report, &mut |report, what, fix| {
            report.problem(&path.index(index), what, fix);
        });
    }
    report.set_included(work.included);
}

type Say<'s, 't> = &'s mut dyn FnMut(&mut Report<'t>, String, String);

struct Work<'e> {
    included: Included,
    /// The files that are being included, to see a circle.
    above: BTreeSet<PathBuf>,
    env: &'e dyn Env,
}

impl Work<'_> {
    /// The files that `include` of `node` names, with their place in the list.
    fn wanted(
        &self,
        node: &Node,
        file: &Path,
        mut wrong: impl FnMut(Option<usize>, String, String),
    ) -> Vec<(usize, PathBuf)> {
        let mut value = node.get("include").cloned().unwrap_or(Node::Null);
        let mut missing = Vec::new();
        env_refs::resolve(&mut value, &KeyPath::default(), self.env, &mut missing);
        let items = match value {
            Node::Null => Vec::new(),
            Node::List(items) => items,
            one @ Node::Text(_) => vec![one],
            other => {
                let what = format!("expected a list of files, found {}", other.describe());
                wrong(None, what, "write one `- file.yaml` a line".to_owned());
                Vec::new()
            }
        };
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        let mut files = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Node::Text(name) if !name.trim().is_empty() => {
                    files.push((index, folder.join(name.trim())));
                }
                other => wrong(
                    Some(index),
                    format!("expected the name of a file, found {}", other.describe()),
                    "write a path relative to this file".to_owned(),
                ),
            }
        }
        files
    }

    /// Merges one file and what it includes.
    fn add<'t>(
        &mut self,
        root: &mut Node,
        path: &Path,
        depth: usize,
        report: &mut Report<'t>,
        say: Say<'_, 't>,
    ) {
        let name = path.display().to_string();
        if depth > MOST_DEPTH || self.included.files.len() >= MOST_FILES {
            let what =
                format!("{name} is file number {MOST_FILES}, or {MOST_DEPTH} deep in others");
            say(report, what, "include fewer files".to_owned());
            return;
        }
        let real = canonical(path);
        if !self.above.insert(real.clone()) {
            let what = format!("{name} includes itself, perhaps by way of others");
            say(report, what, "remove it from one of the lists".to_owned());
            return;
        }
        match read_text(
            path,
            "check the path, which is relative to the file that names it",
        ) {
            Err((what, fix)) => say(report, format!("{name}: {what}"), fix),
            Ok(text) => self.merge(root, path, text, depth, report),
        }
        self.above.remove(&real);
    }

    fn merge(
        &mut self,
        root: &mut Node,
        path: &Path,
        text: String,
        depth: usize,
        report: &mut Report<'_>,
    ) {
        let name = path.display().to_string();
        let Parsed {
            root: tree,
            duplicates,
            surprises,
        } = match tree::parse(&text) {
            Ok(parsed) => parsed,
            Err(fault) => {
                report.problem_in(&name, &text, fault.position, &fault.what, fault.fix);
                return;
            }
        };
        let file = IncludedFile {
            name: name.clone(),
            text,
            duplicates,
        };
        report.say_of_included(&file, &surprises);
        let number = self.included.files.len();
        self.included.files.push(file);
        let wanted = self.wanted(&tree, path, |_, what, fix| {
            report
                .problems
                .push(Problem::of_file(&name, format!("include: {what}"), fix));
        });
        if let (Node::Map(root), Node::Map(tree)) = (&mut *root, tree) {
            for entry in tree.0 {
                if entry.key == "include" {
                    continue;
                }
                let items = match (root.get_mut(&entry.key), entry.value) {
                    (Some(Node::List(items)), Node::List(more)) => {
                        let part = (items.len(), more.len());
                        items.extend(more);
                        Some(part)
                    }
                    (_, value) => {
                        root.set(&entry.key, value);
                        None
                    }
                };
                self.included.parts.push(Part {
                    section: entry.key,
                    file: number,
                    items,
                });
            }
        }
        for (_, file) in wanted {
            self.add(root, &file, depth + 1, report, &mut |report, what, fix| {
                report
                    .problems
                    .push(Problem::of_file(&name, format!("include: {what}"), fix));
            });
        }
    }
}

/// One name for a file, however it is reached.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
