//! What becomes of each key of a file, line by line.

use crate::config::excerpt::scrub_path;
use crate::config::keys::{self, Area, Key, Others, Status};
use crate::config::support::is_as_ever;
use crate::config::yaml::{self, Duplicate, KeyPath, Node, Read, locate, read};

/// A line is found by reading the file again; after so many bytes the next line that begins with the key is taken.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// It is looked for so far on.
const WINDOW: usize = 500;
/// More keys are not listed.
const MOST_KEYS: usize = 20_000;

/// One key of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLine {
    /// The file that it stands in, as messages name it.
    pub file: String,
    /// From 1; absent for keys that a merge brought, and in very large files.
    pub line: Option<usize>,
    /// `model_list[0].litellm_params.rpm`.
    pub path: String,
    /// What becomes of it.
    pub standing: Standing,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what it says.
    Works,
    /// It would, but its value is wrong.
    Wrong,
    /// It would, but its deployment is left out.
    LeftOut,
    /// It is not known, and goes into the provider's request.
    Sent,
    /// It is not known, and shown by `/model/info`.
    Kept,
    /// It waits for a later version.
    Planned(Area),
    /// Its value does; others have an effect.
    PlannedValue,
    /// It never has an effect, for this reason.
    Ignored(&'static str),
    /// It cannot be had; this is what to write instead.
    Refused(&'static str),
    /// Nobody knows it.
    Unknown,
}

impl Standing {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Wrong => "wrong",
            Self::LeftOut => "left out",
            Self::Sent => "sent",
            Self::Kept => "kept",
            Self::Planned(_) | Self::PlannedValue => "planned",
            Self::Ignored(_) => "ignored",
            Self::Refused(_) => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// What there is to say beside the word.
    pub fn note(self) -> String {
        match self {
            Self::Works | Self::Wrong | Self::LeftOut => String::new(),
            Self::Sent => "goes to the provider as it is".to_owned(),
            Self::Kept => "shown by /model/info".to_owned(),
            Self::Planned(area) => format!("no effect yet; waits for {}", area.name()),
            Self::PlannedValue => "this value has no effect yet".to_owned(),
            Self::Ignored(reason) => reason.to_owned(),
            Self::Refused(instead) => instead.to_owned(),
            Self::Unknown => "no effect; check the spelling".to_owned(),
        }
    }
}

/// The keys of `text`; none when it cannot be read.
pub(in crate::config) fn of(file: &str, text: &str) -> Vec<KeyLine> {
    let Some(read) = tree(text) else {
        return Vec::new();
    };
    let mut walk = Walk {
        file,
        text,
        duplicates: &read.duplicates,
        all: text.lines().collect(),
        bytes: 0,
        line: 0,
        lines: Vec::new(),
    };
    walk.node(&read.root, &KeyPath::default(), "", None);
    // A repeated key counts where it stands last.
    let by_line = |line: &KeyLine| (line.line.is_none(), line.line);
    walk.lines.sort_by_key(by_line);
    walk.lines
}

/// The files that `text` includes. What is wrong with them is told by the reader.
pub(super) fn included(text: &str) -> Vec<String> {
    let name = |node: &Node| match node {
        Node::Text(name) => Some(name.trim().to_owned()),
        _ => None,
    };
    match tree(text)
        .as_ref()
        .and_then(|read| read.root.get("include"))
    {
        Some(Node::List(items)) => items.iter().filter_map(name).collect(),
        Some(one) => name(one).into_iter().collect(),
        None => Vec::new(),
    }
}

fn tree(text: &str) -> Option<Read> {
    (text.len() <= yaml::MOST_BYTES)
        .then(|| read(text).ok())
        .flatten()
}

struct Walk<'t> {
    file: &'t str,
    text: &'t str,
    duplicates: &'t [Duplicate],
    all: Vec<&'t str>,
    bytes: usize,
    /// Of the key before.
    line: usize,
    lines: Vec<KeyLine>,
}

impl Walk<'_> {
    /// `whole` is what becomes of the section that `node` is, where that goes for all of its keys.
    fn node(&mut self, node: &Node, path: &KeyPath, dotted: &str, whole: Option<Standing>) {
        match node {
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if matches!(item, Node::Map(_)) {
                        self.node(item, &path.index(index), dotted, whole);
                    }
                }
            }
            Node::Map(map) => {
                let Some(section) = keys::section(dotted) else {
                    return;
                };
                for entry in &map.0 {
                    if self.lines.len() >= MOST_KEYS {
                        return;
                    }
                    let standing = match (section.key(&entry.key), section.others) {
                        (Some(key), _) => whole.unwrap_or_else(|| standing(key, &entry.value)),
                        (None, Others::Unknown) => Standing::Unknown,
                        (None, Others::Sent) => Standing::Sent,
                        (None, Others::Kept) => Standing::Kept,
                    };
                    let path = path.key(&entry.key);
                    self.push(&path, standing);
                    let below = if dotted.is_empty() {
                        entry.key.clone()
                    } else {
                        format!("{dotted}.{}", entry.key)
                    };
                    let whole = match standing {
                        Standing::Planned(_) | Standing::Ignored(_) | Standing::Refused(_) => {
                            Some(standing)
                        }
                        _ => None,
                    };
                    self.node(&entry.value, &path, &below, whole);
                }
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {}
        }
    }

    fn push(&mut self, path: &KeyPath, standing: Standing) {
        self.bytes = self.bytes.saturating_add(self.text.len());
        let line = if self.bytes <= MOST_BYTES {
            locate(self.text, path, self.duplicates).map(|(line, _)| line)
        } else {
            path.last_key().and_then(|key| self.next_line(key))
        };
        self.line = line.unwrap_or(self.line);
        self.lines.push(KeyLine {
            file: self.file.to_owned(),
            line,
            path: scrub_path(&path.to_string()),
            standing,
        });
    }

    /// The first line of `key` below that of the key before, which is right for files without repeated keys.
    fn next_line(&self, key: &str) -> Option<usize> {
        if !self.duplicates.is_empty() {
            return None;
        }
        let lines = self.all.iter().enumerate().skip(self.line).take(WINDOW);
        let mut found = lines.filter(|(_, line)| {
            let start = line.trim_start_matches([' ', '-', '{', '"', '\'']);
            let rest = start.strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        });
        found.next().map(|(index, _)| index + 1)
    }
}

fn standing(key: &Key, value: &Node) -> Standing {
    match key.status {
        Status::Supported => Standing::Works,
        Status::Planned(_) if is_as_ever(key, value) => Standing::Works,
        Status::Planned(area) => Standing::Planned(area),
        Status::Ignored(reason) => Standing::Ignored(reason),
        Status::Refused(instead) => Standing::Refused(instead),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::of;

    #[test]
    fn the_keys_of_a_long_file_have_their_lines_too() {
        let mut text = "model_list:\n".to_owned();
        for number in 0..1500 {
            write!(
                text,
                "  # rpm: a comment\n  - model_name: m{number}\n    litellm_params:\n      model: openai/gpt-4o\n      rpm: 5\n",
            )
            .unwrap();
        }
        let keys = of("config.yaml", &text);
        assert_eq!(keys.len(), 1 + 4 * 1500);
        let last = keys.last().unwrap();
        assert_eq!(last.path, "model_list[1499].litellm_params.rpm");
        assert_eq!(last.line, Some(1 + 5 * 1500));
        assert!(keys.iter().all(|key| key.line.is_some()));
    }
}
