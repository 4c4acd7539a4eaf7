//! `GET /audit` and `GET /audit/{id}`: who changed what. Contract: `endpoints` §4 (LiteLLM's shape).
//!
//! ```json
//! {"audit_logs": [{"id": "01J…", "updated_at": "2026-11-23T10:00:00Z", "changed_by": "alice", "changed_by_api_key": "<hash>",
//!   "action": "updated", "table_name": "LiteLLM_TeamTable", "object_id": "search", "before_value": {…}, "updated_values": {…},
//!   "seq": 12, "hash": "…"}], "total": 12, "page": 1, "page_size": 10, "total_pages": 2}
//! ```
//!
//! `seq` and `hash` (ours) are what `trunkline audit verify` walks along; keep a hash elsewhere to prove that the log before it
//! is what it was.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::query::{Sizes, page, text, wrong};
use super::spend::range::moment;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, View};
use crate::http::time::iso;
use crate::storage::{ChangeFilter, ChangeRecord};

/// Lines of a page (LiteLLM's number).
const LINES: Sizes = Sizes {
    name: "page_size",
    usual: 10,
    largest: 100,
};

/// A page of lines, the newest first.
pub(crate) async fn list(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    for (name, only) in [("sort_by", "updated_at"), ("sort_order", "desc")] {
        if text(&call, name).is_some_and(|asked| asked != only) {
            return Err(wrong(
                name,
                format!("The newest comes first: leave '{name}' out or write {only}."),
            ));
        }
    }
    let filter = ChangeFilter {
        changed_by: text(&call, "changed_by"),
        changed_by_key: text(&call, "changed_by_api_key"),
        action: text(&call, "action"),
        table_name: text(&call, "table_name"),
        object_id: text(&call, "object_id"),
        id: None,
        since: moment(&call, "start_date", false)?,
        until: moment(&call, "end_date", true)?,
    };
    let page = page(&call, LINES, "Narrow the dates.")?;
    let log = &call.app().store.change_log;
    let total = log.count(filter.clone()).await?;
    let lines = log.page(filter, page.skip, page.size).await?;
    let lines: Vec<Value> = lines.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({
        "audit_logs": lines,
        "total": total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": total.div_ceil(page.size.into()),
    })))
}

/// One line.
pub(crate) async fn show(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let filter = ChangeFilter {
        id: Some(call.path("id").unwrap_or_default()),
        ..ChangeFilter::default()
    };
    let lines = call.app().store.change_log.page(filter, 0, 1).await?;
    let line = lines.first().ok_or_else(|| {
        ApiError::new(Code::NotFound, "There is no such line in the audit log.").param("id")
    })?;
    Ok(HttpResponse::Ok().json(shown(line)))
}

fn shown(record: &ChangeRecord) -> Value {
    let value = |text: &Option<String>| -> Value {
        let text = text.as_deref().unwrap_or("null");
        // It was written as JSON; what somebody else put there is shown as it is.
        serde_json::from_str(text).unwrap_or_else(|_not_json| json!(text))
    };
    json!({
        "id": record.id,
        "updated_at": iso(record.updated_at),
        "changed_by": record.changed_by,
        "changed_by_api_key": record.changed_by_key,
        "action": record.action,
        "table_name": record.table_name,
        "object_id": record.object_id,
        "before_value": value(&record.before_value),
        "updated_values": value(&record.updated_values),
        "seq": record.seq,
        "hash": record.hash,
    })
}
