//! What the last check of each deployment found. As many entries as deployments are checked, whatever happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use trunkline_actors::clock::{Millis, UnixMs};

use crate::config::{DeploymentConfig, HealthSettings};

/// The last check of every deployment that is checked, by its id.
#[derive(Debug)]
pub struct CheckBoard {
    by_id: ArcSwap<ById>,
    /// Others are checked than before.
    changed: Notify,
    groups: Vec<String>,
    staleness: Duration,
}

type ById = HashMap<String, Arc<ArcSwapOption<Checked>>>;

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// When it ended, for decisions.
    pub at: Millis,
    /// The same, for people.
    pub at_unix: UnixMs,
    /// How long it took.
    pub took: Duration,
    /// `None`: the deployment is well.
    pub failure: Option<Failure>,
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Secrets cut out.
    pub message: String,
    /// Nothing follows from it: a 408 or 429, and the config says to ignore those.
    pub is_ignored: bool,
}

// === impl CheckBoard ===

impl CheckBoard {
    /// A board without deployments.
    pub fn new(settings: &HealthSettings) -> Self {
        Self {
            by_id: ArcSwap::default(),
            changed: Notify::new(),
            groups: settings.groups.clone(),
            staleness: settings.staleness,
        }
    }

    /// From now on these deployments are checked, but for those that are not to be. What was found of those that were there
    /// already stays.
    pub fn follow<'c>(&self, deployments: impl Iterator<Item = &'c DeploymentConfig>) {
        let before = self.by_id.load();
        let is_checked = |deployment: &&DeploymentConfig| {
            let in_group = self.groups.is_empty() || self.groups.contains(&deployment.model_name);
            in_group && !deployment.model_info.checks.off && !deployment.blocked
        };
        let checked = deployments.filter(is_checked).map(|deployment| {
            let known = before.get(&deployment.id).cloned();
            (deployment.id.clone(), known.unwrap_or_default())
        });
        self.by_id.store(Arc::new(checked.collect()));
        self.changed.notify_one();
    }

    /// Returns when others are checked than before. For one that waits.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Who is checked.
    pub fn ids(&self) -> Vec<String> {
        self.by_id.load().keys().cloned().collect()
    }

    /// The last check; `None` before the first, and for who is not checked.
    pub fn get(&self, id: &str) -> Option<Arc<Checked>> {
        self.by_id.load().get(id)?.load_full()
    }

    /// Whether a failed check of that deployment counts at `now`.
    pub fn is_unhealthy(&self, id: &str, now: Millis) -> bool {
        let last = self.get(id);
        last.and_then(|last| last.counts_until(self.staleness))
            .is_some_and(|until| now < until)
    }

    /// Until when that check counts against the deployment.
    pub(super) fn counts_until(&self, checked: &Checked) -> Option<Millis> {
        checked.counts_until(self.staleness)
    }

    /// Puts a check in the place of the one before, which is given back.
    pub(super) fn put(&self, id: &str, checked: Checked) -> Option<Arc<Checked>> {
        self.by_id.load().get(id)?.swap(Some(Arc::new(checked)))
    }
}

// === impl Checked ===

impl Checked {
    /// It failed, and that is not ignored.
    pub fn is_failed(&self) -> bool {
        matches!(&self.failure, Some(failure) if !failure.is_ignored)
    }

    fn counts_until(&self, staleness: Duration) -> Option<Millis> {
        self.is_failed().then(|| self.at.after(staleness))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CliOverrides, ConfigSource, MapEnv, load};

    fn board(settings: &str) -> CheckBoard {
        let text = format!(
            "model_list:
- {{model_name: a, litellm_params: {{model: openai/x, api_key: k}}, model_info: {{id: a1}}}}
- {{model_name: a, litellm_params: {{model: openai/x, api_key: k}}, model_info: {{id: a2, disable_background_health_check: true}}}}
- {{model_name: b, litellm_params: {{model: openai/x, api_key: k}}, model_info: {{id: b1}}}}
general_settings: {{{settings}}}
"
        );
        let source = ConfigSource::Text {
            name: "config.yaml",
            text: &text,
        };
        let config = load(source, &CliOverrides::default(), &MapEnv::default()).unwrap();
        let board = CheckBoard::new(&config.health);
        board.follow(config.deployments.iter());
        board
    }

    fn checked(at: u64, failure: Option<bool>) -> Checked {
        Checked {
            at: Millis(at),
            at_unix: UnixMs(0),
            took: Duration::ZERO,
            failure: failure.map(|is_ignored| Failure {
                message: "down".to_owned(),
                is_ignored,
            }),
        }
    }

    #[test]
    fn a_failed_check_counts_for_two_intervals_and_then_no_more() {
        let board = board("health_check_interval: 10");
        assert!(!board.is_unhealthy("b1", Millis(0)), "not checked yet");
        board.put("b1", checked(1_000, Some(false)));
        for (now, unhealthy) in [(1_000, true), (20_999, true), (21_000, false)] {
            assert_eq!(board.is_unhealthy("b1", Millis(now)), unhealthy, "{now}");
        }
        board.put("b1", checked(2_000, None));
        assert!(!board.is_unhealthy("b1", Millis(2_000)));
    }

    #[test]
    fn the_threshold_of_the_config_goes_before_the_interval() {
        let board = board("health_check_interval: 10, health_check_staleness_threshold: 1");
        board.put("b1", checked(0, Some(false)));
        assert!(board.is_unhealthy("b1", Millis(999)));
        assert!(!board.is_unhealthy("b1", Millis(1_000)));
    }

    #[test]
    fn what_is_ignored_is_told_and_counts_for_nothing() {
        let board = board("");
        board.put("b1", checked(0, Some(true)));
        assert!(!board.is_unhealthy("b1", Millis(0)));
        assert!(board.get("b1").unwrap().failure.is_some());
    }

    #[test]
    fn only_the_groups_that_are_named_are_checked_and_nobody_who_is_left_out() {
        let ids = |settings: &str| {
            let board = board(settings);
            let mut ids = board.ids();
            ids.sort();
            ids
        };
        assert_eq!(ids(""), ["a1", "b1"]);
        assert_eq!(ids("background_health_check_model_groups: [b]"), ["b1"]);
        let board = board("");
        assert_eq!(board.put("a2", checked(0, None)), None);
        assert_eq!(board.get("a2"), None);
    }
}
