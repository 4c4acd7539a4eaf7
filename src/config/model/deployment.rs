//! One entry of `model_list`, checked.

use serde_json::{Map, Value};
use url::Url;

use super::{Budget, ByError, PriceOverrides};
use crate::config::health::DeploymentChecks;
use crate::config::providers::{Dialect, Provider};
use crate::config::secret::Secret;

/// One entry of `model_list`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentConfig {
    /// `model_info.id`, else a SHA-256 (hex) over the name and every parameter as written, so that it is the same
    /// after a restart. Unique.
    pub id: String,
    /// The public model group; may be a pattern with `*`.
    pub model_name: String,
    /// Who serves it.
    pub provider: &'static Provider,
    /// The provider's name for the model, without our prefix; may hold one `*`.
    pub upstream_model: String,
    /// Sent as the provider's [`AuthScheme`](crate::config::AuthScheme) says; `None` for servers that take no key.
    pub api_key: Option<Secret>,
    /// Without a trailing slash in its path; `/chat/completions` and the like are appended.
    pub api_base: Url,
    /// Value of the `OpenAI-Organization` header.
    pub organization: Option<String>,
    /// Added to upstream requests, in this order. May hold secrets.
    pub extra_headers: Vec<(String, Secret)>,
    /// Members always merged into the upstream body.
    pub extra_body: Map<String, Value>,
    /// Members added to the upstream body only where the request has none: sampling defaults and every parameter
    /// that the gateway does not know.
    pub defaults: Map<String, Value>,
    /// Seconds for one attempt; above zero.
    pub timeout_secs: Option<f64>,
    /// As `timeout_secs`, for streams.
    pub stream_timeout_secs: Option<f64>,
    /// Share of the traffic within the group; zero or more.
    pub weight: Option<f64>,
    /// Requests in any minute; the weight when `weight` is absent.
    pub rpm: Option<u64>,
    /// Tokens in any minute; the weight when neither of the above is given.
    pub tpm: Option<u64>,
    /// Lower is tried first.
    pub order: Option<u32>,
    /// Requests at the same time; at least one.
    pub max_parallel_requests: Option<u32>,
    /// Seconds of pause after failures; overrides [`super::RouterSettings::cooldown_time`].
    pub cooldown_time_secs: Option<f64>,
    /// Retries after a failure of this deployment when the request names no number.
    pub num_retries: Option<u32>,
    /// Overrides [`super::RouterSettings::allowed_fails`].
    pub allowed_fails: Option<u32>,
    /// Overrides [`super::RouterSettings::allowed_fails_policy`].
    pub allowed_fails_policy: ByError,
    /// For tag routing.
    pub tags: Vec<String>,
    /// Paused: it is not asked.
    pub blocked: bool,
    /// It is one team's; `None` for everybody's.
    pub team: Option<TeamModel>,
    /// The id of the row of the database that it is of; `None` for an entry of the config.
    pub stored_as: Option<String>,
    /// What may be spent at it.
    pub budget: Option<Budget>,
    /// Its model continues a given assistant text: it may be asked for the rest of a stream that broke.
    pub stream_resume: bool,
    /// Overrides [`super::LitellmSettings::drop_params`].
    pub drop_params: Option<bool>,
    /// Body members always removed; names or paths such as `tools[*].function.strict`.
    pub additional_drop_params: Vec<String>,
    /// Body members forwarded even where the model is not known to take them.
    pub allowed_openai_params: Vec<String>,
    /// Its own prices, USD for each, and the operator's terms with the provider.
    pub prices: PriceOverrides,
    /// When present no upstream is called and this text is the answer.
    pub mock_response: Option<String>,
    /// Metadata.
    pub model_info: ModelInfo,
}

/// Whose a deployment is, and what they call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamModel {
    /// Its id.
    pub team_id: String,
    /// The name that the team's keys ask for.
    pub public_name: String,
}

impl TeamModel {
    /// The group of all that the team calls so, and nobody else's. As in LiteLLM no name that somebody would choose, and unlike
    /// there always the same.
    pub fn group(&self) -> String {
        // The id ends at the next underscore, whatever it is; nor is it a pattern.
        let escaped = [('%', "%25"), ('_', "%5F"), ('*', "%2A")];
        let team = escaped
            .iter()
            .fold(self.team_id.clone(), |id, (letter, code)| {
                id.replace(*letter, code)
            });
        format!("model_name_{team}_{}", self.public_name)
    }
}

impl DeploymentConfig {
    /// What those call it who may: a team has a name of its own for its model.
    pub fn public_name(&self) -> &str {
        let team = self.team.as_ref();
        team.map_or(&self.model_name, |team| &team.public_name)
    }

    /// The address of one endpoint: `path` (`/chat/completions`, `/messages`) below `api_base`, its query kept.
    ///
    /// Anthropic's base is written without the version, with it, or as the whole address of `/v1/messages`: all three
    /// are in use, and LiteLLM takes the first and the last.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.api_base.clone();
        let base = url.path().trim_end_matches('/');
        let whole = match self.provider.dialect {
            Dialect::Anthropic => {
                let base = base.strip_suffix("/messages").unwrap_or(base);
                let base = base.strip_suffix("/v1").unwrap_or(base);
                format!("{base}/v1{path}")
            }
            Dialect::OpenAi | Dialect::NotYet => format!("{base}{path}"),
        };
        url.set_path(&whole);
        url
    }
}

/// `model_info`: metadata of one deployment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInfo {
    /// `chat` when absent; unknown words are kept.
    pub mode: Option<String>,
    /// Set where `mode` speaks of routing; `mode` is then absent.
    pub routing_hint: Option<RoutingHint>,
    /// Name under which prices are looked up instead of the upstream model.
    pub base_model: Option<String>,
    /// Names usable in a key's `models`.
    pub access_groups: Vec<String>,
    /// Legacy: the output limit, or the input limit where no output limit is known.
    pub max_tokens: Option<u64>,
    /// Context window, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// `health_check_*` and the like.
    pub checks: DeploymentChecks,
    /// Everything else, as written.
    pub rest: Map<String, Value>,
}

/// What `model_info.mode` says of routing in the tutorial's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingHint {
    /// `mode: fallback`: those of a group are tried in the order of the file, unless `order` says otherwise.
    Fallback,
    /// `mode: loadbalance`: they share the traffic, as all do.
    LoadBalance,
}
