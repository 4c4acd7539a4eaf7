//! Whether the store, or whoever else is asked, confirms what is known at the moment, and when to ask again.
//!
//! What is known is believed without it for a while; this keeps them from waiting for it one by one, and says once that it began
//! and once that it is over. Anybody writes; nothing hangs on the order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use log::{info, warn};
use trunkline_actors::clock::Millis;

use super::error::AuthError;

/// Nothing is read again for so long after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// What is said when the store's outage is over.
pub(super) const DATABASE_IS_BACK: &str = "the database answers again";

/// See the module.
#[derive(Debug)]
pub(super) struct Outage {
    /// What is said when it begins, and when it is over.
    says: (&'static str, &'static str),
    is_on: AtomicBool,
    ask_again_at: AtomicU64,
}

// === impl Outage ===

impl Outage {
    pub(super) fn saying(begins: &'static str, is_over: &'static str) -> Self {
        Self {
            says: (begins, is_over),
            is_on: AtomicBool::new(false),
            ask_again_at: AtomicU64::new(0),
        }
    }

    /// Something could not be read, and requests are served all the same. `None`: there was no answer in time.
    pub(super) fn failed(&self, err: Option<&AuthError>, now: Millis) {
        let ask_again_at = now.after(PAUSE);
        self.ask_again_at
            .fetch_max(ask_again_at.0, Ordering::Relaxed);
        if !self.is_on.swap(true, Ordering::Relaxed) {
            let reason = err.map_or_else(|| "no answer in time".to_owned(), ToString::to_string);
            warn!(reason; "{}", self.says.0);
        }
    }

    /// There was an answer.
    pub(super) fn over(&self) {
        // Mostly it was none: no write then.
        if self.is_on.load(Ordering::Relaxed) && self.is_on.swap(false, Ordering::Relaxed) {
            self.ask_again_at.store(0, Ordering::Relaxed);
            info!("{}", self.says.1);
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// It has failed just now: nobody is asked again yet.
    pub(super) fn pauses(&self, now: Millis) -> bool {
        self.is_on() && now.0 < self.ask_again_at.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_the_store_has_a_pause_and_its_answer_ends_all() {
        let outage = Outage::saying("", "");
        assert!(!outage.is_on() && !outage.pauses(Millis(0)));
        outage.failed(None, Millis(1_000));
        assert!(outage.is_on() && outage.pauses(Millis(2_999)));
        assert!(outage.is_on() && !outage.pauses(Millis(3_000)));
        // A slower failure that began earlier takes nothing back.
        outage.failed(None, Millis(500));
        assert!(outage.pauses(Millis(2_999)));
        outage.over();
        assert!(!outage.is_on() && !outage.pauses(Millis(1_000)));
        outage.failed(None, Millis(2_000));
        assert!(outage.pauses(Millis(2_001)));
    }
}
