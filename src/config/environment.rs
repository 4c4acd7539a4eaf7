//! The configuration without a `model_list`: every provider whose key is in the environment, by wildcard, and a model
//! that needs no provider at all.

use serde_json::Map;

use super::connection::{self, Connection};
use super::deployment::stable_id;
use super::env::Env;
use super::model::{ByError, DeploymentConfig, ModelInfo};
use super::providers::{Provider, bare_patterns};
use super::report::Report;
use super::targets::with_key;
use crate::cost::Price;

/// The group that always answers.
pub const DEMO_MODEL: &str = "demo";
const DEMO_ANSWER: &str = "Hello from Trunkline. This answer comes from the built-in `demo` model, which calls no \
                           provider; set OPENAI_API_KEY or write a config file to reach a real one.";

/// `openai/*` and the like for each provider with a key, the bare names that can only be that provider's (`gpt-*`),
/// and [`DEMO_MODEL`].
pub(super) fn deployments(env: &dyn Env, report: &mut Report<'_>) -> Vec<DeploymentConfig> {
    let mut deployments = Vec::new();
    for provider in with_key(env) {
        let Some(connection) = connection::from_environment(provider, env, report) else {
            continue;
        };
        deployments.push(deployment(
            provider,
            &connection,
            format!("{}/*", provider.name),
            "*".to_owned(),
        ));
        for pattern in bare_patterns(provider) {
            deployments.push(deployment(provider, &connection, pattern.clone(), pattern));
        }
    }
    if let (Some(provider), Some(connection)) = (
        Provider::by_name("custom_openai"),
        connection::fixed("http://mock.invalid/v1"),
    ) {
        let mut demo = deployment(
            provider,
            &connection,
            DEMO_MODEL.to_owned(),
            DEMO_MODEL.to_owned(),
        );
        DEMO_MODEL.clone_into(&mut demo.id);
        demo.mock_response = Some(DEMO_ANSWER.to_owned());
        demo.prices = Price::free();
        deployments.push(demo);
    }
    deployments
}

fn deployment(
    provider: &'static Provider,
    connection: &Connection,
    model_name: String,
    upstream_model: String,
) -> DeploymentConfig {
    DeploymentConfig {
        id: stable_id(&[&model_name, provider.name, "environment"]),
        model_name,
        provider,
        upstream_model,
        api_key: connection.api_key.clone(),
        api_base: connection.api_base.clone(),
        organization: None,
        extra_headers: connection.extra_headers.clone(),
        extra_body: Map::new(),
        defaults: Map::new(),
        timeout_secs: None,
        stream_timeout_secs: None,
        weight: None,
        rpm: None,
        tpm: None,
        order: None,
        max_parallel_requests: None,
        cooldown_time_secs: None,
        num_retries: None,
        allowed_fails: None,
        allowed_fails_policy: ByError::default(),
        tags: Vec::new(),
        blocked: false,
        team: None,
        stored_as: None,
        budget: None,
        stream_resume: false,
        drop_params: None,
        additional_drop_params: Vec::new(),
        allowed_openai_params: Vec::new(),
        prices: Price::default(),
        mock_response: None,
        model_info: ModelInfo::default(),
    }
}
