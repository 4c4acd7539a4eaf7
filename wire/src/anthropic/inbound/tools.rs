//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::place::{Members, Place};
use crate::chat::{Function, Tool};
use crate::request::BadRequest;

/// `tool_choice`, taken apart.
#[derive(Debug, Default)]
pub(super) struct ToolChoice {
    /// As `OpenAI` spells it.
    pub(super) choice: Option<Value>,
    /// `disable_parallel_tool_use`.
    pub(super) one_at_a_time: bool,
}

/// `tools`. A tool without a `type`, or of the type `custom`, is a function; the others are Anthropic's own and stay whole.
pub(super) fn tools(members: &mut Members<'_>) -> Result<Option<Vec<Tool>>, BadRequest> {
    let Some(list) = members.list("tools")? else {
        return Ok(None);
    };
    let place = Place::ROOT.member("tools");
    let tools = list.into_iter().enumerate().map(|(at, tool)| {
        let place = place.element(at);
        let mut tool = Members::of(tool, place)?;
        match tool.string("type")? {
            Some(kind) if kind != "custom" => Ok(Tool {
                kind,
                function: None,
                rest: tool.into_rest(),
            }),
            _ => function(tool),
        }
    });
    tools.collect::<Result<_, _>>().map(Some)
}

fn function(mut tool: Members<'_>) -> Result<Tool, BadRequest> {
    let name = tool.required_string("name")?;
    let description = tool.string("description")?;
    let parameters = tool.required("input_schema")?;
    if !parameters.is_object() {
        return Err(tool.wrong("input_schema", "Input should be an object"));
    }
    let mut rest = Map::new();
    if let Some(strict) = tool.boolean("strict")? {
        rest.insert("strict".to_owned(), strict.into());
    }
    Ok(Tool {
        kind: "function".to_owned(),
        function: Some(Function {
            name,
            description,
            parameters: Some(parameters),
            rest,
        }),
        rest: tool.into_rest(),
    })
}

/// `tool_choice`.
pub(super) fn choice(members: &mut Members<'_>) -> Result<ToolChoice, BadRequest> {
    let Some(choice) = members.take("tool_choice") else {
        return Ok(ToolChoice::default());
    };
    let place = Place::ROOT.member("tool_choice");
    let mut choice = Members::of(choice, place)?;
    let kind = choice.required_string("type")?;
    let one_at_a_time = choice.boolean("disable_parallel_tool_use")? == Some(true);
    let choice = match kind.as_str() {
        "auto" => "auto".into(),
        "any" => "required".into(),
        "none" => "none".into(),
        "tool" => {
            let name = choice.required_string("name")?;
            json!({"type": "function", "function": {"name": name}})
        }
        _ => return Err(choice.wrong("type", "Input should be 'auto', 'any', 'tool' or 'none'")),
    };
    Ok(ToolChoice {
        choice: Some(choice),
        one_at_a_time,
    })
}
