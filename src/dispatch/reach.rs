//! Who may answer a request, at which prices. Worked out once for a group and not for each request: a group may have hundreds of
//! deployments, and nearly always all of them cost the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use trunkline_actors::ids::ModelGroup;
use trunkline_actors::supervisor::Resolved;

use super::priced::Priced;
use super::target::Target;
use super::targets::Targets;

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
        Self { all, kinds }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// One of each kind by price and service.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Candidate> {
        self.kinds.iter().filter_map(|place| self.all.get(*place))
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
