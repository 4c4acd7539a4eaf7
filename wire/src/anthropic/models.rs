//! What Anthropic's models can do, by name and version.
//!
//! A name such as `claude-sonnet-4-5-20250929`, `claude-3-7-sonnet-latest`, `us.anthropic.claude-opus-4-6-v1` or
//! `anthropic/claude-opus-4.5` has a family and a version; the first row of the family whose version is not newer counts.
//! So a model that comes out tomorrow is treated like the newest of its family, and a name without either like a plain
//! server that speaks the dialect.
//!
//! Source: Anthropic documentation, "Structured outputs", "Extended thinking", "Adaptive thinking", "Effort", and the
//! migration guides to Claude 4.6, 4.7, 5 and 5.5, 2026-11-23.

/// How a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not at all.
    No,
    /// Within a budget of tokens.
    Budget,
    /// As much as it likes, steered by an effort.
    Adaptive {
        /// Knows the effort `xhigh`.
        xhigh: bool,
        /// The `thinking.type` that stops it, where it thinks unless it is told not to and can be told.
        off: Option<&'static str>,
    },
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    /// Answers in a wanted form without the help of a tool.
    pub(super) structured: bool,
    pub(super) thinking: Thinking,
    /// Takes `temperature`, `top_p` and `top_k`.
    pub(super) sampling: bool,
    /// Takes a `tool_choice` that forces a call.
    pub(super) forced_calls: bool,
}

type Version = (u32, u32);

const PLAIN: Model = Model {
    structured: false,
    thinking: Thinking::No,
    sampling: true,
    forced_calls: true,
};

const BUDGET: Model = Model {
    thinking: Thinking::Budget,
    ..PLAIN
};

const STRUCTURED: Model = Model {
    structured: true,
    ..BUDGET
};

/// 4.6: the first to choose how much it thinks.
const ADAPTIVE: Model = Model {
    thinking: Thinking::Adaptive {
        xhigh: false,
        off: None,
    },
    ..STRUCTURED
};

/// 4.7 on: refuses sampling parameters and budgets.
const UNSAMPLED: Model = Model {
    thinking: Thinking::Adaptive {
        xhigh: true,
        off: None,
    },
    sampling: false,
    ..STRUCTURED
};

/// 5.5 on: refuses to be forced to call a tool, too.
const UNFORCED: Model = Model {
    forced_calls: false,
    ..UNSAMPLED
};

/// Thinks unless it is told not to, in the word given.
const fn stopped_by(word: &'static str, model: Model) -> Model {
    Model {
        thinking: Thinking::Adaptive {
            xhigh: true,
            off: Some(word),
        },
        ..model
    }
}

/// Newest first within each family.
const TABLE: &[(&str, Version, Model)] = &[
    ("opus", (5, 5), UNFORCED),
    ("opus", (5, 0), stopped_by("disabled", UNSAMPLED)),
    ("opus", (4, 7), UNSAMPLED),
    ("opus", (4, 6), ADAPTIVE),
    ("opus", (4, 1), STRUCTURED),
    ("opus", (4, 0), BUDGET),
    ("sonnet", (5, 5), stopped_by("between_tools", UNFORCED)),
    ("sonnet", (5, 0), stopped_by("disabled", UNSAMPLED)),
    ("sonnet", (4, 6), ADAPTIVE),
    ("sonnet", (4, 5), STRUCTURED),
    ("sonnet", (3, 7), BUDGET),
    ("haiku", (5, 5), stopped_by("disabled", UNSAMPLED)),
    ("haiku", (4, 5), STRUCTURED),
    ("fable", (5, 1), UNFORCED),
    ("fable", (0, 0), UNSAMPLED),
    ("mythos", (5, 1), UNFORCED),
    ("mythos", (0, 0), UNSAMPLED),
    ("opus", (0, 0), PLAIN),
    ("sonnet", (0, 0), PLAIN),
    ("haiku", (0, 0), PLAIN),
];

/// What the model of this name can do.
pub(super) fn named(model: &str) -> Model {
    let Some((family, version)) = parsed(model) else {
        // Claude 2 and Instant, or a server of somebody else's: thinking is theirs to refuse.
        return if model.contains("claude-2") || model.contains("claude-instant") {
            PLAIN
        } else {
            BUDGET
        };
    };
    TABLE
        .iter()
        .find(|(name, since, _)| *name == family && version >= *since)
        .map_or(PLAIN, |(_, _, model)| *model)
}

/// The family and version of a name. Numbers of more than two digits are dates.
fn parsed(model: &str) -> Option<(&'static str, Version)> {
    let name = model.get(model.find("claude-")?..)?;
    let mut family = None;
    let mut version = Vec::with_capacity(2);
    for word in name.split(['-', '.', '@', ':', '_']) {
        let known = TABLE.iter().find(|(name, _, _)| *name == word);
        if let Some((name, _, _)) = known {
            family = Some(*name);
        } else if word.len() <= 2
            && let Ok(number) = word.parse()
            && version.len() < 2
        {
            version.push(number);
        } else if family.is_some() {
            // A date, `latest`, `v1`: no number behind it is part of the version.
            break;
        }
    }
    let major = version.first().copied().unwrap_or(0);
    let minor = version.get(1).copied().unwrap_or(0);
    Some((family?, (major, minor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_every_spelling() {
        for (name, expected) in [
            ("claude-3-haiku-20240307", PLAIN),
            ("claude-3-5-sonnet-20241022", PLAIN),
            ("claude-3-7-sonnet-latest", BUDGET),
            ("claude-sonnet-4-20250514", BUDGET),
            ("claude-opus-4-1-20250805", STRUCTURED),
            ("claude-sonnet-4-5", STRUCTURED),
            ("claude-haiku-4-5-20251001", STRUCTURED),
            ("anthropic/claude-opus-4.5", STRUCTURED),
            ("us.anthropic.claude-opus-4-6-v1", ADAPTIVE),
            ("claude-opus-4-6@20260205", ADAPTIVE),
            ("claude-opus-4-8", UNSAMPLED),
            ("claude-opus-5-5", UNFORCED),
            ("claude-mythos-preview", UNSAMPLED),
            ("claude-fable-5-2", UNFORCED),
            ("claude-2.1", PLAIN),
            ("some-compatible-model", BUDGET),
        ] {
            assert_eq!(named(name), expected, "{name}");
        }
    }

    #[test]
    fn a_model_of_tomorrow_is_treated_like_the_newest_of_its_family() {
        assert_eq!(named("claude-opus-7"), named("claude-opus-5-5"));
        assert_eq!(named("claude-sonnet-6-1"), named("claude-sonnet-5-5"));
    }
}
