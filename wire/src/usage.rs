//! Token usage as disjoint parts.
//!
//! Providers report overlapping counters (a total, and details that are inside or outside of it). Here each token is in
//! exactly one part, so cost is a plain sum of part times price. Reading a provider's counters is the job of its folder
//! (`openai::usage`); pricing is the gateway's.

use crate::json::Raw;

/// The tokens of one request. Absent (`None`) means the provider did not say; zero means it said zero.
///
/// Invariant: the parts are disjoint and add up to [`prompt_tokens`](Self::prompt_tokens) and
/// [`completion_tokens`](Self::completion_tokens).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Text sent that was neither read from nor written to a cache.
    pub input_uncached: Option<u64>,
    /// Input served from the provider's prompt cache.
    pub cache_read: Option<u64>,
    /// Input written to a cache that lives 5 minutes (or as long as the provider likes).
    pub cache_write_5m: Option<u64>,
    /// Input written to a cache that lives an hour.
    pub cache_write_1h: Option<u64>,
    /// Audio sent.
    pub audio_input: Option<u64>,
    /// Images sent.
    pub image_input: Option<u64>,
    /// Text that was answered.
    pub output_text: Option<u64>,
    /// Reasoning, billed but not part of the answer.
    pub reasoning: Option<u64>,
    /// Audio that was answered.
    pub audio_output: Option<u64>,
    /// The service that the provider says it gave for them: it decides the price.
    pub served: Option<Served>,
    /// The figures were counted by the gateway, not reported by the provider.
    pub estimated: bool,
    /// The provider's details did not fit its totals; the totals were kept and the details cut to them.
    pub inconsistent: bool,
}

/// How a provider says it served a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// `default`, `standard`, and every word that is none of the others.
    Standard,
    /// `batch`: within a day.
    Batch,
    /// `flex`: when there was room.
    Flex,
    /// `priority`: before others.
    Priority,
}

impl Served {
    /// Reads the value of a `service_tier`, which `OpenAI` puts at the top of an answer or chunk and Anthropic into
    /// `usage`; `None` when it says nothing.
    ///
    /// Sources: `OpenAI` API reference, "Create chat completion", and Anthropic API reference, "Messages",
    /// `service_tier`, 2026-11-23.
    pub(crate) fn read(service_tier: Raw<'_>) -> Option<Self> {
        match service_tier.get() {
            r#""batch""# => Some(Self::Batch),
            r#""flex""# => Some(Self::Flex),
            r#""priority""# => Some(Self::Priority),
            text => text.starts_with('"').then_some(Self::Standard),
        }
    }
}

impl Usage {
    /// The same, served as an answer's own member says; else as the usage itself does.
    #[must_use]
    pub(crate) fn served_as(self, service_tier: Option<Raw<'_>>) -> Self {
        Self {
            served: service_tier.and_then(Served::read).or(self.served),
            ..self
        }
    }

    /// Usage that the gateway worked out itself, in tokens.
    pub fn estimated(prompt: u64, completion: u64) -> Self {
        Self {
            estimated: true,
            ..Self::plain(prompt, completion)
        }
    }

    /// Usage without details, in tokens.
    pub fn plain(prompt: u64, completion: u64) -> Self {
        Self {
            input_uncached: Some(prompt),
            output_text: Some(completion),
            ..Self::default()
        }
    }

    /// The same input with that much text as output, as the gateway estimates it.
    #[must_use]
    pub fn with_output(self, completion: u64) -> Self {
        Self {
            output_text: Some(completion),
            reasoning: None,
            audio_output: None,
            estimated: true,
            ..self
        }
    }

    /// The same with so much more text as output, as the gateway estimates it.
    #[must_use]
    pub fn with_more_output(self, text: u64) -> Self {
        Self {
            output_text: Some(self.output_text.unwrap_or_default().saturating_add(text)),
            estimated: true,
            ..self
        }
    }

    /// All input.
    pub fn prompt_tokens(&self) -> u64 {
        sum([
            self.input_uncached,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.audio_input,
            self.image_input,
        ])
    }

    /// All output.
    pub fn completion_tokens(&self) -> u64 {
        sum([self.output_text, self.reasoning, self.audio_output])
    }

    /// Input and output.
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens()
            .saturating_add(self.completion_tokens())
    }
}

fn sum<const N: usize>(parts: [Option<u64>; N]) -> u64 {
    parts.into_iter().flatten().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::exchange::{AnswerOptions, Dialect, decode};
    use crate::relay::Relay;
    use crate::relay::to_end::relayed;
    use crate::{Endpoint, Usage};

    fn whole(dialect: Dialect, endpoint: Endpoint, body: &str) -> Option<Served> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let decoded = decode(dialect, body, &AnswerOptions::new(endpoint)).unwrap();
        decoded.usage.unwrap().served
    }

    fn streamed(dialect: Dialect, endpoint: Endpoint, events: &str) -> Option<Served> {
        let relay = Relay::new(dialect, AnswerOptions::new(endpoint));
        let (_, relay, end) = relayed(relay, events.as_bytes(), &[]);
        end.unwrap();
        relay
            .usage()
            .copied()
            .map(|usage: Usage| usage.served)
            .unwrap()
    }

    const ENDPOINTS: [Endpoint; 2] = [Endpoint::ChatCompletions, Endpoint::Messages];

    #[test]
    fn a_whole_answer_says_what_it_was_served_with_in_either_dialect() {
        for (member, want) in [
            (r#","service_tier":"default""#, Some(Served::Standard)),
            (r#","service_tier":"flex""#, Some(Served::Flex)),
            (r#","service_tier":"scale""#, Some(Served::Standard)),
            (r#","service_tier":null"#, None),
            ("", None),
        ] {
            let openais = format!(
                r#"{{"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant",
                   "content":"\"service_tier\":\"batch\""}}}}],"usage":{{"prompt_tokens":1}}{member}}}"#
            );
            let anthropics = format!(
                r#"{{"content":[{{"type":"tool_use","id":"t","name":"f","input":{{"service_tier":"batch"}}}}],
                   "stop_reason":"tool_use","usage":{{"input_tokens":1,"output_tokens":1{member}}}}}"#
            );
            for endpoint in ENDPOINTS {
                assert_eq!(whole(Dialect::OpenAi, endpoint, &openais), want, "{member}");
                let found = whole(Dialect::Anthropic, endpoint, &anthropics);
                assert_eq!(found, want, "{member}");
            }
        }
    }

    #[test]
    fn a_stream_says_what_it_was_served_with_in_either_dialect() {
        let openais = concat!(
            "data: {\"service_tier\":\"priority\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"service_tier\":\"priority\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n",
            "data: [DONE]\n\n",
        );
        let anthropics = concat!(
            "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"service_tier\":\"priority\"}}}\n\n",
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"a\"}}\n\n",
            "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n",
            "data: {\"type\":\"message_stop\"}\n\n",
        );
        for endpoint in ENDPOINTS {
            let priority = Some(Served::Priority);
            assert_eq!(streamed(Dialect::OpenAi, endpoint, openais), priority);
            assert_eq!(streamed(Dialect::Anthropic, endpoint, anthropics), priority);
        }
    }
}
