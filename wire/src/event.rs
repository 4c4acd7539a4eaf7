//! A streamed answer in the neutral form: what every provider's decoder gives and every client dialect's renderer takes.
//!
//! M providers and N client dialects so need M + N translators, not M × N. Events say what is new; nothing is repeated.
//! The order is: [`Start`](ChatEvent::Start); content of the choices; a [`Finish`](ChatEvent::Finish) for each choice;
//! [`End`](ChatEvent::End), which a decoder gives only when the provider said, or left no doubt, that the answer is
//! whole. [`Usage`](ChatEvent::Usage) may come at any time before the end, each one replacing the one before.

use serde_json::Value;

use crate::Usage;

/// One addition to a streamed answer. `choice` is the number of the answer it belongs to, from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// The answer begins. Comes once, before all others.
    Start {
        /// The provider's id of the answer.
        id: Option<String>,
        /// The provider's name of the model.
        model: Option<String>,
    },
    /// More text.
    Text {
        /// Of which answer.
        choice: u64,
        /// Never empty.
        text: String,
    },
    /// More reasoning as text.
    Reasoning {
        /// Of which answer.
        choice: u64,
        /// Never empty.
        text: String,
    },
    /// The opaque signature of the reasoning text since the last signature; ends its block.
    ReasoningSignature {
        /// Of which answer.
        choice: u64,
        /// Goes back to the provider as it came.
        signature: String,
    },
    /// A block of reasoning that only its provider can read.
    OpaqueReasoning {
        /// Of which answer.
        choice: u64,
        /// Goes back to the provider as it came.
        data: String,
    },
    /// More of a refusal.
    Refusal {
        /// Of which answer.
        choice: u64,
        /// Never empty.
        text: String,
    },
    /// A tool call begins; its arguments follow.
    ToolCall {
        /// Of which answer.
        choice: u64,
        /// Its number among the answer's tool calls, from 0.
        index: u64,
        /// The call's id.
        id: String,
        /// What is called.
        name: String,
    },
    /// More of a tool call's arguments: a piece of JSON text.
    ToolArguments {
        /// Of which answer.
        choice: u64,
        /// Which of its tool calls.
        index: u64,
        /// Never empty.
        json: String,
    },
    /// A source of the text just before it, in the shape of its provider.
    Citation {
        /// Of which answer.
        choice: u64,
        /// `{"type": "char_location", "cited_text": "…", …}` from Anthropic, `{"type": "url_citation", …}` from `OpenAI`.
        citation: Value,
    },
    /// A block that the neutral form has no word for, such as a provider's server tool, whole.
    Other {
        /// Of which answer.
        choice: u64,
        /// The block as its provider spells it.
        block: Value,
    },
    /// The answer with this number is complete.
    Finish {
        /// Which answer.
        choice: u64,
        /// Why it ended.
        reason: FinishReason,
    },
    /// What was used so far, or in all.
    Usage(Usage),
    /// The provider says that it is still there.
    KeepAlive,
    /// The whole stream is complete.
    End,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said what it had to say.
    Stop,
    /// It wrote this one of the request's stop sequences.
    StopSequence(String),
    /// The maximum of tokens was reached.
    Length,
    /// It waits for the results of its tool calls.
    ToolCalls,
    /// The provider's policy stopped it, or the model refused.
    ContentFilter,
    /// A provider's own word.
    Other(String),
}

// === impl FinishReason ===

impl FinishReason {
    /// The reason that a `finish_reason` of the neutral form ([`crate::chat::Choice`]) says.
    pub fn from_word(word: &str) -> Self {
        match word {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" | "function_call" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            other => Self::Other(other.to_owned()),
        }
    }

    /// `OpenAI`'s word for it. Its clients know no others, so a provider's own reason is `stop` to them (contract,
    /// `providers.md` §9).
    pub fn as_openai(&self) -> &'static str {
        match self {
            Self::Stop | Self::StopSequence(_) | Self::Other(_) => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}
