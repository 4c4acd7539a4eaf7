//! A JSON Schema (2020-12) of the config file, for editors, made from the table of keys.
//!
//! It is as lenient as the reader: numbers and switches may be quoted or `os.environ/NAME`, an empty key is nothing.
//! What it flags beyond that are keys that nobody knows, as `check` does.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind, Others, Section, Status};

const REFERENCE: &str = "os\\.environ/.+";

/// The schema.
pub fn schema() -> Value {
    let mut root = section("");
    if let Value::Object(map) = &mut root {
        let mut whole = Map::new();
        whole.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        whole.insert("title".to_owned(), "Trunkline configuration".into());
        whole.append(map);
        *map = whole;
    }
    root
}

/// The schema as text, as it is committed.
pub fn text() -> String {
    // Keys of JSON objects are texts, so this cannot fail.
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// The mapping at `path`; any mapping where the table has no section.
fn section(path: &str) -> Value {
    let Some(section) = keys::section(path) else {
        return json!({ "type": ["object", "null"] });
    };
    let mut properties = Map::new();
    let mut families = Map::new();
    for key in section.keys {
        let value = property(section, key);
        match (key.name.strip_prefix('*'), key.name.strip_suffix('*')) {
            (_, Some(start)) => families.insert(format!("^{start}"), value),
            (Some(end), None) => families.insert(format!("{end}$"), value),
            (None, None) => properties.insert(key.name.to_owned(), value),
        };
    }
    let required: Vec<&str> = section
        .keys
        .iter()
        .filter(|key| key.default == "required")
        .map(|key| key.name)
        .collect();
    let mut schema = json!({ "type": ["object", "null"], "properties": properties });
    if let Value::Object(map) = &mut schema {
        if !families.is_empty() {
            map.insert("patternProperties".to_owned(), Value::Object(families));
        }
        if !required.is_empty() {
            map.insert("required".to_owned(), json!(required));
        }
        // `<<` merges, and the merged keys are not seen here.
        if section.others == Others::Unknown {
            map.insert("additionalProperties".to_owned(), false.into());
        }
    }
    schema
}

fn property(above: &Section, key: &Key) -> Value {
    let path = if above.path.is_empty() {
        key.name.to_owned()
    } else {
        format!("{}.{}", above.path, key.name)
    };
    let mut value = kind(key.kind, &path);
    if let Value::Object(map) = &mut value {
        map.insert("description".to_owned(), description(key).into());
        if let Some(default) = default(key) {
            map.insert("default".to_owned(), default);
        }
        match key.status {
            Status::Ignored(_) => {
                map.insert("deprecated".to_owned(), true.into());
            }
            Status::Refused(_) => {
                map.insert("not".to_owned(), json!({}));
            }
            Status::Supported | Status::Planned(_) => {}
        }
    }
    value
}

fn kind(kind: Kind, path: &str) -> Value {
    let text = json!({ "type": ["string", "number", "boolean", "null"] });
    match kind {
        Kind::Any => json!({}),
        Kind::Map => section(path),
        Kind::List => json!({ "type": ["array", "null"], "items": section(path) }),
        Kind::Texts => json!({ "type": ["array", "null"], "items": text }),
        Kind::TextOrTexts => json!({
            "type": ["string", "array", "null"],
            "items": text,
        }),
        Kind::Switch => json!({
            "type": ["boolean", "string", "null"],
            "pattern": format!("^([Tt]rue|[Ff]alse|[Yy]es|[Nn]o|[Oo]n|[Oo]ff|{REFERENCE})$"),
        }),
        Kind::Bytes | Kind::PerMinute | Kind::Tokens | Kind::Whole => json!({
            "type": ["integer", "string", "null"],
            "minimum": 0,
            "pattern": format!("^([0-9]+|{REFERENCE})$"),
        }),
        Kind::Megabytes | Kind::Number | Kind::Seconds | Kind::Usd | Kind::UsdPerToken => json!({
            "type": ["number", "string", "null"],
            "minimum": 0,
            "pattern": format!("^([0-9.eE+-]+|{REFERENCE})$"),
        }),
        Kind::Path | Kind::Secret | Kind::Span | Kind::Text | Kind::Url => text,
    }
}

fn description(key: &Key) -> String {
    let mut parts: Vec<String> = Vec::new();
    match key.status {
        Status::Supported => {}
        Status::Planned(area) => parts.push(format!("Planned ({}), no effect yet.", area.name())),
        Status::Ignored(reason) => parts.push(format!("Ignored: {reason}.")),
        Status::Refused(instead) => parts.push(format!("Refused: {instead}.")),
    }
    if !key.meaning.is_empty() {
        parts.push(format!("{}.", key.meaning));
    }
    parts.push(format!("Holds: {}.", key.kind.name()));
    if !key.default.is_empty() && key.default != "required" && default(key).is_none() {
        parts.push(format!("Default: {}.", key.default));
    }
    parts.join(" ")
}

/// The default as a value, where it is one.
fn default(key: &Key) -> Option<Value> {
    let text = key.default;
    if key.kind == Kind::Switch {
        return text.parse::<bool>().ok().map(Value::Bool);
    }
    if let Ok(number) = serde_json::from_str::<serde_json::Number>(text) {
        return Some(Value::Number(number));
    }
    let word = text.strip_prefix('`')?.strip_suffix('`')?;
    let plain = key.kind == Kind::Text && !word.contains('`') && keys::key(word).is_none();
    // A word in capitals with a line below is a variable.
    (plain && !word.contains('_')).then(|| Value::String(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::{schema, text};
    use crate::config::fixture_tests::blessing;

    #[test]
    fn the_committed_schema_is_the_one_that_is_printed() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
        if blessing() {
            fs::write(&path, text()).expect("the schema is written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text(),
            "config/schema.json is not what `trunkline config schema` prints; TRUNKLINE_BLESS=1 rewrites it"
        );
    }

    #[test]
    fn keys_have_their_types_and_defaults() {
        let schema = schema();
        let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(
            at("/properties/router_settings/properties/num_retries/default"),
            2
        );
        assert_eq!(
            at("/properties/router_settings/additionalProperties"),
            false
        );
        assert_eq!(
            at("/properties/model_list/items/required"),
            serde_json::json!(["model_name", "litellm_params"])
        );
        let params = "/properties/model_list/items/properties/litellm_params";
        assert_eq!(at(&format!("{params}/additionalProperties")), Value::Null);
        assert_eq!(at(&format!("{params}/properties/timeout/type/0")), "number");
        assert_eq!(
            at("/properties/trunkline/properties/timeouts/properties/idle/default"),
            120
        );
    }
}
