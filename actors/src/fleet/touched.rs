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
    /// A request asks these windows. All workers write here: the lock is taken once, and not for none.
    pub fn touch_all<'a>(&self, keys: impl IntoIterator<Item = &'a BudgetKey>, now: Millis) {
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_none() {
            return;
        }
        let mut windows = self.lock();
        for key in keys {
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
    }

    /// Up to so many windows in use that were not compared for `every`, the longest first. They count as compared from now on.
    pub fn due(&self, every: Duration, most: usize, now: Millis) -> Vec<BudgetKey> {
        let mut windows = self.lock();
        windows.retain(|_, state| now.since(state.asked_at) < IN_USE);
        let mut due: Vec<(Option<Millis>, &BudgetKey)> = windows
            .iter()
            .filter(|(_, state)| state.is_due(every, now))
            .map(|(key, state)| (state.compared_at, key))
            .collect();
        // Requests wait for the lock: of ten thousand only those are put in order, and copied, that are compared now.
        if due.len() > most {
            due.select_nth_unstable(most);
            due.truncate(most);
        }
        due.sort_unstable();
        let due: Vec<BudgetKey> = due.into_iter().map(|(_, key)| key.clone()).collect();
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
    fn of_many_windows_those_are_due_first_that_were_compared_the_longest_ago() {
        let touched = Touched::default();
        let names = ["d", "b", "e", "a", "c", "f"];
        for (name, at) in names.into_iter().zip(1..) {
            touched.touch_all([&window(name)], Millis(at));
        }
        let every = Duration::from_secs(10);
        let due = |now: u64| {
            let due = touched.due(every, 2, Millis(now));
            due.into_iter()
                .map(|key| key.subject.id.to_string())
                .collect::<String>()
        };
        assert_eq!(due(20_000) + &due(20_001) + &due(20_002), "dbeacf");
        assert_eq!(due(30_000), "bd");
    }

    #[test]
    fn all_are_due_even_where_the_clock_has_just_been_started() {
        let touched = Touched::default();
        let every = Duration::from_secs(10);
        touched.touch_all([&window("a")], Millis(10));
        touched.all_are_due();
        assert_eq!(touched.due(every, 9, Millis(500)), [window("a")]);
        assert!(touched.due(every, 9, Millis(1_000)).is_empty());
    }

    #[test]
    fn windows_take_turns_and_idle_ones_are_forgotten() {
        let touched = Touched::default();
        let every = Duration::from_secs(10);
        touched.touch_all([&window("a")], Millis(0));
        touched.touch_all([&window("b")], Millis(1_000));
        assert!(touched.due(every, 9, Millis(9_999)).is_empty());
        assert_eq!(touched.due(every, 1, Millis(12_000)), [window("a")]);
        assert_eq!(touched.due(every, 1, Millis(12_000)), [window("b")]);
        assert!(touched.due(every, 9, Millis(12_000)).is_empty());
        touched.all_are_due();
        assert_eq!(touched.due(every, 9, Millis(13_000)).len(), 2);
        touched.touch_all([&window("b")], Millis(100_000));
        assert_eq!(touched.due(every, 9, Millis(130_000)), [window("b")]);
    }
}
