//! LiteLLM's report, `/health?detailed=true`: what background checks found last, or without them, calls made now.
//!
//! ```json
//! {"healthy_endpoints":[{"model":"openai/gpt-4o","model_name":"gpt-4o","model_id":"…","api_base":"https://…",
//!   "checked_at":"2026-11-23T10:00:00.25Z","took_ms":120}],
//!  "unhealthy_endpoints":[],"healthy_count":1,"unhealthy_count":0}
//! ```
//!
//! `checked_at` and `took_ms` are of background checks; who was not checked yet is in neither list. With
//! `health_check_details: false` an endpoint is its names alone.

use std::rc::Rc;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;

use crate::auth::Identity;
use crate::config::DeploymentConfig;
use crate::dispatch::Target;
use crate::health::{CheckBoard, Checked};
use crate::http::error::ApiError;
use crate::http::extract::Call;

/// Deployments called at the same time.
const CALLS_AT_ONCE: usize = 8;

#[derive(Serialize)]
pub(super) struct Report {
    healthy_endpoints: Vec<Endpoint>,
    unhealthy_endpoints: Vec<Endpoint>,
    healthy_count: usize,
    unhealthy_count: usize,
}

#[derive(Serialize)]
struct Endpoint {
    model: String,
    model_name: String,
    model_id: String,
    #[serde(flatten)]
    details: Option<Details>,
    #[serde(skip)]
    is_healthy: bool,
}

#[derive(Serialize)]
struct Details {
    api_base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u128>,
}

/// Of those that the caller may use, or of one group or deployment among them.
pub(super) async fn of(call: &Call, identity: &Identity, wanted: Option<&str>) -> Report {
    let app = call.app();
    let targets = app.shared.targets();
    let deployments = targets.iter().filter(|target| {
        let deployment = &target.config;
        let asked_for =
            wanted.is_none_or(|name| deployment.model_name == *name || deployment.id == *name);
        asked_for && !deployment.blocked && identity.may_use(deployment)
    });
    let endpoints: Vec<Endpoint> = match &app.checks {
        Some(checks) => deployments
            .filter_map(|target| known(call, checks, &target.config))
            .collect(),
        None => {
            stream::iter(deployments)
                .map(|target| called(call, identity, target))
                .buffered(CALLS_AT_ONCE)
                .collect()
                .await
        }
    };
    let (healthy, unhealthy): (Vec<_>, Vec<_>) = endpoints
        .into_iter()
        .partition(|endpoint| endpoint.is_healthy);
    Report {
        healthy_count: healthy.len(),
        unhealthy_count: unhealthy.len(),
        healthy_endpoints: healthy,
        unhealthy_endpoints: unhealthy,
    }
}

fn known(call: &Call, checks: &CheckBoard, deployment: &DeploymentConfig) -> Option<Endpoint> {
    let checked = checks.get(&deployment.id)?;
    let Checked { failure, .. } = &*checked;
    let error = failure.as_ref().map(|failure| failure.message.clone());
    Some(endpoint(call, deployment, error, Some(&checked)))
}

/// Calls it, by its id, with the shortest request there is. The call is on the books as the caller's.
async fn called(call: &Call, identity: &Identity, target: &Target) -> Endpoint {
    let error = if target.model_of_check().is_some() {
        let dispatcher = Rc::clone(&call.worker.dispatcher);
        let called = dispatcher.call_to_check(identity, target).await;
        called.err().map(|err| ApiError::from(err).to_string())
    } else {
        Some(
            "a wildcard deployment has no model of its own to call: name one as model_info.health_check_model"
                .to_owned(),
        )
    };
    endpoint(call, &target.config, error, None)
}

fn endpoint(
    call: &Call,
    deployment: &DeploymentConfig,
    error: Option<String>,
    checked: Option<&Checked>,
) -> Endpoint {
    Endpoint {
        model: format!("{}/{}", deployment.provider.name, deployment.upstream_model),
        model_name: deployment.model_name.clone(),
        model_id: deployment.id.clone(),
        is_healthy: error.is_none(),
        details: call.app().config.health.details.then(|| Details {
            api_base: deployment.api_base.to_string(),
            error,
            checked_at: checked.and_then(|checked| moment(checked.at_unix)),
            took_ms: checked.map(|checked| checked.took.as_millis()),
        }),
    }
}

fn moment(at: UnixMs) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}
