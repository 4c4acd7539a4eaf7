//! How deployments are checked, and what follows from it: `general_settings`, some keys of which `router_settings` may
//! also hold, `trunkline.health_checks`, and the keys of `model_info`.

use std::time::Duration;

use super::error::NoticeKind;
use super::raw::{RawGeneral, RawInfo, RawRouter, RawTrunkline};
use super::report::Report;
use super::section::seconds_above_zero;
use super::settings::duration;
use super::suggest::nearest;
use super::validate::Placed;
use super::yaml::KeyPath;

/// LiteLLM's interval.
const INTERVAL: Duration = Duration::from_mins(5);
/// LiteLLM's limit of one check.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Enough for a gateway of any size, and no burst for anybody.
const CONCURRENCY: usize = 8;

/// Checks of all deployments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the file, each on its own"
)]
pub struct HealthSettings {
    /// Deployments are checked now and then. Default false.
    pub background: bool,
    /// Pause between two checks of one deployment. Default 300 s.
    pub interval: Duration,
    /// Checks at the same time; at least one. Default 8.
    pub concurrency: usize,
    /// Groups that are checked in the background; empty for all.
    pub groups: Vec<String>,
    /// How. Default [`CheckBy::Models`].
    pub by: CheckBy,
    /// Reports tell errors, addresses and times. Default true.
    pub details: bool,
    /// Routing passes over deployments whose check failed. Default false.
    pub routing: bool,
    /// How long a failed check counts. Default two intervals.
    pub staleness: Duration,
    /// Checks that end with 408 or 429 say nothing. Default false.
    pub ignore_transient: bool,
    /// `/v1/models` leaves out what is unhealthy. Default false.
    pub list_healthy_only: bool,
}

/// What a background check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckBy {
    /// Asks for the provider's list of models: network, server and key are proven, and no token is spent.
    #[default]
    Models,
    /// Calls the model with the shortest request.
    Call,
}

/// Checks of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentChecks {
    /// Not checked in the background. Default false.
    pub off: bool,
    /// The provider's name of the model that is called; `None`: the deployment's own.
    pub model: Option<String>,
    /// How long a check may take. Default 60 s.
    pub timeout: Duration,
    /// Longest answer of a check that calls.
    pub max_tokens: Option<u32>,
}

/// The settings of all.
pub(super) fn health(
    general: &RawGeneral,
    router: &RawRouter,
    own: &RawTrunkline,
    deployments: &[Placed],
    report: &mut Report<'_>,
) -> HealthSettings {
    let here = KeyPath::of(&["general_settings"]);
    let staleness = "health_check_staleness_threshold";
    for (path, value) in [
        (
            here.key("health_check_interval"),
            general.health_check_interval,
        ),
        (
            here.key(staleness),
            general.health_check_staleness_threshold,
        ),
        (
            KeyPath::of(&["router_settings", staleness]),
            router.health_check_staleness_threshold,
        ),
    ] {
        seconds_above_zero(value, &path, report);
    }
    if general.health_check_concurrency == Some(0) {
        report.problem(
            &here.key("health_check_concurrency"),
            "would check nothing",
            "write 1 or more, or remove the key",
        );
    }
    groups(general, &here, deployments, report);
    let interval = general
        .health_check_interval
        .and_then(duration)
        .unwrap_or(INTERVAL);
    let or = |router: Option<bool>, general: Option<bool>| router.or(general).unwrap_or(false);
    HealthSettings {
        background: general.background_health_checks.unwrap_or(false),
        interval,
        concurrency: general
            .health_check_concurrency
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(CONCURRENCY),
        groups: general.background_health_check_model_groups.clone(),
        by: check_by(own, report),
        details: general.health_check_details.unwrap_or(true),
        routing: or(
            router.enable_health_check_routing,
            general.enable_health_check_routing,
        ),
        staleness: router
            .health_check_staleness_threshold
            .or(general.health_check_staleness_threshold)
            .and_then(duration)
            .unwrap_or(interval.saturating_mul(2)),
        ignore_transient: or(
            router.health_check_ignore_transient_errors,
            general.health_check_ignore_transient_errors,
        ),
        list_healthy_only: general.model_list_healthy_only.unwrap_or(false),
    }
}

/// A name that no group has would check nobody.
fn groups(general: &RawGeneral, here: &KeyPath, deployments: &[Placed], report: &mut Report<'_>) {
    let path = here.key("background_health_check_model_groups");
    let names = || {
        deployments
            .iter()
            .map(|(_, known)| known.model_name.as_str())
    };
    let asked_for = general.background_health_check_model_groups.iter();
    for (index, group) in asked_for.enumerate() {
        if names().any(|name| name == group) {
            continue;
        }
        let message = match nearest(group, names()) {
            Some(meant) => format!("no model group is called `{group}`; did you mean `{meant}`?"),
            None => format!("no model group is called `{group}`: nothing is checked for it"),
        };
        report.notice(NoticeKind::Weak, &path.index(index), message);
    }
}

fn check_by(own: &RawTrunkline, report: &mut Report<'_>) -> CheckBy {
    match own.health_checks.as_deref().map(str::trim) {
        None | Some("models") => CheckBy::Models,
        Some("call") => CheckBy::Call,
        Some(other) => {
            report.problem(
                &KeyPath::of(&["trunkline", "health_checks"]),
                format!("`{other}` is no way to check"),
                "write `models` or `call`",
            );
            CheckBy::Models
        }
    }
}

/// The settings of one, of a provider by that name.
pub(super) fn of_deployment(raw: &RawInfo, provider: &str) -> DeploymentChecks {
    let model = raw.health_check_model.as_deref().map(str::trim);
    let own_name = |model: &str| {
        let prefixed = model.strip_prefix(provider);
        let bare = prefixed.and_then(|rest| rest.strip_prefix('/'));
        bare.unwrap_or(model).to_owned()
    };
    DeploymentChecks {
        off: raw.disable_background_health_check.unwrap_or(false),
        model: model.filter(|model| !model.is_empty()).map(own_name),
        timeout: raw
            .health_check_timeout
            .and_then(duration)
            .unwrap_or(TIMEOUT),
        max_tokens: raw.health_check_max_tokens,
    }
}

// === impl DeploymentChecks ===

impl Default for DeploymentChecks {
    fn default() -> Self {
        Self {
            off: false,
            model: None,
            timeout: TIMEOUT,
            max_tokens: None,
        }
    }
}

// === impl CheckBy ===

impl CheckBy {
    /// Its name in a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Call => "call",
        }
    }
}
