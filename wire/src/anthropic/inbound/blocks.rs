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
use serde_json::{Map, Value, json};

use super::place::{Members, Place};
use crate::chat::{Content, ContentPart};
use crate::request::BadRequest;

/// A block's `type` and its other members.
pub(super) fn open(block: Value, place: Place<'_>) -> Result<(String, Members<'_>), BadRequest> {
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
        "text" => (kind, Some(block.required_string("text")?)),
        "image" => (image(&mut block)?.to_owned(), None),
        "document" => (document(&mut block)?.to_owned(), None),
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
fn image(block: &mut Members<'_>) -> Result<&'static str, BadRequest> {
    let url = match Source::take(block)? {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url(url) => url,
        source => {
            source.put_back(block);
            return Ok("image");
        }
    };
    block.put("image_url", json!({ "url": url }));
    Ok("image_url")
}

/// As [`image`], for documents.
fn document(block: &mut Members<'_>) -> Result<&'static str, BadRequest> {
    let file = match Source::take(block)? {
        Source::Base64 { media_type, data } => {
            json!({ "file_data": format!("data:{media_type};base64,{data}") })
        }
        Source::Text { media_type, data } => {
            let data = STANDARD.encode(data);
            json!({ "file_data": format!("data:{media_type};base64,{data}") })
        }
        Source::Url(id) | Source::File(id) => json!({ "file_id": id }),
        source @ Source::Other(_) => {
            source.put_back(block);
            return Ok("document");
        }
    };
    block.put("file", file);
    Ok("file")
}

/// Where the bytes of an image or document are.
enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Text {
        media_type: String,
        data: String,
    },
    Url(String),
    File(String),
    /// Content blocks, or what is still to come: the block stays whole.
    Other(Map<String, Value>),
}

// === impl Source ===

impl Source {
    fn take(block: &mut Members<'_>) -> Result<Self, BadRequest> {
        let source = block.required("source")?;
        let outer = block.place();
        let mut source = Members::of(source, outer.member("source"))?;
        let kind = source.required_string("type")?;
        Ok(match kind.as_str() {
            "base64" => Self::Base64 {
                media_type: source.required_string("media_type")?,
                data: source.required_string("data")?,
            },
            "text" => Self::Text {
                media_type: source.required_string("media_type")?,
                data: source.required_string("data")?,
            },
            "url" => Self::Url(source.required_string("url")?),
            "file" => Self::File(source.required_string("file_id")?),
            _ => {
                source.put("type", kind.into());
                Self::Other(source.into_rest())
            }
        })
    }

    /// Gives the block its source again.
    fn put_back(self, block: &mut Members<'_>) {
        let source = match self {
            Self::Base64 { media_type, data } => {
                json!({"type": "base64", "media_type": media_type, "data": data})
            }
            Self::Text { media_type, data } => {
                json!({"type": "text", "media_type": media_type, "data": data})
            }
            Self::Url(url) => json!({"type": "url", "url": url}),
            Self::File(id) => json!({"type": "file", "file_id": id}),
            Self::Other(members) => Value::Object(members),
        };
        block.put("source", source);
    }
}
