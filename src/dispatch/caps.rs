//! From the config's budgets of deployments and providers to the ledger's caps.

use std::sync::Arc;

use trunkline_actors::ids::{DeploymentId, Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::spend_ledger::Cap;

use super::target::Target;
use crate::config::{Budget, RouterSettings};

/// Every cap with each deployment that it covers.
pub(super) fn caps(router: &RouterSettings, targets: &[Arc<Target>]) -> Vec<(DeploymentId, Cap)> {
    let mut caps = Vec::new();
    for deployment in targets.iter().map(|target| &target.config) {
        let id = DeploymentId::new(deployment.id.as_str());
        if let Some(budget) = &deployment.budget {
            caps.push((id.clone(), cap(Subject::from(&id), budget)));
        }
        let name = deployment.provider.name;
        let of_provider = provider_caps(router).find(|cap| &*cap.subject.id == name);
        caps.extend(of_provider.map(|cap| (id, cap)));
    }
    caps
}

/// The cap of each provider that has a budget.
pub fn provider_caps(router: &RouterSettings) -> impl Iterator<Item = Cap> + '_ {
    let budgets = router.provider_budgets.iter();
    budgets.map(|(provider, budget)| {
        cap(
            Subject::new(SubjectKind::Provider, provider.as_str()),
            budget,
        )
    })
}

fn cap(subject: Subject, budget: &Budget) -> Cap {
    Cap {
        subject,
        limit: Usd::rounded(budget.limit),
        period: budget.period,
    }
}
