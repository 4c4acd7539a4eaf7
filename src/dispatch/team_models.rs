//! Deployments that are one team's: the team calls them by a name of its own, and nobody else may.

use std::collections::HashMap;

use crate::auth::Identity;
use crate::config::DeploymentConfig;

/// The groups of teams, by team and by the name that it uses.
#[derive(Debug, Default)]
pub(super) struct TeamModels(HashMap<String, HashMap<String, String>>);

// === impl TeamModels ===

impl TeamModels {
    pub(super) fn of<'c>(deployments: impl Iterator<Item = &'c DeploymentConfig>) -> Self {
        let mut teams: HashMap<String, HashMap<String, String>> = HashMap::new();
        for deployment in deployments {
            if let Some(team) = &deployment.team {
                let groups = teams.entry(team.team_id.clone()).or_default();
                groups.insert(team.public_name.clone(), deployment.model_name.clone());
            }
        }
        Self(teams)
    }

    /// The group that the caller means by a name, where its team has one of that name.
    pub(super) fn group(&self, identity: &Identity, name: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let team = identity.key()?.row.team.as_ref()?;
        self.0.get(team.as_str())?.get(name).map(String::as_str)
    }
}
