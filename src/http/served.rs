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
    let resolved = table.resolve(name)?;
    let served = resolved.deployments().filter_map(|(id, upstream_model)| {
        let target = targets.get(id.as_str())?;
        let may_use = identity.may_use_as(name, &target.config);
        may_use.then(|| Served {
            target: Arc::clone(target),
            upstream_model: upstream_model.to_owned(),
        })
    });
    Some(served.collect())
}
