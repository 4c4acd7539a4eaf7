//! Who may answer a request, at which prices. Worked out once for a group and not for each request: a group may have hundreds of
//! deployments, and nearly always all of them cost the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use trunkline_actors::ids::ModelGroup;
use trunkline_actors::rate_limiter::Limits;
use trunkline_actors::supervisor::Resolved;

use super::priced::Priced;
use super::target::Target;
use super::targets::Targets;
use crate::config::{DeploymentConfig, TeamModel};

/// Groups that are remembered. They are the operator's, but may come and go.
const MOST_GROUPS: usize = 4096;

/// A deployment that may answer, with its price for the model in question.
pub(super) type Candidate = (Arc<Target>, Option<Arc<Priced>>);

/// The deployments that a name stands for.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: Vec<Candidate>,
    /// Places of the first of each kind: what it costs to call these is what it costs to call any.
    kinds: Vec<usize>,
    capacity: Capacity,
    /// Whose they are. A group of a team has no other members.
    team: Option<TeamModel>,
}

/// What they grant together in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
}

/// One worker's memory of groups.
#[derive(Debug, Default)]
pub(super) struct Reach(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Of which prices.
    pricing: u64,
    groups: HashMap<ModelGroup, (Resolved, Rc<Members>)>,
}

// === impl Members ===

impl Members {
    fn of(targets: &Targets, resolved: &Resolved) -> Self {
        let all: Vec<Candidate> = resolved
            .deployments()
            .filter_map(|(id, upstream_model)| {
                let target = Arc::clone(targets.get(id.as_str())?);
                let price = target.price(upstream_model);
                Some((target, price))
            })
            .collect();
        let mut seen = Vec::new();
        let mut kinds = Vec::new();
        for (place, (target, price)) in all.iter().enumerate() {
            let kind = (
                price.as_ref().map(|price| Arc::clone(&price.sheet.id)),
                target.service,
            );
            if !seen.contains(&kind) {
                seen.push(kind);
                kinds.push(place);
            }
        }
        let capacity = Capacity::of(all.iter().map(|(target, _)| &target.config));
        let team = all
            .iter()
            .find_map(|(target, _)| target.config.team.clone());
        Self {
            all,
            kinds,
            capacity,
            team,
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// One of each kind by price and service.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Candidate> {
        self.kinds.iter().filter_map(|place| self.all.get(*place))
    }

    /// Whose they are, if not everybody's.
    pub(super) fn team(&self) -> Option<&TeamModel> {
        self.team.as_ref()
    }

    /// What they grant together.
    pub(super) fn capacity(&self) -> Capacity {
        self.capacity
    }
}

// === impl Capacity ===

impl Capacity {
    fn of<'c>(deployments: impl Iterator<Item = &'c DeploymentConfig>) -> Self {
        let sum = |sum: Option<u64>, one: Option<u64>| match (sum, one) {
            (Some(sum), Some(one)) => Some(sum.saturating_add(one)),
            (sum, one) => sum.or(one),
        };
        deployments.fold(Self::default(), |all, one| Self {
            rpm: sum(all.rpm, one.rpm),
            tpm: sum(all.tpm, one.tpm),
        })
    }

    pub(super) fn map(self, limit: impl Fn(u64) -> u64) -> Self {
        Self {
            rpm: self.rpm.map(&limit),
            tpm: self.tpm.map(&limit),
        }
    }

    pub(super) fn limits(self) -> Limits {
        Limits {
            rpm: self.rpm,
            tpm: self.tpm,
            ..Limits::default()
        }
    }
}

// === impl Reach ===

impl Reach {
    /// Whom the name stands for, among the targets that belong to the table which resolved it.
    pub(super) fn of(&self, targets: &Targets, resolved: &Resolved) -> Rc<Members> {
        // What a pattern stands for, clients name.
        if resolved.group != resolved.entry {
            return Rc::new(Members::of(targets, resolved));
        }
        let mut known = self.0.borrow_mut();
        let pricing = targets.pricing();
        if known.pricing != pricing || known.groups.len() >= MOST_GROUPS {
            known.groups.clear();
            known.pricing = pricing;
        }
        if let Some((of, members)) = known.groups.get(&resolved.group)
            && of.is_same_lineup(resolved)
        {
            return Rc::clone(members);
        }
        let members = Rc::new(Members::of(targets, resolved));
        let entry = (resolved.clone(), Rc::clone(&members));
        known.groups.insert(resolved.group.clone(), entry);
        members
    }
}
