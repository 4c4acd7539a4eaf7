//! The typed, checked and frozen configuration: what the rest of the program reads.
//!
//! Nothing here parses. [`super::load()`] makes a [`Config`] or says everything that is wrong; afterwards no field needs
//! a second check. Units stand in the names; a bare number is a count.

mod deployment;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::config::database_url::DatabaseUrl;
use crate::config::entry::Entries;
use crate::config::error::Notice;
use crate::config::health::HealthSettings;
use crate::config::jwt::JwtSettings;
use crate::config::redis::RedisSettings;
use crate::config::routing::StrategyArgs;
use crate::config::secret::Secret;
use crate::config::sharing::SharingSettings;
use crate::config::shown::ShownSettings;
use crate::config::sign_in::SignInSettings;
use crate::cost::{Price, PriceBook};

pub use self::deployment::{DeploymentConfig, ModelInfo, RoutingHint, TeamModel};
pub use self::server::{
    ClientGone, DrainBounds, Fsync, JournalSettings, QueueSettings, Receipts, ServerSettings,
    Timeouts, TranscriptSettings, WhenFull,
};

/// Prices that the operator set for one deployment; an absent part falls back to the price book.
pub type PriceOverrides = Price;

/// A whole, valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Each with its own id, in the order of the file; at least one, unless others may be stored in the database.
    pub deployments: Vec<DeploymentConfig>,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// `router_settings`, completed from `litellm_settings`.
    pub router: RouterSettings,
    /// How callers share what a model group grants; `None`: nobody is held to a share.
    pub sharing: Option<SharingSettings>,
    /// `litellm_settings`.
    pub litellm: LitellmSettings,
    /// The process itself: address, workers, sizes, timers.
    pub server: ServerSettings,
    /// Budgets of callers.
    pub budgets: BudgetSettings,
    /// `user_config`: users that there must be, each id once.
    pub users: Vec<UserConfig>,
    /// Where limits, budgets and cooldowns are shared with other replicas.
    pub redis: Option<RedisSettings>,
    /// The response cache; not acted on yet.
    pub cache: Option<CacheSettings>,
    /// How what is asked and answered is kept. Default: not at all.
    pub transcripts: Option<TranscriptSettings>,
    /// Whose tokens are believed. Default: nobody's.
    pub jwt: Option<JwtSettings>,
    /// How people sign in.
    pub sign_in: SignInSettings,
    /// How deployments are checked.
    pub health: HealthSettings,
    /// `logging`: where requests are to be reported; not acted on yet.
    pub log_exports: Vec<LogExport>,
    /// Entries of `model_list` as written that name a credential which the file does not have: they are served when the
    /// database has it. Only where deployments are stored there.
    pub waiting: Vec<Value>,
    /// The settings as written, without secrets.
    pub shown: ShownSettings,
    /// Reads entries of `model_list` that are stored in the database.
    pub entries: Entries,
    /// The price list, with the operator's own entries.
    pub price_book: Arc<PriceBook>,
    /// What the operator should know: keys without effect, skipped deployments, weak keys. To be logged once at start.
    pub warnings: Vec<Notice>,
}

/// One user of `user_config`. What it may spend, use and ask counts for all its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserConfig {
    /// Not empty; unique in the file.
    pub user_id: String,
    /// Address, as written.
    pub email: Option<String>,
    /// LiteLLM's role name: `proxy_admin`, `proxy_admin_viewer`, `internal_user` or `internal_user_viewer`.
    pub role: String,
    /// Models that the user's keys may use; empty for all.
    pub models: Vec<String>,
    /// Requests a minute.
    pub rpm_limit: Option<u64>,
    /// Tokens a minute.
    pub tpm_limit: Option<u64>,
    /// USD, zero or more.
    pub max_budget: Option<Decimal>,
    /// A number and one of `s`, `m`, `h`, `d`, `w`, `mo`: `30d`.
    pub budget_duration: Option<String>,
}

/// `litellm_settings.cache`, `cache_params`, `cache_ttl`, and `cache_settings`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheSettings {
    /// `local`, `redis`, `redis-semantic`, …; default `redis`, with a similarity `redis-semantic`.
    pub kind: String,
    /// Host of the cache.
    pub host: Option<String>,
    /// Port of the cache.
    pub port: Option<u16>,
    /// Absent for none.
    pub password: Option<Secret>,
    /// Seconds that an entry lives; above zero.
    pub ttl_secs: Option<f64>,
    /// 0 to 1: how alike two prompts must be.
    pub similarity_threshold: Option<f64>,
}

/// One entry of `logging`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogExport {
    /// `datadog`, `sentry`, `langsmith`, …
    pub kind: String,
    /// Further keys as written; they hold credentials.
    pub settings: Vec<(String, Secret)>,
}

/// `general_settings`.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the config, and none depends on another"
)]
pub struct GeneralSettings {
    /// `None`: the gateway binds to loopback only and asks for no key.
    pub master_key: Option<Secret>,
    /// Always present: the default is `trunkline.db` in the data directory.
    pub database_url: DatabaseUrl,
    /// The most connections to a database server. Default: the URL's `connection_limit`, else 10.
    pub database_connection_pool_limit: Option<u32>,
    /// How long a connection to a database server is waited for. Default: the URL's `pool_timeout`, else 10 s.
    pub database_connection_timeout: Option<Duration>,
    /// Deployments, credentials and settings are stored in the database too, and changed while the gateway runs. Default false.
    pub store_model_in_db: bool,
    /// Addresses and networks that callers may be at; empty is everywhere.
    pub allowed_ips: Vec<String>,
    /// What stored secrets are encrypted with. Default: the master key.
    pub salt_key: Option<Secret>,
    /// Parallel requests for keys that name no limit of their own.
    pub max_parallel_requests: Option<u32>,
    /// How long a known key is believed before it is read again. Default 60 s.
    pub user_api_key_cache_ttl: Duration,
    /// Header that is read as a key besides the standard ones.
    pub litellm_key_header_name: Option<String>,
    /// Header that carries the end user's id.
    pub user_header_name: Option<String>,
    /// Sends the usage chunk of a stream although the client did not ask. Default false.
    pub always_include_stream_usage: bool,
    /// `dangerously_allow_mock_testing_request_params`: `mock_testing_*` in bodies is acted on. Default false.
    pub allow_mock_testing: bool,
    /// `fail_closed_rate_limit_enforcement`: 503 while the shared limits cannot be reached. Default false.
    pub fail_closed_limits: bool,
    /// `token_rate_limit_type`: which tokens limits of tokens count. Default: all.
    pub counted_tokens: CountedTokens,
    /// Requests a minute of all callers together.
    pub global_max_rpm: Option<u64>,
    /// Tokens a minute of all callers together.
    pub global_max_tpm: Option<u64>,
    /// Requests of all callers at the same time.
    pub global_max_parallel_requests: Option<u32>,
    /// How long rows of the books are kept, a day at least. Default: for ever.
    pub spend_retention: Option<Duration>,
    /// From one look for what is old to the next. Default a day.
    pub retention_interval: Duration,
    /// How long a former secret works where nobody says it. Default: not at all.
    pub rotation_grace: Option<Duration>,
    /// From one look for keys that are to be regenerated to the next. Default an hour.
    pub rotation_interval: Duration,
    /// Log level word, lower case: `error`, `warn`, `info`, `debug` or `trace`. Default `info`.
    pub log_level: String,
}

/// `router_settings`, with the values that `litellm_settings` may also hold already merged.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the config, and none depends on another"
)]
pub struct RouterSettings {
    /// Retries after the first attempt. Default 2.
    pub num_retries: u32,
    /// Shortest pause before a retry. Default zero.
    pub retry_after: Duration,
    /// One attempt, unless the deployment says otherwise.
    pub timeout: Option<Duration>,
    /// One streamed attempt.
    pub stream_timeout: Option<Duration>,
    /// Group → groups tried after it, in order. `*` stands for every group without an entry.
    pub fallbacks: Vec<(String, Vec<String>)>,
    /// Used instead of `fallbacks` when the context window was exceeded.
    pub context_window_fallbacks: Option<Vec<(String, Vec<String>)>>,
    /// Used instead of `fallbacks` when the provider refused the content.
    pub content_policy_fallbacks: Option<Vec<(String, Vec<String>)>>,
    /// `default_fallbacks`; already appended to `fallbacks` as its `*` entry, kept for display.
    pub default_fallbacks: Vec<String>,
    /// Fallback groups tried at most. Default 5.
    pub max_fallbacks: u32,
    /// Failures in a minute before a deployment pauses; `None` = the rule by error rate.
    pub allowed_fails: Option<u32>,
    /// Pause of a failing deployment. Default 5 s.
    pub cooldown_time: Duration,
    /// Never pauses a deployment. Default false.
    pub disable_cooldowns: bool,
    /// Alias → group.
    pub model_group_alias: Vec<(String, String)>,
    /// The aliases among them that are to be left out of lists; not acted on yet.
    pub hidden_aliases: Vec<String>,
    /// How a deployment is picked.
    pub routing_strategy: RoutingStrategy,
    /// `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// Retries by class of error, instead of `num_retries`.
    pub retry_policy: ByError,
    /// The same by group, before it.
    pub model_group_retry_policy: Vec<(String, ByError)>,
    /// `allowed_fails` by class of error.
    pub allowed_fails_policy: ByError,
    /// A request's tags decide which deployments may answer. Default false.
    pub enable_tag_filtering: bool,
    /// A prompt goes only to deployments whose context window it fits into. Default false.
    pub enable_pre_call_checks: bool,
    /// One tag in common is enough. Default true.
    pub tag_filtering_match_any: bool,
    /// `max_parallel_requests` of deployments without their own.
    pub default_max_parallel_requests: Option<u32>,
    /// What may be spent at each provider, by its name.
    pub provider_budgets: Vec<(String, Budget)>,
}

/// What may be spent in each of the windows that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// USD, zero or more.
    pub limit: Decimal,
    /// The window's length, a month being 30 days; `None`: one that never ends.
    pub period: Option<Duration>,
    /// The same as written: `30d`, `monthly`.
    pub written_period: Option<String>,
}

/// Budgets of callers, and when their windows begin.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetSettings {
    /// Of all callers together, but the master key.
    pub global: Option<Budget>,
    /// Of each internal user that has none of its own.
    pub default_user: Option<Budget>,
    /// Of each customer that has none of its own.
    pub default_end_user: Option<Budget>,
    /// The same, by the id of a stored budget; wins.
    pub default_end_user_id: Option<String>,
    /// Of tags.
    pub tags: BTreeMap<String, Budget>,
    /// A user's budget counts for keys of a team too. Default false.
    pub users_on_team_keys: bool,
    /// What was spent beyond a limit counts in the next window. Default false.
    pub carries_over: bool,
    /// Status where a budget is used up. Default 422.
    pub exceeded_status: u16,
    /// Where days, weeks and months begin. Default UTC.
    pub zone: TimeZone,
    /// When they begin. Default midnight.
    pub day_begins: Time,
}

/// `routing_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoutingStrategy {
    /// At random, by weight.
    #[default]
    SimpleShuffle,
    /// The fewest requests in flight.
    LeastBusy,
    /// The quickest.
    LatencyBased,
    /// The fewest tokens of the last minute.
    UsageBased,
    /// The most head-room in `rpm` and `tpm`.
    UsageBasedV2,
    /// The cheapest.
    CostBased,
    /// The less loaded of two at random; not LiteLLM's.
    PowerOfTwoChoices,
}

/// A number for some classes of error: LiteLLM's `RetryPolicy` and `AllowedFailsPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByError {
    /// `BadRequestError…`.
    pub bad_request: Option<u32>,
    /// `AuthenticationError…`.
    pub authentication: Option<u32>,
    /// `TimeoutError…`.
    pub timeout: Option<u32>,
    /// `RateLimitError…`.
    pub rate_limit: Option<u32>,
    /// `ContentPolicyViolationError…`.
    pub content_policy: Option<u32>,
    /// `InternalServerError…`.
    pub internal_server: Option<u32>,
}

/// `litellm_settings`, as far as it is acted on.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the file, each on its own"
)]
pub struct LitellmSettings {
    /// Removes parameters that a model does not take instead of refusing the request. Default false.
    pub drop_params: bool,
    /// Seconds for one attempt; above zero.
    pub request_timeout_secs: Option<f64>,
    /// `/metrics` asks for a key. Default false: scrapers of the tutorial send none.
    pub require_auth_for_metrics_endpoint: bool,
    /// Refuses requests for models whose price is not known. Default false.
    pub block_requests_for_models_without_pricing: bool,
    /// The usage chunk of a stream says what the answer cost. Default true.
    pub include_cost_in_streaming_usage: bool,
    /// False: no spend is to be written; not acted on yet. Default true.
    pub cost_tracking: bool,
}

/// Which tokens of a request limits of tokens count. What a provider reads from its cache counts for none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CountedTokens {
    /// Prompt and completion.
    #[default]
    Total,
    /// The prompt.
    Input,
    /// The completion.
    Output,
}

impl CountedTokens {
    /// How many of these count.
    pub fn of(self, input: u64, output: u64) -> u64 {
        match self {
            Self::Total => input.saturating_add(output),
            Self::Input => input,
            Self::Output => output,
        }
    }
}
