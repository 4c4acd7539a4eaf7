//! `POST /reload/model_cost_map`: reads prices anew without a restart: the price list's file, `model_prices`, discounts and
//! margins, and own prices of deployments that have a `model_info.id`. Contract: `endpoints` §5.
//!
//! ```json
//! {"message": "Prices were read anew.", "status": "success", "version": "2026-11-22+3f9a", "deployments": 3, "models_count": 3231}
//! ```
//!
//! Nothing else of the configuration is looked at. One that cannot be used changes nothing.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use log::info;
use serde_json::json;

use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};

/// Reads them.
pub(crate) async fn reload(
    _caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let app = Arc::clone(&call.worker.app);
    let read = web::block(move || (app.reload.0)()).await;
    let config = read
        .map_err(|err| ApiError::new(Code::Internal, format!("Prices were not read: {err}.")))?
        .map_err(|err| {
            let message =
                format!("The configuration cannot be used, and prices stay as they are: {err}");
            ApiError::new(Code::BadRequest, message)
        })?;
    let book = Arc::clone(&config.price_book);
    let deployments = call.app().catalogue.reprice(config).await.map_err(|err| {
        ApiError::new(
            Code::Database,
            format!("Prices were not all taken over: {err}."),
        )
    })?;
    info!(version = book.version(), deployments; "prices were read anew");
    Ok(HttpResponse::Ok().json(json!({
        "message": "Prices were read anew.",
        "status": "success",
        "version": book.version(),
        "deployments": deployments,
        "models_count": book.entries().count(),
    })))
}
