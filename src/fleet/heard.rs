//! Of which replicas the server has told, and when. A server that forgot everything knows of nobody, but they are there.

use std::collections::HashMap;
use std::time::Duration;

use trunkline_actors::clock::Millis;

/// How long a replica that the server does not know any more is believed to be there: it may have forgotten everybody, and
/// hears of them again with their next beats.
const STILL_THERE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HeardOf(HashMap<String, Millis>);

// === impl HeardOf ===

impl HeardOf {
    /// The replicas that are believed to be there, now that the server has named these. `was_apart`: it had not answered before.
    pub(super) fn hear(&mut self, named: Vec<String>, was_apart: bool, now: Millis) -> Vec<String> {
        if was_apart {
            // Nobody could be heard of meanwhile: that is no sign that they are gone. Without it a replica that is back first
            // would take all limits for its own.
            for heard_at in self.0.values_mut() {
                *heard_at = now;
            }
        }
        for replica in named {
            self.0.insert(replica, now);
        }
        self.0
            .retain(|_, heard_at| now.since(*heard_at) < STILL_THERE);
        self.0.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_comes_back_empty_has_not_lost_the_others() {
        let mut heard_of = HeardOf::default();
        let mut hear = |named: &[&str], was_apart: bool, now: u64| {
            let named = named.iter().map(ToString::to_string).collect();
            let mut there = heard_of.hear(named, was_apart, Millis(now));
            there.sort_unstable();
            there.join(" ")
        };
        assert_eq!(hear(&["a"], true, 0), "a");
        assert_eq!(hear(&["a", "b", "c"], false, 500), "a b c");
        // Gone for a minute, and empty.
        assert_eq!(hear(&["a"], true, 60_000), "a b c");
        assert_eq!(hear(&["a", "b"], false, 60_500), "a b c");
        assert_eq!(hear(&["a", "b"], false, 64_999), "a b c");
        assert_eq!(hear(&["a", "b"], false, 65_000), "a b");
    }
}
