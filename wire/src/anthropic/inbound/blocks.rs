//! Content blocks as neutral parts.
//!
//! | block | part |
//! | --- | --- |
//! | `text` | `text` |
//! | `image`, base64 or URL | `image_url` with a `data:` or plain URL |
//! | `document`, base64 or text | `file` with `file_data`, a `data:` URL |
//! | `document`, URL or uploaded file | `file` with `file_id` |
//! | anything else | itself, whole |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::place::{Members, Place};
use crate::chat::{Content, ContentPart};
use crate::request::BadRequest;

/// A block's `type` and its other members.
pub(super) fn open<'a>(
    block: Value,
    place: Place<'a>,
) -> Result<(String, Members<'a>), BadRequest> {
    let mut block = Members::of(block, place)?;
    let kind = block.required_string("type")?;
    Ok((kind, block))
}

/// A list of blocks as content.
pub(super) fn content(list: Vec<Value>, place: &Place<'_>) -> Result<Content, BadRequest> {
    let mut parts = Vec::with_capacity(list.len());
    for (at, block) in list.into_iter().enumerate() {
        let place = place.element(at);
        let (kind, block) = open(block, place)?;
        parts.push(part(kind, block)?);
    }
    Ok(content_of(parts))
}

/// Parts as content: one plain text becomes a string, which every server takes.
pub(super) fn content_of(mut parts: Vec<ContentPart>) -> Content {
    match parts.as_mut_slice() {
        [] => Content::Text(String::new()),
        [only] if only.cache_control.is_none() && only.rest.is_empty() && only.kind == "text" => {
            Content::Text(only.text.take().unwrap_or_default())
        }
        _ => Content::Parts(parts),
    }
}

/// One block as a part.
pub(super) fn part(kind: String, mut block: Members<'_>) -> Result<ContentPart, BadRequest> {
    let cache_control = block.take("cache_control");
    let (kind, text) = match kind.as_str() {
        "text" => {
            let text = block.required_string("text")?;
            (kind, Some(text))
        }
        "image" => (image(&mut block)?, None),
        "document" => (document(&mut block)?, None),
        _ => (kind, None),
    };
    Ok(ContentPart {
        kind,
        text,
        cache_control,
        rest: block.into_rest(),
    })
}

/// Puts an image's neutral member in place of its `source`; gives the part's type.
fn image(block: &mut Members<'_>) -> Result<String, BadRequest> {
    let url = match Source::take(block)? {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url(url) => url,
        Source::Text { .. } | Source::File(_) | Source::Other => return Ok("image".to_owned()),
    };
    block.take("source");
    block.put_back("image_url", json!({ "url": url }));
    Ok("image_url".to_owned())
}

/// As [`image`], for documents.
fn document(block: &mut Members<'_>) -> Result<String, BadRequest> {
    let file = match Source::take(block)? {
        Source::Base64 { media_type, data } => {
            json!({ "file_data": format!("data:{media_type};base64,{data}") })
        }
        Source::Text { media_type, text } => {
            let data = STANDARD.encode(text);
            json!({ "file_data": format!("data:{media_type};base64,{data}") })
        }
        Source::Url(id) | Source::File(id) => json!({ "file_id": id }),
        Source::Other => return Ok("document".to_owned()),
    };
    block.take("source");
    block.put_back("file", file);
    Ok("file".to_owned())
}

/// Where the bytes of an image or document are.
enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Text {
        media_type: String,
        text: String,
    },
    Url(String),
    File(String),
    /// Content blocks, or what is still to come: the block stays whole.
    Other,
}

// === impl Source ===

impl Source {
    /// Reads `source` and leaves it where it is.
    fn take(block: &mut Members<'_>) -> Result<Self, BadRequest> {
        let whole = block.required("source")?;
        let outer = block.place();
        let mut source = Members::of(whole.clone(), outer.member("source"))?;
        let kind = source.required_string("type")?;
        let source = match kind.as_str() {
            "base64" => Self::Base64 {
                media_type: source.required_string("media_type")?,
                data: source.required_string("data")?,
            },
            "text" => Self::Text {
                media_type: source
                    .string("media_type")?
                    .unwrap_or_else(|| "text/plain".to_owned()),
                text: source.required_string("data")?,
            },
            "url" => Self::Url(source.required_string("url")?),
            "file" => Self::File(source.required_string("file_id")?),
            _ => Self::Other,
        };
        block.put_back("source", whole);
        Ok(source)
    }
}
