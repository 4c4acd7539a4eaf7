//! What a call is billed by besides tokens.

use rust_decimal::Decimal;

/// What was sent and made, by the piece. The default is nothing: a call that is billed by tokens alone.
///
/// Fill in what the endpoint is about; what a price has no figure for is not billed, and what was counted in tokens is
/// not billed again by the piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Queries or search units of a reranker.
    pub queries: u64,
    /// Pictures sent.
    pub images_in: u64,
    /// Pictures made.
    pub images_out: u64,
    /// Tokens of the pictures made, where the provider counts them.
    pub image_output_tokens: u64,
    /// Pixels of the pictures made: width × height × pictures.
    pub pixels: u64,
    /// Characters sent to be spoken.
    pub characters_in: u64,
    /// Characters answered.
    pub characters_out: u64,
    /// Seconds of audio sent.
    pub seconds_in: Decimal,
    /// Seconds of audio made.
    pub seconds_out: Decimal,
}

impl Units {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
