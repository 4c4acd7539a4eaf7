//! Shares of what a model group grants: LiteLLM's `dynamic_rate_limiter` and `dynamic_rate_limiter_v3`, on sliding minutes.
//!
//! What a group grants is what its deployments do together (`rpm` and `tpm`). That is a limit of the group, for everybody. Below
//! it, keys share it in equal parts, or priorities in those that are reserved for them. Priorities borrow from each other as
//! long as the group is not used up to the threshold; their own use is counted all the while.
//!
//! A key's own limits may be `dynamic` (`rpm_limit_type`, `tpm_limit_type`): they hold only while a deployment of the group fails.
//!
//! Shares are limits like others: taken in one permit with those of the caller, and together with other replicas. Only who
//! shares with whom is what this replica has seen.

use std::rc::Rc;

use dashmap::DashMap;
use rust_decimal::Decimal;
use trunkline_actors::clock::Millis;
use trunkline_actors::ids::{Subject, SubjectKind};
use trunkline_actors::rate_limiter::{LimiterHandle, Limits, Sharers, part_of};
use trunkline_actors::supervisor::{Resolved, RoutingTable};

use super::Shared;
use super::reach::{Capacity, Members};
use crate::auth::Identity;
use crate::config::{Reserved, SharedBy, SharingSettings};

/// A limit that nobody reaches: what it counts is known when it is needed.
const COUNTED: u64 = 1 << 52;

/// See the module.
#[derive(Debug)]
pub struct Sharing {
    settings: SharingSettings,
    /// By model group. Whoever asks writes, under its group's lock; the config has so many groups.
    sharers: DashMap<String, Sharers>,
}

/// Failures of one deployment within a minute that are no reason yet to hold keys to their limits (LiteLLM's number).
const TOLERATED: u32 = 1;

/// Takes limits of the key's own out that hold only while the group fails, unless it does. What is asked is counted all the same.
fn relax(
    identity: &Identity,
    table: &RoutingTable,
    resolved: &Resolved,
    limits: &mut [(Subject, Limits)],
) {
    let dynamic = identity.key().map(|key| key.charges.dynamic);
    let Some(dynamic) = dynamic.filter(|dynamic| dynamic.any()) else {
        return;
    };
    let fails = resolved.deployments().any(|(id, _)| {
        let row = table
            .deployment(id.as_str())
            .map(|handle| handle.row().counts());
        row.is_some_and(|counts| counts.failures > TOLERATED)
    });
    if fails {
        return;
    }
    let own = limits
        .iter_mut()
        .filter(|(subject, _)| subject.kind == SubjectKind::Key);
    for (_, limits) in own {
        limits.rpm = limits.rpm.filter(|_| !dynamic.rpm);
        limits.tpm = limits.tpm.filter(|_| !dynamic.tpm);
    }
}

/// Adds to the limits of a request what its caller shares with others, and takes from them what gives way while nobody is
/// hurt by it.
pub(super) fn apply(
    (shared, table): (&Shared, &RoutingTable),
    identity: &Identity,
    (resolved, members): (&Resolved, &Rc<Members>),
    limits: &mut Vec<(Subject, Limits)>,
) {
    relax(identity, table, resolved, limits);
    if let Some(sharing) = &shared.sharing {
        let group = (resolved.entry.as_str(), members.capacity());
        sharing.add(shared, identity, group, limits);
    }
}

// === impl Sharing ===

impl Sharing {
    /// Nobody shares anything yet.
    pub fn new(settings: SharingSettings) -> Self {
        Self {
            settings,
            sharers: DashMap::new(),
        }
    }

    /// Adds to `limits` those of the group that a request asks for, and of its caller's share.
    fn add(
        &self,
        shared: &Shared,
        identity: &Identity,
        (group, capacity): (&str, Capacity),
        limits: &mut Vec<(Subject, Limits)>,
    ) {
        if capacity == Capacity::default() {
            return;
        }
        let now = shared.clock.now();
        limits.push((Subject::new(SubjectKind::Model, group), capacity.limits()));
        limits.push(match self.settings.by {
            SharedBy::Keys => self.of_key(identity, group, capacity, now),
            SharedBy::Priorities => {
                let saturated = self.is_saturated(&shared.limiter, group, capacity, now);
                self.of_priority(identity, group, capacity, saturated)
            }
        });
    }

    /// An equal part, of what is reserved for its priority if that has anything reserved.
    fn of_key(
        &self,
        identity: &Identity,
        group: &str,
        capacity: Capacity,
        now: Millis,
    ) -> (Subject, Limits) {
        let who = match identity {
            Identity::Master => "the master key",
            Identity::Open => "anybody",
            Identity::Key(key) => key.row.id.as_str(),
        };
        let part = identity
            .priority()
            .and_then(|priority| self.settings.reserved.get(priority))
            .map_or(Decimal::ONE, |reserved| part(*reserved, capacity));
        let sharers = {
            // Not held for longer: nothing is awaited here.
            let mut sharers = self.sharers.entry(group.to_owned()).or_default();
            sharers.ask(who, now)
        };
        let subject = Subject::new(SubjectKind::Model, format!("{group} shared by {who}"));
        let equal = |limit: u64| (part_of(limit, part) / sharers).max(1);
        (subject, capacity.map(equal).limits())
    }

    /// What is reserved for its priority, once the group is saturated.
    fn of_priority(
        &self,
        identity: &Identity,
        group: &str,
        capacity: Capacity,
        saturated: bool,
    ) -> (Subject, Limits) {
        let reserved = &self.settings.reserved;
        let own = identity
            .priority()
            .and_then(|priority| reserved.get_key_value(priority));
        let (name, part) = match own {
            Some((priority, own)) => {
                let all: Decimal = reserved.values().map(|one| part(*one, capacity)).sum();
                // More than all cannot be had: then they share in proportion.
                let own = part(*own, capacity);
                let part = own.checked_div(all.max(Decimal::ONE)).unwrap_or(own);
                (format!("{group} of priority {priority}"), part)
            }
            None => (
                format!("{group} without priority"),
                self.settings.default_part,
            ),
        };
        let held = |limit: u64| {
            if saturated {
                part_of(limit, part)
            } else {
                COUNTED
            }
        };
        let subject = Subject::new(SubjectKind::Model, name);
        (subject, capacity.map(held).limits())
    }

    fn is_saturated(
        &self,
        limiter: &LimiterHandle,
        group: &str,
        capacity: Capacity,
        now: Millis,
    ) -> bool {
        let subject = Subject::new(SubjectKind::Model, group);
        let left = limiter.bucket(subject, capacity.limits()).remaining(now);
        let reaches = |limit: Option<u64>, left: Option<u64>| {
            limit.zip(left).is_some_and(|(limit, left)| {
                let used = Decimal::from(limit.saturating_sub(left));
                let from = Decimal::from(limit).checked_mul(self.settings.threshold);
                from.is_some_and(|from| used >= from)
            })
        };
        reaches(capacity.rpm, left.requests) || reaches(capacity.tpm, left.tokens)
    }
}

/// What is reserved, as a part of what a group grants.
fn part(reserved: Reserved, capacity: Capacity) -> Decimal {
    let of = |count: u64, limit: Option<u64>| {
        let part = Decimal::from(count).checked_div(Decimal::from(limit?));
        part.map(|part| part.min(Decimal::ONE))
    };
    match reserved {
        Reserved::Part(part) => part,
        // Where the group has no such limit there is nothing to reserve of it.
        Reserved::Requests(count) => of(count, capacity.rpm).unwrap_or(Decimal::ONE),
        Reserved::Tokens(count) => of(count, capacity.tpm).unwrap_or(Decimal::ONE),
    }
}
