//! Which of OpenAI's chat parameters reach a model with their meaning, as `/utils/supported_openai_params` tells it.

use crate::exchange::Dialect;
use crate::{anthropic, openai};

/// The members of a chat request that are settings: `OpenAI` API reference, "Create chat completion", 2026-11-23.
const CHAT: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// The chat parameters that may have any value with this model. `thinking` is with them where it has a meaning.
///
/// A server that speaks `OpenAI`'s dialect and is not `OpenAI` is not judged: it is said to take all.
pub fn supported_params(dialect: Dialect, provider: &str, model: &str) -> Vec<&'static str> {
    let takes: &dyn Fn(&str) -> bool = match dialect {
        Dialect::OpenAi => &|param| openai::takes_param(provider, model, param),
        Dialect::Anthropic => &|param| anthropic::takes_param(model, param),
    };
    let all = CHAT.iter().chain(&["thinking"]).copied();
    all.filter(|param| takes(param)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(dialect: Dialect, provider: &str, model: &str) -> Vec<&'static str> {
        let supported = supported_params(dialect, provider, model);
        let all = CHAT.iter().chain(&["thinking"]).copied();
        all.filter(|param| !supported.contains(param)).collect()
    }

    #[test]
    fn a_plain_model_takes_all_but_what_is_for_reasoning() {
        let lacking = lacks(Dialect::OpenAi, "openai", "gpt-4o");
        assert_eq!(lacking, ["reasoning_effort", "thinking"]);
    }

    #[test]
    fn a_reasoning_model_takes_no_sampling_parameters() {
        let lacking = lacks(Dialect::OpenAi, "openai", "o3-mini");
        assert_eq!(
            lacking,
            [
                "frequency_penalty",
                "logit_bias",
                "logprobs",
                "presence_penalty",
                "temperature",
                "top_logprobs",
                "top_p",
                "thinking",
            ]
        );
        let gpt_5 = lacks(Dialect::OpenAi, "azure", "gpt-5-mini");
        assert!(gpt_5.contains(&"stop"), "{gpt_5:?}");
        // Refused only with an effort, and by default there is none.
        let point = lacks(Dialect::OpenAi, "openai", "gpt-5.1");
        assert_eq!(point, ["thinking"]);
    }

    #[test]
    fn compatible_servers_are_not_judged() {
        assert_eq!(lacks(Dialect::OpenAi, "groq", "o3"), ["thinking"]);
        assert_eq!(lacks(Dialect::OpenAi, "deepseek", "r1"), [""; 0]);
    }

    #[test]
    fn anthropics_models_differ_in_thinking_and_sampling() {
        let old = lacks(Dialect::Anthropic, "anthropic", "claude-3-5-haiku-latest");
        for param in ["n", "seed", "reasoning_effort", "thinking"] {
            assert!(old.contains(&param), "{param}: {old:?}");
        }
        assert!(!old.contains(&"temperature"), "{old:?}");
        let new = lacks(Dialect::Anthropic, "anthropic", "claude-opus-4-7");
        assert!(new.contains(&"temperature"), "{new:?}");
        assert!(!new.contains(&"reasoning_effort"), "{new:?}");
    }
}
