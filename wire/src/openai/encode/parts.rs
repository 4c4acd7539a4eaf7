//! Parts of messages as `OpenAI`-compatible servers take them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::target::Target;
use crate::chat::{Content, ContentPart};
use crate::request::BadRequest;

/// The name of a document that came without; servers want one.
const UNNAMED: &str = "document.pdf";

/// Content without what servers have no word for.
///
/// # Errors
/// [`BadRequest`] for blocks of another provider's own kind.
pub(super) fn content(content: &Content, target: &mut Target<'_>) -> Result<Content, BadRequest> {
    let Content::Parts(parts) = content else {
        return Ok(content.clone());
    };
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        kept.extend(translated(part, target)?);
    }
    if kept.is_empty() {
        // Servers refuse a list without parts.
        return Ok(Content::Text(String::new()));
    }
    Ok(Content::Parts(kept))
}

fn translated(
    part: &ContentPart,
    target: &mut Target<'_>,
) -> Result<Option<ContentPart>, BadRequest> {
    match part.kind.as_str() {
        "text" => Ok(Some(text(part.text.clone().unwrap_or_default()))),
        "image_url" | "input_audio" | "refusal" => {
            let member = part.rest.get(&part.kind).cloned();
            Ok(Some(with(&part.kind, member.unwrap_or_default())))
        }
        "file" => file(part, target),
        own => {
            let problem = format!("content of the type '{own}'");
            target.refuse("messages", &problem)?;
            Ok(None)
        }
    }
}

/// A document. Plain text is said as text; an address is nothing these servers would fetch.
fn file(part: &ContentPart, target: &mut Target<'_>) -> Result<Option<ContentPart>, BadRequest> {
    let Some(Value::Object(file)) = part.rest.get("file") else {
        return Ok(Some(with("file", Value::Null)));
    };
    let id = file.get("file_id").and_then(Value::as_str);
    if id.is_some_and(|id| id.starts_with("http://") || id.starts_with("https://")) {
        target.refuse("messages", "documents by URL")?;
        return Ok(None);
    }
    let title = part.rest.get("title").and_then(Value::as_str);
    if let Some(plain) = plain_text(file) {
        let titled = title.map(|title| format!("{title}\n\n{plain}"));
        return Ok(Some(text(titled.unwrap_or(plain))));
    }
    let mut file = file.clone();
    if file.contains_key("file_data") && !file.contains_key("filename") {
        file.insert("filename".to_owned(), title.unwrap_or(UNNAMED).into());
    }
    Ok(Some(with("file", Value::Object(file))))
}

fn plain_text(file: &Map<String, Value>) -> Option<String> {
    let data = file.get("file_data").and_then(Value::as_str)?;
    let data = data.strip_prefix("data:text/plain;base64,")?;
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

fn text(text: String) -> ContentPart {
    ContentPart {
        kind: "text".to_owned(),
        text: Some(text),
        ..ContentPart::default()
    }
}

/// A part whose only member has the name of its type.
fn with(kind: &str, member: Value) -> ContentPart {
    let mut rest = Map::new();
    rest.insert(kind.to_owned(), member);
    ContentPart {
        kind: kind.to_owned(),
        rest,
        ..ContentPart::default()
    }
}
