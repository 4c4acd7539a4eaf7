//! Health: cheap and open for probes, detailed and calling for people with a key.
//!
//! LiteLLM's `/health` asks for a key and calls every model, so the tutorial's Kubernetes probes would never pass there.
//! Here `/health` says cheaply whether the process can serve; `?detailed=true` (or `?model=`) is LiteLLM's report.

use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use trunkline_actors::board::BreakerState;
use trunkline_actors::clock::UnixMs;
use trunkline_wire::request::{Endpoint, RequestPeek};

use super::error::ApiError;
use super::extract::{Call, Caller, Public, identify};
use crate::app::App;
use crate::auth::Identity;
use crate::config::DeploymentConfig;
use crate::dispatch::{DispatchError, Inbound};

/// How long the database may take to answer a probe.
const PING: Duration = Duration::from_secs(2);
/// Deployments called at the same time by the detailed report.
const CALLS_AT_ONCE: usize = 8;

#[derive(Serialize)]
struct Status {
    status: &'static str,
    healthy_count: usize,
    unhealthy_count: usize,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    db: &'static str,
    actors: &'static str,
    /// `weakened`: keys are served that the database could not confirm.
    keys: &'static str,
    /// Age of the oldest record that is on the journal and not yet in the database.
    spend_lag_ms: u128,
}

#[derive(Serialize)]
struct Report {
    healthy_endpoints: Vec<Endpoints>,
    unhealthy_endpoints: Vec<Endpoints>,
    healthy_count: usize,
    unhealthy_count: usize,
}

#[derive(Serialize)]
struct Endpoints {
    model: String,
    model_name: String,
    model_id: String,
    api_base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `GET /health`.
pub(crate) async fn status(_caller: Caller<Public>, call: Call) -> Result<HttpResponse, ApiError> {
    let wanted = call.query("model").or_else(|| call.query("model_id"));
    if wanted.is_some() || call.query("detailed").is_some_and(|value| value != "false") {
        let identity = identify(&call).await?;
        return Ok(HttpResponse::Ok().json(report(&call, &identity, wanted).await));
    }
    let app = call.app();
    let now = app.shared.clock.now();
    let table = app.shared.routing.load();
    let healthy = table
        .deployments()
        .filter(|deployment| matches!(deployment.row().state(now), BreakerState::Closed))
        .count();
    let draining = app.is_draining();
    let answer = Status {
        status: if draining { "shutting_down" } else { "healthy" },
        healthy_count: healthy,
        unhealthy_count: table.deployments().count() - healthy,
    };
    Ok(if draining {
        HttpResponse::ServiceUnavailable().json(answer)
    } else {
        HttpResponse::Ok().json(answer)
    })
}

/// `GET /health/liveliness` (LiteLLM's spelling) and `/health/liveness`.
pub(crate) async fn liveness(_caller: Caller<Public>, _call: Call) -> HttpResponse {
    HttpResponse::Ok().json("I'm alive!")
}

/// `GET /health/readiness`: 503 while draining, or when the database or an actor is gone.
pub(crate) async fn readiness(_caller: Caller<Public>, call: Call) -> HttpResponse {
    let app = call.app();
    let db = app.store.lifecycle.ping(PING).await.is_ok();
    if db {
        app.keys.store_answers();
    }
    let actors = actors_live(app);
    let answer = Readiness {
        status: match (app.is_draining(), db && actors) {
            (true, _) => "shutting_down",
            (false, true) => "healthy",
            (false, false) => "unhealthy",
        },
        db: if db { "connected" } else { "Not connected" },
        actors: if actors { "running" } else { "not running" },
        keys: if app.keys.is_weakened() {
            "weakened"
        } else {
            "confirmed"
        },
        spend_lag_ms: app.ledger.status().lag(UnixMs::now()).as_millis(),
    };
    if answer.status == "healthy" {
        HttpResponse::Ok().json(answer)
    } else {
        HttpResponse::ServiceUnavailable().json(answer)
    }
}

fn actors_live(app: &App) -> bool {
    app.ledger.is_live()
        && app.shared.limiter.is_live()
        && app.supervisor.is_live(app.shared.clock.now())
}

/// Calls each deployment, by its id, with the shortest request there is. The calls are on the books as the caller's.
async fn report(call: &Call, identity: &Identity, wanted: Option<String>) -> Report {
    let deployments = call.app().config.deployments.iter().filter(|deployment| {
        let asked_for = wanted
            .as_ref()
            .is_none_or(|name| deployment.model_name == *name || deployment.id == *name);
        asked_for && identity.may_use(deployment)
    });
    let results: Vec<Endpoints> = stream::iter(deployments)
        .map(|deployment| check(call, identity, deployment))
        .buffered(CALLS_AT_ONCE)
        .collect()
        .await;
    let (unhealthy, healthy): (Vec<_>, Vec<_>) = results
        .into_iter()
        .partition(|result| result.error.is_some());
    Report {
        healthy_count: healthy.len(),
        unhealthy_count: unhealthy.len(),
        healthy_endpoints: healthy,
        unhealthy_endpoints: unhealthy,
    }
}

async fn check(call: &Call, identity: &Identity, deployment: &DeploymentConfig) -> Endpoints {
    let error = if deployment.upstream_model.contains('*') {
        Some("a wildcard deployment has no model of its own to call".to_owned())
    } else {
        try_call(call, identity, deployment)
            .await
            .err()
            .map(|err| ApiError::from(err).to_string())
    };
    Endpoints {
        model: format!("{}/{}", deployment.provider.name, deployment.upstream_model),
        model_name: deployment.model_name.clone(),
        model_id: deployment.id.clone(),
        api_base: deployment.api_base.to_string(),
        error,
    }
}

async fn try_call(
    call: &Call,
    identity: &Identity,
    deployment: &DeploymentConfig,
) -> Result<(), DispatchError> {
    let (endpoint, body) = match deployment.model_info.mode.as_deref() {
        Some("embedding") => (
            Endpoint::Embeddings,
            json!({"model": deployment.id, "input": "test from trunkline"}),
        ),
        Some("completion") => (
            Endpoint::Completions,
            json!({"model": deployment.id, "prompt": "test from trunkline", "max_tokens": 1}),
        ),
        _ => (
            Endpoint::ChatCompletions,
            json!({
                "model": deployment.id,
                "messages": [{"role": "user", "content": "test from trunkline"}],
                "max_tokens": 16
            }),
        ),
    };
    let body = Bytes::from(body.to_string());
    let mut peek = RequestPeek::parse(endpoint, &body).map_err(DispatchError::Invalid)?;
    // This deployment is asked, and nobody in its place.
    peek.disable_fallbacks = true;
    peek.num_retries = Some(0);
    let inbound = Inbound {
        endpoint,
        body,
        peek,
        model: deployment.id.clone(),
        end_user: None,
        header_tags: vec!["health-check".to_owned()],
        anthropic_version: None,
        anthropic_betas: Vec::new(),
        arrived: Instant::now(),
        arrived_at: UnixMs::now(),
    };
    Rc::clone(&call.worker.dispatcher)
        .run(identity, inbound)
        .await
        .map(|_reply| ())
}
