//! What providers say in words alone: prompts that are too long, content that is against a policy, rate limits.
//!
//! Text is only looked at where providers leave no other sign. All arguments are in lower case. The phrases are those of
//! the contract, `auth-budgets-limits.md` §7.1, and of the providers' own documentation.

/// Phrases that say the prompt is too long.
const CONTEXT: &[&str] = &[
    "this model's maximum context length is",
    "exceed context limit",
    "string too long. expected a string with maximum length",
    "model's maximum context limit",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
    // Anthropic: "prompt is too long: 210000 tokens > 200000 maximum".
    "prompt is too long",
];

/// Phrases of which both halves must occur, in this order.
const CONTEXT_PAIRS: &[(&str, &str)] = &[
    ("current length is", "while limit is"),
    ("maximum input length is", "tokens"),
];

const POLICY: &[&str] = &[
    "violation of our usage polic",
    "violating our usage polic",
    "violates our usage polic",
    "violate our usage polic",
    // Anthropic: "Output blocked by content filtering policy".
    "blocked by content filtering policy",
];

/// Whether the prompt is longer than the model takes.
pub(crate) fn says_context(message: &str) -> bool {
    CONTEXT.iter().any(|phrase| message.contains(phrase))
        || CONTEXT_PAIRS.iter().any(|(first, second)| {
            message
                .split_once(first)
                .is_some_and(|(_, rest)| rest.contains(second))
        })
}

/// Whether the provider's content policy is the reason.
pub(crate) fn says_policy(message: &str) -> bool {
    POLICY.iter().any(|phrase| message.contains(phrase))
}

/// `rate[ _-]*limit`, by hand: one pattern is not worth a regex engine.
pub(crate) fn says_rate_limit(message: &str) -> bool {
    message.contains("service tier capacity exceeded")
        || message.split("rate").skip(1).any(|rest| {
            rest.trim_start_matches([' ', '_', '-'])
                .starts_with("limit")
        })
}
