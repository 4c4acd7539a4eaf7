//! Scalars that YAML 1.1, and so `PyYAML`, reads otherwise than the parser here: `yes`, `off`, `010`, `1_000`.
//!
//! Only unquoted ones, and only where no text is meant. The parser does not say which scalars stood in quotes, so the
//! source is looked at where a value could be one of these.

use std::fmt;

use super::locate::locate_value;
use super::node::{Node, Number};
use super::path::KeyPath;
use super::read::Read;

/// So many such values are looked at, and so many bytes read for it.
const MOST_VALUES: usize = 256;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A value that was read in the old way although it looks otherwise: `010` is 8.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Surprise {
    pub(in crate::config) path: KeyPath,
    pub(in crate::config) written: String,
    pub(in crate::config) read_as: String,
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            written, read_as, ..
        } = self;
        write!(
            f,
            "`{written}` is the number {read_as}, as YAML 1.1 has it; write {read_as}, or \"{written}\" in quotes"
        )
    }
}

/// Replaces such values in the tree of `text` where `wanted` says that no text is meant.
pub(in crate::config) fn read_old_scalars(
    text: &str,
    read: &mut Read,
    wanted: impl Fn(&KeyPath) -> bool,
) -> Vec<Surprise> {
    let mut found = Vec::new();
    collect(&read.root, &KeyPath::default(), &mut found);
    let mut bytes = 0;
    let mut plain = |path: &KeyPath| {
        bytes += text.len();
        let position = (bytes <= MOST_BYTES)
            .then(|| locate_value(text, path, &read.duplicates))
            .flatten()?;
        Some(is_plain(text, at(text, position)?))
    };
    let mut old = Vec::new();
    for (path, node) in &found {
        if !wanted(path) {
            continue;
        }
        // A value that came by a merge key stands where it was taken from, under the same name.
        let is_old = plain(path).unwrap_or_else(|| {
            found.iter().any(|(other, same)| {
                path != other
                    && path.last_key() == other.last_key()
                    && node == same
                    && plain(other) == Some(true)
            })
        });
        if is_old {
            old.push((path.clone(), node.clone()));
        }
    }
    let mut surprises = Vec::new();
    for (path, node) in old {
        let Some(place) = read.root.at_mut(&path) else {
            continue;
        };
        if let (Node::Text(written), Node::Number(number)) = (&*place, &node)
            && written.trim_start_matches(['+', '-']).starts_with('0')
        {
            surprises.push(Surprise {
                path,
                written: written.clone(),
                read_as: number.text.clone(),
            });
        }
        *place = node;
    }
    surprises
}

/// The text from line and column on.
fn at(text: &str, (line, column): (usize, usize)) -> Option<&str> {
    let start = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = text.get(start..)?;
    let (skip, _) = rest.char_indices().nth(column - 1)?;
    rest.get(skip..)
}

/// Whether the scalar that `rest` of `text` begins with has no quotes, behind an anchor or where an alias leads too.
fn is_plain(text: &str, rest: &str) -> bool {
    let name_end = |name: &str| {
        name.find(|c: char| c.is_whitespace() || ",]}".contains(c))
            .unwrap_or(name.len())
    };
    let scalar = if let Some(anchor) = rest.strip_prefix('&') {
        anchor.get(name_end(anchor)..).unwrap_or_default()
    } else if let Some(alias) = rest.strip_prefix('*') {
        let name = alias.get(..name_end(alias)).unwrap_or_default();
        text.match_indices(&format!("&{name}"))
            .filter_map(|(at, found)| text.get(at + found.len()..))
            .find(|rest| rest.starts_with(char::is_whitespace))
            .unwrap_or_default()
    } else {
        rest
    };
    scalar
        .trim_start_matches([' ', '\t'])
        .starts_with(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn collect(node: &Node, path: &KeyPath, found: &mut Vec<(KeyPath, Node)>) {
    if found.len() >= MOST_VALUES {
        return;
    }
    match node {
        Node::Text(text) => {
            if let Some(node) = old_scalar(text) {
                found.push((path.clone(), node));
            }
        }
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &path.index(index), found);
            }
        }
        Node::Map(map) => {
            for entry in &map.0 {
                collect(&entry.value, &path.key(&entry.key), found);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

/// What an unquoted `text` is in YAML 1.1, where it is no text. Source: the type repository of yaml.org, as `PyYAML`'s
/// resolver has it; without its sixties (`1:30`), which nobody means.
fn old_scalar(text: &str) -> Option<Node> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Node::Bool(true)),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Node::Bool(false)),
        _ => {}
    }
    if text.len() > 40 || !text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
        return None;
    }
    let digits = text.trim_start_matches(['+', '-']).replace('_', "");
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let whole = |digits: &str, radix| i64::from_str_radix(digits, radix).ok();
    let octal = digits
        .strip_prefix('0')
        .filter(|rest| !rest.is_empty() && rest.bytes().all(|byte| (b'0'..=b'7').contains(&byte)));
    let value = if let Some(octal) = octal {
        whole(octal, 8)
    } else if let Some(bits) = digits.strip_prefix("0b") {
        whole(bits, 2)
    } else if !text.contains('_')
        || !text
            .trim_start_matches(['+', '-'])
            .starts_with(|c: char| c.is_ascii_digit())
    {
        None
    } else if let Some(hex) = digits.strip_prefix("0x") {
        whole(hex, 16)
    } else if digits.contains('.') {
        let value: f64 = digits.parse().ok()?;
        let text = if sign < 0 {
            format!("-{digits}")
        } else {
            digits
        };
        let value = serde_json::Number::from_f64(value * f64::from(sign))?;
        return Some(Node::Number(Number { text, value }));
    } else {
        whole(&digits, 10)
    };
    let value = value?.checked_mul(i64::from(sign))?;
    Some(Node::Number(Number {
        text: value.to_string(),
        value: value.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{KeyPath, read};
    use super::{old_scalar, read_old_scalars};

    #[test]
    fn unquoted_words_and_numbers_of_yaml_1_1_are_read_as_there() {
        let text = "a: yes\nb: 'yes'\nc: [off, \"off\", 1_000, 010, '010']\nd: {e: On, f: no way}\n\
                    g: |\n  yes\nname: on\nd2: &x off\nd3: *x\n";
        let mut tree = read(text).unwrap();
        let surprises = read_old_scalars(text, &mut tree, |path| *path != KeyPath::of(&["name"]));
        assert_eq!(
            tree.root.to_json(),
            serde_json::json!({
                "a": true, "b": "yes", "c": [false, "off", 1000, 8, "010"],
                "d": {"e": true, "f": "no way"}, "g": "yes\n", "name": "on", "d2": false, "d3": false,
            })
        );
        let shown: Vec<String> = surprises
            .iter()
            .map(|one| format!("{} {} {}", one.path, one.written, one.read_as))
            .collect();
        assert_eq!(shown, ["c[3] 010 8"]);
    }

    #[test]
    fn other_texts_stay() {
        for text in [
            "",
            "y",
            "yesterday",
            "08",
            "1:30",
            "0",
            "1",
            "-",
            "_1",
            "1__",
            "2026-01-01",
            "sk-1",
            "0.1",
            "-_",
        ] {
            let old = old_scalar(text).map(|node| node.describe());
            let want = (text == "1__").then(|| "the number `1`".to_owned());
            assert_eq!(old, want, "{text}");
        }
    }
}
