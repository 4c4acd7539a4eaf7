//! What a block, or a piece of one, delivers to the client; all of it borrowed.

use serde::Deserialize;

use crate::json::{Raw, filled, spelled_bytes};

/// A content block or a `delta`; every member raw, because an odd type in one must not hide the others.
#[derive(Debug, Default, Deserialize)]
struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Raw<'a>>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
    #[serde(borrow)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow)]
    partial_json: Option<Raw<'a>>,
    #[serde(borrow)]
    input: Option<Raw<'a>>,
    #[serde(borrow)]
    citation: Option<Raw<'a>>,
}

/// What was delivered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Bytes of text, reasoning and tool input, as JSON spells them.
    pub(super) bytes: usize,
    /// There is something a client would show or act on.
    pub(super) content: bool,
}

// === impl Delivered ===

impl Delivered {
    /// Of a content block or a delta.
    pub(super) fn of(piece: Raw<'_>) -> Self {
        let whole = Self {
            bytes: spelled_bytes(piece),
            content: true,
        };
        if !piece.get().starts_with('{') {
            return Self::default();
        }
        let Ok(piece) = serde_json::from_str::<Piece<'_>>(piece.get()) else {
            return whole;
        };
        let texts = [piece.text, piece.thinking, piece.partial_json, piece.input];
        let said = texts.into_iter().flatten().filter(|text| filled(*text));
        let bytes = said.map(spelled_bytes).fold(0, usize::saturating_add);
        let begins_or_says_nothing = matches!(
            piece.kind.map(Raw::get),
            Some(
                "\"text\""
                    | "\"thinking\""
                    | "\"text_delta\""
                    | "\"thinking_delta\""
                    | "\"input_json_delta\""
                    | "\"signature_delta\""
            )
        );
        Self {
            bytes,
            content: bytes > 0 || piece.citation.is_some() || !begins_or_says_nothing,
        }
    }

    /// Of a list of content blocks; nothing when it is not a list.
    pub(super) fn of_all(blocks: Raw<'_>) -> Option<Self> {
        let blocks: Vec<Raw<'_>> = serde_json::from_str(blocks.get()).ok()?;
        let sum = |all: Self, block| {
            let one = Self::of(block);
            Self {
                bytes: all.bytes.saturating_add(one.bytes),
                content: all.content || one.content,
            }
        };
        Some(blocks.into_iter().fold(Self::default(), sum))
    }
}
