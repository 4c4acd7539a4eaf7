//! Features that must be asked for in the `anthropic-beta` header.
//!
//! Asking for one that has since become part of the API does no harm. Those that depend on a single block or tool member
//! are noted where it is written. Source: Anthropic documentation, "Beta headers" and the page of each feature, 2026-11-23.

use serde_json::Value;

use super::target::Target;
use crate::chat::ChatRequest;

/// Members of the body.
const MEMBERS: &[(&str, &str)] = &[
    ("mcp_servers", "mcp-client-2025-11-20"),
    ("context_management", "context-management-2025-06-27"),
    ("output_format", "structured-outputs-2025-11-13"),
];

/// Types of tools.
const TOOLS: &[(&str, &str)] = &[
    ("computer_20241022", "computer-use-2024-10-22"),
    ("computer_20250124", "computer-use-2025-01-24"),
    ("computer_20251124", "computer-use-2025-11-24"),
    ("code_execution_20250522", "code-execution-2025-05-22"),
    ("code_execution_20250825", "code-execution-2025-08-25"),
    ("web_fetch_20250910", "web-fetch-2025-09-10"),
    ("memory_20250818", "context-management-2025-06-27"),
    (
        "tool_search_tool_regex_20251119",
        "advanced-tool-use-2025-11-20",
    ),
    (
        "tool_search_tool_bm25_20251119",
        "advanced-tool-use-2025-11-20",
    ),
];

pub(super) fn note(chat: &ChatRequest, target: &mut Target<'_>) {
    let extra_body = target.options.extra_body;
    let member = |key: &str| {
        let value = extra_body.get(key).or_else(|| chat.rest.get(key))?;
        (!value.is_null()).then_some(value)
    };
    for (key, beta) in MEMBERS {
        if member(key).is_some() {
            target.beta(beta);
        }
    }
    if member("speed") == Some(&Value::from("fast")) {
        target.beta("fast-mode-2026-02-01");
    }
    for tool in chat.tools.iter().flatten() {
        if let Some((_, beta)) = TOOLS.iter().find(|(kind, _)| *kind == tool.kind) {
            target.beta(beta);
        }
    }
}
