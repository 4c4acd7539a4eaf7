//! How many replicas live, which of them this one is, and how limits are kept at the moment.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::share::Share;

/// Who is there, as far as this replica knows. Read without a lock.
#[derive(Debug)]
pub struct Standing {
    id: String,
    /// Replicas in the upper half, this one's place among them in the lower one: both change together.
    share: AtomicU64,
    /// The shared limits answered last.
    together: AtomicBool,
    /// Some shared place for limits is configured.
    shares_limits: bool,
    others: Mutex<Vec<String>>,
}

/// How limits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Nobody else is there.
    Alone,
    /// By all replicas together.
    Together,
    /// Each replica keeps its share, because that is how it is configured.
    Divided,
    /// Each replica keeps its share, because the shared limits do not answer.
    Weakened,
}

// === impl Standing ===

impl Standing {
    /// Nobody else is known. `shares_limits`: there is a place where limits are kept together.
    pub fn new(id: impl Into<String>, shares_limits: bool) -> Self {
        Self {
            id: id.into(),
            share: AtomicU64::new(1 << 32),
            together: AtomicBool::new(false),
            shares_limits,
            others: Mutex::default(),
        }
    }

    /// This replica's name; another one after each start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// These replicas live. Answers whether that is news.
    pub fn saw(&self, mut replicas: Vec<String>) -> bool {
        replicas.retain(|id| *id != self.id);
        replicas.sort_unstable();
        replicas.dedup();
        let count = u64::try_from(replicas.len() + 1).unwrap_or(u64::MAX);
        let before_this = replicas.iter().filter(|id| **id < self.id).count();
        let place = u64::try_from(before_this).unwrap_or(u64::MAX);
        let half = u64::from(u32::MAX);
        self.share
            .store((count.min(half) << 32) | place.min(half), Ordering::Release);
        // Nothing panics under this lock.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *others != replicas;
        *others = replicas;
        is_news
    }

    /// Whether the shared limits answer.
    pub fn set_together(&self, together: bool) {
        self.together.store(together, Ordering::Release);
    }

    /// The shared limits answered last.
    pub fn is_together(&self) -> bool {
        self.together.load(Ordering::Acquire)
    }

    /// This replica's share of every limit.
    pub fn share(&self) -> Share {
        let packed = self.share.load(Ordering::Acquire);
        Share {
            replicas: packed >> 32,
            place: packed & u64::from(u32::MAX),
        }
    }

    /// How limits are kept at the moment.
    pub fn keeping(&self) -> Keeping {
        if self.shares_limits {
            if self.together.load(Ordering::Acquire) {
                Keeping::Together
            } else {
                Keeping::Weakened
            }
        } else if self.share().replicas > 1 {
            Keeping::Divided
        } else {
            Keeping::Alone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_know_their_number_and_each_its_own_place() {
        let all: Vec<String> = ["c", "a", "b"].map(str::to_owned).to_vec();
        let places = all.iter().map(|id| {
            let standing = Standing::new(id.as_str(), false);
            assert_eq!(standing.keeping(), Keeping::Alone);
            assert!(standing.saw(all.clone()));
            assert!(!standing.saw(all.clone()));
            assert_eq!(standing.keeping(), Keeping::Divided);
            standing.share()
        });
        let places: Vec<_> = places.map(|share| (share.replicas, share.place)).collect();
        assert_eq!(places, [(3, 2), (3, 0), (3, 1)]);
    }

    #[test]
    fn shared_limits_that_do_not_answer_are_said_to_be_weakened() {
        let standing = Standing::new("a", true);
        assert_eq!(standing.keeping(), Keeping::Weakened);
        standing.set_together(true);
        assert_eq!(standing.keeping(), Keeping::Together);
        standing.set_together(false);
        assert_eq!(standing.keeping(), Keeping::Weakened);
    }
}
