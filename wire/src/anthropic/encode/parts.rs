//! The parts of a message as content blocks: texts, images, documents, and what is Anthropic's own already.
//!
//! Source: Anthropic API reference, "Messages", and guides "Vision", "PDF support", "Citations", "Files API", 2026-11-23.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::blocks::{Block, Source};
use super::target::Target;
use crate::BadRequest;
use crate::chat::{Content, ContentPart};

const FILES_BETA: &str = "files-api-2025-04-14";

/// `data:<media type>;base64,<data>`.
#[derive(Clone, Copy)]
struct DataUri<'a> {
    media_type: &'a str,
    data: &'a str,
}

/// The blocks of a message's content. `path` names the message, as in `messages[3]`.
pub(super) fn blocks<'a>(
    content: Option<&'a Content>,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Vec<Block<'a>>, BadRequest> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(vec![Block::text(text, None)]),
        Some(Content::Parts(parts)) => {
            let mut blocks = Vec::with_capacity(parts.len());
            for (at, part) in parts.iter().enumerate() {
                blocks.extend(block(part, &format!("{path}.content[{at}]"), target)?);
            }
            Ok(blocks)
        }
    }
}

fn block<'a>(
    part: &'a ContentPart,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Option<Block<'a>>, BadRequest> {
    let cache_control = part.cache_control.as_ref();
    match part.kind.as_str() {
        "text" => {
            let text = part.text.as_deref().unwrap_or_default();
            Ok((!text.is_empty()).then_some(Block::Text {
                text,
                citations: part.rest.get("citations"),
                cache_control,
            }))
        }
        "refusal" => {
            let text = part.rest.get("refusal").and_then(Value::as_str);
            let text = text.filter(|text| !text.is_empty());
            Ok(text.map(|text| Block::text(text, cache_control)))
        }
        "image_url" => image(part, path).map(Some),
        "file" => file(part, path, target).map(Some),
        "input_audio" | "video_url" => {
            target.cannot(path)?;
            Ok(None)
        }
        _ => Ok(Some(Block::Own(part))),
    }
}

fn image<'a>(part: &'a ContentPart, path: &str) -> Result<Block<'a>, BadRequest> {
    let path = format!("{path}.image_url");
    let image = part.rest.get("image_url");
    let url = image
        .and_then(|image| image.get("url").unwrap_or(image).as_str())
        .ok_or_else(|| {
            let example = "{\"url\": \"https://…\"} or {\"url\": \"data:image/png;base64,…\"}";
            BadRequest::new(
                &path,
                format!("'{path}' must be an object such as {example}."),
            )
        })?;
    if !url.starts_with("data:") {
        return Ok(Block::Image {
            source: Source::Url { url },
            cache_control: part.cache_control.as_ref(),
        });
    }
    let mut uri = DataUri::parse(url, &path)?;
    let stated = image
        .and_then(|image| image.get("format"))
        .and_then(Value::as_str);
    uri.media_type = stated.unwrap_or(uri.media_type);
    inline(uri, part, &path)
}

fn file<'a>(
    part: &'a ContentPart,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Block<'a>, BadRequest> {
    let path = format!("{path}.file");
    let member = |key: &str| {
        let value = part.rest.get("file")?.get(key)?.as_str()?;
        (!value.is_empty()).then_some(value)
    };
    if let Some(data) = member("file_data") {
        let path = format!("{path}.file_data");
        return inline(DataUri::parse(data, &path)?, part, &path);
    }
    let Some(id) = member("file_id") else {
        let example = "\"file_data\": \"data:application/pdf;base64,…\"";
        return Err(BadRequest::new(
            &path,
            format!("'{path}' must have {example} or a 'file_id'."),
        ));
    };
    if id.starts_with("https://") || id.starts_with("http://") {
        return Ok(document(Source::Url { url: id }, part));
    }
    target.beta(FILES_BETA);
    let source = Source::File { file_id: id };
    let image = member("format").is_some_and(|format| format.starts_with("image/"));
    Ok(if image {
        Block::Image {
            source,
            cache_control: part.cache_control.as_ref(),
        }
    } else {
        document(source, part)
    })
}

/// Bytes that are in the request itself: their type says whether they are an image, a text or another document.
fn inline<'a>(
    uri: DataUri<'a>,
    part: &'a ContentPart,
    path: &str,
) -> Result<Block<'a>, BadRequest> {
    let DataUri { media_type, data } = uri;
    if media_type.starts_with("image/") {
        return Ok(Block::Image {
            source: Source::Base64 { media_type, data },
            cache_control: part.cache_control.as_ref(),
        });
    }
    if !media_type.starts_with("text/") {
        return Ok(document(Source::Base64 { media_type, data }, part));
    }
    // Texts are sent as text, and `text/plain` is the one kind there is.
    let bytes = STANDARD
        .decode(data)
        .map_err(|err| BadRequest::new(path, format!("'{path}' is not valid base64: {err}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|err| BadRequest::new(path, format!("'{path}' is not UTF-8 text: {err}.")))?;
    let source = Source::Text {
        media_type: "text/plain",
        data: text,
    };
    Ok(document(source, part))
}

fn document<'a>(source: Source<'a>, part: &'a ContentPart) -> Block<'a> {
    let name = part.rest.get("file").and_then(|file| file.get("filename"));
    Block::Document {
        source,
        title: part
            .rest
            .get("title")
            .or(name)
            .filter(|title| !title.is_null()),
        context: part.rest.get("context"),
        citations: part.rest.get("citations"),
        cache_control: part.cache_control.as_ref(),
    }
}

// === impl DataUri ===

impl<'a> DataUri<'a> {
    fn parse(uri: &'a str, path: &str) -> Result<Self, BadRequest> {
        uri.strip_prefix("data:")
            .and_then(|rest| rest.split_once(','))
            .and_then(|(header, data)| {
                let header = header.strip_suffix(";base64")?;
                // Parameters of the type, such as `;charset=utf-8`, have no place to go.
                let media_type = header.split(';').next().filter(|kind| kind.contains('/'))?;
                Some(Self { media_type, data })
            })
            .ok_or_else(|| {
                let example = "\"data:image/png;base64,…\"";
                BadRequest::new(
                    path,
                    format!("'{path}' must be a data URI in base64 such as {example}."),
                )
            })
    }
}
