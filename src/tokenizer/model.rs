//! Which vocabulary a model uses. Source: Python's `tiktoken` 0.14.0, `model.py`; newer names of a
//! family are taken to be like its known ones, and what it does not name is an estimate.

use super::Vocabulary;

/// Beginnings of names with `o200k_base`. `gpt-oss` has more special tokens, which no text has.
const O200K: &[&str] = &[
    "gpt-4o",
    "chatgpt-4o",
    "gpt-4.1",
    "gpt-4.5",
    "gpt-5",
    "gpt-oss",
];

/// Beginnings of names with `cl100k_base`. `gpt-35` is Azure's spelling.
const CL100K: &[&str] = &[
    "gpt-4-",
    "gpt-3.5",
    "gpt-35",
    "text-embedding-3",
    "text-embedding-ada-002",
    "babbage-002",
    "davinci-002",
];

/// The model's name without providers before it and without the mark of a fine-tuned one.
pub(super) fn family(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix("ft:").unwrap_or(name)
}

/// The vocabulary, and whether it is only the nearest one.
pub(super) fn vocabulary(model: &str) -> (Vocabulary, bool) {
    let name = family(model).to_ascii_lowercase();
    let is = |beginnings: &[&str]| beginnings.iter().any(|start| name.starts_with(start));
    if is(O200K) || is_o_series(&name) {
        (Vocabulary::O200k, false)
    } else if is(CL100K) || name == "gpt-4" || name.starts_with("gpt-4:") {
        (Vocabulary::Cl100k, false)
    } else {
        (Vocabulary::O200k, true)
    }
}

/// `o1`, `o3-mini`, `o4-mini-2025-04-16`.
fn is_o_series(name: &str) -> bool {
    let Some(rest) = name.strip_prefix('o') else {
        return false;
    };
    let after = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    after.len() < rest.len() && (after.is_empty() || after.starts_with(['-', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_vocabulary_and_others_the_nearest() {
        use Vocabulary::{Cl100k, O200k};
        for (model, want) in [
            ("gpt-4o", (O200k, false)),
            ("openai/gpt-4o-mini", (O200k, false)),
            ("ft:gpt-4o-mini-2024-07-18:org::id", (O200k, false)),
            ("gpt-4.1-nano", (O200k, false)),
            ("gpt-5", (O200k, false)),
            ("o1", (O200k, false)),
            ("azure/o4-mini", (O200k, false)),
            ("groq/openai/gpt-oss-120b", (O200k, false)),
            ("gpt-4", (Cl100k, false)),
            ("GPT-4-turbo", (Cl100k, false)),
            ("gpt-4-0613", (Cl100k, false)),
            ("ft:gpt-4:org::id", (Cl100k, false)),
            ("azure/gpt-35-turbo", (Cl100k, false)),
            ("gpt-3.5-turbo-0125", (Cl100k, false)),
            ("text-embedding-3-small", (Cl100k, false)),
            ("text-embedding-ada-002", (Cl100k, false)),
            ("claude-sonnet-4-5", (O200k, true)),
            ("ollama/llama3", (O200k, true)),
            ("olmo", (O200k, true)),
            ("o1x", (O200k, true)),
            ("", (O200k, true)),
        ] {
            assert_eq!(vocabulary(model), want, "{model}");
        }
    }
}
