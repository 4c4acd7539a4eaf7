//! What is taken of one limit: here, and by all replicas as far as this one was told. A window after it was told, that has come
//! back, and nothing is known of the others any more.

use std::time::Duration;

use super::bucket::{LimitType, Short};
use super::window::{Ring, TakenIn};
use crate::clock::Millis;
use crate::fleet::Share;

/// A window, and what was known of all replicas'.
#[derive(Debug, Default)]
pub(super) struct Counter<const SLOT_MS: u64, const SLOTS: usize> {
    ring: Ring<SLOT_MS, SLOTS>,
    /// What all replicas had taken when one of them was last told; `None` where there are none.
    known: Option<Known>,
}

/// What all had taken at a moment, and what of it was this replica's.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: Millis,
    all: u64,
    own: u64,
}

// === impl Counter ===

impl<const SLOT_MS: u64, const SLOTS: usize> Counter<SLOT_MS, SLOTS> {
    /// How long what others have taken may still be taken.
    const LIFE: Duration = Duration::from_millis(SLOT_MS * SLOTS as u64);

    /// Taken by this replica.
    pub(super) fn used(&mut self, now: Millis) -> u64 {
        self.ring.used(now)
    }

    /// Taken by all, as far as it is known, with what was taken here since.
    pub(super) fn used_by_all(&mut self, now: Millis) -> u64 {
        let own = self.used(now);
        of_all(self.known(now), own)
    }

    /// What stands against taking `units` more, if anything does.
    pub(super) fn check(
        &mut self,
        limit_type: LimitType,
        units: u64,
        limit: u64,
        now: Millis,
    ) -> Option<Short> {
        let fits = self.ring.fits(units, limit, now);
        (!fits).then(|| self.short(limit_type, units, limit, now))
    }

    /// What stands against `units`, which are taken already, if they do not lie within the replica's share: of the limit, and
    /// of what was left of it.
    pub(super) fn check_share(
        &mut self,
        limit_type: LimitType,
        units: u64,
        limit: u64,
        share: Share,
        now: Millis,
    ) -> Option<Short> {
        let admits = self.share_admits(units, limit, share, now);
        (!admits).then(|| self.short(limit_type, units, limit, now))
    }

    pub(super) fn take(&mut self, units: u64, now: Millis) -> TakenIn {
        self.ring.take(units, now)
    }

    pub(super) fn settle(&mut self, taken: TakenIn, was: u64, actual: u64, now: Millis) {
        self.ring.settle(taken, was, actual, now);
    }

    /// All replicas have taken so many; `just_taken` of those here are not among them.
    pub(super) fn learn(&mut self, all: u64, just_taken: u64, now: Millis) {
        let own = self.used(now).saturating_sub(just_taken);
        self.known = Some(Known { at: now, all, own });
    }

    fn known(&self, now: Millis) -> Option<Known> {
        self.known.filter(|known| now.since(known.at) < Self::LIFE)
    }

    fn share_admits(&mut self, units: u64, limit: u64, share: Share, now: Millis) -> bool {
        let own = self.used(now);
        let known = self.known(now);
        let since = own.saturating_sub(known.map_or(0, |known| known.own));
        let left = limit.saturating_sub(known.map_or(0, |known| known.all));
        if own <= share.of(limit) && (known.is_none() || since <= share.of(left)) {
            return true;
        }
        // More than any share holds: one replica serves it, by the rule for the whole.
        let all = of_all(known, own).saturating_sub(units);
        let is_alone = own == units;
        units > share.of(limit)
            && units > 1
            && share.is_elected()
            && is_alone
            && limit > 0
            && (all == 0 || all.saturating_add(units) <= limit)
    }

    fn short(&mut self, limit_type: LimitType, units: u64, limit: u64, now: Millis) -> Short {
        Short {
            limit_type,
            limit,
            remaining: limit.saturating_sub(self.used(now)),
            retry_after: self.ring.wait_for(units, limit, now),
        }
    }
}

fn of_all(known: Option<Known>, own: u64) -> u64 {
    match known {
        Some(known) => known.all.saturating_add(own).saturating_sub(known.own),
        None => own,
    }
}
