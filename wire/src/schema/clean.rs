//! The walk over a schema.
//!
//! Source: JSON Schema draft 2020-12, "Core" §8.2 (`$ref`, `$defs`) and §10 (applicators), read 2026-11-23.

use serde_json::{Map, Value};

use super::rules::{Keywords, References, Rules};
use crate::BadRequest;

/// How deeply schemas may be nested, references unfolded.
const MAX_DEPTH: usize = 64;

/// How many schemas one may unfold to.
const MAX_NODES: usize = 10_000;

/// Keywords whose value is a schema.
const SCHEMA: &[&str] = &[
    "items",
    "not",
    "contains",
    "if",
    "then",
    "else",
    "propertyNames",
    "additionalProperties",
];

/// Keywords whose value is a list of schemas.
const SCHEMAS: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems"];

/// Keywords whose value maps names to schemas.
const NAMED_SCHEMAS: &[&str] = &["properties", "patternProperties", "dependentSchemas"];

/// Where the definitions are.
const DEFINITIONS: &[&str] = &["$defs", "definitions"];

/// A schema as a provider takes it. `path` names it in errors, as in `tools[0].function.parameters`.
///
/// # Errors
/// [`BadRequest`] naming the place: a schema that is neither an object nor a boolean, a reference to nothing, one that
/// leads back to itself where references cannot stay, a schema nested too deeply or unfolding to too much.
pub fn clean(schema: &Value, rules: &Rules, path: &str) -> Result<Value, BadRequest> {
    let mut walk = Walk {
        root: schema,
        rules,
        nodes: 0,
        unfolding: Vec::new(),
    };
    match rules.references {
        References::Inlined => walk.schema(schema, path, 0),
        References::Kept => walk.topped(path),
    }
}

struct Walk<'a> {
    root: &'a Value,
    rules: &'a Rules,
    nodes: usize,
    /// The references that are being unfolded, outermost first.
    unfolding: Vec<&'a str>,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    /// The schema with nothing changed but a reference at its top.
    fn topped(&mut self, path: &str) -> Result<Value, BadRequest> {
        let Value::Object(members) = self.root else {
            return Err(no_schema(path));
        };
        let Some(reference) = members.get("$ref").and_then(Value::as_str) else {
            return Ok(self.root.clone());
        };
        let mut target = self.target(reference, path)?;
        while let Some(next) = target.get("$ref").and_then(Value::as_str) {
            target = self.target(next, path)?;
        }
        let mut out = target.as_object().ok_or_else(|| no_schema(path))?.clone();
        for (key, value) in members.iter().filter(|(key, _)| *key != "$ref") {
            out.insert(key.clone(), value.clone());
        }
        Ok(Value::Object(out))
    }

    fn schema(&mut self, schema: &'a Value, path: &str, depth: usize) -> Result<Value, BadRequest> {
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            let message = format!(
                "'{path}' is nested too deeply, or unfolds to too much: write a smaller schema."
            );
            return Err(BadRequest::new(path, message));
        }
        let members = match schema {
            Value::Object(members) => members,
            Value::Bool(_) => return Ok(schema.clone()),
            _ => return Err(no_schema(path)),
        };
        let Some(reference) = members.get("$ref").and_then(Value::as_str) else {
            return self.members(members, path, depth);
        };
        let target = self.target(reference, path)?;
        self.unfolding.push(reference);
        let unfolded = self.schema(target, path, depth.saturating_add(1));
        self.unfolding.pop();
        let mut unfolded = unfolded?;
        // What stands beside a reference counts too; mostly it is a description.
        if let Value::Object(out) = &mut unfolded {
            for key in ["description", "title", "default"] {
                if let Some(value) = members.get(key) {
                    out.insert(key.to_owned(), value.clone());
                }
            }
        }
        Ok(unfolded)
    }

    fn members(
        &mut self,
        members: &'a Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Value, BadRequest> {
        let mut out = Map::new();
        let mut told = Vec::new();
        for (key, value) in members {
            let key = key.as_str();
            if DEFINITIONS.contains(&key) || key == "$schema" || key == "$id" {
                continue;
            }
            if !self.takes(key, value) {
                told.push(format!("{key}: {value}"));
                continue;
            }
            let place = format!("{path}.{key}");
            let cleaned = self.value(key, value, &place, depth.saturating_add(1))?;
            let key = if key == "oneOf" && self.rules.one_of_as_any_of {
                "anyOf"
            } else {
                key
            };
            out.insert(key.to_owned(), cleaned);
        }
        if self.rules.closed_objects && is_object(&out) {
            out.insert("additionalProperties".to_owned(), false.into());
            out.entry("properties").or_insert_with(|| Map::new().into());
        }
        tell(&mut out, &told);
        Ok(Value::Object(out))
    }

    /// The value of a keyword, schemas in it cleaned.
    fn value(
        &mut self,
        key: &str,
        value: &'a Value,
        path: &str,
        depth: usize,
    ) -> Result<Value, BadRequest> {
        match value {
            Value::Object(_) if SCHEMA.contains(&key) => self.schema(value, path, depth),
            Value::Array(list) if SCHEMAS.contains(&key) => {
                let mut out = Vec::with_capacity(list.len());
                for (at, schema) in list.iter().enumerate() {
                    out.push(self.schema(schema, &format!("{path}[{at}]"), depth)?);
                }
                Ok(out.into())
            }
            Value::Object(named) if NAMED_SCHEMAS.contains(&key) => {
                let mut out = Map::new();
                for (name, schema) in named {
                    let cleaned = self.schema(schema, &format!("{path}.{name}"), depth)?;
                    out.insert(name.clone(), cleaned);
                }
                Ok(out.into())
            }
            _ => Ok(value.clone()),
        }
    }

    fn takes(&self, key: &str, value: &Value) -> bool {
        let known = match self.rules.keywords {
            Keywords::All => true,
            Keywords::Only(keywords) => keywords.contains(&key),
        };
        let passes = match key {
            "format" => self.rules.formats.is_none_or(|formats| {
                value
                    .as_str()
                    .is_some_and(|format| formats.contains(&format))
            }),
            "minItems" => self
                .rules
                .most_min_items
                .is_none_or(|most| value.as_u64().is_some_and(|items| items <= most)),
            // Written anew where objects are closed; anything but that is told.
            "additionalProperties" => !self.rules.closed_objects || value == &Value::Bool(false),
            _ => true,
        };
        known && passes
    }

    /// What a reference refers to, if unfolding it leads anywhere.
    fn target(&mut self, reference: &'a str, path: &str) -> Result<&'a Value, BadRequest> {
        if self.unfolding.contains(&reference) {
            let message = format!(
                "'{path}' refers to itself by {reference:?}: this provider takes no recursive schemas."
            );
            return Err(BadRequest::new(path, message));
        }
        if matches!(self.rules.references, References::Kept) {
            self.unfolding.push(reference);
        }
        reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| {
                let example = "\"#/$defs/Name\"";
                let message = format!("'{path}' refers to {reference:?}, which is not in this schema; write a reference such as {example}.");
                BadRequest::new(path, message)
            })
    }
}

fn is_object(members: &Map<String, Value>) -> bool {
    match members.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => members.contains_key("properties"),
    }
}

/// Writes what could not stay into the description.
fn tell(out: &mut Map<String, Value>, told: &[String]) {
    if told.is_empty() {
        return;
    }
    let told = format!("{{{}}}", told.join(", "));
    let description = match out.get("description").and_then(Value::as_str) {
        Some(description) if !description.is_empty() => format!("{description}\n\n{told}"),
        _ => told,
    };
    out.insert("description".to_owned(), description.into());
}

fn no_schema(path: &str) -> BadRequest {
    let message = format!(
        "'{path}' must be a JSON schema: an object such as {{\"type\": \"object\", \"properties\": {{}}}}."
    );
    BadRequest::new(path, message)
}
