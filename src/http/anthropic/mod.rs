//! Anthropic's endpoints. Errors here have Anthropic's shape, see [`super::error::Shape`].

pub mod count_tokens;
pub mod messages;
