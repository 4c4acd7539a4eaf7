//! One exchange with a provider: the client's request into the provider's dialect, the provider's answer into the client's.
//!
//! [`Endpoint`] says which dialect the client speaks, [`Dialect`] which one the provider does. When both are the same, the
//! bytes are passed on with single spans spliced; otherwise they go through the neutral form ([`crate::chat`],
//! [`crate::event`]). Which of the two it is, nobody outside of this module and [`crate::relay`] needs to know.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{Endpoint, Usage};

/// The wire format that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `OpenAI` and every compatible server: [`crate::openai`].
    OpenAi,
    /// Anthropic's Messages API: [`crate::anthropic`].
    Anthropic,
}

/// Under which name the provider takes the limit of output tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxTokensField {
    /// As the client spelled it, but for models of `OpenAI` that take only `max_completion_tokens`.
    #[default]
    Keep,
    /// `max_tokens`, as most compatible servers want it.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// How a deployment wants its requests.
#[derive(Debug, Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// The model's name with the provider.
    pub upstream_model: &'a str,
    /// What is called.
    pub endpoint: Endpoint,
    /// The name for the limit of output tokens.
    pub max_tokens_field: MaxTokensField,
    /// The most output tokens that the model can give, where known; for providers that must be told a limit.
    pub max_output_tokens: Option<u64>,
    /// Drop parameters that the model does not take, instead of refusing the request.
    pub drop_params: bool,
    /// More members to drop: top-level names and paths such as `tools[*].function.strict`.
    pub additional_drop_params: &'a [String],
    /// Members that are sent although the table says that the model, or the gateway, takes them otherwise.
    pub allowed_openai_params: &'a [String],
    /// Members to add when the request does not have them.
    pub defaults: &'a Map<String, Value>,
    /// Members to set in any case.
    pub extra_body: &'a Map<String, Value>,
    /// The provider's name, for the table of unsupported parameters.
    pub provider: &'a str,
}

/// A body that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// The body.
    pub body: Bytes,
    /// What was dropped from the client's request, to be told in a response header.
    pub dropped: Vec<String>,
    /// Beta features that the body needs: values for the provider's `anthropic-beta` header, none in other dialects.
    pub betas: Vec<&'static str>,
}

/// How the client wants its answer, whole or streamed.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    /// What was called.
    pub endpoint: Endpoint,
    /// The name the client sees as `model`; `None` leaves the provider's.
    pub requested_model: Option<String>,
    /// The client asked for usage in its stream.
    pub include_usage: bool,
    /// How many answers the request asked for (`n`): a stream that never began one of them is not complete. 0: unknown.
    pub choices: u64,
    /// Unix seconds now, for dialects whose answers carry a time where the provider's do not.
    pub created: u64,
}

/// A checked answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The body for the client, `model` restamped.
    pub body: Bytes,
    /// What the provider says was used.
    pub usage: Option<Usage>,
    /// The provider's `id`.
    pub response_id: Option<String>,
    /// The provider's `model`.
    pub upstream_model: Option<String>,
    /// One for each choice that has one, in order.
    pub finish_reasons: Vec<String>,
    /// Bytes of text, reasoning, refusals and tool arguments as JSON spells them, for estimates; 0 for embeddings.
    pub output_bytes: usize,
}
