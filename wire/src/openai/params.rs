//! Which request members a provider's model takes, and which are the gateway's own.
//!
//! Only `OpenAI`'s reasoning models have a table: they answer 400 to parameters that every other model takes. Compatible
//! servers are not judged; what they do not know they ignore or refuse themselves.
//! Source: `OpenAI` guides "Reasoning models" and "Using GPT-5", 2026-11-22.

use crate::json::Raw;
use crate::{Endpoint, overrides};

/// Members that, in this dialect, are for the gateway too: `metadata` holds its tags, `thinking` is Anthropic's.
const GATEWAY_FIELDS: &[&str] = &["metadata", "thinking"];

/// Providers whose own API has a `thinking` member.
const THINKING_PROVIDERS: &[&str] = &["anthropic", "deepseek", "databricks"];

/// Sampling parameters that reasoning models refuse. `temperature` is refused unless it is 1.
const SAMPLING: &[&str] = &[
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
];

/// How a model treats sampling parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Takes all of them.
    Plain,
    /// o1, o3, o4-mini: refuses them.
    OSeries,
    /// gpt-5: refuses them, and `stop` too.
    Gpt5,
    /// gpt-5.1 and later: takes them when the reasoning effort is `none`, which is the default.
    Gpt5Point,
}

/// Whether `key` is consumed by the gateway.
pub(super) fn is_gateway_field(provider: &str, key: &str) -> bool {
    let kept = key == "thinking" && takes_thinking(provider);
    overrides::is_gateway_field(key) || (GATEWAY_FIELDS.contains(&key) && !kept)
}

/// Whether the provider's own API has a `thinking` member.
pub(super) fn takes_thinking(provider: &str) -> bool {
    THINKING_PROVIDERS.contains(&provider)
}

/// Whether the model takes `reasoning_effort`; compatible servers are not judged.
pub(super) fn takes_effort(provider: &str, model: &str) -> bool {
    !is_openai(provider) || family(model) != Family::Plain
}

/// Whether the model takes `max_completion_tokens` only.
pub(super) fn needs_max_completion_tokens(provider: &str, model: &str) -> bool {
    is_openai(provider) && (o_series(model) || base(model).starts_with("gpt-5"))
}

/// Whether the model would refuse this member.
pub(super) fn is_unsupported(
    (provider, model): (&str, &str),
    endpoint: Endpoint,
    effort: Option<&str>,
    key: &str,
    value: Raw<'_>,
) -> bool {
    if endpoint != Endpoint::ChatCompletions || !is_openai(provider) || value.get() == "null" {
        return false;
    }
    refuses(model, effort, key) && (key != "temperature" || !is_one(value))
}

/// Whether the chat parameter may have any value with this model, asked for without an effort.
pub(crate) fn takes_param(provider: &str, model: &str, param: &str) -> bool {
    match param {
        "thinking" => takes_thinking(provider),
        "reasoning_effort" => takes_effort(provider, model),
        _ => !is_openai(provider) || !refuses(model, None, param),
    }
}

/// Whether one of `OpenAI`'s models refuses values of the parameter.
fn refuses(model: &str, effort: Option<&str>, param: &str) -> bool {
    let family = family(model);
    let samples = match family {
        Family::Plain => true,
        Family::OSeries | Family::Gpt5 => false,
        Family::Gpt5Point => effort.is_none_or(|effort| effort == "none"),
    };
    !samples
        && (SAMPLING.contains(&param)
            || param == "temperature"
            || (param == "stop" && family == Family::Gpt5))
}

/// `OpenAI` itself, at home or with Azure, whose rules are known.
pub(super) fn is_openai(provider: &str) -> bool {
    matches!(provider, "openai" | "azure")
}

/// The base model of a fine-tuned one (`ft:gpt-4o-mini:org::id`).
fn base(model: &str) -> &str {
    model.strip_prefix("ft:").unwrap_or(model)
}

fn o_series(model: &str) -> bool {
    ["o1", "o3", "o4"].into_iter().any(|name| {
        base(model)
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
    })
}

fn family(model: &str) -> Family {
    if o_series(model) {
        return Family::OSeries;
    }
    match base(model).strip_prefix("gpt-5") {
        // The chat models do not reason.
        Some(rest) if rest.contains("-chat") => Family::Plain,
        Some(rest) if rest.is_empty() || rest.starts_with(['-', ':']) => Family::Gpt5,
        Some(rest) if rest.starts_with('.') => Family::Gpt5Point,
        _ => Family::Plain,
    }
}

fn is_one(value: Raw<'_>) -> bool {
    let (whole, fraction) = value.get().split_once('.').unwrap_or((value.get(), ""));
    whole == "1" && fraction.bytes().all(|digit| digit == b'0')
}
