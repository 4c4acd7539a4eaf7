//! Where requests go: groups and their deployments, aliases, fallbacks, users.

use rust_decimal::Decimal;

use crate::config::model::{Config, DeploymentConfig, UserConfig};
use crate::cost::{Part, PriceBook};

/// What a loaded configuration serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// In the order of the file.
    pub deployments: Vec<DeploymentLine>,
    /// Other names of groups.
    pub aliases: Vec<AliasLine>,
    /// Who is asked when a group fails.
    pub fallbacks: Vec<FallbackLine>,
    /// `user_config`.
    pub users: Vec<UserLine>,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentLine {
    /// What clients write.
    pub group: String,
    /// `openai/gpt-4o`.
    pub model: String,
    /// Its address, or `mocked`.
    pub address: String,
    /// Whether a key is sent.
    pub key: bool,
    /// Whether its cost is known; of a wildcard nobody knows.
    pub priced: Option<bool>,
    /// Limits, weights and the like, as `name value`.
    pub settings: Vec<String>,
}

/// One alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasLine {
    /// The other name.
    pub alias: String,
    /// The group.
    pub group: String,
}

/// The fallbacks of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackLine {
    /// `fails`, `prompt too long`, `content refused`.
    pub when: &'static str,
    /// The group; `*` for every group without fallbacks of its own.
    pub group: String,
    /// Asked in this order.
    pub targets: Vec<String>,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserLine {
    /// Its id.
    pub id: String,
    /// Models and limits, as `name value`.
    pub settings: Vec<String>,
}

impl Models {
    /// What `config` serves.
    pub fn of(config: &Config) -> Self {
        let router = &config.router;
        let fallbacks = [
            ("fails", Some(&router.fallbacks)),
            ("prompt too long", router.context_window_fallbacks.as_ref()),
            ("content refused", router.content_policy_fallbacks.as_ref()),
        ];
        Self {
            deployments: config
                .deployments
                .iter()
                .map(|one| deployment(one, &config.price_book))
                .collect(),
            aliases: router
                .model_group_alias
                .iter()
                .map(|(alias, group)| AliasLine {
                    alias: alias.clone(),
                    group: group.clone(),
                })
                .collect(),
            fallbacks: fallbacks
                .into_iter()
                .flat_map(|(when, pairs)| {
                    pairs
                        .into_iter()
                        .flatten()
                        .map(move |(group, targets)| FallbackLine {
                            when,
                            group: group.clone(),
                            targets: targets.clone(),
                        })
                })
                .collect(),
            users: config.users.iter().map(user).collect(),
        }
    }
}

fn deployment(one: &DeploymentConfig, book: &PriceBook) -> DeploymentLine {
    let mut settings = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        settings.extend(value.map(|value| format!("{name} {value}")));
    };
    say("order", one.order.map(|value| value.to_string()));
    say("weight", one.weight.map(|value| value.to_string()));
    say("rpm", one.rpm.map(|value| value.to_string()));
    say("tpm", one.tpm.map(|value| value.to_string()));
    say(
        "parallel",
        one.max_parallel_requests.map(|value| value.to_string()),
    );
    say(
        "timeout",
        one.timeout_secs.map(|value| format!("{value} s")),
    );
    let price = one.price(book, &one.upstream_model).unwrap_or_default();
    if let (Some(input), Some(output)) = (price.of(Part::Input), price.of(Part::Output)) {
        let million = Decimal::from(1_000_000);
        say(
            "USD per million tokens",
            Some(format!(
                "{} in, {} out",
                (input * million).normalize(),
                (output * million).normalize()
            )),
        );
    }
    DeploymentLine {
        group: one.model_name.clone(),
        model: format!("{}/{}", one.provider.name, one.upstream_model),
        address: if one.mock_response.is_some() {
            "mocked".to_owned()
        } else {
            // A query may hold a key.
            let mut address = one.api_base.clone();
            address.set_query(None);
            address.to_string()
        },
        key: one.api_key.is_some(),
        priced: (!one.upstream_model.contains('*')).then(|| one.has_price(book)),
        settings,
    }
}

fn user(one: &UserConfig) -> UserLine {
    let mut settings = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        settings.extend(value.map(|value| format!("{name} {value}")));
    };
    say(
        "models",
        Some(if one.models.is_empty() {
            "all".to_owned()
        } else {
            one.models.join(", ")
        }),
    );
    say(
        "requests a minute",
        one.rpm_limit.map(|value| value.to_string()),
    );
    say(
        "tokens a minute",
        one.tpm_limit.map(|value| value.to_string()),
    );
    say(
        "budget",
        one.max_budget.map(|usd| match &one.budget_duration {
            Some(period) => format!("{usd} USD per {period}"),
            None => format!("{usd} USD"),
        }),
    );
    UserLine {
        id: one.user_id.clone(),
        settings,
    }
}
