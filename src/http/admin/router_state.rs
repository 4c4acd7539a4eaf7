//! `GET /router/state`: what routing knows of each deployment right now.
//!
//! ```json
//! {"deployments":[{"id":"…","model_group":"gpt-4o","state":"closed","in_flight":2,"requests":120,"failures":1,…}]}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::board::BreakerState;

use crate::http::extract::{AdminOnly, Call, Caller};

#[derive(Serialize)]
struct State {
    deployments: Vec<Deployment>,
}

#[derive(Serialize)]
struct Deployment {
    id: String,
    model_group: String,
    state: &'static str,
    /// Until it is tried again; absent unless open.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_remaining_ms: Option<u64>,
    in_flight: u32,
    requests: u64,
    failures: u64,
    tokens: u64,
    cooldowns: u64,
    /// Moving average.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u128>,
}

/// All deployments, in the order of the config.
pub(crate) async fn show(_caller: Caller<AdminOnly>, call: Call) -> HttpResponse {
    let app = call.app();
    let now = app.shared.clock.now();
    let table = app.shared.routing.load();
    let deployments = app
        .config
        .deployments
        .iter()
        .filter_map(|deployment| {
            let handle = table.deployment(&deployment.id)?;
            let row = handle.row();
            let (state, cooldown_remaining_ms) = match row.state(now) {
                BreakerState::Closed => ("closed", None),
                BreakerState::Open { until } => {
                    let left = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
                    ("open", Some(left))
                }
                BreakerState::HalfOpen { .. } => ("half_open", None),
            };
            Some(Deployment {
                id: deployment.id.clone(),
                model_group: deployment.model_name.clone(),
                state,
                cooldown_remaining_ms,
                in_flight: row.in_flight(),
                requests: row.requests(),
                failures: row.failures(),
                tokens: row.tokens(),
                cooldowns: row.cooldowns(),
                latency_ms: row.latency().map(|latency| latency.as_millis()),
            })
        })
        .collect();
    HttpResponse::Ok().json(State { deployments })
}
