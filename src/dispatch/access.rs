//! What a request asks for, and whether its caller may have it.

use std::iter;
use std::rc::Rc;

use trunkline_actors::supervisor::{Resolved, RoutingTable};

use super::error::DispatchError;
use super::reach::Members;
use super::targets::Targets;
use super::{Dispatcher, Inbound};
use crate::auth::{AuthError, Identity, ModelList, may_use_model};

impl Dispatcher {
    /// What the request asks for, and who may answer it. Its caller's names for the models of its team become those of their
    /// groups.
    ///
    /// # Errors
    /// [`DispatchError::UnknownModel`], for another team's model too: who asks does not learn that there is one.
    pub(super) fn resolve(
        &self,
        identity: &Identity,
        inbound: &mut Inbound,
        (table, targets): (&RoutingTable, &Targets),
    ) -> Result<(Resolved, Rc<Members>), DispatchError> {
        for fallback in inbound.peek.fallbacks.iter_mut().flatten() {
            if let Some(group) = targets.team_group(identity, fallback) {
                group.clone_into(fallback);
            }
        }
        let asked = inbound.model.as_str();
        let name = targets.team_group(identity, asked).unwrap_or(asked);
        let resolved = table.resolve_or_default(name);
        let resolved = resolved.ok_or_else(|| unknown(asked))?;
        let resolved = inbound.calling(resolved);
        let members = self.reach.of(targets, &resolved);
        if !identity.is_for(members.team()) {
            return Err(unknown(asked));
        }
        Ok((resolved, members))
    }

    /// Whether the caller may use what the request names: the model, and its own fallbacks. Fallbacks of the config are the
    /// operator's choice.
    pub(super) fn check_access<'l>(
        &self,
        identity: &Identity,
        lists: impl Iterator<Item = &'l ModelList>,
        inbound: &Inbound,
        (table, targets): (&RoutingTable, &Targets),
        (resolved, members): (&Resolved, &Rc<Members>),
    ) -> Result<(), DispatchError> {
        let lists: Vec<_> = lists.collect();
        if lists.is_empty() && inbound.peek.fallbacks.is_none() {
            return Ok(());
        }
        let fallbacks = inbound.peek.fallbacks.iter().flatten();
        let fallbacks = fallbacks.map(|fallback| {
            let resolved = table.resolve(fallback);
            let members = resolved
                .as_ref()
                .map(|resolved| self.reach.of(targets, resolved));
            (fallback.as_str(), resolved, members.unwrap_or_default())
        });
        let asked = (
            inbound.model.as_str(),
            Some(resolved.clone()),
            Rc::clone(members),
        );
        let names: Vec<_> = iter::once(asked).chain(fallbacks).collect();
        let strange = names
            .iter()
            .find(|(_, _, members)| !identity.is_for(members.team()));
        if let Some((name, _, _)) = strange {
            return Err(unknown(name));
        }
        for list in lists {
            for (name, resolved, members) in &names {
                check_model_access(list, name, resolved.as_ref(), members)?;
            }
        }
        Ok(())
    }
}

fn unknown(model: &str) -> DispatchError {
    DispatchError::UnknownModel {
        model: model.to_owned(),
    }
}

/// A list names models as clients call them, or the group behind an alias (contract `auth-budgets-limits` §4).
fn check_model_access(
    list: &ModelList,
    model: &str,
    resolved: Option<&Resolved>,
    members: &Members,
) -> Result<(), AuthError> {
    // Who names a deployment by its id asks for its group: a pattern must not fit the id by chance.
    let by_id = members
        .all()
        .iter()
        .any(|(target, _)| target.config.id == model);
    let group = resolved.map(|resolved| resolved.group.as_str());
    let team = members.team();
    let public_name = team.map(|team| team.public_name.as_str());
    let in_access_group = |name: &str| {
        members.all().iter().any(|(target, _)| {
            let groups = &target.config.model_info.access_groups;
            groups.iter().any(|group| group == name)
        })
    };
    let allowed = [(!by_id).then_some(model), group, public_name]
        .into_iter()
        .flatten()
        .any(|name| may_use_model(&list.allowed, name, in_access_group));
    if allowed || list.is_silent_on(team) {
        Ok(())
    } else {
        Err(AuthError::ModelDenied {
            model: model.to_owned(),
            layer: list.layer,
        })
    }
}
