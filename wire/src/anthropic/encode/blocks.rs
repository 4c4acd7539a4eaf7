//! Content blocks and turns as Anthropic spells them, borrowed from the neutral request.
//!
//! Source: Anthropic API reference, "Messages", `messages[].content`, 2026-11-23.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::ContentPart;

/// `{"role": "user", "content": […]}`.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    pub(super) role: &'static str,
    pub(super) content: Vec<Block<'a>>,
}

/// One block of content.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Output<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    /// A block that is Anthropic's own already.
    #[serde(untagged)]
    Own(&'a ContentPart),
    /// A thinking block, which must go back as it came.
    #[serde(untagged)]
    Thinking(Cow<'a, Value>),
}

/// What a tool gave back.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Output<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

/// Where the bytes of an image or a document are.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 {
        media_type: &'a str,
        data: &'a str,
    },
    Url {
        url: &'a str,
    },
    File {
        file_id: &'a str,
    },
    Text {
        media_type: &'static str,
        data: String,
    },
}

// === impl Block ===

impl<'a> Block<'a> {
    pub(super) fn text(text: &'a str, cache_control: Option<&'a Value>) -> Self {
        Self::Text {
            text,
            citations: None,
            cache_control,
        }
    }

    /// Puts a marker on a block that has none. Thinking cannot carry one, and what is Anthropic's own is left alone.
    pub(super) fn mark(&mut self, marker: &'a Value) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::ToolUse { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => {
                cache_control.get_or_insert(marker);
            }
            Self::Own(_) | Self::Thinking(_) => {}
        }
    }
}
