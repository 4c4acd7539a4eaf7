//! Tools as `OpenAI`-compatible servers take them.

use super::Dropped;
use crate::chat::Tool;
use crate::request::BadRequest;

/// Functions and custom tools; of their members beside the function (cache control, deferred loading) only hints are lost.
///
/// # Errors
/// [`BadRequest`] for a tool that another provider runs itself.
pub(super) fn of(tools: &[Tool], dropped: &mut Dropped<'_>) -> Result<Vec<Tool>, BadRequest> {
    let mut kept = Vec::with_capacity(tools.len());
    for tool in tools {
        match tool.kind.as_str() {
            "function" => kept.push(Tool {
                rest: tool
                    .rest
                    .clone()
                    .into_iter()
                    .filter(|_| tool.function.is_none())
                    .collect(),
                ..tool.clone()
            }),
            "custom" => kept.push(tool.clone()),
            own => dropped.refuse("tools", &format!("the tool '{own}' is run by its provider"))?,
        }
    }
    Ok(kept)
}
