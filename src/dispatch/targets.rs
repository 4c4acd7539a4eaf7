//! All deployments of one moment, with their budgets. They go with the routing table of that moment
//! ([`Beside`](trunkline_actors::supervisor::Beside)): a request has both from its beginning to its end, whatever is
//! changed meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::DeploymentId;
use trunkline_actors::spend_ledger::{Caps, LedgerHandle, SeedFailed};

use super::caps::caps;
use super::target::Target;
use super::team_models::TeamModels;
use crate::auth::Identity;
use crate::config::{DeploymentConfig, RouterSettings};
use crate::cost::PriceBook;
use crate::telemetry::metrics::Metrics;

/// Every deployment, in order and by id. Never changed but for prices: the next moment has targets of its own.
#[derive(Debug, Default)]
pub struct Targets {
    list: Vec<Arc<Target>>,
    by_id: HashMap<DeploymentId, Arc<Target>>,
    caps: Caps,
    any_resumes: bool,
    team_models: TeamModels,
    /// Counts how often prices were taken over.
    pricing: AtomicU64,
}

/// What targets are made with.
#[derive(Debug, Clone, Copy)]
pub struct TargetParts<'a> {
    /// For the providers' budgets.
    pub router: &'a RouterSettings,
    /// List prices.
    pub prices: &'a Arc<PriceBook>,
    /// Counters.
    pub metrics: &'a Metrics,
    /// What was spent of the budgets.
    pub ledger: &'a LedgerHandle,
}

// === impl Targets ===

impl Targets {
    /// The targets of these deployments. One that was there before, and is the same, stays as it is; one that was changed
    /// keeps what was learned of it.
    ///
    /// Beside them, which deployments are not among them, by id, and why: a configured header or URL cannot be sent, of which
    /// the config's own checks leave little.
    ///
    /// # Errors
    /// [`SeedFailed`], when the books do not say what was spent of a budget.
    pub async fn after(
        before: &Self,
        deployments: &[DeploymentConfig],
        parts: TargetParts<'_>,
    ) -> Result<(Self, Vec<(String, String)>), SeedFailed> {
        let mut refused = Vec::new();
        let list = deployments
            .iter()
            .filter_map(|one| {
                let known = before.get(one.id.as_str());
                if let Some(same) = known.filter(|known| known.config == *one) {
                    return Some(Arc::clone(same));
                }
                match Target::build(one, parts.prices, parts.metrics) {
                    Ok(made) => {
                        if let Some(known) = known {
                            made.typical.take_over(&known.typical);
                        }
                        Some(Arc::new(made))
                    }
                    Err(err) => {
                        refused.push((one.id.clone(), format!("{err:#}")));
                        None
                    }
                }
            })
            .collect::<Vec<_>>();
        let caps = Caps::load(parts.ledger, caps(parts.router, &list), UnixMs::now()).await?;
        Ok((Self::of(list, caps), refused))
    }

    fn of(list: Vec<Arc<Target>>, caps: Caps) -> Self {
        let with_id = |target: &Arc<Target>| {
            let id = DeploymentId::new(target.config.id.as_str());
            (id, Arc::clone(target))
        };
        Self {
            by_id: list.iter().map(with_id).collect(),
            any_resumes: list.iter().any(|target| target.config.stream_resume),
            team_models: TeamModels::of(list.iter().map(|target| &target.config)),
            list,
            caps,
            pricing: AtomicU64::new(0),
        }
    }

    /// All of them: those of the config in its order, then those of the database.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.list.iter()
    }

    /// As configured.
    pub fn configs(&self) -> impl Iterator<Item = &DeploymentConfig> {
        self.list.iter().map(|target| &target.config)
    }

    /// The deployment of that id.
    pub fn get(&self, id: &str) -> Option<&Arc<Target>> {
        self.by_id.get(id)
    }

    /// The group that the caller means by that name, where its team has one.
    pub fn team_group(&self, identity: &Identity, name: &str) -> Option<&str> {
        self.team_models.group(identity, name)
    }

    /// Budgets of deployments and providers.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Whether a stream that broke off might be carried on by any of them.
    pub(super) fn any_resumes(&self) -> bool {
        self.any_resumes
    }

    /// Takes over the prices of deployments that were read anew, and answers for how many. Requests under way keep theirs; a
    /// deployment that is not among them, or not with the same parameters, keeps what it had.
    pub fn reprice(&self, read: &[DeploymentConfig], book: &Arc<PriceBook>) -> usize {
        let repriced = read
            .iter()
            .filter_map(|one| {
                self.get(one.id.as_str())?.reprice(one, book);
                Some(())
            })
            .count();
        // Behind the prices: who sees the new number sees them too.
        self.pricing.fetch_add(1, Ordering::Release);
        repriced
    }

    /// Another number whenever prices may have changed.
    pub(super) fn pricing(&self) -> u64 {
        self.pricing.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CliOverrides, Config, ConfigSource, MapEnv, load};

    fn config(window: u64) -> Config {
        let text = format!(
            "model_list:\n\
             - {{model_name: a, litellm_params: {{model: openai/tiny, api_key: k}}, model_info: {{id: fixed}}}}\n\
             - {{model_name: b/*, litellm_params: {{model: openai/*, api_key: k}}, model_info: {{id: any}}}}\n\
             trunkline: {{model_prices: {{openai/tiny: {{max_input_tokens: {window}, input_cost_per_token: 0.000001}}}}}}\n"
        );
        let source = ConfigSource::Text {
            name: "config.yaml",
            text: &text,
        };
        load(source, &CliOverrides::default(), &MapEnv::default()).unwrap()
    }

    #[test]
    fn how_much_a_model_takes_is_read_anew_with_its_price() {
        let before = config(14);
        let metrics = Metrics::new("test");
        let list = before.deployments.iter().map(|one| {
            let target = Target::build(one, &before.price_book, &metrics);
            Arc::new(target.unwrap())
        });
        let targets = Targets::of(list.collect(), Caps::default());
        let window = |id: &str| targets.get(id).unwrap().max_input_tokens("tiny");
        assert_eq!((window("fixed"), window("any")), (Some(14), Some(14)));
        let after = config(28);
        let repriced = targets.reprice(&after.deployments, &after.price_book);
        assert_eq!(repriced, 2);
        assert_eq!((window("fixed"), window("any")), (Some(28), Some(28)));
    }
}
