//! What stands behind a model's name, for those who ask about models without calling one.

use std::sync::Arc;

use crate::app::App;
use crate::auth::Identity;
use crate::dispatch::Target;

/// A deployment that may answer for a name.
pub(crate) struct Served {
    pub(crate) target: Arc<Target>,
    /// The provider's name for the model.
    pub(crate) upstream_model: String,
}

/// The deployments that the name stands for and that the caller may use; `None` for a name that nothing is served under.
pub(crate) fn served(app: &App, identity: &Identity, name: &str) -> Option<Vec<Served>> {
    let (table, targets) = app.shared.deployed();
    let group = targets.team_group(identity, name).unwrap_or(name);
    let resolved = table.resolve(group)?;
    // Another team's model is none that is served.
    let known = resolved.deployments().filter_map(|(id, upstream_model)| {
        let target = targets.get(id.as_str())?;
        let is_for = identity.is_for(target.config.team.as_ref());
        is_for.then_some((target, upstream_model))
    });
    let mut known = known.peekable();
    known.peek()?;
    let served = known.filter_map(|(target, upstream_model)| {
        let may_use = identity.may_use_as(name, &target.config);
        may_use.then(|| Served {
            target: Arc::clone(target),
            upstream_model: upstream_model.to_owned(),
        })
    });
    Some(served.collect())
}
