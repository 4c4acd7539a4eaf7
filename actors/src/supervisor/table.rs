//! The routing table: what a config means, frozen. Published by the supervisor, read by every request.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::config::{DeploymentSpec, RoutingConfig};
use super::fallback::Fallbacks;
use super::lineup::{Candidate, Lineup};
use super::plan::RoutePlan;
use super::select::Strategy;
use super::step::PlanAsk;
use super::wildcard;
use crate::deployment::{DeploymentHandle, FailureKind, Grant};
use crate::ids::{DeploymentId, ModelGroup};

/// Groups, aliases, fallbacks and the handles of all deployments.
#[derive(Debug, Default)]
pub struct RoutingTable {
    pub(super) config: RoutingConfig,
    pub(super) fallbacks: Fallbacks,
    aliases: HashMap<String, String>,
    by_id: HashMap<DeploymentId, Arc<Member>>,
    groups: HashMap<ModelGroup, Arc<Lineup>>,
    /// Group names in the order of the config.
    names: Vec<ModelGroup>,
    /// The names with a `*`, longest first.
    patterns: Vec<ModelGroup>,
}

/// A deployment within its group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) spec: DeploymentSpec,
    pub(super) handle: DeploymentHandle,
}

/// What a model name stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The group: its name, or for a wildcard the name that was asked for.
    pub group: ModelGroup,
    /// The entry that matched: the same, or the pattern.
    pub entry: ModelGroup,
    pub(super) members: Arc<Lineup>,
}

// === impl RoutingTable ===

impl RoutingTable {
    pub(super) fn new(
        config: RoutingConfig,
        handles: &HashMap<DeploymentId, DeploymentHandle>,
    ) -> Self {
        let mut table = Self {
            fallbacks: Fallbacks::new(&config),
            aliases: config.aliases.iter().cloned().collect(),
            ..Self::default()
        };
        let mut groups: HashMap<ModelGroup, Vec<Candidate>> = HashMap::new();
        for spec in &config.deployments {
            let Some(handle) = handles.get(&spec.id) else {
                continue;
            };
            let member = Arc::new(Member {
                spec: spec.clone(),
                handle: handle.clone(),
            });
            table.by_id.insert(spec.id.clone(), Arc::clone(&member));
            let group = groups.entry(spec.group.clone()).or_default();
            if group.is_empty() {
                table.names.push(spec.group.clone());
            }
            group.push(Candidate {
                upstream_model: Arc::clone(&spec.upstream_model),
                member,
            });
        }
        table.groups = groups
            .into_iter()
            .map(|(name, members)| (name, Arc::new(members.into_iter().collect())))
            .collect();
        table.patterns = table
            .names
            .iter()
            .filter(|name| name.as_str().contains('*'))
            .cloned()
            .collect();
        // Stable: of equally long patterns, the first in the config wins.
        table
            .patterns
            .sort_by_key(|pattern| Reverse(pattern.as_str().len()));
        table.config = config;
        table
    }

    /// What the name stands for: through an alias, then a deployment id, a group, the longest pattern that matches.
    pub fn resolve(&self, model: &str) -> Option<Resolved> {
        let model = self.aliases.get(model).map_or(model, String::as_str);
        if let Some(member) = self.by_id.get(model) {
            let alone = Candidate {
                member: Arc::clone(member),
                upstream_model: Arc::clone(&member.spec.upstream_model),
            };
            return Some(Resolved {
                group: member.spec.group.clone(),
                entry: member.spec.group.clone(),
                members: Arc::new([alone].into_iter().collect()),
            });
        }
        if let Some((group, members)) = self.groups.get_key_value(model) {
            return Some(Resolved {
                group: group.clone(),
                entry: group.clone(),
                members: Arc::clone(members),
            });
        }
        self.patterns.iter().find_map(|pattern| {
            let captures = wildcard::captures(pattern.as_str(), model)?;
            let resolved = Resolved {
                group: ModelGroup::new(model),
                entry: pattern.clone(),
                members: Arc::clone(self.groups.get(pattern)?),
            };
            Some(if captures.is_empty() {
                resolved
            } else {
                resolved.with_models(|pattern| wildcard::fill(pattern, &captures).into())
            })
        })
    }

    /// As [`resolve`](Self::resolve), but an unknown name is the default fallbacks' business, if there are any (routing
    /// §1.3).
    pub fn resolve_or_default(&self, model: &str) -> Option<Resolved> {
        self.resolve(model).or_else(|| {
            let mut defaults = self.fallbacks.defaults().iter();
            defaults.find_map(|target| self.resolve(target))
        })
    }

    /// Every group that fallbacks may lead to from `first`, `first` itself left out: what bounds a route's cost.
    /// `own` are the request's fallbacks, which stand in for the configured ones.
    pub fn within_reach(&self, first: &Resolved, own: Option<&[String]>) -> Vec<Resolved> {
        let mut found: Vec<Resolved> = Vec::new();
        let mut open = vec![first.clone()];
        while let Some(resolved) = open.pop() {
            let names = [resolved.group.as_str(), resolved.entry.as_str()];
            let targets = match own {
                Some(own) => own.iter().map(String::as_str).collect(),
                None => self.fallbacks.every_target(&names),
            };
            for next in targets
                .into_iter()
                .filter_map(|target| self.resolve(target))
            {
                let is_known = |known: &Resolved| known.group == next.group;
                if !is_known(first) && !found.iter().any(is_known) {
                    found.push(next.clone());
                    open.push(next);
                }
            }
        }
        found
    }

    /// All groups and patterns, in the order of the config.
    pub fn listed(&self) -> &[ModelGroup] {
        &self.names
    }

    /// All aliases with what they stand for.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        let aliases = self.aliases.iter();
        aliases.map(|(alias, group)| (alias.as_str(), group.as_str()))
    }

    /// The deployments of exactly that group or pattern, in the order of the config.
    pub fn group(&self, name: &str) -> Vec<DeploymentHandle> {
        self.groups.get(name).map_or_else(Vec::new, |members| {
            let members = members.iter();
            members
                .map(|candidate| candidate.member.handle.clone())
                .collect()
        })
    }

    /// The deployment of that id.
    pub fn deployment(&self, id: &str) -> Option<DeploymentHandle> {
        self.by_id.get(id).map(|member| member.handle.clone())
    }

    /// All deployments.
    pub fn deployments(&self) -> impl Iterator<Item = &DeploymentHandle> {
        self.by_id.values().map(|member| &member.handle)
    }

    /// Deployments with limits of their own, and these.
    pub fn granted(&self) -> impl Iterator<Item = (&DeploymentHandle, Grant)> {
        let members = self.by_id.values();
        members
            .map(|member| (&member.handle, member.spec.grant()))
            .filter(|(_, grant)| grant.is_limited())
    }

    /// What was put [`beside`](RoutingConfig::beside) the configuration, if it is of that type.
    pub fn beside<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.config.beside.get()
    }

    /// How a deployment of a group is chosen.
    pub fn strategy(&self) -> Strategy {
        self.config.strategy
    }

    /// The plan of one request for the name that was resolved by this table.
    pub fn plan(self: &Arc<Self>, resolved: Resolved, ask: PlanAsk) -> RoutePlan {
        self.plan_with(resolved, ask, SmallRng::from_rng(&mut rand::rng()))
    }

    /// As [`plan`](Self::plan), with randomness of one's own.
    pub fn plan_with(
        self: &Arc<Self>,
        resolved: Resolved,
        ask: PlanAsk,
        rng: SmallRng,
    ) -> RoutePlan {
        RoutePlan::new(Arc::clone(self), resolved, ask, rng)
    }

    /// Retries that a policy sets for that kind of failure in that group: the group's, else the router's.
    pub(super) fn retries_by_policy(&self, resolved: &Resolved, kind: FailureKind) -> Option<u32> {
        let class = kind.treatment().class?;
        let by_group = &self.config.group_retry_policy;
        let own = by_group
            .get(&resolved.group)
            .or_else(|| by_group.get(&resolved.entry));
        own.and_then(|policy| policy.get(class))
            .or_else(|| self.config.retry_policy.get(class))
    }
}

// === impl Resolved ===

impl Resolved {
    /// The same, with another of the provider's models.
    #[must_use]
    pub fn calling(self, upstream_model: &str) -> Self {
        let upstream_model: Arc<str> = upstream_model.into();
        self.with_models(|_own| Arc::clone(&upstream_model))
    }

    /// Whether both stand for the same deployments and models of the same table.
    pub fn is_same_lineup(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.members, &other.members)
    }

    fn with_models(self, model_for: impl Fn(&str) -> Arc<str>) -> Self {
        let members = self.members.iter().map(|candidate| Candidate {
            member: Arc::clone(&candidate.member),
            upstream_model: model_for(&candidate.upstream_model),
        });
        Self {
            members: Arc::new(members.collect()),
            ..self
        }
    }

    /// The ids of the deployments that may answer, with the provider's model name each.
    pub fn deployments(&self) -> impl Iterator<Item = (&DeploymentId, &str)> {
        self.members
            .iter()
            .map(|candidate| (candidate.member.handle.id(), &*candidate.upstream_model))
    }
}
