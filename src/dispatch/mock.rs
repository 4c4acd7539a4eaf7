//! `mock_response`: a deployment that answers by itself. What a provider that speaks OpenAI's dialect would send goes
//! through the same decoder and relay as the real thing.
//!
//! Usage is LiteLLM's for mocks: 10 prompt and 20 completion tokens. Three texts raise an error instead.

use bytes::Bytes;
use rand::distr::{Alphanumeric, SampleString as _};
use trunkline_actors::clock::UnixMs;
use trunkline_wire::error::{UpstreamError, UpstreamErrorKind};
use trunkline_wire::exchange::{self, AnswerOptions, Dialect};
use trunkline_wire::openai::reply::{self, Envelope};
use trunkline_wire::request::Endpoint;
use trunkline_wire::usage::Usage;

use super::Inbound;
use super::attempt::Answer;
use super::events::Events;

const PROMPT_TOKENS: u64 = 10;
const COMPLETION_TOKENS: u64 = 20;
/// Length of a mock embedding.
const MOCK_DIMENSIONS: usize = 8;

/// The answer to `inbound`, or the error that `text` names.
pub(super) fn answer(
    text: &str,
    inbound: &Inbound,
    include_usage: bool,
) -> Result<Answer, UpstreamError> {
    if let Some(kind) = error_kind(text) {
        return Err(UpstreamError::new(
            kind,
            None,
            "mock_response asks for this error",
        ));
    }
    let options = AnswerOptions {
        include_usage,
        created: UnixMs::now().0 / 1000,
        ..AnswerOptions::new(inbound.endpoint)
    };
    let usage = Usage::estimated(PROMPT_TOKENS, COMPLETION_TOKENS);
    let random = Alphanumeric.sample_string(&mut rand::rng(), 24);
    let id = match inbound.endpoint {
        Endpoint::Completions => format!("cmpl-{random}"),
        _ => format!("chatcmpl-{random}"),
    };
    let envelope = Envelope {
        id: &id,
        created: options.created,
        model: &inbound.model,
    };
    if inbound.peek.stream {
        let pieces: Vec<&str> = text.split_inclusive(' ').collect();
        let events = match inbound.endpoint {
            Endpoint::Completions => reply::completion_stream(envelope, &pieces, &usage, true),
            _ => reply::chat_stream(envelope, &pieces, &usage, true),
        };
        return Ok(Answer::Stream(Box::new(Events::from_pieces(
            &events, options,
        ))));
    }
    let body: Bytes = match inbound.endpoint {
        Endpoint::Completions => reply::completion_response(envelope, text, &usage),
        Endpoint::Embeddings => {
            reply::embeddings_response(&inbound.model, &[vec![0.0; MOCK_DIMENSIONS]], PROMPT_TOKENS)
        }
        _ => reply::chat_response(envelope, text, &usage),
    };
    let decoded = exchange::decode(Dialect::OpenAi, body, &options)?;
    Ok(Answer::Whole(Box::new(decoded)))
}

fn error_kind(text: &str) -> Option<UpstreamErrorKind> {
    match text {
        "litellm.RateLimitError" => Some(UpstreamErrorKind::RateLimited),
        "litellm.InternalServerError" => Some(UpstreamErrorKind::Server),
        "litellm.ContextWindowExceededError" => Some(UpstreamErrorKind::ContextWindow),
        _ => None,
    }
}
