//! `GET /health/services?service=`: whether one thing that the gateway stands on works.
//!
//! ```json
//! {"status":"healthy","message":"the database answers"}
//! ```

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;

use super::PING;
use crate::dispatch::RecordingState;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, View};

#[derive(Serialize)]
struct Service {
    status: &'static str,
    message: String,
}

/// 200, or 503 when it does not work; 422 for what is not here.
pub(crate) async fn show(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let app = call.app();
    let (works, message) = match call.query("service").as_deref() {
        Some("database") => match app.store.lifecycle.ping(PING).await {
            Ok(()) => (true, "the database answers".to_owned()),
            Err(err) => (false, err.to_string()),
        },
        Some("journal") => {
            let lag = app.ledger.status().lag(UnixMs::now()).as_millis();
            let room = app.journal.status();
            let message = format!(
                "the oldest record that is not in the database is {lag} ms old; {} of {} bytes are taken",
                room.bytes, room.max_bytes
            );
            let recorded = app.shared.recording.state() == RecordingState::Recorded;
            (app.ledger.is_live() && recorded, message)
        }
        _ => {
            let message = "Name a service that is here: ?service=database or ?service=journal.";
            return Err(ApiError::new(Code::Unprocessable, message).param("service"));
        }
    };
    let status = if works { "healthy" } else { "unhealthy" };
    let answer = Service { status, message };
    Ok(if works {
        HttpResponse::Ok().json(answer)
    } else {
        HttpResponse::ServiceUnavailable().json(answer)
    })
}
