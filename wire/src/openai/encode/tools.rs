//! Tools as `OpenAI`-compatible servers take them.

use serde_json::{Map, Value, json};

use super::target::Target;
use crate::chat::{Function, Tool};
use crate::request::BadRequest;

/// Functions and custom tools; of a function's members only hints to Anthropic (cache control, deferred loading) are lost.
///
/// # Errors
/// [`BadRequest`] for a tool that another provider runs itself.
pub(super) fn of(tools: &[Tool], target: &mut Target<'_>) -> Result<Vec<Tool>, BadRequest> {
    let mut kept = Vec::with_capacity(tools.len());
    for tool in tools {
        match (tool.kind.as_str(), &tool.function) {
            ("function", Some(function)) => kept.push(Tool {
                kind: tool.kind.clone(),
                function: Some(Function {
                    name: target.tool_name(&function.name),
                    ..function.clone()
                }),
                rest: Map::new(),
            }),
            ("function" | "custom", _) => kept.push(tool.clone()),
            (own, _) => {
                target.refuse("tools", &format!("tool '{own}', which its provider runs,"))?;
            }
        }
    }
    Ok(kept)
}

/// `tool_choice`, with the name that its function is sent under.
pub(super) fn choice(choice: Option<&Value>, target: &mut Target<'_>) -> Option<Value> {
    let choice = choice?;
    let name = choice
        .get("function")
        .and_then(|function| function.get("name"));
    Some(match name.and_then(Value::as_str) {
        Some(name) => json!({"type": "function", "function": {"name": target.tool_name(name)}}),
        None => choice.clone(),
    })
}
