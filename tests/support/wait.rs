//! Waiting for something that another process does, with a deadline instead of a sleep.

use std::fmt::Debug;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take before the test fails. Generous: the machine may be running a build beside the tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A value under a lock that wakes waiters when it changes.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Condvar::new(),
        }
    }

    /// A test that failed while it held the lock must not hide its reason behind a second panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `wanted` finds what it looks for; `None` after `patience`.
    pub(crate) fn wait_for<R>(
        &self,
        patience: Duration,
        mut wanted: impl FnMut(&T) -> Option<R>,
    ) -> Option<R> {
        let deadline = Instant::now() + patience;
        let mut guard = self.lock();
        loop {
            if let Some(found) = wanted(&guard) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = self
                .changed
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Asks again and again until the answer is `wanted`. For facts that only another process can tell, such as a figure
/// that is on the books a moment after the answer.
pub(crate) fn eventually<T: PartialEq + Debug>(what: &str, wanted: &T, mut ask: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask();
        if found == *wanted {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: wanted {wanted:?}, but after {PATIENCE:?} it is still {found:?}"
        );
        // Paces the questions; nothing unparks this thread.
        thread::park_timeout(Duration::from_millis(20));
    }
}
