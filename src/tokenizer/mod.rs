//! Counts tokens: of a text, and of what a request makes a model read.
//!
//! It has OpenAI's vocabularies (`cl100k_base`, `o200k_base`) and counts exactly what their tokenizer counts. For models of
//! other providers it uses the nearest one and says that the count is an estimate ([`Tokenizer::is_estimate`]).
//!
//! It is not for the ordinary request path: that estimates by bytes. A vocabulary is loaded on first use (0.1 to 0.4 s; 46 MB
//! for `o200k_base`, 24 MB for `cl100k_base`) and stays; counting takes 0.1 to 1 s a megabyte. So async code calls
//! [`count_chat_in_background`] or [`exceeds_in_background`] and not the methods. Time and memory are bounded for any input: see [`MAX_COUNTED_BYTES`].

mod background;
mod content;
mod image;
mod meter;
mod model;
#[cfg(test)]
mod properties;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod vocabulary;

pub use background::{count_chat_in_background, exceeds_in_background};
pub use meter::MAX_COUNTED_BYTES;
pub use vocabulary::Vocabulary;

use image::TileRule;
use meter::Meter;

/// How to count for one model. Cheap: it holds no vocabulary.
///
/// ```
/// use trunkline::tokenizer::Tokenizer;
/// let tokenizer = Tokenizer::for_model("openai/gpt-4o");
/// assert!(!tokenizer.is_estimate());
/// assert_eq!(tokenizer.count_text("hello world"), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    is_estimate: bool,
    tiles: TileRule,
    tool_overhead: usize,
}

/// Why a request cannot be counted. Display names the field and what it should hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CountError {
    /// The body is not a JSON object.
    #[error("Invalid JSON payload: {0}")]
    NotJson(String),
    /// Nothing in it is for a model to read.
    #[error("Missing required parameter: give 'messages', 'contents', 'prompt' or 'input'.")]
    Empty,
    /// So many small values that reading them would take hundreds of megabytes.
    #[error("The request body has more than 500000 JSON values; send fewer.")]
    TooManyValues,
    /// A field has the wrong type.
    #[error("'{field}' must be {wanted}.")]
    Field {
        /// Which.
        field: &'static str,
        /// What it must be instead.
        wanted: &'static str,
    },
    /// The count broke off: a defect of the tokenizer, or the process is stopping.
    #[error("The tokens could not be counted.")]
    Broken,
}

// === impl Tokenizer ===

impl Tokenizer {
    /// The tokenizer of a model, named as clients or providers do: `gpt-4o`, `openai/gpt-4o`, `ft:gpt-4o-mini-2024-07-18:org::id`.
    pub fn for_model(model: &str) -> Self {
        let (vocabulary, is_estimate) = model::vocabulary(model);
        Self {
            vocabulary,
            is_estimate,
            tiles: TileRule::of(model::family(model)),
            tool_overhead: tools::overhead(vocabulary),
        }
    }

    /// The vocabulary it counts with.
    pub fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    /// Whether the model's own tokenizer is another one (or unknown), so that counts of text are near and not exact.
    pub fn is_estimate(&self) -> bool {
        self.is_estimate
    }

    /// Whether every request has the same count by both, estimate or not.
    pub fn counts_like(&self, other: &Self) -> bool {
        let is_estimate = self.is_estimate;
        *self
            == Self {
                is_estimate,
                ..*other
            }
    }

    /// Tokens of a text. Markers of special tokens such as `<|endoftext|>` are text like any other, as in OpenAI's API.
    ///
    /// Beyond [`MAX_COUNTED_BYTES`] the rest counts at the rate of what came before it.
    pub fn count_text(&self, text: &str) -> usize {
        let mut meter = Meter::new(*self, usize::MAX);
        meter.text(text);
        meter.tokens()
    }

    /// Tokens that a request makes the model read: messages, system prompt and tools of a chat (OpenAI's, Anthropic's and
    /// Gemini's shapes), or `prompt` or `input`. `model` and other members do not matter.
    ///
    /// Text is exact for OpenAI's models, the frame around messages follows what OpenAI published, and so do tools; see
    /// the modules for their rules. Base64 data is never counted as text.
    ///
    /// # Errors
    /// [`CountError`] if the body is no JSON object, has too many values, holds nothing to count, or has a field of the wrong type.
    pub fn count_chat(&self, body: &[u8]) -> Result<usize, CountError> {
        let mut meter = Meter::new(*self, usize::MAX);
        request::count(&mut meter, body)?;
        Ok(meter.tokens())
    }

    /// Whether [`count_chat`](Self::count_chat) is more than `limit`; stops counting when it knows.
    ///
    /// # Errors
    /// As [`count_chat`](Self::count_chat).
    pub fn exceeds(&self, body: &[u8], limit: usize) -> Result<bool, CountError> {
        let mut meter = Meter::new(*self, limit);
        request::count(&mut meter, body)?;
        Ok(meter.is_over())
    }
}

// === impl CountError ===

impl CountError {
    /// The field at fault, for `error.param`.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::NotJson(_) | Self::TooManyValues => Some("request_body"),
            Self::Empty => Some("messages"),
            Self::Field { field, .. } => Some(field),
            Self::Broken => None,
        }
    }
}
