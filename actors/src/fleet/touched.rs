//! Which budgets' windows requests have asked lately: those are compared with the books now and then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Millis;
use crate::ports::BudgetKey;

/// Windows that are remembered at most; further ones are compared when they are asked again.
const CAPACITY: usize = 10_000;
/// How long a window stays in use after a request.
const IN_USE: Duration = Duration::from_mins(2);

/// See the module. Any worker writes.
#[derive(Debug, Default)]
pub struct Touched(Mutex<HashMap<BudgetKey, State>>);

#[derive(Debug)]
struct State {
    asked_at: Millis,
    /// `None`: it is to be compared as soon as possible.
    compared_at: Option<Millis>,
}

impl State {
    fn is_due(&self, every: Duration, now: Millis) -> bool {
        self.compared_at
            .is_none_or(|compared_at| now.since(compared_at) >= every)
    }
}

// === impl Touched ===

impl Touched {
    /// A request asks that window.
    pub fn touch(&self, key: &BudgetKey, now: Millis) {
        let mut windows = self.lock();
        if let Some(known) = windows.get_mut(key) {
            known.asked_at = now;
        } else if windows.len() < CAPACITY {
            // Whoever asks first has just read the books.
            let state = State {
                asked_at: now,
                compared_at: Some(now),
            };
            windows.insert(key.clone(), state);
        }
    }

    /// Up to so many windows in use that were not compared for `every`, the longest first. They count as compared from now on.
    pub fn due(&self, every: Duration, most: usize, now: Millis) -> Vec<BudgetKey> {
        let mut windows = self.lock();
        windows.retain(|_, state| now.since(state.asked_at) < IN_USE);
        let mut due: Vec<(Option<Millis>, BudgetKey)> = windows
            .iter()
            .filter(|(_, state)| state.is_due(every, now))
            .map(|(key, state)| (state.compared_at, key.clone()))
            .collect();
        due.sort_unstable();
        due.truncate(most);
        let due: Vec<BudgetKey> = due.into_iter().map(|(_, key)| key).collect();
        for key in &due {
            if let Some(state) = windows.get_mut(key) {
                state.compared_at = Some(now);
            }
        }
        due
    }

    /// All windows are due: what others did was not seen for a while.
    pub fn all_are_due(&self) {
        for state in self.lock().values_mut() {
            state.compared_at = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BudgetKey, State>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ids::{Subject, SubjectKind};
    use crate::ports::BudgetName;

    fn window(name: &str) -> BudgetKey {
        BudgetKey {
            subject: Subject::new(SubjectKind::Key, name),
            budget: BudgetName::default(),
            generation: 0,
            window_start: UnixMs(0),
        }
    }

    #[test]
    fn all_are_due_even_where_the_clock_has_just_been_started() {
        let touched = Touched::default();
        let every = Duration::from_secs(10);
        touched.touch(&window("a"), Millis(10));
        touched.all_are_due();
        assert_eq!(touched.due(every, 9, Millis(500)), [window("a")]);
        assert!(touched.due(every, 9, Millis(1_000)).is_empty());
    }

    #[test]
    fn windows_take_turns_and_idle_ones_are_forgotten() {
        let touched = Touched::default();
        let every = Duration::from_secs(10);
        touched.touch(&window("a"), Millis(0));
        touched.touch(&window("b"), Millis(1_000));
        assert!(touched.due(every, 9, Millis(9_999)).is_empty());
        assert_eq!(touched.due(every, 1, Millis(12_000)), [window("a")]);
        assert_eq!(touched.due(every, 1, Millis(12_000)), [window("b")]);
        assert!(touched.due(every, 9, Millis(12_000)).is_empty());
        touched.all_are_due();
        assert_eq!(touched.due(every, 9, Millis(13_000)).len(), 2);
        touched.touch(&window("b"), Millis(100_000));
        assert_eq!(touched.due(every, 9, Millis(130_000)), [window("b")]);
    }
}
