//! Bodies as they are kept: JSON, without long texts and without credentials.
//!
//! A text is cut in its middle, since a conversation's beginning says what it is and its end what it came to; the end is
//! the longer part, as with LiteLLM (contract, `observability` §3).

use std::mem::take;

use serde_json::Value;
use trunkline_wire::exchange::assembled;

use super::{Answer, Draft};
use crate::config::TranscriptSettings;
use crate::storage::TranscriptRow;
use crate::telemetry::redact::MASK;

/// Members of a request that hold people's words and tools: a member of theirs called `password` is no credential of the
/// caller's.
const CONTENT: [&str; 8] = [
    "messages",
    "input",
    "prompt",
    "system",
    TOOLS,
    "functions",
    "response_format",
    "output_format",
];
/// The one of them that may hold credentials too.
const TOOLS: &str = "tools";
/// Said of a stream that was not collected to its end.
const IS_CUT: &str = "transcript_is_cut";

/// The row of a request that is over.
pub(super) fn row(draft: &mut Draft, settings: &TranscriptSettings) -> TranscriptRow {
    let mut request = parsed(&draft.request);
    mask(&mut request);
    let answer = match take(&mut draft.answer) {
        Answer::None => None,
        Answer::Whole(body) => Some(parsed(&body)),
        Answer::Stream { sent, is_cut } => {
            let mut answer = assembled(draft.endpoint, sent.freeze());
            if let Some(Value::Object(members)) = &mut answer
                && is_cut
            {
                members.insert(IS_CUT.to_owned(), true.into());
            }
            answer
        }
    };
    TranscriptRow {
        id: draft.id,
        request: fitted(request, settings),
        answer: answer.map(|answer| fitted(answer, settings)),
    }
}

/// What is no JSON, or too deep for one, is a text.
fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_no_json| String::from_utf8_lossy(body).into_owned().into())
}

/// As text, no longer than it may be.
fn fitted(mut body: Value, settings: &TranscriptSettings) -> String {
    shorten(&mut body, settings.max_text_chars);
    let text = body.to_string();
    if text.len() <= settings.max_body_bytes {
        return text;
    }
    // A character takes at most four bytes, and a quote two once it is quoted.
    Value::String(shortened(&text, settings.max_body_bytes / 4)).to_string()
}

/// Cuts every text of a value. The depth of a value is bounded where it was parsed.
fn shorten(value: &mut Value, most_chars: usize) {
    match value {
        Value::String(text) if text.len() > most_chars => *text = shortened(text, most_chars),
        Value::Array(entries) => {
            for entry in entries {
                shorten(entry, most_chars);
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                shorten(member, most_chars);
            }
        }
        _ => {}
    }
}

/// About a third from the beginning, two thirds from the end, and between them how much is missing.
fn shortened(text: &str, most_chars: usize) -> String {
    let chars = text.chars().count();
    if chars <= most_chars {
        return text.to_owned();
    }
    let first = most_chars * 35 / 100;
    let last = most_chars - first;
    let head: String = text.chars().take(first).collect();
    let tail: String = text.chars().skip(chars - last).collect();
    format!(
        "{head}… ({} characters are not kept) …{tail}",
        chars - most_chars
    )
}

/// Credentials that a client sent along. The depth of a value is bounded where it was parsed.
fn mask(value: &mut Value) {
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if is_credential(name) && !value.is_null() {
                    *value = MASK.into();
                } else if name == TOOLS {
                    mask_servers(value);
                } else if !CONTENT.contains(&name.as_str()) {
                    mask(value);
                }
            }
        }
        _ => {}
    }
}

/// Of tools, what the provider is to show to servers that have them: the rest is people's words.
fn mask_servers(tools: &mut Value) {
    let tools = tools.as_array_mut().into_iter().flatten();
    for tool in tools.filter(|tool| tool.get("type").is_some_and(|what| what == "mcp")) {
        for name in ["authorization", "headers"] {
            if let Some(value) = tool.get_mut(name)
                && !value.is_null()
            {
                *value = MASK.into();
            }
        }
    }
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    [
        "api_key",
        "apikey",
        "authorization",
        "password",
        "credentials",
        "secret",
        // Not `_tokens`, of which `max_tokens` is one.
        "_token",
    ]
    .iter()
    .any(|ending| name.ends_with(ending))
        || name.starts_with("aws_")
        || name == "cookie"
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::json;
    use trunkline_actors::ids::RequestId;
    use trunkline_wire::request::Endpoint;

    use super::*;
    use crate::telemetry::metrics::TranscriptCounters;
    use crate::transcripts::Transcripts;

    fn settings() -> TranscriptSettings {
        TranscriptSettings {
            max_text_chars: 20,
            max_body_bytes: 1024,
            ..TranscriptSettings::default()
        }
    }

    fn draft(request: impl Into<Bytes>) -> (Arc<Transcripts>, Draft) {
        let (transcripts, _queue) = Transcripts::new(settings(), TranscriptCounters::default());
        let id = RequestId::generate(1, 1);
        let draft = transcripts.begin(id, Endpoint::ChatCompletions, &request.into());
        (Arc::new(transcripts), draft.unwrap())
    }

    fn kept(request: &Value) -> Value {
        let (_keep, mut draft) = draft(request.to_string());
        serde_json::from_str(&row(&mut draft, &settings()).request).unwrap()
    }

    #[test]
    fn long_texts_are_kept_as_their_beginning_and_end() {
        let text = format!("{}{}é", "a".repeat(500), "z".repeat(500));
        let body =
            json!({"messages": [{"content": text}], "short": "twenty characters ok", "n": 1.5});
        let kept = kept(&body);
        let want = "aaaaaaa… (981 characters are not kept) …zzzzzzzzzzzzé";
        assert_eq!(kept["messages"][0]["content"], want);
        assert_eq!(kept["short"], "twenty characters ok");
        assert_eq!(kept["n"], 1.5);
    }

    #[test]
    fn a_body_of_many_short_texts_is_bounded_too() {
        let many: Vec<String> = (0..1000).map(|n| format!("\"{n}\"")).collect();
        let kept = kept(&json!({"messages": many}));
        let text = kept.as_str().unwrap();
        assert!(
            text.starts_with("{\"messages\"") && text.ends_with("]}"),
            "{text}"
        );
        assert!(kept.to_string().len() <= 1024);
    }

    #[test]
    fn credentials_are_not_kept_and_words_are() {
        let body = json!({
            "api_key": "sk-1", "extra_headers": {"Authorization": "Bearer x", "x-a": "b"}, "aws_session_token": null,
            "metadata": {"litellm_api_key": "sk-2", "tags": ["t"]},
            "messages": [{"password": "of a story"}], "tools": [{"api_key": {"type": "string"}}],
        });
        let want = json!({
            "api_key": MASK, "extra_headers": {"Authorization": MASK, "x-a": "b"}, "aws_session_token": null,
            "metadata": {"litellm_api_key": MASK, "tags": ["t"]},
            "messages": [{"password": "of a story"}], "tools": [{"api_key": {"type": "string"}}],
        });
        assert_eq!(kept(&body), want);
    }

    #[test]
    fn credentials_within_lists_and_for_servers_of_tools_are_not_kept() {
        let body = json!({
            "mcp_servers": [{"url": "https://m.test", "authorization_token": "hush", "n": [{"api_key": "hush"}]}],
            "max_tokens": 5, "azure_ad_token": "hush",
            "tools": [
                {"type": "mcp", "server_url": "https://m.test", "authorization": "hush", "headers": {"x-key": "hush"}},
                {"type": "mcp", "headers": null},
                {"type": "function", "authorization": {"type": "string"}, "headers": {}},
            ],
        });
        let want = json!({
            "mcp_servers": [{"url": "https://m.test", "authorization_token": MASK, "n": [{"api_key": MASK}]}],
            "max_tokens": 5, "azure_ad_token": MASK,
            "tools": [
                {"type": "mcp", "server_url": "https://m.test", "authorization": MASK, "headers": MASK},
                {"type": "mcp", "headers": null},
                {"type": "function", "authorization": {"type": "string"}, "headers": {}},
            ],
        });
        assert_eq!(kept(&body), want);
    }

    #[test]
    fn what_is_no_json_is_a_text() {
        let deep = "[".repeat(500);
        let (_keep, mut draft) = draft(deep);
        draft.whole(&Bytes::from_static(b"\xff no json"));
        let row = row(&mut draft, &settings());
        let request: Value = serde_json::from_str(&row.request).unwrap();
        assert!(request.as_str().unwrap().contains("480 characters"));
        let answer: Value = serde_json::from_str(&row.answer.unwrap()).unwrap();
        assert_eq!(answer, "\u{fffd} no json");
    }

    #[test]
    fn a_stream_is_kept_as_the_answer_that_it_was() {
        let (_keep, mut draft) = draft("{}");
        for piece in ["Hel", "lo"] {
            let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]});
            draft.streamed(format!("data: {chunk}\n\n").as_bytes());
        }
        let row = row(&mut draft, &settings());
        let answer: Value = serde_json::from_str(&row.answer.unwrap()).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
        assert_eq!(answer.get(IS_CUT), None);
    }
}
