//! What the parts of a message cost, in the shapes of OpenAI, Anthropic and Gemini.

use serde_json::Value;

use super::image::{data_of_url, size_of_base64};
use super::meter::Meter;

/// A file or a sound whose length is not known from its reference; a second of sound is about ten tokens.
const ATTACHMENT: usize = 300;

/// Base64 letters of sound or of a document for each token.
const LETTERS_PER_TOKEN: usize = 1024;

/// Adds a message's content: a text, or a list of parts.
pub(super) fn count(meter: &mut Meter, content: &Value) {
    match content {
        Value::String(text) => meter.text(text),
        Value::Array(parts) => parts.iter().for_each(|one| part(meter, one)),
        Value::Object(_) => part(meter, content),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Adds the arguments of a call: a text that holds JSON, or the JSON itself.
pub(super) fn arguments(meter: &mut Meter, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => meter.text(text),
        other => meter.text(&other.to_string()),
    }
}

/// A member that is a text.
pub(super) fn str_member<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    of.get(key)?.as_str()
}

fn part(meter: &mut Meter, part: &Value) {
    let member = |snake: &str, camel: &str| part.get(snake).or_else(|| part.get(camel));
    if let Value::String(text) = part {
        meter.text(text);
    } else if let Some(image) = part.get("image_url") {
        openai_image(meter, part, image);
    } else if let Some(sound) = part.get("input_audio") {
        attachment(meter, str_member(sound, "data"));
    } else if let Some(file) = part.get("file") {
        attachment(meter, str_member(file, "file_data"));
    } else if let Some(source) = part.get("source").filter(|source| source.is_object()) {
        anthropic_source(meter, part, source);
    } else if let Some(data) = member("inline_data", "inlineData") {
        gemini_data(meter, data);
    } else if member("file_data", "fileData").is_some() {
        attachment(meter, str_member(part, "file_data"));
    } else if let Some(call) = member("function_call", "functionCall") {
        named(meter, call, "args");
    } else if let Some(result) = member("function_response", "functionResponse") {
        named(meter, result, "response");
    } else if str_member(part, "type") == Some("tool_use") {
        named(meter, part, "input");
    } else {
        // Text, refusals, thinking, results of tools.
        for key in ["text", "refusal", "thinking"] {
            meter.text(str_member(part, key).unwrap_or_default());
        }
        if let Some(content) = part.get("content") {
            count(meter, content);
        }
    }
}

fn named(meter: &mut Meter, call: &Value, key: &str) {
    meter.text(str_member(call, "name").unwrap_or_default());
    arguments(meter, call.get(key).unwrap_or(&Value::Null));
}

/// `{"image_url": {"url", "detail"}}`, or `{"image_url": "…", "detail"}` of the Responses API.
fn openai_image(meter: &mut Meter, part: &Value, image: &Value) {
    let url = image.as_str().or_else(|| str_member(image, "url"));
    let detail = str_member(image, "detail").or_else(|| str_member(part, "detail"));
    let size = url.and_then(data_of_url).and_then(size_of_base64);
    meter.add(meter.tokenizer.tiles.tokens(detail == Some("low"), size));
}

/// `{"type": "image" | "document", "source": {"type": "base64" | "url" | "text" | "content", …}}`.
fn anthropic_source(meter: &mut Meter, part: &Value, source: &Value) {
    let data = str_member(source, "data");
    match (str_member(part, "type"), str_member(source, "type")) {
        (Some("image"), _) => {
            let size = data.and_then(size_of_base64);
            meter.add(meter.tokenizer.tiles.tokens(false, size));
        }
        (_, Some("text")) => meter.text(data.unwrap_or_default()),
        (_, Some("content")) => {
            if let Some(content) = source.get("content") {
                count(meter, content);
            }
        }
        _ => attachment(meter, data),
    }
}

fn gemini_data(meter: &mut Meter, inline: &Value) {
    let kind = str_member(inline, "mime_type").or_else(|| str_member(inline, "mimeType"));
    let data = str_member(inline, "data");
    if kind.is_some_and(|kind| kind.starts_with("image/")) {
        let size = data.and_then(size_of_base64);
        meter.add(meter.tokenizer.tiles.tokens(false, size));
    } else {
        attachment(meter, data);
    }
}

fn attachment(meter: &mut Meter, base64: Option<&str>) {
    meter.add(base64.map_or(ATTACHMENT, |data| data.len().div_ceil(LETTERS_PER_TOKEN)));
}
