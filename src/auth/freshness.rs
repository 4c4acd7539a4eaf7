//! How long what was read is believed: for a while, and not after it may have been changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use trunkline_actors::clock::Millis;

/// See the module. Anybody expires; what was read carries the time at which the reading began.
#[derive(Debug)]
pub(super) struct Freshness {
    ttl: Duration,
    /// Whatever was read before, in milliseconds, is read again.
    expired_at: AtomicU64,
}

// === impl Freshness ===

impl Freshness {
    /// Believed for that long.
    pub(super) fn of(ttl: Duration) -> Self {
        Self {
            ttl,
            expired_at: AtomicU64::new(0),
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whatever was begun to be read until now is read again.
    pub(super) fn expire(&self, now: Millis) {
        let next = now.0.saturating_add(1);
        self.expired_at.fetch_max(next, Ordering::AcqRel);
    }

    /// What was begun to be read then may be used without another look.
    pub(super) fn is_fresh(&self, read_at: Millis, now: Millis) -> bool {
        now.since(read_at) < self.ttl && self.is_after(read_at)
    }

    /// Nothing was expired since then.
    pub(super) fn is_after(&self, read_at: Millis) -> bool {
        read_at.0 >= self.expired_at.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_read_when_something_changed_is_read_again() {
        let freshness = Freshness::of(Duration::from_millis(100));
        assert!(freshness.is_fresh(Millis(0), Millis(99)));
        assert!(!freshness.is_fresh(Millis(0), Millis(100)));
        freshness.expire(Millis(50));
        // It began before the change, or in the same millisecond, and is there after it.
        for begun in [0, 49, 50] {
            assert!(!freshness.is_fresh(Millis(begun), Millis(51)), "{begun}");
        }
        assert!(freshness.is_fresh(Millis(51), Millis(51)));
        freshness.expire(Millis(20));
        assert!(!freshness.is_after(Millis(50)), "nothing is taken back");
    }
}
