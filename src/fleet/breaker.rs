//! When a lane gives its connection up: a server that does not answer must not cost every request its deadline.

/// Calls without an answer in time, one after the other, that end a connection.
const PATIENCE: u32 = 3;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    missed: u32,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// An answer, whatever it says.
    InTime,
    /// None, yet.
    Late,
    /// The connection is broken.
    Broken,
}

// === impl Breaker ===

impl Breaker {
    /// Whether the connection is to be given up.
    pub(super) fn opens(&mut self, called: Called) -> bool {
        self.missed = match called {
            Called::InTime => 0,
            Called::Late => self.missed.saturating_add(1),
            Called::Broken => PATIENCE,
        };
        let opens = self.missed >= PATIENCE;
        if opens {
            // The next connection begins anew.
            self.missed = 0;
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_late_answers_in_a_row_or_one_broken_connection_are_enough() {
        use Called::{Broken, InTime, Late};
        let mut breaker = Breaker::default();
        let calls = [Late, Late, InTime, Late, Late, Late, Late, Broken, InTime];
        let opens: Vec<bool> = calls.into_iter().map(|call| breaker.opens(call)).collect();
        assert_eq!(
            opens,
            [false, false, false, false, false, true, false, true, false]
        );
    }
}
