//! Tools, the choice among them, and web search.
//!
//! Source: Anthropic API reference, "Messages", `tools` and `tool_choice`, guides "Tool use" and "Web search tool",
//! 2026-11-23.

use serde_json::{Map, Value, json};

use super::target::Target;
use crate::BadRequest;
use crate::chat::{ChatRequest, Function, Tool};
use crate::schema;

/// Members of a tool that are Anthropic's own and pass as they are.
const OWN_MEMBERS: &[&str] = &[
    "cache_control",
    "defer_loading",
    "input_examples",
    "allowed_callers",
    "eager_input_streaming",
];

pub(super) const STRUCTURED_BETA: &str = "structured-outputs-2025-11-13";

/// The tools of a request.
pub(super) struct Tools {
    pub(super) list: Vec<Value>,
    pub(super) choice: Option<Value>,
}

pub(super) fn tools(
    chat: &ChatRequest,
    thinks: bool,
    target: &mut Target<'_>,
) -> Result<Tools, BadRequest> {
    let mut list = Vec::new();
    for (at, tool) in chat.tools.iter().flatten().enumerate() {
        list.extend(self::tool(tool, &format!("tools[{at}]"), target)?);
    }
    if let Some(search) = chat.rest.get("web_search_options") {
        list.extend(web_search(search)?);
    }
    let choice = choice(chat, thinks, target)?;
    let choice = parallel(choice, chat, !list.is_empty())?;
    Ok(Tools { list, choice })
}

fn tool(tool: &Tool, path: &str, target: &mut Target<'_>) -> Result<Option<Value>, BadRequest> {
    match (&tool.function, tool.kind.as_str()) {
        (Some(function), "function" | "custom" | "") => {
            client_tool(tool, function, path, target).map(Some)
        }
        (None, "function" | "") => {
            let param = format!("{path}.function");
            let message = format!(
                "'{param}' is missing; write an object with 'name', 'description' and 'parameters'."
            );
            Err(BadRequest::new(param, message))
        }
        // `OpenAI`'s tools whose input is free text.
        (None, "custom") => {
            target.cannot(path)?;
            Ok(None)
        }
        (function, kind) => Ok(Some(server_tool(kind, function.as_ref(), tool))),
    }
}

fn client_tool(
    tool: &Tool,
    function: &Function,
    path: &str,
    target: &mut Target<'_>,
) -> Result<Value, BadRequest> {
    let path = format!("{path}.function");
    if function.name.is_empty() {
        let param = format!("{path}.name");
        let message = format!("'{param}' is empty; write the tool's name.");
        return Err(BadRequest::new(param, message));
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), "custom".into());
    let name = target.tool_name(&function.name);
    out.insert("name".to_owned(), name.into_owned().into());
    if let Some(description) = &function.description {
        out.insert("description".to_owned(), description.as_str().into());
    }
    let strict = function.rest.get("strict") == Some(&Value::Bool(true));
    let strict = strict && {
        // A hint to models that cannot do it, and named as one that was not followed.
        if !target.model.structured {
            target.drop(&format!("{path}.strict"));
        }
        target.model.structured
    };
    let schema = input_schema(
        function.parameters.as_ref(),
        strict,
        &format!("{path}.parameters"),
    )?;
    out.insert("input_schema".to_owned(), schema);
    if strict {
        out.insert("strict".to_owned(), true.into());
        target.beta(STRUCTURED_BETA);
    }
    for key in OWN_MEMBERS {
        if let Some(value) = tool.rest.get(*key).or_else(|| function.rest.get(*key)) {
            out.insert((*key).to_owned(), value.clone());
        }
    }
    Ok(Value::Object(out))
}

fn input_schema(parameters: Option<&Value>, strict: bool, path: &str) -> Result<Value, BadRequest> {
    let rules = if strict {
        &schema::ANTHROPIC_STRICT
    } else {
        &schema::ANTHROPIC_TOOL
    };
    let mut schema = match parameters {
        None | Some(Value::Null) => Map::new(),
        Some(parameters) => match schema::clean(parameters, rules, path)? {
            Value::Object(schema) => schema,
            _ => Map::new(),
        },
    };
    if !schema.contains_key("type") {
        schema.insert("type".to_owned(), "object".into());
    }
    if !schema.contains_key("properties") {
        schema.insert("properties".to_owned(), json!({}));
    }
    Ok(Value::Object(schema))
}

/// One of Anthropic's own tools. `LiteLLM`'s clients may put its members into a function.
fn server_tool(kind: &str, function: Option<&Function>, tool: &Tool) -> Value {
    let mut out = Map::new();
    out.insert("type".to_owned(), kind.into());
    if let Some(function) = function {
        out.insert("name".to_owned(), function.name.as_str().into());
        if let Some(Value::Object(members)) = &function.parameters {
            out.extend(members.clone());
        }
    }
    out.extend(tool.rest.clone());
    Value::Object(out)
}

fn web_search(options: &Value) -> Result<Option<Value>, BadRequest> {
    let options = match options {
        Value::Null => return Ok(None),
        Value::Object(options) => options,
        _ => {
            let param = "web_search_options";
            let message = format!(
                "'{param}' must be an object such as {{\"search_context_size\": \"medium\"}}."
            );
            return Err(BadRequest::new(param, message));
        }
    };
    let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
    // Contract: the size of the context says how often the model may search.
    let size = options.get("search_context_size").and_then(Value::as_str);
    let max_uses = match size {
        Some("low") => Some(1),
        Some("medium") => Some(5),
        Some("high") => Some(10),
        _ => None,
    };
    let location = options.get("user_location").and_then(Value::as_object);
    if let Value::Object(tool) = &mut tool {
        tool.extend(max_uses.map(|uses: u64| ("max_uses".to_owned(), uses.into())));
        if let Some(location) = location {
            let members = location.get("approximate").and_then(Value::as_object);
            let mut approximate = members.unwrap_or(location).clone();
            approximate.insert("type".to_owned(), "approximate".into());
            tool.insert("user_location".to_owned(), approximate.into());
        }
    }
    Ok(Some(tool))
}

fn choice(
    chat: &ChatRequest,
    thinks: bool,
    target: &mut Target<'_>,
) -> Result<Option<Value>, BadRequest> {
    let Some(choice) = chat.tool_choice.as_ref().filter(|choice| !choice.is_null()) else {
        return Ok(None);
    };
    let named = choice
        .get("function")
        .and_then(|function| function.get("name"))
        .or_else(|| choice.get("name"))
        .and_then(Value::as_str);
    let word = choice
        .as_str()
        .or_else(|| choice.get("type").and_then(Value::as_str));
    let wanted = match (word, named) {
        (Some("auto"), _) => json!({"type": "auto"}),
        (Some("none"), _) => json!({"type": "none"}),
        (Some("required" | "any"), _) => json!({"type": "any"}),
        (Some("function" | "tool"), Some(name)) => {
            let name = target.tool_name(name).into_owned();
            json!({"type": "tool", "name": name})
        }
        _ => {
            target.cannot("tool_choice")?;
            return Ok(None);
        }
    };
    let forces = matches!(
        wanted.get("type").and_then(Value::as_str),
        Some("any" | "tool")
    );
    if forces && !target.model.forced_calls {
        target.cannot("tool_choice")?;
        return Ok(None);
    }
    if forces && thinks {
        if !target.options.drop_params {
            let message = "'tool_choice' cannot force a call while the model thinks; write \"auto\", or leave out \
                           'reasoning_effort' and 'thinking', or set `drop_params: true` to have it dropped.";
            return Err(BadRequest::new("tool_choice", message));
        }
        target.drop("tool_choice");
        return Ok(None);
    }
    Ok(Some(wanted))
}

/// `parallel_tool_calls` is a member of the choice.
fn parallel(
    choice: Option<Value>,
    chat: &ChatRequest,
    any: bool,
) -> Result<Option<Value>, BadRequest> {
    let param = "parallel_tool_calls";
    let parallel = match chat.rest.get(param) {
        None | Some(Value::Null) => return Ok(choice),
        Some(Value::Bool(parallel)) => *parallel,
        Some(_) => {
            let message = format!("'{param}' must be true or false.");
            return Err(BadRequest::new(param, message));
        }
    };
    if !any {
        return Ok(choice);
    }
    let mut choice = choice.unwrap_or_else(|| json!({"type": "auto"}));
    if choice.get("type").and_then(Value::as_str) != Some("none")
        && let Value::Object(members) = &mut choice
    {
        members.insert("disable_parallel_tool_use".to_owned(), (!parallel).into());
    }
    Ok(Some(choice))
}
