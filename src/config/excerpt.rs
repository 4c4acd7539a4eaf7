//! The line that a message is about, with a caret under its column; a line that holds a secret is not shown.
//!
//! A line is judged by what it says, not by what the parser made of it, so that a broken file gives nothing away either.
//! In doubt it stays hidden: a message has file, line and column in any case.

use std::fmt;

use super::env_refs::VARIABLE;

/// Longer lines are cut around the column.
const WIDTH: usize = 100;

/// The line at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excerpt {
    /// The line, and how many characters stand before the column.
    Shown {
        /// Without control characters.
        line: String,
        /// Where the caret goes.
        before: usize,
    },
    /// The line holds a secret.
    Hidden,
}

impl Excerpt {
    /// The line `(line, column)` of `text`, both from 1; `None` when there is no such line, or an empty one. `secret`
    /// says that the value found there may be one.
    pub(super) fn of(text: &str, (line, column): (usize, usize), secret: bool) -> Option<Self> {
        let shown = text.lines().nth(line.checked_sub(1)?)?;
        if shown.trim().is_empty() {
            return None;
        }
        let given_away = holds_secret(shown) || continues_secret(text, line);
        if given_away || (secret && !says_no_secret(shown)) {
            return Some(Self::Hidden);
        }
        let letters: Vec<char> = shown
            .trim_end()
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let before = column.saturating_sub(1).min(letters.len());
        let start = if letters.len() <= WIDTH {
            0
        } else {
            before
                .saturating_sub(WIDTH / 2)
                .min(letters.len().saturating_sub(WIDTH))
        };
        let line = letters.iter().skip(start).take(WIDTH).collect();
        Some(Self::Shown {
            line,
            before: before - start,
        })
    }

    /// Writes the line with its number and the caret below it, each line indented.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, line: usize) -> fmt::Result {
        match self {
            Self::Hidden => writeln!(f, "  {line:>4} | (not shown: this line may hold a secret)"),
            Self::Shown { line: text, before } => {
                writeln!(f, "  {line:>4} | {text}")?;
                writeln!(f, "       | {:before$}^", "")
            }
        }
    }
}

/// Whether a key of this name holds a secret: its value, or anything below it.
pub fn names_secret(key: &str) -> bool {
    const WHOLE: &[&str] = &[
        "headers",
        "extra_headers",
        "credential_values",
        "environment_variables",
        "database_url",
        "redis_url",
        "dsn",
        "vertex_credentials",
        "default_query_params",
    ];
    const PARTS: &[&str] = &[
        "key",
        "keys",
        "password",
        "passwd",
        "secret",
        "token",
        "credentials",
        "bearer",
        "authorization",
        "passphrase",
        "webhook",
    ];
    // Words in which those parts mean something else.
    const HARMLESS: &[&str] = &["key_alias", "header_name", "max_tokens"];
    let key = key.trim().to_ascii_lowercase().replace('-', "_");
    if HARMLESS.iter().any(|harmless| key.contains(harmless)) {
        return false;
    }
    // `*_tokens`, `cost_per_token` and the like count tokens of text.
    if key.contains("cost")
        || key.contains("key_generat")
        || key.contains("rpm")
        || key.contains("tpm")
    {
        return false;
    }
    WHOLE.contains(&key.as_str())
        || key.ends_with("apikey")
        || key.split('_').any(|part| PARTS.contains(&part))
}

/// Whether this looks like a secret by itself: a key with a known beginning, a password in a URL, a long random word.
pub fn looks_secret(word: &str) -> bool {
    if let Some((_, rest)) = word.split_once("://") {
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let rest = rest.to_ascii_lowercase();
        let named = ["password=", "key=", "token=", "secret="];
        return authority.contains('@') || named.iter().any(|name| rest.contains(name));
    }
    // `KEY=secret`, `key:secret`, `user:secret@host`.
    word.split([':', '=', '@']).any(is_secret_word)
}

fn is_secret_word(word: &str) -> bool {
    const STARTS: &[&str] = &[
        "sk-",
        "sk_",
        "pk-",
        "gsk_",
        "xai-",
        "hf_",
        "ghp_",
        "github_pat_",
        "AKIA",
        "ASIA",
        "AIza",
        "xoxb-",
        "xoxp-",
        "eyJ",
        "r8_",
        "pplx-",
        "Bearer",
    ];
    let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
    if STARTS
        .iter()
        .any(|start| word.len() > start.len() + 3 && word.starts_with(start))
    {
        return true;
    }
    let plain = word
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "+/=_-".contains(letter));
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let kinds = [
        word.chars().any(|letter| letter.is_ascii_lowercase()),
        word.chars().any(|letter| letter.is_ascii_uppercase()),
        digits >= 3,
    ];
    let hex = word.chars().all(|letter| letter.is_ascii_hexdigit());
    plain
        && ((word.len() >= 24 && kinds == [true; 3] && !word.contains('/'))
            || (word.len() >= 32 && hex && digits >= 4))
}

/// `text` with every word that looks like a secret cut out.
pub(super) fn scrub(text: &str) -> String {
    let is_gap = |letter: char| letter.is_whitespace() || "`'\",;()[]{}".contains(letter);
    let mut clean = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_gap) {
        let word = piece.trim_end_matches(is_gap);
        if looks_secret(word) {
            clean.push_str("[hidden]");
            clean.push_str(piece.strip_prefix(word).unwrap_or_default());
        } else {
            clean.push_str(piece);
        }
    }
    clean
}

/// A key path without keys that look like secrets: a slip can make one of a value.
pub(super) fn scrub_path(path: &str) -> String {
    let steps: Vec<String> = path.split('.').map(scrub).collect();
    steps.join(".")
}

/// Whether a line holds a secret, by its keys or by its words.
fn holds_secret(line: &str) -> bool {
    let words = line.split(|letter: char| letter.is_whitespace() || "'\",;()[]{}".contains(letter));
    if words.into_iter().any(looks_secret) {
        return true;
    }
    // `key: value` and `KEY=value`, also inside of `{…}`.
    line.match_indices([':', '=']).any(|(at, _)| {
        let (before, after) = line.split_at(at);
        let name = before
            .trim_end_matches(|letter: char| letter.is_whitespace() || "'\"".contains(letter))
            .rsplit(|letter: char| !(letter.is_alphanumeric() || "_-".contains(letter)))
            .next()
            .unwrap_or_default();
        let value = after
            .trim_start_matches([':', '='])
            .trim_start_matches(|letter: char| letter.is_whitespace() || "'\"".contains(letter));
        names_secret(name) && !is_harmless(name, value)
    })
}

/// Whether a line under a key that names a secret tells none: it is the key alone, or its value is harmless.
fn says_no_secret(line: &str) -> bool {
    let name = key_of(line).unwrap_or_default();
    let Some((_, value)) = line.split_once(':') else {
        return false;
    };
    let value = value.trim_start_matches([' ', '"', '\'']);
    let plain = !value.starts_with(['{', '[', '&', '*', '|', '>']);
    plain && (value.trim().is_empty() || (names_secret(name) && is_harmless(name, value)))
}

/// Nothing, a reference to a variable, an address without a password, or a list or mapping that is judged by itself.
fn is_harmless(name: &str, value: &str) -> bool {
    const ADDRESSES: &[&str] = &["database_url", "redis_url"];
    value.is_empty()
        || value.starts_with(['#', '{', '[', '&', '*'])
        || value.starts_with(VARIABLE)
        || (ADDRESSES.contains(&name) && is_open_address(value))
}

/// An address that names no password, not even one whose `@` is missing: after the host comes a port or nothing.
fn is_open_address(value: &str) -> bool {
    if value.contains('@') || value.contains("pass") {
        return false;
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return true;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let after_host = host.split_once(':').map_or("", |(_, after)| after);
    scheme == "sqlite" || after_host.chars().all(|letter| letter.is_ascii_digit())
}

/// Whether the line belongs to a secret that began on a line above: a list, a mapping or a text over several lines
/// under a key that names one.
fn continues_secret(text: &str, line: usize) -> bool {
    let above: Vec<&str> = text.lines().take(line).collect();
    let Some((this, above)) = above.split_last() else {
        return false;
    };
    let mut depth = indent(this);
    let mut nearest = true;
    for above in above.iter().rev().filter(|line| !line.trim().is_empty()) {
        let own = indent(above);
        // The line above counts even where it is not less indented: a quoted text goes on wherever it likes.
        let opens = nearest && (!this.contains(':') || open_quote(above));
        if (own < depth || opens) && key_of(above).is_some_and(names_secret) {
            return true;
        }
        nearest = false;
        depth = depth.min(own);
        if depth == 0 {
            break;
        }
    }
    false
}

fn open_quote(line: &str) -> bool {
    line.matches('"').count() % 2 == 1 || line.matches('\'').count() % 2 == 1
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

/// The key that a line begins with.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start_matches([' ', '-']).split_once(':')?;
    Some(key.trim_matches(['"', '\'', ' ']))
}

#[cfg(test)]
mod tests {
    use super::{Excerpt, holds_secret, looks_secret, names_secret, scrub};

    #[test]
    fn keys_that_hold_secrets_are_known_by_name() {
        for key in [
            "api_key",
            "master_key",
            "MASTER_KEY",
            "OPENAI_API_KEY",
            "redis_password",
            "aws_secret_access_key",
            "azure_ad_token",
            "client_secret",
            "database_url",
            "Authorization",
            "x-api-key",
            "extra_headers",
            "datadog_api_key",
            "dsn",
        ] {
            assert!(names_secret(key), "{key}");
        }
        for key in [
            "max_tokens",
            "input_cost_per_token",
            "user_id",
            "model_name",
            "litellm_key_header_name",
            "upperbound_key_generate_params",
            "max_output_tokens",
            "tpm",
            "keyword",
        ] {
            assert!(!names_secret(key), "{key}");
        }
    }

    #[test]
    fn words_that_are_secrets_are_seen() {
        for word in [
            "sk-1234",
            "'sk-proj-abcdef'",
            "gsk_abcdefgh",
            "postgresql://u:p@h/d",
            "0123456789abcdef0123456789abcdef",
            "AbCdEfGhIjKlMnOpQrSt0123456",
        ] {
            assert!(looks_secret(word), "{word}");
        }
        for word in [
            "sk-",
            "openai/gpt-4o",
            "claude-3-opus-20240229",
            "accounts/fireworks/models/llama-v3p1-405b-Instruct",
            "http://localhost:8000/v1",
            "os.environ/OPENAI_API_KEY_1",
            "a@example.com",
        ] {
            assert!(!looks_secret(word), "{word}");
        }
    }

    #[test]
    fn lines_with_secrets_are_hidden_and_others_are_not() {
        for line in [
            "  api_key: abc",
            "- {model: x, api_key: abc}",
            "  'master_key' : abc",
            "export OPENAI_API_KEY=abc",
            "  models: [sk-abcdefg]",
            "  database_url: postgresql://u:p@h/d",
        ] {
            assert!(holds_secret(line), "{line}");
        }
        for line in [
            "  api_key: os.environ/OPENAI_API_KEY",
            "  api_key:",
            "  extra_headers: {x-one: 1}",
            "  rpm: -3",
            "litellm --config config.yaml --generate_key --user_id user1",
            "  max_tokens: many",
        ] {
            assert!(!holds_secret(line), "{line}");
        }
    }

    #[test]
    fn what_stands_under_a_secret_is_hidden_too() {
        let text = "general_settings:\n  master_key: \"abc\n    def\"\n  rpm: x\nextra_headers:\n  x-one: two\n  x-two: three\nother: 1\n";
        let hidden: Vec<bool> = (1..=8)
            .map(|line| Excerpt::of(text, (line, 1), false) == Some(Excerpt::Hidden))
            .collect();
        assert_eq!(hidden, [false, true, true, false, false, true, true, false]);
    }

    #[test]
    fn a_secret_key_with_a_harmless_value_is_shown() {
        for (line, shown) in [
            ("api_key: os.environ/NAME", true),
            ("api_key:", true),
            ("database_url: 'sqlite://x.db'", true),
            ("api_key: abc", false),
            ("api_key: [abc]", false),
            ("x-team: abc", false),
            ("database_url: mysql:u:p@h", false),
            ("database_url: postgresql://h:5432/d", true),
            ("database_url: postgresql://u:hush/d", false),
        ] {
            let excerpt = Excerpt::of(line, (1, 1), true);
            assert_eq!(excerpt != Some(Excerpt::Hidden), shown, "{line}");
        }
    }

    #[test]
    fn the_caret_stands_under_the_column() {
        let shown = Excerpt::of("a: 1\n  bé: 2\n", (2, 3), false);
        assert_eq!(
            shown,
            Some(Excerpt::Shown {
                line: "  bé: 2".to_owned(),
                before: 2
            })
        );
        let long = format!("{}: x", "k".repeat(300));
        let Some(Excerpt::Shown { line, before }) = Excerpt::of(&long, (1, 300), false) else {
            panic!("hidden")
        };
        assert_eq!((line.chars().count(), before), (100, 96));
        assert_eq!(Excerpt::of("a: 1\n", (9, 1), false), None);
    }

    #[test]
    fn messages_lose_secrets() {
        assert_eq!(
            scrub("expected a number, found the text `sk-abcdefgh`; write 1"),
            "expected a number, found the text `[hidden]`; write 1"
        );
    }
}
