//! One exchange with a provider: the client's request into the provider's dialect, the provider's answer into the client's.
//!
//! [`Endpoint`] says which dialect the client speaks, [`Dialect`] which one the provider does. When both are the same, the
//! bytes are passed on with single spans spliced; otherwise they go through the neutral form ([`crate::chat`],
//! [`crate::event`]). Which of the two it is, nobody outside of this module and [`crate::relay`] needs to know.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::chat::{ChatResponse, Choice, Content};
use crate::tool_names::ToolNames;
use crate::{BadRequest, Endpoint, RequestPeek, UpstreamError, Usage, anthropic, openai};

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
    /// The version of the provider's API that the client named, where clients do.
    pub api_version: Option<&'a str>,
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
    /// Tools that had to be sent under other names; the answer's calls must be given their own back.
    pub renamed: ToolNames,
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
    /// Tools that were sent under other names; their calls get the client's names back.
    pub renamed: ToolNames,
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

/// Makes the client's `body` fit for a deployment that speaks `dialect`.
///
/// # Errors
/// [`BadRequest`] for what the provider cannot be asked for: the field is named, and what to write instead.
pub fn encode(
    dialect: Dialect,
    body: &Bytes,
    peek: &RequestPeek,
    options: &EncodeOptions<'_>,
) -> Result<Encoded, BadRequest> {
    match (options.endpoint, dialect) {
        (Endpoint::Messages | Endpoint::CountTokens, Dialect::Anthropic) => {
            anthropic::splice::request(body, peek, options)
        }
        (Endpoint::Messages | Endpoint::CountTokens, Dialect::OpenAi) => {
            openai::encode::chat_request(&anthropic::inbound::request(body)?, options)
        }
        (Endpoint::ChatCompletions, Dialect::Anthropic) => {
            anthropic::encode::request(&openai::decode::chat_request(body)?, options)
        }
        (Endpoint::Completions | Endpoint::Embeddings, Dialect::Anthropic) => {
            let (provider, path) = (options.provider, options.endpoint.path());
            Err(BadRequest::new(
                "model",
                format!(
                    "{provider} has no {path}; call /v1/chat/completions, or name a model of another provider."
                ),
            ))
        }
        (_, Dialect::OpenAi) => openai::splice::request(body, peek, options),
    }
}

/// Reads a whole answer of a provider that speaks `dialect` and writes it as the client expects it.
///
/// # Errors
/// [`UpstreamError`] for what is no answer, and for an error inside of a success.
pub fn decode(
    dialect: Dialect,
    body: Bytes,
    options: &AnswerOptions,
) -> Result<Decoded, UpstreamError> {
    let model = options.requested_model.as_deref();
    match (options.endpoint, dialect) {
        (Endpoint::Messages, Dialect::Anthropic) => anthropic::splice::response(body, model),
        (Endpoint::Messages, Dialect::OpenAi) => {
            let mut answer = openai::decode::chat_response(&body)?;
            options.renamed.restore(&mut answer);
            Ok(translated(
                &answer,
                anthropic::render::response(&answer, options),
            ))
        }
        (_, Dialect::Anthropic) => {
            let mut answer = anthropic::decode::response(&body)?;
            options.renamed.restore(&mut answer);
            Ok(translated(
                &answer,
                openai::render::response(&answer, options),
            ))
        }
        (endpoint, Dialect::OpenAi) => openai::decode::response(endpoint, body, model),
    }
}

/// Classifies an answer whose status is not a success. `content_type` and `retry_after` are the header values.
pub fn classify(
    dialect: Dialect,
    status: u16,
    content_type: Option<&str>,
    retry_after: Option<&str>,
    body: &[u8],
) -> UpstreamError {
    match dialect {
        Dialect::OpenAi => openai::error::classify(status, content_type, retry_after, body),
        Dialect::Anthropic => anthropic::error::classify(status, content_type, retry_after, body),
    }
}

/// The status that a client of `endpoint` gets for a provider's failure: `LiteLLM`'s, and Anthropic's own on its endpoints.
pub fn client_status(endpoint: Endpoint, error: &UpstreamError) -> u16 {
    if endpoint.is_anthropic() {
        anthropic::reply::status(error)
    } else {
        error.client_status()
    }
}

/// What is sent to the client of a stream while there is nothing to say.
pub fn keep_alive(endpoint: Endpoint) -> &'static [u8] {
    match endpoint {
        Endpoint::Messages => anthropic::reply::PING,
        _ => b": ping\n\n",
    }
}

/// The whole answer that a stream was, from what the client was sent: for those who keep answers. `None` where nothing of one
/// came.
pub fn assembled(endpoint: Endpoint, stream: Bytes) -> Option<Value> {
    if endpoint.is_anthropic() {
        anthropic::assemble::answer(stream)
    } else {
        openai::assemble::answer(endpoint, stream)
    }
}

fn translated(answer: &ChatResponse, body: Bytes) -> Decoded {
    Decoded {
        body,
        usage: answer.usage,
        response_id: answer.id.clone(),
        upstream_model: answer.model.clone(),
        finish_reasons: answer
            .choices
            .iter()
            .filter_map(|choice| choice.finish_reason.clone())
            .collect(),
        output_bytes: answer.choices.iter().map(output_bytes).sum(),
    }
}

/// Text, reasoning, refusals and tool arguments, in bytes.
fn output_bytes(choice: &Choice) -> usize {
    let message = &choice.message;
    let text = match &message.content {
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => {
            let texts = parts.iter().filter_map(|part| part.text.as_ref());
            texts.map(String::len).sum()
        }
        None => 0,
    };
    let others = [&message.reasoning_content, &message.refusal];
    let others: usize = others.into_iter().flatten().map(String::len).sum();
    let calls = message.tool_calls.iter().flatten();
    let arguments: usize = calls
        .filter_map(|call| call.function.as_ref()?.arguments.as_ref())
        .map(String::len)
        .sum();
    text + others + arguments
}

// === impl AnswerOptions ===

impl AnswerOptions {
    /// An answer as its provider names and numbers it, without usage in its stream.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            requested_model: None,
            include_usage: false,
            choices: 0,
            created: 0,
            renamed: ToolNames::default(),
        }
    }
}

// === impl EncodeOptions ===

impl EncodeOptions<'_> {
    /// The error for a parameter that the model cannot have, in `LiteLLM`'s words.
    pub(crate) fn unsupported(&self, param: &str) -> BadRequest {
        let (provider, model) = (self.provider, self.upstream_model);
        BadRequest::new(
            param,
            format!(
                "litellm.UnsupportedParamsError: {provider} does not support parameter '{param}' for model={model}. \
                 Leave it out, or set `drop_params: true` to have the gateway drop it."
            ),
        )
    }
}
