//! What the gateway tells of its configuration: settings with their values and where they come from, and no secret.

use serde_json::{Value, json};

use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, start};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .general("max_parallel_requests: 10")
        .general("alerting: [slack]")
        .router("num_retries: 7")
        .router("model_group_alias: {nickname: m}")
        .litellm("success_callback: [langfuse]");
    let (home, gateway) = start(&config);
    (upstream, home, gateway.with_master_key())
}

fn field(gateway: &Gateway, name: &str) -> Value {
    let answer = gateway.get(&format!("/config/field/info?field_name={name}"));
    answer.assert_status(200);
    answer.json()
}

#[test]
fn every_setting_is_listed_with_its_value_and_where_that_comes_from() {
    let (_upstream, _home, gateway) = scene();
    let list = gateway.get("/config/list?config_type=general_settings");
    list.assert_status(200);
    assert!(!list.text().contains(MASTER_KEY), "{}", list.text());
    let list = list.json();
    let of = |name: &str| {
        let mut rows = list.as_array().unwrap().iter();
        rows.find(|row| row["field_name"] == name).cloned().unwrap()
    };
    let row = of("max_parallel_requests");
    assert_eq!(
        (&row["field_value"], &row["source"]),
        (&json!(10), &json!("config"))
    );
    assert_eq!(
        (&row["field_type"], &row["stored_in_db"]),
        (&json!("Integer"), &json!(false))
    );
    assert_eq!(of("master_key")["field_value"], "[REDACTED]");
    let row = of("user_api_key_cache_ttl");
    assert_eq!(
        (
            &row["field_value"],
            &row["field_default_value"],
            &row["source"]
        ),
        (&Value::Null, &json!(60), &json!("default"))
    );
    gateway
        .get("/config/list?config_type=other")
        .assert_status(422);

    assert_eq!(
        field(&gateway, "max_parallel_requests"),
        json!({"field_name": "max_parallel_requests", "field_value": 10, "source": "config", "editable": false})
    );
    for name in ["nonsense", "user_header_name", ""] {
        let answer = gateway.get(&format!("/config/field/info?field_name={name}"));
        let err = answer.assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], "field_name", "{name}");
    }
}

#[test]
fn routing_tells_what_it_goes_by_and_callbacks_whether_they_are_acted_on() {
    let (_upstream, _home, gateway) = scene();
    let settings = gateway.get("/router/settings").json();
    let values = &settings["current_values"];
    assert_eq!(values["routing_strategy"], "simple-shuffle");
    assert_eq!(values["num_retries"], 7);
    assert_eq!(values["model_group_alias"], json!({"nickname": "m"}));
    assert_eq!(
        (
            &settings["source"]["num_retries"],
            &settings["source"]["routing_strategy"]
        ),
        (&json!("config"), &json!("default"))
    );
    let fields = settings["fields"].as_array().unwrap();
    let strategy = fields
        .iter()
        .find(|field| field["field_name"] == "routing_strategy");
    let options = strategy.unwrap()["options"].as_array().unwrap();
    assert!(options.contains(&json!("least-busy")), "{options:?}");

    let callbacks = gateway.get("/get/config/callbacks").json();
    assert_eq!(
        callbacks["callbacks"],
        json!([{"name": "langfuse", "variables": {}, "type": "success", "acted_on": false}])
    );
    assert_eq!(callbacks["alerts"][0]["name"], "slack");
    assert_eq!(callbacks["active_alerting_destinations"], json!([]));
    assert_eq!(callbacks["router_settings"]["num_retries"], 7);
}

#[test]
fn the_fields_of_routing_are_told_without_what_is_configured() {
    let (_upstream, _home, gateway) = scene();
    let told = gateway.get("/router/fields");
    told.assert_status(200);
    let told = told.json();
    let settings = gateway.get("/router/settings").json();
    let (fields, of_settings) = (&told["fields"], &settings["fields"]);
    let of = |fields: &Value, name: &str| {
        let mut fields = fields.as_array().unwrap().iter();
        let found = fields.find(|field| field["field_name"] == name);
        found.cloned().unwrap()
    };
    assert_eq!(of(of_settings, "num_retries")["field_value"], 7);
    let mut retries = of(fields, "num_retries");
    assert_eq!(retries["field_value"], Value::Null);
    retries["field_value"] = json!(7);
    assert_eq!(retries, of(of_settings, "num_retries"));
    for field in fields.as_array().unwrap() {
        assert_eq!(field["field_value"], Value::Null, "{field}");
        assert_ne!(field["field_description"], "", "{field}");
    }
    let options = of(fields, "routing_strategy")["options"].clone();
    assert_eq!(options, told["routing_group_strategies"]);
    for strategy in options.as_array().unwrap() {
        let described = &told["routing_strategy_descriptions"];
        assert!(described[strategy.as_str().unwrap()].is_string());
    }
    assert!(told.get("current_values").is_none() && told.get("source").is_none());
}
