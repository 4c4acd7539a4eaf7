//! The deployment's own wishes, on the request as the client spelled it: members to drop, defaults to add.
//!
//! They are written in `OpenAI`'s spelling, paths included, so they are applied before anything is translated.

use std::borrow::Cow;

use super::target::Target;
use crate::BadRequest;
use crate::chat::ChatRequest;
use crate::json::{MemberPath, Object, Splice};
use crate::openai::decode;

/// The request with the deployment's `additional_drop_params` and `defaults`; the same one when there are none.
pub(super) fn request<'c>(
    chat: &'c ChatRequest,
    target: &mut Target<'_>,
) -> Result<Cow<'c, ChatRequest>, BadRequest> {
    let options = target.options;
    if options.additional_drop_params.is_empty() && options.defaults.is_empty() {
        return Ok(Cow::Borrowed(chat));
    }
    let spelled = serde_json::to_vec(chat)
        .map_err(|err| BadRequest::new("messages", format!("Invalid request format: {err}")))?;
    let object = Object::parse(&spelled)?;
    let mut splice = Splice::new(&object);
    for param in options.additional_drop_params {
        let removed = match MemberPath::parse(param) {
            Some(path) => splice.remove_path(&path),
            None => splice.remove(param),
        };
        if removed {
            target.drop(param);
        }
    }
    let limits = |key: &str| matches!(key, "max_tokens" | "max_completion_tokens");
    let limited = ["max_tokens", "max_completion_tokens"]
        .iter()
        .any(|key| splice.contains(key));
    for (key, value) in options.defaults {
        // A default for one name of the limit must not contradict the client's under the other.
        if !splice.contains(key) && !(limited && limits(key)) {
            splice.set(key.as_str(), value.to_string().into_bytes());
        }
    }
    decode::chat_request(&splice.finish()).map(Cow::Owned)
}
