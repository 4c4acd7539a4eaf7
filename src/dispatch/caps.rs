//! From the config's budgets of deployments and providers to the ledger's caps.

use trunkline_actors::ids::{DeploymentId, Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::spend_ledger::Cap;

use crate::config::{Budget, Config};

/// Every cap with each deployment that it covers.
pub fn caps(config: &Config) -> Vec<(DeploymentId, Cap)> {
    let mut caps = Vec::new();
    for deployment in &config.deployments {
        let id = DeploymentId::new(deployment.id.as_str());
        if let Some(budget) = &deployment.budget {
            caps.push((id.clone(), cap(Subject::from(&id), budget)));
        }
        let name = deployment.provider.name;
        let of_provider = provider_caps(config).find(|cap| &*cap.subject.id == name);
        caps.extend(of_provider.map(|cap| (id, cap)));
    }
    caps
}

/// The cap of each provider that has a budget.
pub fn provider_caps(config: &Config) -> impl Iterator<Item = Cap> + '_ {
    let budgets = config.router.provider_budgets.iter();
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
