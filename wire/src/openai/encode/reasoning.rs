//! Anthropic's ways to ask for reasoning as `reasoning_effort`.

use serde_json::{Map, Value};

use super::params;
use super::target::Target;

/// Replaces `thinking` and `output_config.effort` by `reasoning_effort`, for models that take it; for others they are a hint.
///
/// | budget of `thinking`, tokens | effort |
/// | --- | --- |
/// | up to 1024 | `low` |
/// | up to 2048 | `medium` |
/// | more | `high` |
///
/// The reverse of what the contract makes of efforts (`providers.md` §3). An effort that is named goes before a budget;
/// `max` and `xhigh`, which few of `OpenAI`'s models know, become `high`. `adaptive` leaves it to the model, as does silence.
pub(super) fn translate(rest: &mut Map<String, Value>, target: &mut Target<'_>) {
    let options = target.options;
    let own_thinking = params::takes_thinking(options.provider);
    let effort = rest
        .get("output_config")
        .and_then(|config| config.get("effort"));
    let effort = effort.and_then(Value::as_str).map(known);
    let effort = effort.or_else(|| {
        rest.get("thinking")
            .filter(|_| !own_thinking)
            .and_then(of_thinking)
    });
    if !own_thinking {
        rest.shift_remove("thinking");
    }
    let Some(effort) = effort.filter(|_| !rest.contains_key("reasoning_effort")) else {
        return;
    };
    if params::takes_effort(options.provider, options.upstream_model) {
        rest.insert("reasoning_effort".to_owned(), effort.into());
    } else {
        target.hint("thinking");
    }
}

fn known(effort: &str) -> &'static str {
    match effort {
        "low" => "low",
        "medium" => "medium",
        _ => "high",
    }
}

fn of_thinking(thinking: &Value) -> Option<&'static str> {
    if thinking.get("type").and_then(Value::as_str) != Some("enabled") {
        return None;
    }
    let budget = thinking.get("budget_tokens").and_then(Value::as_u64)?;
    Some(match budget {
        0..=1024 => "low",
        1025..=2048 => "medium",
        _ => "high",
    })
}
