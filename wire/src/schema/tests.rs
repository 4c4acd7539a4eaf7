//! Tests of the schema walk.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ANTHROPIC_STRICT, ANTHROPIC_TOOL, clean};

fn strict(schema: &Value) -> Value {
    clean(schema, &ANTHROPIC_STRICT, "s").unwrap()
}

#[test]
fn what_a_provider_does_not_take_is_told_in_the_description() {
    let cleaned = strict(
        &json!({"type": "string", "description": "A code.", "minLength": 2, "pattern": "^a"}),
    );
    assert_eq!(
        cleaned,
        json!({"type": "string", "description": "A code.\n\n{minLength: 2}", "pattern": "^a"})
    );
}

#[test]
fn every_object_is_closed_at_any_depth() {
    let cleaned = strict(&json!({
        "type": "object",
        "properties": {"list": {"type": "array", "items": {"type": ["object", "null"], "properties": {"a": {}}}}},
        "additionalProperties": {"type": "integer"}
    }));
    assert_eq!(cleaned["additionalProperties"], false);
    assert_eq!(
        cleaned["description"],
        r#"{additionalProperties: {"type":"integer"}}"#
    );
    assert_eq!(
        cleaned["properties"]["list"]["items"]["additionalProperties"],
        false
    );
}

#[test]
fn a_property_may_be_called_like_a_keyword() {
    let schema = json!({"type": "object", "properties": {"minimum": {"type": "integer"}, "$defs": {"type": "string"}}});
    let cleaned = strict(&schema);
    assert_eq!(cleaned["properties"], schema["properties"]);
}

#[test]
fn references_are_unfolded_where_they_stand() {
    let cleaned = strict(&json!({
        "definitions": {"a/b": {"type": "string"}},
        "type": "object",
        "properties": {"x": {"$ref": "#/definitions/a~1b", "description": "An x."}}
    }));
    assert_eq!(
        cleaned["properties"]["x"],
        json!({"type": "string", "description": "An x."})
    );
    assert!(cleaned.get("definitions").is_none());
}

#[test]
fn a_schema_that_leads_back_to_itself_is_refused_where_it_does() {
    for (schema, place) in [
        (json!({"$ref": "#"}), "s"),
        (
            json!({"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}]}, "B": {"items": {"$ref": "#/$defs/A"}}}, "$ref": "#/$defs/A"}),
            "s.anyOf[0].items",
        ),
    ] {
        let err = clean(&schema, &ANTHROPIC_STRICT, "s").unwrap_err();
        assert_eq!(err.param.as_deref(), Some(place), "{schema}");
    }
    let err = clean(&json!({"$ref": "#"}), &ANTHROPIC_TOOL, "s").unwrap_err();
    assert_eq!(err.param.as_deref(), Some("s"));
}

#[test]
fn a_schema_that_unfolds_to_too_much_is_refused() {
    // Each definition holds the next one twice: 2^20 schemas in a few hundred bytes.
    let mut definitions = json!({"D20": {"type": "string"}});
    for level in 0..20 {
        let next = json!({"$ref": format!("#/$defs/D{}", level + 1)});
        definitions[format!("D{level}")] = json!({"anyOf": [next.clone(), next]});
    }
    let schema = json!({"$defs": definitions, "$ref": "#/$defs/D0"});
    let err = clean(&schema, &ANTHROPIC_STRICT, "s").unwrap_err();
    assert!(
        err.message.contains("unfolds to too much"),
        "{}",
        err.message
    );
}

#[test]
fn a_reference_to_nothing_is_refused() {
    for reference in ["#/$defs/Missing", "https://example.com/schema", ""] {
        let schema = json!({"type": "object", "properties": {"x": {"$ref": reference}}});
        let err = clean(&schema, &ANTHROPIC_STRICT, "s").unwrap_err();
        assert_eq!(err.param.as_deref(), Some("s.properties.x"), "{reference}");
    }
}

#[test]
fn a_tools_schema_stays_as_it_is_but_for_a_reference_at_its_top() {
    let plain = json!({"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}, "$schema": "x"});
    assert_eq!(clean(&plain, &ANTHROPIC_TOOL, "s").unwrap(), plain);
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}});
    let cleaned = clean(
        &json!({"$defs": {"Node": node}, "$ref": "#/$defs/Node"}),
        &ANTHROPIC_TOOL,
        "s",
    )
    .unwrap();
    assert_eq!(cleaned["type"], "object");
    assert_eq!(cleaned["$defs"]["Node"], node);
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string", "maxLength": 3})),
        Just(json!({"enum": [1, "a"]})),
        Just(json!(true)),
        Just(json!({"$ref": "#/$defs/D"})),
    ];
    leaf.prop_recursive(5, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!({"oneOf": list})),
            inner
                .clone()
                .prop_map(|items| json!({"type": "array", "items": items, "maxItems": 2})),
            prop::collection::hash_map("[a-z$]{1,5}", inner, 0..4)
                .prop_map(|named| json!({"type": "object", "properties": named})),
        ]
    })
}

proptest! {
    #[test]
    fn cleaning_twice_changes_nothing_more(schema in schema()) {
        let whole = json!({"$defs": {"D": {"type": "integer"}}, "anyOf": [schema]});
        let cleaned = strict(&whole);
        prop_assert_eq!(strict(&cleaned), cleaned);
    }
}
