//! Under which condition a figure counts: how long the prompt is, and which service was asked for.

use std::fmt;

/// How the provider serves a call. Dearer or cheaper than the standard service where a price says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceTier {
    /// The usual one: `default`, `auto`, `standard`, or nothing said.
    #[default]
    Standard,
    /// Answered within a day.
    Batch,
    /// Answered when there is room.
    Flex,
    /// Answered first.
    Priority,
}

const TIERS: [(ServiceTier, &str, &str); 4] = [
    (ServiceTier::Standard, "", ""),
    (ServiceTier::Batch, "batch", "_batches"),
    (ServiceTier::Flex, "flex", "_flex"),
    (ServiceTier::Priority, "priority", "_priority"),
];

impl ServiceTier {
    /// What a request's or answer's `service_tier` says; what is unknown counts as standard.
    ///
    /// Source: OpenAI API reference, "Create chat completion", `service_tier`, November 2026.
    pub fn named(text: &str) -> Self {
        TIERS
            .iter()
            .find(|(_, name, _)| *name == text)
            .map_or(Self::Standard, |(tier, ..)| *tier)
    }

    /// `batch`, `flex`, `priority`; empty for standard.
    pub fn name(self) -> &'static str {
        TIERS
            .iter()
            .find(|(tier, ..)| *tier == self)
            .map_or("", |(_, name, _)| name)
    }

    /// Every tier.
    pub fn all() -> impl Iterator<Item = Self> {
        TIERS.iter().map(|(tier, ..)| *tier)
    }
}

/// A condition. The default is none: the standard service, however short the prompt.
///
/// A figure for prompts above so many tokens counts for the whole request, not for the tokens beyond: so bill Anthropic
/// ("long context pricing"), Google ("prompts > 200k tokens") and OpenAI ("long context"), November 2026, and so does
/// LiteLLM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct When {
    /// The prompt has more tokens than this; 0 is any prompt.
    pub above: u32,
    /// The service.
    pub service: ServiceTier,
}

impl When {
    /// Whether a prompt of so many tokens is long enough.
    pub(super) fn applies_to(self, prompt_tokens: u64) -> bool {
        self.above == 0 || prompt_tokens > u64::from(self.above)
    }

    /// Reads `>200k`, `/batch`, `>200k/batch`, or nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (length, service) = text.split_once('/').unwrap_or((text, ""));
        let service = TIERS.iter().find(|(_, name, _)| *name == service)?.0;
        let above = match length.strip_prefix('>') {
            Some(tokens) => parse_tokens(tokens)?,
            None if length.is_empty() => 0,
            None => return None,
        };
        Some(Self { above, service })
    }

    /// Reads what LiteLLM's key has behind the name of its part: `_above_200k_tokens_batches`.
    pub(super) fn parse_litellm(text: &str) -> Option<Self> {
        let (length, service) = match text.strip_prefix("_above_") {
            Some(rest) => rest.split_once("_tokens")?,
            None => ("", text),
        };
        let service = TIERS.iter().find(|(.., suffix)| *suffix == service)?.0;
        let above = match length {
            "" => 0,
            tokens => parse_tokens(tokens)?,
        };
        Some(Self { above, service })
    }
}

/// `200k` or `200000`; above zero.
fn parse_tokens(text: &str) -> Option<u32> {
    let (digits, factor) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1000),
        None => (text, 1),
    };
    let tokens = digits.parse::<u32>().ok()?.checked_mul(factor)?;
    (tokens > 0).then_some(tokens)
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.above {
            0 => {}
            tokens if tokens % 1000 == 0 => write!(f, ">{}k", tokens / 1000)?,
            tokens => write!(f, ">{tokens}")?,
        }
        match self.service {
            ServiceTier::Standard => Ok(()),
            service => write!(f, "/{}", service.name()),
        }
    }
}
