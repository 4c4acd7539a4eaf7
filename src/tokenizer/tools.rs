//! What the definitions of tools cost.
//!
//! OpenAI renders them in a form of its own and has not published it; these constants, measured against its API, are
//! from its cookbook ("How to count tokens with tiktoken", section 7). Members of nested objects are counted like
//! those of the outermost.

use serde_json::{Map, Value};

use super::Vocabulary;
use super::content::str_member;
use super::meter::Meter;

/// After the last tool.
const END: usize = 12;
/// Before the parameters of a tool that has any.
const PROPERTIES: usize = 3;
/// For each parameter.
const PROPERTY: usize = 3;
/// For each value of an `enum` after the first.
const ENUM_ITEM: usize = 3;

/// Before each tool.
pub(super) fn overhead(vocabulary: Vocabulary) -> usize {
    match vocabulary {
        Vocabulary::Cl100k => 10,
        Vocabulary::O200k => 7,
    }
}

/// Adds the tools of a request: `{"type": "function", "function": {…}}`, the bare function, Anthropic's
/// `{"name", "input_schema"}` or Gemini's `{"functionDeclarations": […]}`.
pub(super) fn count(meter: &mut Meter, tools: &[Value]) {
    if tools.is_empty() {
        return;
    }
    for tool in tools {
        let declared = tool
            .get("functionDeclarations")
            .or_else(|| tool.get("function_declarations"))
            .and_then(Value::as_array);
        match declared {
            Some(functions) => functions.iter().for_each(|one| function(meter, one)),
            None => function(meter, tool.get("function").unwrap_or(tool)),
        }
    }
    meter.add(END);
}

fn function(meter: &mut Meter, function: &Value) {
    meter.add(meter.tokenizer.tool_overhead);
    let name = str_member(function, "name").or_else(|| str_member(function, "type"));
    meter.text(&format!(
        "{}:{}",
        name.unwrap_or_default(),
        description(function)
    ));
    let schema = ["parameters", "input_schema", "parametersJsonSchema"]
        .into_iter()
        .find_map(|key| function.get(key));
    if let Some(properties) = schema.and_then(properties_of) {
        parameters(meter, properties);
    }
}

fn parameters(meter: &mut Meter, properties: &Map<String, Value>) {
    if properties.is_empty() {
        return;
    }
    meter.add(PROPERTIES);
    for (name, schema) in properties {
        meter.add(PROPERTY);
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            meter.add(ENUM_ITEM * values.len().saturating_sub(1));
            for value in values {
                match value {
                    Value::String(text) => meter.text(text),
                    other => meter.text(&other.to_string()),
                }
            }
        }
        let kind = str_member(schema, "type").unwrap_or_default();
        meter.text(&format!("{name}:{kind}:{}", description(schema)));
        let nested = properties_of(schema).or_else(|| properties_of(schema.get("items")?));
        if let Some(nested) = nested {
            parameters(meter, nested);
        }
    }
}

/// The parser bounds how deep they nest.
fn properties_of(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// The rendering ends a description without its full stop.
fn description(of: &Value) -> &str {
    let text = str_member(of, "description").unwrap_or_default();
    text.strip_suffix('.').unwrap_or(text)
}
