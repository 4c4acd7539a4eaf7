//! From text to one tree: parsed, with the scalars of YAML 1.1; or why it is no configuration.

use super::keys::{self, Others};
use super::yaml::{self, Duplicate, KeyPath, MOST_BYTES, Node, Surprise};

/// A text that is a mapping.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) duplicates: Vec<Duplicate>,
    pub(super) surprises: Vec<Surprise>,
}

/// Why a text is no configuration.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) position: Option<(usize, usize)>,
    pub(super) what: String,
    pub(super) fix: String,
}

/// Said of a text that nobody wrote as a configuration.
pub(super) fn too_long() -> (String, String) {
    (
        format!("is longer than {MOST_BYTES} bytes"),
        "check which file this is: a configuration is far shorter".to_owned(),
    )
}

/// Parses `text`.
///
/// # Errors
/// A [`Fault`], when it is no mapping.
pub(super) fn parse(text: &str) -> Result<Parsed, Fault> {
    if text.len() > MOST_BYTES {
        let (what, fix) = too_long();
        return Err(Fault {
            position: None,
            what,
            fix,
        });
    }
    if let Some(fault) = foreign(text) {
        return Err(fault);
    }
    let check = "check indentation, colons and quotes there and in the line above";
    let mut read = match yaml::read(text) {
        Ok(read) => read,
        Err(err) => {
            let position = err.location().map(|at| (at.line(), at.column()));
            let said = err.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            // Two of the parser's complaints are about good YAML.
            let (what, fix) = if what.contains("more than one document") {
                let what = "there is more than one document in this file".to_owned();
                (what, "cut the file at the line `---`")
            } else if what.contains("repetition limit") {
                let what = "the aliases (`*name`) stand for too much".to_owned();
                (what, "write what they stand for, or fewer of them")
            } else {
                (format!("this is not YAML: {what}"), check)
            };
            return Err(pasted(text).unwrap_or_else(|| Fault {
                position,
                what,
                fix: fix.to_owned(),
            }));
        }
    };
    match &read.root {
        Node::Map(_) => {
            let surprises = yaml::read_old_scalars(text, &mut read, no_text_is_meant);
            Ok(Parsed {
                root: read.root,
                duplicates: read.duplicates,
                surprises,
            })
        }
        Node::Null => Err(Fault {
            position: None,
            what: "the file is empty".to_owned(),
            fix: "write at least a model_list; see config/minimal.yaml".to_owned(),
        }),
        other => Err(pasted(text).unwrap_or_else(|| Fault {
            position: None,
            what: format!("expected `key: value` lines, found {}", other.describe()),
            fix: check.to_owned(),
        })),
    }
}

/// Whether an unquoted `on` or `010` at `path` is a switch or a number: where a key holds one, and in members of the
/// provider's request, which go out as they are read.
fn no_text_is_meant(path: &KeyPath) -> bool {
    if path.has_key(&[
        "extra_headers",
        "headers",
        "environment_variables",
        "mock_response",
    ]) {
        return false;
    }
    let place = path.keys_only();
    if let Some(key) = keys::key(&place) {
        return !key.kind.is_text();
    }
    let open = keys::section(&path.parent().keys_only())
        .is_some_and(|section| section.others != Others::Unknown);
    open || path.has_key(&["extra_body", "litellm_params"])
}

/// Files of other programs that stand beside a configuration.
fn foreign(text: &str) -> Option<Fault> {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    if has("model_list:") {
        return None;
    }
    let (what, fix) = if has("apiVersion:") && has("kind:") {
        (
            "this is a Kubernetes manifest",
            "give the gateway's own configuration, which a ConfigMap holds below `data`",
        )
    } else if has("services:") {
        (
            "this is a Compose file",
            "give the gateway's own configuration, which begins with model_list",
        )
    } else {
        return None;
    };
    Some(Fault {
        position: None,
        what: what.to_owned(),
        fix: fix.to_owned(),
    })
}

/// A text that is no mapping is often a block pasted together with the commands and programs around it.
fn pasted(text: &str) -> Option<Fault> {
    let (index, what) = text
        .lines()
        .enumerate()
        .find_map(|(index, line)| Some((index, language(line)?)))?;
    Some(Fault {
        position: Some((index + 1, 1)),
        what: format!("line {} looks like {what}, not like YAML", index + 1),
        fix: "keep only the YAML part of what was pasted".to_owned(),
    })
}

/// What a line seems to be written in, if not in YAML.
fn language(line: &str) -> Option<&'static str> {
    const COMMANDS: &[&str] = &[
        "$",
        "apt",
        "apt-get",
        "bash",
        "brew",
        "cd",
        "cp",
        "curl",
        "docker",
        "echo",
        "export",
        "git",
        "helm",
        "kubectl",
        "litellm",
        "mkdir",
        "npm",
        "pip",
        "pip3",
        "pipx",
        "poetry",
        "psql",
        "python",
        "python3",
        "source",
        "sudo",
        "trunkline",
        "uv",
        "wget",
    ];
    const STATEMENTS: &[&str] = &[
        "import", "from", "def", "class", "async", "await", "with", "for", "if", "return", "@",
    ];
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    // `export:` is a key.
    if COMMANDS.contains(&first) && !rest.is_empty() && !rest.starts_with(['=', ':']) {
        return Some("a shell command");
    }
    let name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.,[]'\"".contains(c))
    };
    if STATEMENTS.contains(&first) && !rest.is_empty() && !rest.starts_with(':') {
        return Some("a line of Python");
    }
    if name(first) && rest.starts_with("= ") || line.starts_with("print(") {
        return Some("a line of Python");
    }
    // `OPENAI_API_KEY=sk-…`
    let variable = first.split_once('=').map(|(variable, _)| variable);
    variable
        .filter(|variable| {
            !variable.is_empty()
                && variable
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
        .map(|_| "a shell command")
}

#[cfg(test)]
mod tests {
    use super::{language, parse};

    #[test]
    fn lines_of_shell_and_python_are_told_from_yaml() {
        for (line, want) in [
            (
                "litellm --config config.yaml --generate_key --user_id user1",
                Some("a shell command"),
            ),
            (
                "$ curl http://localhost:4000/health",
                Some("a shell command"),
            ),
            ("OPENAI_API_KEY=sk-1 litellm", Some("a shell command")),
            ("client = openai.OpenAI(", Some("a line of Python")),
            ("import openai", Some("a line of Python")),
            ("print(response)", Some("a line of Python")),
            ("from openai import OpenAI", Some("a line of Python")),
            ("model_list:", None),
            ("  - model_name: x = y", None),
            ("# pip install it", None),
            ("export: true", None),
            ("for: me", None),
            ("name: a = b", None),
            ("", None),
        ] {
            assert_eq!(language(line), want, "{line}");
        }
    }

    #[test]
    fn files_of_other_programs_are_named() {
        for (text, want) in [
            (
                "apiVersion: v1\nkind: ConfigMap\n",
                "this is a Kubernetes manifest",
            ),
            (
                "version: '3.8'\nservices: {a: {image: b}}\n",
                "this is a Compose file",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().what, want);
        }
    }
}
