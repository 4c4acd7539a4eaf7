//! What all replicas had taken of a subject's limits when one of them was last told, and what follows for one that has to decide
//! alone. A minute later it has come back, and nothing is known any more.

use std::time::Duration;

use super::window::Window;
use crate::clock::Millis;
use crate::fleet::Share;

/// How long what others have taken may still be taken.
const MINUTE: Duration = Duration::from_secs(61);

/// What all had taken at a moment, and what of it was this replica's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) at: Millis,
    pub(super) requests: Seen,
    pub(super) tokens: Seen,
}

/// The same of one limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) all: u64,
    pub(super) own: u64,
}

// === impl Known ===

impl Known {
    /// It is not out of date.
    pub(super) fn counts_at(&self, now: Millis) -> bool {
        now.since(self.at) < MINUTE
    }
}

/// What all have taken, as far as it is known, with what was taken here since.
pub(super) fn of_all(seen: Option<Seen>, own: u64) -> u64 {
    match seen {
        Some(seen) => seen.all.saturating_add(own).saturating_sub(seen.own),
        None => own,
    }
}

/// Whether `units`, which are taken already, lie within the replica's share: of the limit, and of what was left of it.
pub(super) fn share_admits(
    window: &mut Window,
    seen: Option<Seen>,
    units: u64,
    limit: u64,
    share: Share,
    now: Millis,
) -> bool {
    let own = window.used(now);
    let since = own.saturating_sub(seen.map_or(0, |seen| seen.own));
    let left = limit.saturating_sub(seen.map_or(0, |seen| seen.all));
    if own <= share.of(limit) && (seen.is_none() || since <= share.of(left)) {
        return true;
    }
    // More than any share holds: one replica serves it, by the rule for the whole.
    let all = of_all(seen, own).saturating_sub(units);
    let is_alone = own == units;
    units > share.of(limit)
        && units > 1
        && share.is_elected()
        && is_alone
        && limit > 0
        && (all == 0 || all.saturating_add(units) <= limit)
}
