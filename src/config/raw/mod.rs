//! The shape of the file: every key that is acted on, as it may be written. No defaults and no checks here; those
//! are [`super::settings`] and [`super::deployment`].

mod jwt;
mod texts;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub(super) use self::jwt::{RawIssuer, RawJwt, RawRolePermissions};
pub(super) use self::texts::{MockResponse, ModelRef, OneOrMany};

/// The keys of one `model_list` entry beside `litellm_params` and `model_info`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEntry {
    pub(super) model_name: Option<String>,
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
}

/// `litellm_params`. What is not here is a body default, but for `extra_body`, which is kept as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawParams {
    pub(super) model: Option<String>,
    pub(super) custom_llm_provider: Option<String>,
    pub(super) api_key: Option<String>,
    pub(super) api_base: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) organization: OneOrMany,
    pub(super) extra_headers: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) timeout: Option<f64>,
    pub(super) stream_timeout: Option<f64>,
    pub(super) weight: Option<f64>,
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
    pub(super) order: Option<u32>,
    pub(super) max_parallel_requests: Option<u32>,
    pub(super) cooldown_time: Option<f64>,
    pub(super) num_retries: Option<u32>,
    pub(super) tags: Vec<String>,
    /// Source text: money never passes through a float.
    pub(super) max_budget: Option<String>,
    pub(super) budget_duration: Option<String>,
    pub(super) drop_params: Option<bool>,
    pub(super) stream_resume: Option<String>,
    pub(super) additional_drop_params: Vec<String>,
    pub(super) allowed_openai_params: Vec<String>,
    pub(super) base_model: Option<String>,
    pub(super) mock_response: MockResponse,
}

/// `model_info`. What is not here is kept in `rest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawInfo {
    pub(super) id: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) base_model: Option<String>,
    pub(super) access_groups: Vec<String>,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_input_tokens: Option<u64>,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) cooldown_time: Option<f64>,
    pub(super) allowed_fails: Option<u32>,
    pub(super) allowed_fails_policy: RawAllowedFails,
    pub(super) blocked: Option<bool>,
    pub(super) team_id: Option<String>,
    pub(super) team_public_model_name: Option<String>,
    pub(super) disable_background_health_check: Option<bool>,
    pub(super) health_check_model: Option<String>,
    pub(super) health_check_timeout: Option<f64>,
    pub(super) health_check_max_tokens: Option<u32>,
}

/// `general_settings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawGeneral {
    pub(super) master_key: Option<String>,
    pub(super) database_url: Option<String>,
    pub(super) apply_user_budget_to_team_keys: Option<bool>,
    pub(super) database_connection_pool_limit: Option<u32>,
    pub(super) database_connection_timeout: Option<f64>,
    pub(super) store_model_in_db: Option<bool>,
    pub(super) allowed_ips: Option<Vec<String>>,
    pub(super) max_parallel_requests: Option<u32>,
    pub(super) user_api_key_cache_ttl: Option<f64>,
    #[serde(alias = "custom_key_header")]
    pub(super) litellm_key_header_name: Option<String>,
    pub(super) user_header_name: Option<String>,
    pub(super) always_include_stream_usage: Option<bool>,
    pub(super) cancel_on_disconnect: Option<bool>,
    pub(super) enable_jwt_auth: Option<bool>,
    pub(super) litellm_jwtauth: RawJwt,
    pub(super) role_permissions: Vec<RawRolePermissions>,
    pub(super) dangerously_allow_mock_testing_request_params: Option<bool>,
    pub(super) log_level: Option<String>,
    pub(super) store_prompts_in_spend_logs: Option<bool>,
    pub(super) maximum_spend_logs_retention_period: Option<String>,
    pub(super) maximum_spend_logs_retention_interval: Option<String>,
    pub(super) fail_closed_rate_limit_enforcement: Option<bool>,
    pub(super) coordination_redis: Option<RawRedis>,
    pub(super) token_rate_limit_type: Option<String>,
    pub(super) global_max_rpm: Option<u64>,
    pub(super) global_max_tpm: Option<u64>,
    pub(super) global_max_parallel_requests: Option<u32>,
    pub(super) background_health_checks: Option<bool>,
    pub(super) background_health_check_model_groups: Vec<String>,
    pub(super) health_check_interval: Option<f64>,
    pub(super) health_check_details: Option<bool>,
    pub(super) health_check_concurrency: Option<u32>,
    pub(super) health_check_staleness_threshold: Option<f64>,
    pub(super) health_check_ignore_transient_errors: Option<bool>,
    pub(super) enable_health_check_routing: Option<bool>,
    pub(super) model_list_healthy_only: Option<bool>,
}

/// `general_settings.coordination_redis`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct RawRedis {
    pub(super) url: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: Option<u32>,
    pub(super) ssl: Option<bool>,
    pub(super) ssl_cert_reqs: Option<String>,
    pub(super) ssl_ca_certs: Option<String>,
    pub(super) ssl_certfile: Option<String>,
    pub(super) ssl_keyfile: Option<String>,
    pub(super) startup_nodes: Option<Value>,
    pub(super) sentinel_nodes: Option<Value>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) service_name: Option<String>,
}

/// `litellm_settings.default_internal_user_params`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawNewUsers {
    pub(super) user_role: Option<String>,
    pub(super) max_budget: Option<String>,
    pub(super) budget_duration: Option<String>,
    pub(super) models: Vec<String>,
}

/// The keys that both `router_settings` and `litellm_settings` may hold; the former wins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRouter {
    pub(super) num_retries: Option<u32>,
    pub(super) retry_after: Option<f64>,
    pub(super) timeout: Option<f64>,
    pub(super) stream_timeout: Option<f64>,
    pub(super) fallbacks: Option<Vec<BTreeMap<String, Vec<ModelRef>>>>,
    pub(super) context_window_fallbacks: Option<Vec<BTreeMap<String, Vec<ModelRef>>>>,
    pub(super) content_policy_fallbacks: Option<Vec<BTreeMap<String, Vec<ModelRef>>>>,
    pub(super) default_fallbacks: Option<Vec<String>>,
    pub(super) max_fallbacks: Option<u32>,
    pub(super) allowed_fails: Option<u32>,
    pub(super) cooldown_time: Option<f64>,
    pub(super) disable_cooldowns: Option<bool>,
    #[serde(alias = "model_group_alias_map")]
    pub(super) model_group_alias: BTreeMap<String, ModelRef>,
    pub(super) routing_strategy: Option<String>,
    pub(super) routing_strategy_args: RawStrategyArgs,
    pub(super) retry_policy: RawRetries,
    pub(super) model_group_retry_policy: BTreeMap<String, RawRetries>,
    pub(super) allowed_fails_policy: RawAllowedFails,
    pub(super) enable_tag_filtering: Option<bool>,
    pub(super) tag_filtering_match_any: Option<bool>,
    #[serde(alias = "enable_pre_call_check")]
    pub(super) enable_pre_call_checks: Option<bool>,
    pub(super) default_max_parallel_requests: Option<u32>,
    pub(super) provider_budget_config: BTreeMap<String, RawProviderBudget>,
    pub(super) redis_url: Option<String>,
    pub(super) redis_host: Option<String>,
    pub(super) redis_port: Option<u16>,
    pub(super) redis_username: Option<String>,
    pub(super) redis_password: Option<String>,
    pub(super) redis_db: Option<u32>,
    pub(super) redis_ssl: Option<bool>,
    pub(super) redis_ssl_cert_reqs: Option<String>,
    pub(super) redis_ssl_ca_certs: Option<String>,
    pub(super) redis_ssl_certfile: Option<String>,
    pub(super) redis_ssl_keyfile: Option<String>,
    pub(super) redis_startup_nodes: Option<Value>,
    pub(super) redis_sentinel_nodes: Option<Value>,
    pub(super) redis_sentinel_username: Option<String>,
    pub(super) redis_sentinel_password: Option<String>,
    pub(super) redis_service_name: Option<String>,
    pub(super) enable_health_check_routing: Option<bool>,
    pub(super) health_check_staleness_threshold: Option<f64>,
    pub(super) health_check_ignore_transient_errors: Option<bool>,
}

/// One entry of `provider_budget_config`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawProviderBudget {
    #[serde(alias = "max_budget")]
    pub(super) budget_limit: Option<String>,
    #[serde(alias = "budget_duration")]
    pub(super) time_period: Option<String>,
}

/// `routing_strategy_args`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawStrategyArgs {
    pub(super) ttl: Option<f64>,
    pub(super) lowest_latency_buffer: Option<f64>,
}

/// `retry_policy`, and each entry of `model_group_retry_policy`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRetries {
    #[serde(rename = "BadRequestErrorRetries")]
    pub(super) bad_request: Option<u32>,
    #[serde(rename = "AuthenticationErrorRetries")]
    pub(super) authentication: Option<u32>,
    #[serde(rename = "TimeoutErrorRetries")]
    pub(super) timeout: Option<u32>,
    #[serde(rename = "RateLimitErrorRetries")]
    pub(super) rate_limit: Option<u32>,
    #[serde(rename = "ContentPolicyViolationErrorRetries")]
    pub(super) content_policy: Option<u32>,
    #[serde(rename = "InternalServerErrorRetries")]
    pub(super) internal_server: Option<u32>,
}

/// `allowed_fails_policy`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAllowedFails {
    #[serde(rename = "BadRequestErrorAllowedFails")]
    pub(super) bad_request: Option<u32>,
    #[serde(rename = "AuthenticationErrorAllowedFails")]
    pub(super) authentication: Option<u32>,
    #[serde(rename = "TimeoutErrorAllowedFails")]
    pub(super) timeout: Option<u32>,
    #[serde(rename = "RateLimitErrorAllowedFails")]
    pub(super) rate_limit: Option<u32>,
    #[serde(rename = "ContentPolicyViolationErrorAllowedFails")]
    pub(super) content_policy: Option<u32>,
    #[serde(rename = "InternalServerErrorAllowedFails")]
    pub(super) internal_server: Option<u32>,
}

/// `litellm_settings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLitellm {
    pub(super) drop_params: Option<bool>,
    pub(super) request_timeout: Option<f64>,
    pub(super) require_auth_for_metrics_endpoint: Option<bool>,
    pub(super) block_requests_for_models_without_pricing: Option<bool>,
    pub(super) include_cost_in_streaming_usage: Option<bool>,
    pub(super) turn_off_message_logging: Option<bool>,
    /// Source text: money never passes through a float.
    pub(super) max_budget: Option<String>,
    pub(super) budget_duration: Option<String>,
    pub(super) budget_exceeded_status_code: Option<u16>,
    pub(super) budget_rollover: Option<bool>,
    pub(super) timezone: Option<String>,
    pub(super) budget_reset_time: Option<String>,
    pub(super) default_internal_user_params: RawNewUsers,
    pub(super) max_internal_user_budget: Option<String>,
    pub(super) internal_user_budget_duration: Option<String>,
    pub(super) max_end_user_budget: Option<String>,
    pub(super) max_end_user_budget_id: Option<String>,
    pub(super) tag_budget_config: BTreeMap<String, RawProviderBudget>,
    pub(super) num_retries: Option<u32>,
    pub(super) allowed_fails: Option<u32>,
    pub(super) cooldown_time: Option<f64>,
    pub(super) fallbacks: Option<Vec<BTreeMap<String, Vec<ModelRef>>>>,
    pub(super) context_window_fallbacks: Option<Vec<BTreeMap<String, Vec<ModelRef>>>>,
    pub(super) content_policy_fallbacks: Option<Vec<BTreeMap<String, Vec<ModelRef>>>>,
    pub(super) default_fallbacks: Option<Vec<String>>,
    pub(super) max_fallbacks: Option<u32>,
    #[serde(alias = "model_group_alias_map")]
    pub(super) model_alias_map: BTreeMap<String, ModelRef>,
    pub(super) cost_tracking: Option<bool>,
    pub(super) cache: Option<bool>,
    pub(super) cache_ttl: Option<f64>,
    pub(super) cache_params: RawCache,
}

/// `litellm_settings.cache_params`, and `cache_settings` of the tutorial.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCache {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) password: Option<String>,
    pub(super) ttl: Option<f64>,
    pub(super) similarity_threshold: Option<f64>,
}

/// `rate_limit_config` of the tutorial.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRateLimits {
    pub(super) redis_url: Option<String>,
    pub(super) redis_host: Option<String>,
    pub(super) redis_port: Option<u16>,
    pub(super) redis_password: Option<String>,
    pub(super) redis_db: Option<u32>,
}

/// One entry of `user_config` of the tutorial.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUser {
    pub(super) user_id: Option<String>,
    pub(super) user_email: Option<String>,
    pub(super) user_role: Option<String>,
    pub(super) models: Vec<String>,
    /// Source text: money never passes through a float.
    pub(super) max_budget: Option<String>,
    pub(super) budget_duration: Option<String>,
    pub(super) rpm_limit: Option<u64>,
    pub(super) tpm_limit: Option<u64>,
}

/// One entry of `logging` of the tutorial; the rest is settings of that service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLogging {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// `trunkline`: our own settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTrunkline {
    pub(super) data_dir: Option<String>,
    pub(super) workers: Option<u32>,
    pub(super) max_body_bytes: Option<u64>,
    pub(super) shutdown_timeout_secs: Option<f64>,
    pub(super) stale_keys_secs: Option<f64>,
    pub(super) timeouts: RawTimeouts,
    pub(super) model_prices_file: Option<String>,
    pub(super) client_gone: RawClientGone,
    pub(super) receipts: RawReceipts,
    pub(super) journal: RawJournal,
    pub(super) transcripts: RawTranscripts,
    pub(super) health_checks: Option<String>,
    pub(super) fleet: RawFleet,
    pub(super) queue: RawQueue,
}

/// `trunkline.fleet`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawFleet {
    pub(super) namespace: Option<String>,
    pub(super) deadline_secs: Option<f64>,
}

/// `trunkline.queue`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawQueue {
    pub(super) max_wait_secs: Option<f64>,
    pub(super) max_waiting: Option<u32>,
    pub(super) max_waiting_per_subject: Option<u32>,
}

/// `trunkline.client_gone`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawClientGone {
    pub(super) policy: Option<String>,
    pub(super) drain_secs: Option<f64>,
    pub(super) drain_bytes: Option<u64>,
    pub(super) drain_requests: Option<u32>,
}

/// `trunkline.receipts`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawReceipts {
    pub(super) headers: Option<bool>,
    pub(super) stream_comment: Option<bool>,
}

/// `trunkline.journal`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawJournal {
    pub(super) fsync: Option<String>,
    pub(super) fsync_interval_secs: Option<f64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) when_full: Option<String>,
}

/// `trunkline.transcripts`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTranscripts {
    pub(super) retention: Option<String>,
    pub(super) max_text_chars: Option<u64>,
    pub(super) max_body_bytes: Option<u64>,
    pub(super) buffer_bytes: Option<u64>,
}

/// `trunkline.timeouts`, in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTimeouts {
    pub(super) connect: Option<f64>,
    pub(super) first_byte: Option<f64>,
    pub(super) first_content: Option<f64>,
    pub(super) idle: Option<f64>,
    pub(super) total: Option<f64>,
    pub(super) request: Option<f64>,
    pub(super) header_wait: Option<f64>,
}
