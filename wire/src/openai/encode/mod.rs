//! The neutral form as a request to an `OpenAI`-compatible server, for clients of another dialect.
//!
//! What such a server has no word for is translated where it can be, left out where it is a mere hint (cache control,
//! signed reasoning, the context's management), and otherwise refused, or dropped and named under `drop_params`. The
//! result then goes the way of every other body: [`super::splice`].

mod members;
mod messages;
mod parts;
mod reasoning;
mod target;
#[cfg(test)]
mod tests;
mod tools;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use self::target::Target;
use super::{params, splice};
use crate::chat::{ChatRequest, Message, Tool};
use crate::exchange::{EncodeOptions, Encoded};
use crate::request::{BadRequest, Endpoint, RequestPeek};

/// The body as it is sent; the client's other members stay in order behind these.
#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Writes a neutral request.
///
/// # Errors
/// [`BadRequest`] for what the server has no word for, when `drop_params` is off.
pub fn chat_request(
    request: &ChatRequest,
    options: &EncodeOptions<'_>,
) -> Result<Encoded, BadRequest> {
    let options = &EncodeOptions {
        endpoint: Endpoint::ChatCompletions,
        ..*options
    };
    let mut target = Target::new(options);
    let messages = messages::of(&request.messages, &mut target)?;
    let tools = tools::of(request.tools.as_deref().unwrap_or_default(), &mut target)?;
    let rest = members::of(request, !tools.is_empty(), &mut target)?;
    let body = Body {
        model: request.model.clone(),
        messages,
        tools,
        rest,
    };
    let body = serde_json::to_vec(&body)
        .map_err(|err| BadRequest::new("request_body", format!("Invalid request: {err}")))?;
    let peek = RequestPeek {
        stream: request.stream == Some(true),
        ..RequestPeek::default()
    };
    let mut encoded = splice::request(&Bytes::from(body), &peek, options)?;
    target.dropped.append(&mut encoded.dropped);
    encoded.dropped = target.dropped;
    encoded.renamed = target.names;
    Ok(encoded)
}
