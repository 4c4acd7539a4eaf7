//! The form of the answer: `response_format`.
//!
//! Models that have structured outputs are given the schema. Older ones get a tool, [`JSON_TOOL`], whose input is the
//! answer; the decoder knows it by its name. So does every model for `json_object`, which has no schema.
//! Source: Anthropic documentation, "Structured outputs", 2026-11-23, and the contract, `providers.md` §3.

use serde_json::{Value, json};

use super::target::Target;
use super::tools::{STRUCTURED_BETA, Tools};
use crate::BadRequest;
use crate::anthropic::JSON_TOOL;
use crate::chat::ChatRequest;
use crate::schema;

/// The `output_format` to send, if any; may add a tool instead.
pub(super) fn format(
    chat: &ChatRequest,
    tools: &mut Tools,
    thinks: bool,
    target: &mut Target<'_>,
) -> Result<Option<Value>, BadRequest> {
    let Some(format) = chat
        .response_format
        .as_ref()
        .filter(|format| !format.is_null())
    else {
        return Ok(None);
    };
    let kind = format.get("type").and_then(Value::as_str);
    let (schema, path) = match kind {
        Some("text") => return Ok(None),
        Some("json_object") => (
            format.get("response_schema"),
            "response_format.response_schema",
        ),
        Some("json_schema") => (
            format
                .get("json_schema")
                .and_then(|wanted| wanted.get("schema")),
            "response_format.json_schema.schema",
        ),
        _ => {
            let param = "response_format.type";
            let message =
                format!("'{param}' must be \"text\", \"json_object\" or \"json_schema\".");
            return Err(BadRequest::new(param, message));
        }
    };
    let schema = schema.filter(|schema| schema.is_object());
    if kind == Some("json_schema") && schema.is_none() {
        return Err(BadRequest::new(
            path,
            format!("'{path}' must be an object: the JSON schema of the answer."),
        ));
    }
    if let Some(schema) = schema.filter(|_| target.model.structured) {
        let schema = schema::clean(schema, &schema::ANTHROPIC_STRICT, path)?;
        target.beta(STRUCTURED_BETA);
        return Ok(Some(json!({"type": "json_schema", "schema": schema})));
    }
    let input = match schema {
        Some(schema) => schema::clean(schema, &schema::ANTHROPIC_TOOL, path)?,
        None => json!({"type": "object", "additionalProperties": true, "properties": {}}),
    };
    if input.get("type").and_then(Value::as_str) != Some("object") {
        let message = format!("'{path}' must have \"type\": \"object\" for this model.");
        return Err(BadRequest::new(path, message));
    }
    // Before the tool is added: what the client could choose from.
    tools.choice = choice(tools, thinks, target);
    tools.list.push(json!({
        "type": "custom",
        "name": JSON_TOOL,
        "description": "Gives the answer. Its input is the whole answer, in the form that was asked for.",
        "input_schema": input,
    }));
    Ok(None)
}

/// The model must answer through the tool, or call one of the client's.
fn choice(tools: &Tools, thinks: bool, target: &Target<'_>) -> Option<Value> {
    let chosen = tools.choice.as_ref();
    let kind = chosen
        .and_then(|choice| choice.get("type"))
        .and_then(Value::as_str);
    // A call cannot be forced while the model thinks, and on some models never; the tool's description must do.
    if thinks || !target.model.forced_calls || kind == Some("tool") {
        return chosen.filter(|_| kind != Some("none")).cloned();
    }
    let serial = chosen.and_then(|choice| choice.get("disable_parallel_tool_use"));
    let mut choice = if tools.list.is_empty() || kind == Some("none") {
        json!({"type": "tool", "name": JSON_TOOL})
    } else {
        json!({"type": "any"})
    };
    if let (Some(serial), Value::Object(members)) = (serial, &mut choice) {
        members.insert("disable_parallel_tool_use".to_owned(), serial.clone());
    }
    Some(choice)
}
