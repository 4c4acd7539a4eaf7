//! A sliding window as a ring of slots: what is taken comes back a whole window later, never earlier. A minute has slots of a
//! second, a day slots of a quarter of an hour.
//!
//! Plain data, no lock, no clock. The rejected alternative is a refilling bucket: its burst plus its refill admit
//! twice the limit in the first minute.

use std::time::Duration;

use crate::clock::Millis;

/// Units taken within the last 60 s.
pub type Window = Ring<1_000, 61>;

/// A quarter of an hour.
pub(super) const DAY_SLOT_MS: u64 = 900_000;
pub(super) const DAY_SLOTS: usize = 97;

/// Units taken within the last 24 h.
pub type DayWindow = Ring<DAY_SLOT_MS, DAY_SLOTS>;

/// Units taken within the last `SLOTS - 1` slots of `SLOT_MS` milliseconds.
///
/// There is one slot more than the window has: a unit taken late in its slot must stay until late in the slot a window
/// later, which by then has a place of its own. Units of one slot come back together, a window after the last of them was
/// taken; so never more than the limit is taken in any window, and a unit comes back after the window, or at most one slot
/// later when others followed it closely.
#[derive(Debug, Clone)]
pub struct Ring<const SLOT_MS: u64, const SLOTS: usize> {
    slots: Box<[Slot; SLOTS]>,
    /// Sum of all slots.
    used: u64,
    /// The oldest slot that may still hold units, counted from the beginning of time.
    tail: u64,
    /// The latest time seen; an earlier `now` counts as this, since callers read the clock before they get the lock.
    latest: Millis,
}

/// A key's two minutes have 122 of them: which slot it is follows from when units were last taken in it.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    units: u64,
    last_taken: Millis,
}

/// Which slot units were taken in: needed to correct them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenIn(u64);

// === impl Slot ===

impl Slot {
    fn number<const SLOT_MS: u64>(self) -> u64 {
        self.last_taken.0 / SLOT_MS
    }
}

// === impl Ring ===

impl<const SLOT_MS: u64, const SLOTS: usize> Default for Ring<SLOT_MS, SLOTS> {
    fn default() -> Self {
        Self {
            slots: Box::new([Slot::default(); SLOTS]),
            used: 0,
            tail: 0,
            latest: Millis::ZERO,
        }
    }
}

impl<const SLOT_MS: u64, const SLOTS: usize> Ring<SLOT_MS, SLOTS> {
    const SLOTS: u64 = SLOTS as u64;
    /// How long a taken unit stays taken, in milliseconds.
    const WINDOW_MS: u64 = SLOT_MS * (Self::SLOTS - 1);

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
        let number = now.0 / SLOT_MS;
        let slot = self.slot_mut(number);
        if slot.number::<SLOT_MS>() != number {
            slot.units = 0;
        }
        slot.units = slot.units.saturating_add(units);
        slot.last_taken = now;
        self.used = self.used.saturating_add(units);
        TakenIn(number)
    }

    /// Corrects units taken earlier from `was` to `actual`, in the slot they were taken in.
    ///
    /// A slot never falls below 0; units that already came back stay back, whatever the correction.
    pub fn settle(&mut self, taken: TakenIn, was: u64, actual: u64, now: Millis) {
        self.advance(now);
        let slot = self.slot_mut(taken.0);
        // An emptied slot keeps its number: only units that are still taken may be corrected, or debt of a
        // request that ran for long would be entered in a window that is over.
        if slot.number::<SLOT_MS>() != taken.0 || taken.0 < self.tail {
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
        for number in self.tail..=now.0 / SLOT_MS {
            let slot = self.slot(number);
            if slot.number::<SLOT_MS>() != number || slot.units == 0 {
                continue;
            }
            left = left.saturating_sub(slot.units);
            if left == 0 || left.saturating_add(units) <= limit {
                return Millis(slot.last_taken.0.saturating_add(Self::WINDOW_MS)).since(now);
            }
        }
        Duration::from_millis(Self::WINDOW_MS)
    }

    /// Lets units come back whose time is over; answers the time to go on with.
    fn advance(&mut self, now: Millis) -> Millis {
        let now = now.max(self.latest);
        self.latest = now;
        let current = now.0 / SLOT_MS;
        // Every slot older than the ring is over: skip those of an idle hour in one step.
        let oldest = current.saturating_sub(Self::SLOTS - 1);
        if self.tail + Self::SLOTS <= oldest {
            self.used = 0;
            self.tail = oldest;
            *self.slots = [Slot::default(); SLOTS];
        }
        while self.tail < current {
            let tail = self.tail;
            let slot = self.slot_mut(tail);
            if slot.number::<SLOT_MS>() == tail && slot.units > 0 {
                if now.0 < slot.last_taken.0.saturating_add(Self::WINDOW_MS) {
                    break;
                }
                let back = slot.units;
                slot.units = 0;
                self.used = self.used.saturating_sub(back);
            } else if tail + Self::SLOTS > current {
                // Nothing there now, but a request taken in this slot may yet be settled upwards.
                break;
            }
            self.tail += 1;
        }
        now
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "a remainder by the ring's size is a valid index of the ring"
    )]
    fn slot(&self, number: u64) -> Slot {
        self.slots[(number % Self::SLOTS) as usize]
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "a remainder by the ring's size is a valid index of the ring"
    )]
    fn slot_mut(&mut self, number: u64) -> &mut Slot {
        &mut self.slots[(number % Self::SLOTS) as usize]
    }
}
