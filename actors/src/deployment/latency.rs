//! A moving average of latency that forgets by time, not by count: an idle deployment's old figure fades just as fast.
//!
//! The idea is that of `linkerd2-proxy: linkerd/ewma/src/lib.rs`.

use std::time::Duration;

use crate::clock::Millis;

/// After this long, a figure's weight has fallen to 1/e.
const DECAY: Duration = Duration::from_secs(30);
/// Samples of one moment still count for something.
const LEAST_WEIGHT: f64 = 0.05;

/// Prompts of fewer tokens are short; of fewer than [`LONG`], middling.
const MIDDLING: u64 = 1_000;
const LONG: u64 = 10_000;

/// How long a prompt is, roughly: a deployment that is quick with chats may be slow with books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SizeClass {
    /// Under 1 000 tokens.
    #[default]
    Short,
    /// Under 10 000.
    Middling,
    /// More.
    Long,
}

/// What is averaged, apart for each size of prompt: a stream's time to its first content, or a whole answer's time per
/// completion token. Two numbers that cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measure {
    size: SizeClass,
    streamed: bool,
}

/// An exponentially weighted moving average.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    seconds: Option<f64>,
    at: Millis,
}

// === impl SizeClass ===

impl SizeClass {
    /// The class of a prompt of that many tokens.
    pub fn of(prompt_tokens: u64) -> Self {
        match prompt_tokens {
            0..MIDDLING => Self::Short,
            MIDDLING..LONG => Self::Middling,
            LONG.. => Self::Long,
        }
    }
}

// === impl Measure ===

impl Measure {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// The measure of such requests.
    pub fn of(size: SizeClass, streamed: bool) -> Self {
        Self { size, streamed }
    }

    /// Below [`COUNT`](Self::COUNT).
    pub(crate) fn index(self) -> usize {
        let size = match self.size {
            SizeClass::Short => 0,
            SizeClass::Middling => 2,
            SizeClass::Long => 4,
        };
        size + usize::from(self.streamed)
    }
}

// === impl Latency ===

impl Latency {
    /// Adds a sample and answers the average.
    pub fn add(&mut self, sample: Duration, at: Millis) -> Duration {
        let sample = sample.as_secs_f64();
        let average = match self.seconds {
            None => sample,
            Some(seconds) => {
                let aged = at.since(self.at).as_secs_f64() / DECAY.as_secs_f64();
                let weight = (1.0 - (-aged).exp()).max(LEAST_WEIGHT);
                seconds + (sample - seconds) * weight
            }
        };
        self.seconds = Some(average);
        self.at = self.at.max(at);
        Duration::try_from_secs_f64(average).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_is_the_average_and_later_ones_pull_it() {
        let mut latency = Latency::default();
        assert_eq!(
            latency.add(Duration::from_secs(1), Millis(0)),
            Duration::from_secs(1)
        );
        let soon = latency.add(Duration::from_secs(3), Millis(1));
        assert!(
            soon > Duration::from_secs(1) && soon < Duration::from_millis(1200),
            "{soon:?}"
        );
        let late = latency.add(Duration::from_secs(3), Millis(600_000));
        assert!(late > Duration::from_millis(2990), "{late:?}");
    }
}
