//! The deployment's own wishes, on the request as the client spelled it: members to drop, defaults to add.
//!
//! They are written in `OpenAI`'s spelling, paths included, so they are applied before anything is translated.

use std::borrow::Cow;

use serde_json::Map;

use super::target::Target;
use crate::BadRequest;
use crate::chat::ChatRequest;
use crate::exchange::EncodeOptions;
use crate::json::{Object, Splice};
use crate::openai::decode;
use crate::overrides;

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
    // What is set in any case is in the provider's spelling, and comes last.
    let nothing = Map::new();
    let defaults = EncodeOptions {
        extra_body: &nothing,
        ..*options
    };
    let mut splice = Splice::new(&object);
    let keeps_all = |_: &str| false;
    target.dropped = overrides::remove(&object, &mut splice, options, keeps_all);
    overrides::add(&mut splice, &defaults, |_| true);
    decode::chat_request(&splice.finish()).map(Cow::Owned)
}
