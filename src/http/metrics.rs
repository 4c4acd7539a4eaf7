//! `GET /metrics`: `OpenMetrics` text. Open unless `require_auth_for_metrics_endpoint` asks for a key.

use actix_web::HttpResponse;

use trunkline_actors::fleet::Keeping;

use super::error::{ApiError, Code};
use super::extract::{Call, Caller, Public, identify};

/// Renders every family.
pub(crate) async fn show(_caller: Caller<Public>, call: Call) -> Result<HttpResponse, ApiError> {
    if call.app().config.litellm.require_auth_for_metrics_endpoint {
        identify(&call).await?;
    }
    let app = call.app();
    let (table, targets) = app.shared.deployed();
    for deployment in targets.configs() {
        if let Some(handle) = table.deployment(&deployment.id) {
            let cooldowns = handle.row().cooldowns();
            let metrics = &app.shared.metrics;
            metrics.cooldowns(&deployment.id, &deployment.model_name, cooldowns);
        }
    }
    app.shared.metrics.keys_weakened(app.keys.is_weakened());
    let labels = &app.shared.labels;
    app.shared.metrics.budgets_weakened(labels.is_weakened());
    let weakened = app.keeping() == Keeping::Weakened;
    app.shared.metrics.fleet(weakened, app.replicas());
    if let Some(queue) = &app.shared.queue {
        app.shared.metrics.waiting(queue.waiting());
    }
    let journal = app.journal.status();
    app.shared.metrics.journal(journal.bytes, journal.max_bytes);
    let text = app.shared.metrics.render().map_err(|err| {
        ApiError::new(
            Code::Internal,
            format!("The metrics could not be rendered: {err}."),
        )
    })?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}
