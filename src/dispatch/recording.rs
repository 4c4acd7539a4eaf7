//! What happens to requests that the journal does not take: refused, or let through without a record.
//!
//! The journal keeps the room of every settlement that it took a `started` for, so this is about admission. The state is said
//! once in the log when it begins and once when it ends, and readiness shows it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{error, info, warn};
use trunkline_actors::ports::JournalError;

use super::error::DispatchError;
use crate::config::WhenFull;

/// Whether requests are on the books at the moment.
#[derive(Debug)]
pub struct Recording {
    when_full: WhenFull,
    /// The journal did not take the last request.
    failing: AtomicBool,
}

/// See [`Recording::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingState {
    /// Requests are on the books.
    Recorded,
    /// The journal takes nothing, and requests are refused.
    Refused,
    /// The journal takes nothing, and requests go on without a record.
    Unrecorded,
}

// === impl Recording ===

impl Recording {
    /// Nothing has failed yet.
    pub fn new(when_full: WhenFull) -> Self {
        Self {
            when_full,
            failing: AtomicBool::new(false),
        }
    }

    /// How the last request fared.
    pub fn state(&self) -> RecordingState {
        match (self.failing.load(Ordering::Relaxed), self.when_full) {
            (false, _) => RecordingState::Recorded,
            (true, WhenFull::Refuse) => RecordingState::Refused,
            (true, WhenFull::Unrecorded) => RecordingState::Unrecorded,
        }
    }

    /// What follows from the journal's answer to a `started`: an error refuses the request.
    pub(super) fn started(&self, answer: Result<(), JournalError>) -> Result<(), DispatchError> {
        let Err(err) = answer else {
            // A load for every request, a store for few.
            if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
                info!("requests are recorded again");
            }
            return Ok(());
        };
        // Shutting down is no trouble of the journal's.
        if matches!(err, JournalError::Closed) {
            return Err(DispatchError::JournalFull);
        }
        let begins = !self.failing.swap(true, Ordering::Relaxed);
        match self.when_full {
            WhenFull::Refuse => {
                if begins {
                    error!(err:% = Chain(&err); "the journal takes no more requests: new ones are refused with 503 until it does");
                }
                Err(DispatchError::JournalFull)
            }
            WhenFull::Unrecorded => {
                if begins {
                    warn!(err:% = Chain(&err); "the journal takes no more requests: they go on and are on no books, no budget and no report, until it does");
                }
                Ok(())
            }
        }
    }

    /// Whether a request ends well although the journal does not take its `settled`.
    pub(super) fn goes_on_without(&self, err: &JournalError) -> bool {
        self.when_full == WhenFull::Unrecorded && !matches!(err, JournalError::Closed)
    }
}

/// An error with what caused it.
struct Chain<'a>(&'a JournalError);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            JournalError::Io { source, .. } => write!(f, "{}: {source}", self.0),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(recording: &Recording, taken: bool) -> bool {
        let answer = if taken {
            Ok(())
        } else {
            Err(JournalError::NoRoom)
        };
        recording.started(answer).is_ok()
    }

    #[test]
    fn a_full_journal_refuses_until_it_takes_one_again() {
        let recording = Recording::new(WhenFull::Refuse);
        assert!(started(&recording, true));
        assert!(!started(&recording, false));
        assert_eq!(recording.state(), RecordingState::Refused);
        assert!(!recording.goes_on_without(&JournalError::NoRoom));
        assert!(started(&recording, true));
        assert_eq!(recording.state(), RecordingState::Recorded);
    }

    #[test]
    fn a_full_journal_lets_requests_through_where_the_operator_says_so() {
        let recording = Recording::new(WhenFull::Unrecorded);
        assert!(started(&recording, false));
        assert_eq!(recording.state(), RecordingState::Unrecorded);
        assert!(recording.goes_on_without(&JournalError::NoRoom));
        assert!(!recording.goes_on_without(&JournalError::Closed));
        assert!(recording.started(Err(JournalError::Closed)).is_err());
    }
}
