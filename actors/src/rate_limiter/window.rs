//! A sliding minute as a ring of one-second slots: what is taken comes back 60 s later, never earlier.
//!
//! Plain data, no lock, no clock. The rejected alternative is a refilling bucket: its burst plus its refill admit
//! twice the limit in the first minute.

use std::time::Duration;

use crate::clock::Millis;

/// How long a taken unit stays taken, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Sixty whole seconds, and the one that is just being left: a unit taken late in its second must stay until late
/// in the second sixty later, which by then has a slot of its own.
const SLOTS: u64 = 61;
const SLOT_COUNT: usize = 61;

/// Units taken within the last 60 s.
///
/// Units of one second come back together, 60 s after the last of them was taken; so never more than the limit is
/// taken in any 60 s, and a unit comes back after 60 s, or at most one second more when others followed it closely.
#[derive(Debug, Clone)]
pub struct Window {
    slots: Box<[Slot; SLOT_COUNT]>,
    /// Sum of all slots.
    used: u64,
    /// The oldest second that may still hold units.
    tail: u64,
    /// The latest time seen; an earlier `now` counts as this, since callers read the clock before they get the lock.
    latest: Millis,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u64,
    units: u64,
    last_taken: Millis,
}

/// Which second units were taken in: needed to correct them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenIn(u64);

// === impl Window ===

impl Default for Window {
    fn default() -> Self {
        Self {
            slots: Box::new([Slot::default(); SLOT_COUNT]),
            used: 0,
            tail: 0,
            latest: Millis::ZERO,
        }
    }
}

impl Window {
    /// Units that are taken at `now`.
    pub fn used(&mut self, now: Millis) -> u64 {
        self.advance(now);
        self.used
    }

    /// Whether `units` more may be taken.
    ///
    /// A limit smaller than `units` admits when nothing is taken, and the window goes into debt: such a request
    /// could otherwise never run. A limit of 0 admits nothing.
    pub fn fits(&mut self, units: u64, limit: u64, now: Millis) -> bool {
        self.advance(now);
        if limit == 0 {
            return units == 0;
        }
        self.used == 0 || self.used.saturating_add(units) <= limit
    }

    /// Takes `units`, whatever the limit.
    pub fn take(&mut self, units: u64, now: Millis) -> TakenIn {
        let now = self.advance(now);
        let second = now.0 / 1000;
        let slot = self.slot_mut(second);
        if slot.second != second {
            *slot = Slot {
                second,
                ..Slot::default()
            };
        }
        slot.units = slot.units.saturating_add(units);
        slot.last_taken = now;
        self.used = self.used.saturating_add(units);
        TakenIn(second)
    }

    /// Corrects units taken earlier from `was` to `actual`, in the slot they were taken in.
    ///
    /// A slot never falls below 0; units that already came back stay back, whatever the correction.
    pub fn settle(&mut self, taken: TakenIn, was: u64, actual: u64, now: Millis) {
        self.advance(now);
        let slot = self.slot_mut(taken.0);
        // An emptied slot still names its second: only units that are still taken may be corrected, or debt of a
        // request that ran for minutes would be entered in a minute that is over.
        if slot.second != taken.0 || taken.0 < self.tail {
            return;
        }
        let slot = self.slot_mut(taken.0);
        let before = slot.units;
        slot.units = before
            .saturating_sub(was.min(before))
            .saturating_add(actual);
        let after = slot.units;
        self.used = self.used.saturating_sub(before).saturating_add(after);
    }

    /// How long until `units` more would fit, if nothing else is taken meanwhile.
    pub fn wait_for(&mut self, units: u64, limit: u64, now: Millis) -> Duration {
        let now = self.advance(now);
        let mut left = self.used;
        for second in self.tail..=now.0 / 1000 {
            let slot = self.slot(second);
            if slot.second != second || slot.units == 0 {
                continue;
            }
            left = left.saturating_sub(slot.units);
            if left == 0 || left.saturating_add(units) <= limit {
                return Millis(slot.last_taken.0.saturating_add(WINDOW_MS)).since(now);
            }
        }
        Duration::from_millis(WINDOW_MS)
    }

    /// Lets units come back whose time is over; answers the time to go on with.
    fn advance(&mut self, now: Millis) -> Millis {
        let now = now.max(self.latest);
        self.latest = now;
        let current = now.0 / 1000;
        // Every slot older than the ring is over: skip the seconds of an idle hour in one step.
        let oldest = current.saturating_sub(SLOTS - 1);
        if self.tail + SLOTS <= oldest {
            self.used = 0;
            self.tail = oldest;
            *self.slots = [Slot::default(); SLOT_COUNT];
        }
        while self.tail < current {
            let tail = self.tail;
            let slot = self.slot_mut(tail);
            if slot.second == tail && slot.units > 0 {
                if now.0 < slot.last_taken.0.saturating_add(WINDOW_MS) {
                    break;
                }
                let back = slot.units;
                slot.units = 0;
                self.used = self.used.saturating_sub(back);
            } else if tail + SLOTS > current {
                // Nothing there now, but a request taken in this second may yet be settled upwards.
                break;
            }
            self.tail += 1;
        }
        now
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder by the ring's size is a valid index of the ring"
    )]
    fn slot(&self, second: u64) -> Slot {
        self.slots[(second % SLOTS) as usize]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder by the ring's size is a valid index of the ring"
    )]
    fn slot_mut(&mut self, second: u64) -> &mut Slot {
        &mut self.slots[(second % SLOTS) as usize]
    }
}
