//! JSON schemas made fit for a provider: one walk, one table of rules for each.
//!
//! A keyword that a provider does not take is not lost: it is written into the description, where the model reads it. The
//! walk is bounded in depth and in size, so a schema that refers to itself or unfolds without end is an error that names
//! the place. Adding a provider is adding a [`Rules`] to `rules.rs`.

mod clean;
mod rules;
#[cfg(test)]
mod tests;

pub use self::clean::clean;
pub use self::rules::{ANTHROPIC_STRICT, ANTHROPIC_TOOL, Keywords, References, Rules};
