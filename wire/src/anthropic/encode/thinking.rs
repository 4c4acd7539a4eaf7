//! Thinking, effort, and the limit of tokens that both count towards.
//!
//! `thinking` is Anthropic's own and passes; `reasoning_effort` becomes a budget, or an effort on models that choose by
//! themselves. Source: Anthropic documentation, "Extended thinking", "Adaptive thinking", "Effort", 2026-11-23; the
//! budgets are those of the contract, `providers.md` §3.

use serde_json::{Map, Value, json};

use super::target::Target;
use crate::BadRequest;
use crate::anthropic::models::Thinking as Can;
use crate::chat::ChatRequest;

/// The limit where neither the client nor the model's catalogue has one.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The least budget that Anthropic takes.
const MIN_BUDGET: u64 = 1024;

/// Room for the answer beside a budget.
const ANSWER_TOKENS: u64 = 4096;

/// `OpenAI`'s efforts, the budget of each, and Anthropic's word.
const EFFORTS: &[(&str, u64, &str)] = &[
    ("minimal", 1024, "low"),
    ("low", 1024, "low"),
    ("medium", 2048, "medium"),
    ("high", 4096, "high"),
    ("xhigh", 8192, "xhigh"),
    ("max", 16384, "max"),
];

/// What was settled.
pub(super) struct Thinking {
    /// `thinking`.
    pub(super) config: Option<Value>,
    /// `output_config`: the client's own, and the effort.
    pub(super) output_config: Option<Value>,
    pub(super) max_tokens: u64,
    /// The request turns thinking on.
    pub(super) on: bool,
}

pub(super) fn settle(chat: &ChatRequest, target: &mut Target<'_>) -> Result<Thinking, BadRequest> {
    let asked = chat.max_completion_tokens.or(chat.max_tokens);
    let effort = effort(chat)?;
    let mut settled = Thinking {
        config: own(chat, "thinking"),
        output_config: own(chat, "output_config"),
        max_tokens: asked.unwrap_or_else(|| default_max_tokens(target)),
        on: false,
    };
    if let Some(config) = &settled.config {
        let budget = config.get("budget_tokens").and_then(Value::as_u64);
        if let (None, Some(budget)) = (asked, budget) {
            settled.max_tokens = with_answer(budget, target);
        }
    }
    match (effort, target.model.thinking) {
        (Some(Effort::None), Can::Adaptive { off: Some(off), .. }) => {
            settled.config.get_or_insert_with(|| json!({"type": off}));
        }
        (None | Some(Effort::None), _) => {}
        (Some(Effort::Some { .. }), Can::No) if !target.allows("reasoning_effort") => {
            target.cannot("reasoning_effort")?;
        }
        (Some(Effort::Some { word, .. }), Can::Adaptive { xhigh, .. }) => {
            settled
                .config
                .get_or_insert_with(|| json!({"type": "adaptive", "display": "summarized"}));
            // The next lower one, for it must not cost more than was asked for.
            let word = if word == "xhigh" && !xhigh {
                "high"
            } else {
                word
            };
            settled.set_effort(word);
        }
        (Some(Effort::Some { budget, .. }), Can::Budget | Can::No) => {
            if settled.config.is_none() {
                settled.set_budget(budget, asked, target);
            }
        }
    }
    let kind = settled
        .config
        .as_ref()
        .and_then(|config| config.get("type"));
    settled.on = matches!(kind.and_then(Value::as_str), Some("enabled" | "adaptive"));
    Ok(settled)
}

/// What `reasoning_effort` says.
enum Effort {
    None,
    Some { budget: u64, word: &'static str },
}

fn effort(chat: &ChatRequest) -> Result<Option<Effort>, BadRequest> {
    let Some(effort) = chat
        .rest
        .get("reasoning_effort")
        .filter(|effort| !effort.is_null())
    else {
        return Ok(None);
    };
    // As in the Responses API: {"effort": "low", "summary": "auto"}.
    let word = effort.get("effort").unwrap_or(effort).as_str();
    if matches!(word, Some("none" | "disable")) {
        return Ok(Some(Effort::None));
    }
    let known = EFFORTS.iter().find(|(name, _, _)| Some(*name) == word);
    let Some((_, budget, word)) = known else {
        let words = "\"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\" or \"max\"";
        let message = format!("'reasoning_effort' must be {words}.");
        return Err(BadRequest::new("reasoning_effort", message));
    };
    Ok(Some(Effort::Some {
        budget: *budget,
        word,
    }))
}

fn own(chat: &ChatRequest, key: &str) -> Option<Value> {
    chat.rest.get(key).filter(|value| !value.is_null()).cloned()
}

fn default_max_tokens(target: &Target<'_>) -> u64 {
    target
        .options
        .max_output_tokens
        .unwrap_or(DEFAULT_MAX_TOKENS)
}

/// A limit that leaves room for the answer, as far as the model goes.
fn with_answer(budget: u64, target: &Target<'_>) -> u64 {
    let most = target.options.max_output_tokens.unwrap_or(u64::MAX);
    budget.saturating_add(ANSWER_TOKENS).min(most)
}

// === impl Thinking ===

impl Thinking {
    fn set_effort(&mut self, word: &str) {
        let config = self
            .output_config
            .get_or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(members) = config
            && !members.contains_key("effort")
        {
            members.insert("effort".to_owned(), word.into());
        }
    }

    fn set_budget(&mut self, budget: u64, asked: Option<u64>, target: &mut Target<'_>) {
        let max_tokens = asked.unwrap_or_else(|| with_answer(budget, target));
        let budget = budget.min(max_tokens.saturating_sub(1));
        if budget < MIN_BUDGET {
            // The client's limit leaves no room to think in.
            target.drop("reasoning_effort");
            return;
        }
        self.max_tokens = max_tokens;
        self.config = Some(json!({"type": "enabled", "budget_tokens": budget}));
    }
}
