//! Which choices of a stream are still open: what tells a complete stream from a cut one.

use super::types::Choice;
use crate::request::MAX_CHOICES;

/// Which choices began and which ended, a bit for each index; `n` is at most 128.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Choices {
    seen: u128,
    finished: u128,
}

// === impl Choices ===

impl Choices {
    /// Expects the choices 0 to `n` - 1.
    pub(super) fn asked_for(n: u64) -> Self {
        Self {
            seen: (0..n.min(MAX_CHOICES)).fold(0, |seen, index| seen | bit(index)),
            finished: 0,
        }
    }

    /// Notes that a choice began or ended.
    pub(super) fn note(&mut self, choice: &Choice<'_>) {
        let bit = bit(choice.index());
        self.seen |= bit;
        if choice.is_finished() {
            self.finished |= bit;
        }
    }

    /// Whether there was a choice and none is open.
    pub(super) fn all_finished(self) -> bool {
        self.seen != 0 && self.seen & !self.finished == 0
    }
}

fn bit(index: u64) -> u128 {
    1_u128 << index.min(127)
}
