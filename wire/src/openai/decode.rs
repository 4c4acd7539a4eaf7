//! Answers of `OpenAI`-compatible servers, whole.
//!
//! [`response`] checks an answer and puts the client's model name in; [`chat_response`] and its siblings read into the
//! neutral form. Streams are [`super::relay`]'s, error statuses [`super::error`]'s.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::types::Choice;
use super::{error, usage};
use crate::chat::{self, ChatRequest, ChatResponse};
use crate::exchange::Decoded;
use crate::json::{JsonError, Object, filled, restamped, string};
use crate::tool_names::checksum;
use crate::{BadRequest, Endpoint, UpstreamError, broken};

/// Reads an answer with a success status. With `requested_model`, the client sees that name as `model`.
///
/// # Errors
/// [`UpstreamError`]: [`BrokenAnswer`](crate::UpstreamErrorKind::BrokenAnswer) for HTML, cut JSON, anything but an object and an
/// object without `choices` (or `data`); the classified error for an object that holds an `error`.
pub fn response(
    endpoint: Endpoint,
    body: Bytes,
    requested_model: Option<&str>,
) -> Result<Decoded, UpstreamError> {
    let object = Object::parse(&body).map_err(|err| broken::body(&body, &err))?;
    if let Some(err) = object.get("error").filter(|err| filled(*err)) {
        return Err(error::classify_inside(err));
    }
    let mut finish_reasons = Vec::new();
    let mut output_bytes = 0_usize;
    let mut used = object.get("usage").and_then(usage::parse);
    if endpoint == Endpoint::Embeddings {
        object
            .get("data")
            .filter(|data| data.get().starts_with('['))
            .ok_or_else(|| broken::answer("the provider's answer has no 'data'"))?;
    } else {
        let choices = object
            .get("choices")
            .and_then(Choice::parse_all)
            .filter(|choices| !choices.is_empty())
            .ok_or_else(|| broken::answer("the provider's answer has no 'choices'"))?;
        for choice in &choices {
            finish_reasons.extend(choice.finish_reason());
            output_bytes = output_bytes.saturating_add(choice.delivered().bytes);
            used = used.or_else(|| choice.usage.and_then(usage::parse));
        }
    }
    let used = used.map(|used| used.served_as(object.get("service_tier")));
    let upstream_model = object.get("model").and_then(string);
    let response_id = object.get("id").and_then(string);
    let restamped = requested_model.and_then(|model| restamped(&object, "model", model));
    // The members borrow the body, which is moved out below.
    drop(object);
    Ok(Decoded {
        usage: used,
        response_id,
        upstream_model,
        finish_reasons,
        output_bytes,
        body: restamped.unwrap_or(body),
    })
}

/// Reads a client's request into the neutral form.
///
/// # Errors
/// [`BadRequest`] naming the place that does not have the shape of a chat request.
pub fn chat_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    neutral(body).map_err(|problem| match problem {
        Problem::Json(err) => err.into(),
        Problem::Shape(err) => {
            BadRequest::new("messages", format!("Invalid request format: {err}"))
        }
    })
}

/// Reads an answer with a success status into the neutral form.
///
/// Members of single servers get their neutral names: `reasoning`, and vLLM's `stop_reason` of a choice, the sequence that
/// stopped it. Calls without an id get one that no other answer has.
///
/// # Errors
/// As [`response`].
pub fn chat_response(body: &[u8]) -> Result<ChatResponse, UpstreamError> {
    let object = Object::parse(body).map_err(|err| broken::body(body, &err))?;
    if let Some(err) = object.get("error").filter(|err| filled(*err)) {
        return Err(error::classify_inside(err));
    }
    let mut response: ChatResponse = neutral(body).map_err(|problem| problem.of_answer(body))?;
    if response.choices.is_empty() {
        return Err(broken::answer("the provider's answer has no 'choices'"));
    }
    // Its counters overlap; the vector's parts do not.
    let mut counters = response.rest.shift_remove("usage");
    for choice in &mut response.choices {
        counters = counters.or_else(|| choice.rest.shift_remove("usage"));
        named(choice, response.id.as_deref());
    }
    let used = counters.as_ref().and_then(usage::parse_value);
    response.usage = used.map(|used| used.served_as(object.get("service_tier")));
    Ok(response)
}

/// Gives a choice's members their neutral names.
fn named(choice: &mut chat::Choice, answer_id: Option<&str>) {
    if let Some(Value::String(sequence)) = choice.rest.shift_remove("stop_reason") {
        choice
            .rest
            .insert("stop_sequence".to_owned(), sequence.into());
    }
    let message = &mut choice.message;
    let reasoning = message.rest.shift_remove("reasoning");
    if let (None, Some(Value::String(text))) = (&message.reasoning_content, reasoning) {
        message.reasoning_content = Some(text);
    }
    let calls = message.tool_calls.iter_mut().flatten();
    for (at, call) in calls.enumerate() {
        let id = call.id.take().filter(|id| !id.is_empty());
        call.id = id.or_else(|| Some(made_up_id(answer_id, at)));
    }
}

/// An id for the call `at` of an answer: a conversation may not hold the same twice, and `OpenAI` takes at most 40 characters.
pub(super) fn made_up_id(answer_id: Option<&str>, at: usize) -> String {
    let answer = checksum(answer_id.unwrap_or_default().as_bytes());
    format!("call_{answer:08x}_{at}")
}

enum Problem {
    Json(JsonError),
    Shape(serde_json::Error),
}

impl Problem {
    fn of_answer(&self, body: &[u8]) -> UpstreamError {
        match self {
            Self::Json(err) => broken::body(body, err),
            Self::Shape(err) => {
                broken::answer(format!("the provider's answer has an unknown shape: {err}"))
            }
        }
    }
}

fn neutral<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Depth, duplicates and syntax first, so that the errors are the same as on the pass-through path.
    let object = Object::parse(body).map_err(Problem::Json)?;
    serde_json::from_str(object.source()).map_err(Problem::Shape)
}
