//! Token usage as disjoint parts.
//!
//! Providers report overlapping counters (a total, and details that are inside or outside of it). Here each token is in
//! exactly one part, so cost is a plain sum of part times price. Reading a provider's counters is the job of its folder
//! (`openai::usage`); pricing is the gateway's.

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
    /// The figures were counted by the gateway, not reported by the provider.
    pub estimated: bool,
    /// The provider's details did not fit its totals; the totals were kept and the details cut to them.
    pub inconsistent: bool,
}

impl Usage {
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
