//! What a request asked and was answered, where `store_prompts_in_spend_logs` keeps it: in rows that are asked for by
//! `request_id`, and alone at `GET /spend/logs/ui/{request_id}`. Contract: `observability` §3.
//!
//! ```json
//! {"messages":[{"role":"user","content":"hi"}],"response":{"id":"chatcmpl-1",…},"proxy_server_request":{"model":"gpt-5",…}}
//! ```
//!
//! What is not kept is `{}`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::value::RawValue;
use trunkline_actors::ports::SpendRecord;

use super::ship;
use super::sight::Sight;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Own};
use crate::storage::TranscriptRow;
use crate::storage::reports::{LogFilter, LogQuery};

/// Rows of one `request_id` that are looked up: providers repeat ids seldom.
const MOST_ROWS: u32 = 10;

/// The words of a request, as a member of its row.
#[derive(Serialize)]
pub(super) struct Said {
    messages: Box<RawValue>,
    response: Box<RawValue>,
    proxy_server_request: Box<RawValue>,
}

/// Of a request whose words are not kept, or not asked for.
pub(super) static NOTHING: LazyLock<Said> = LazyLock::new(|| Said {
    messages: empty(),
    response: empty(),
    proxy_server_request: empty(),
});

/// `GET /spend/logs/ui/{request_id}`.
pub(crate) async fn show(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let mut filter = LogFilter {
        request_id: Some(call.path("request_id").unwrap_or_default()),
        ..LogFilter::default()
    };
    Sight::of(&caller.identity).limit(&mut filter);
    let query = LogQuery {
        filter,
        after: None,
        skip: 0,
        limit: MOST_ROWS,
        count_to: 0,
    };
    ship(&call).await;
    let rows = call.app().store.reports.log_page(query).await?.rows;
    if rows.is_empty() {
        return Err(ApiError::new(
            Code::NotFound,
            "No request with this id is on the books, or it is not yours.",
        )
        .param("request_id"));
    }
    let said = of(&call, &rows).await?;
    let said = said.into_iter().flatten().next();
    Ok(HttpResponse::Ok().json(said.as_ref().unwrap_or(&NOTHING)))
}

/// What was said in each of the rows.
pub(super) async fn of(call: &Call, rows: &[SpendRecord]) -> Result<Vec<Option<Said>>, ApiError> {
    let mut all = Vec::new();
    for row in rows.iter().take(MOST_ROWS as usize) {
        let kept = call.app().store.transcripts.by_id(row.id).await?;
        all.push(kept.and_then(Said::of));
    }
    Ok(all)
}

// === impl Said ===

impl Said {
    /// `None` for what is no JSON: somebody else wrote it.
    fn of(row: TranscriptRow) -> Option<Self> {
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&row.request).unwrap_or_default();
        let messages = ["messages", "input", "prompt"]
            .iter()
            .find_map(|name| members.get(*name).cloned());
        let response = row.answer.map(RawValue::from_string).transpose().ok()?;
        Some(Self {
            messages: messages.unwrap_or_else(empty),
            response: response.unwrap_or_else(empty),
            proxy_server_request: RawValue::from_string(row.request).ok()?,
        })
    }
}

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_impossible| RawValue::NULL.to_owned())
}
