//! Which models a caller sees and may use: wildcards, aliases, ids of deployments, keys that are held to a list.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, chat_request_body, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

/// A wildcard of a provider, a group of its own with an access group, an alias.
fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("\"openai/*\"", &upstream)
                .param("model: \"openai/*\"")
                .id("the-wildcard"),
        )
        .deployment(Deployment::of("own", &upstream).id("own-1"))
        .deployment(Deployment::of("dear", &upstream).id("dear-1"))
        .router("model_group_alias: {nickname: own}")
        .one_attempt()
        .with_master_key();
    let (home, gateway) = start(&config);
    (upstream, home, gateway)
}

fn listed(gateway: &Gateway, key: &str) -> Vec<String> {
    let answer = gateway.send(&Request::get("/v1/models").bearer(key));
    answer.assert_status(200);
    let list = answer.json();
    list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| model["id"].as_str().expect("an id").to_owned())
        .collect()
}

fn has(models: &[String], id: &str) -> bool {
    models.iter().any(|model| model == id)
}

#[test]
fn a_wildcard_is_listed_as_the_models_that_it_stands_for() {
    let (_upstream, _home, gateway) = scene();

    let models = listed(&gateway, MASTER_KEY);

    for id in [
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "own",
        "dear",
        "nickname",
    ] {
        assert!(has(&models, id), "no {id} in {models:?}");
    }
    assert!(!has(&models, "openai/*"), "{models:?}");
    let one = gateway.send(&Request::get("/v1/models/openai/gpt-4o").bearer(MASTER_KEY));
    one.assert_status(200);
    assert_eq!(one.json()["id"], "openai/gpt-4o");
    assert!(one.json()["max_output_tokens"].is_u64(), "{}", one.text());
    let other = gateway.send(&Request::get("/models/openai/gpt-4o").bearer(MASTER_KEY));
    assert_eq!(other.json(), one.json());
    let encoded = gateway.send(&Request::get("/v1/models/openai%2Fgpt-4o").bearer(MASTER_KEY));
    assert_eq!(encoded.json(), one.json());
}

#[test]
fn a_restricted_key_sees_and_uses_its_part_of_a_wildcard_only() {
    let (upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"models": ["openai/gpt-4o", "own"]}));

    let models = listed(&gateway, &key);

    assert!(
        has(&models, "openai/gpt-4o") && has(&models, "own"),
        "{models:?}"
    );
    for id in ["openai/gpt-4o-mini", "dear"] {
        assert!(!has(&models, id), "{id} in {models:?}");
    }
    let hidden = gateway.send(&Request::get("/v1/models/dear").bearer(&key));
    hidden.assert_status(404);
    gateway
        .send(&chat_request("openai/gpt-4o").bearer(&key))
        .assert_status(200);
    gateway
        .send(&chat_request("openai/gpt-4o-mini").bearer(&key))
        .assert_error(403, "key_model_access_denied");
    assert_eq!(upstream.only_request().json()["model"], "gpt-4o");
}

#[test]
fn a_key_for_a_pattern_sees_and_uses_all_of_it() {
    let (_upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"models": ["openai/*"]}));

    let models = listed(&gateway, &key);

    assert!(has(&models, "openai/gpt-4o"), "{models:?}");
    assert!(
        models.iter().all(|model| model.starts_with("openai/")),
        "{models:?}"
    );
    gateway
        .send(&chat_request("openai/anything-new").bearer(&key))
        .assert_status(200);
    gateway
        .send(&chat_request("own").bearer(&key))
        .assert_error(403, "key_model_access_denied");
}

#[test]
fn a_key_for_a_group_may_use_its_aliases() {
    let (_upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"models": ["own"]}));

    gateway
        .send(&chat_request("nickname").bearer(&key))
        .assert_status(200);
    assert!(has(&listed(&gateway, &key), "nickname"));
    let other = generate_key(&gateway, &json!({"models": ["dear"]}));
    gateway
        .send(&chat_request("nickname").bearer(&other))
        .assert_error(403, "key_model_access_denied");
}

#[test]
fn the_id_of_a_deployment_is_no_way_around_a_keys_models() {
    let (upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"models": ["own"]}));

    gateway
        .send(&chat_request("own-1").bearer(&key))
        .assert_status(200);
    gateway
        .send(&chat_request("dear-1").bearer(&key))
        .assert_error(403, "key_model_access_denied");
    gateway
        .send(&chat_request("the-wildcard").bearer(&key))
        .assert_error(403, "key_model_access_denied");

    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_key_for_an_access_group_uses_the_models_in_it() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let text = ConfigText::new().one_attempt().with_master_key().text();
    let base_url = upstream.base_url();
    let home = Home::with_text(&format!(
        "model_list:\n  - model_name: inside\n    litellm_params: {{model: openai/x, api_base: {base_url}, api_key: k}}\n    \
         model_info: {{access_groups: [beta]}}\n  - model_name: outside\n    litellm_params: {{model: openai/x, api_base: {base_url}, \
         api_key: k}}\n{text}"
    ));
    let gateway = home.start();
    let key = generate_key(&gateway, &json!({"models": ["beta"]}));

    assert_eq!(listed(&gateway, &key), ["inside"]);
    gateway
        .send(&chat_request("inside").bearer(&key))
        .assert_status(200);
    gateway
        .send(&chat_request("outside").bearer(&key))
        .assert_error(403, "key_model_access_denied");
}

#[test]
fn deployments_are_shown_to_a_key_only_as_far_as_it_may_use_them() {
    let (upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"models": ["own"]}));
    let names = |path: &str, member: &str| -> Vec<Value> {
        let answer = gateway.send(&Request::get(path).bearer(&key));
        answer.assert_status(200);
        answer.json()[member]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| entry["model_name"].clone())
            .collect()
    };

    assert_eq!(names("/model/info", "data"), ["own"]);
    assert_eq!(names("/health?detailed=true", "healthy_endpoints"), ["own"]);
    assert_eq!(upstream.request_count(), 1);
    gateway.get("/health?detailed=true").assert_status(401);
}

#[test]
fn a_group_is_told_of_as_its_deployments_together() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let base_url = upstream.base_url();
    let text = ConfigText::new().one_attempt().with_master_key().text();
    let home = Home::with_text(&format!(
        "model_list:\n  - model_name: pair\n    litellm_params: {{model: openai/gpt-4o, api_base: {base_url}, api_key: k, rpm: 5}}\n    \
         model_info: {{supports_vision: false, max_input_tokens: 1000}}\n  - model_name: pair\n    litellm_params: {{model: anthropic/claude-3-5-haiku-20241022, \
         api_base: {base_url}, api_key: k, rpm: 6, input_cost_per_token: 0.5}}\n    model_info: {{supports_vision: true, max_input_tokens: 2000}}\n  \
         - model_name: alone\n    litellm_params: {{model: openai/gpt-4o, api_base: {base_url}, api_key: k}}\n{text}"
    ));
    let gateway = home.start();
    let all = |query: &str, key: &str| {
        let request = Request::get(&format!("/model_group/info{query}")).bearer(key);
        gateway.send(&request).json()["data"].clone()
    };

    let pair = &all("?model_group=pair", MASTER_KEY)[0];
    assert_eq!(pair["model_group"], "pair");
    assert_eq!(pair["providers"], json!(["anthropic", "openai"]));
    assert_eq!(pair["max_input_tokens"], 2000);
    assert_eq!(pair["input_cost_per_token"], json!(0.5));
    assert_eq!(
        (&pair["rpm"], &pair["tpm"], &pair["supports_vision"]),
        (&json!(11), &Value::Null, &json!(true))
    );
    let params = pair["supported_openai_params"].as_array().expect("a list");
    assert!(params.contains(&json!("temperature")) && !params.contains(&json!("seed")));
    assert_eq!(all("", MASTER_KEY).as_array().map(Vec::len), Some(2));
    let key = generate_key(&gateway, &json!({"models": ["alone"]}));
    assert_eq!(all("", &key)[0]["model_group"], "alone");
    assert_eq!(all("?model_group=pair", &key), json!([]));
}

#[test]
fn what_a_model_takes_is_told_by_name() {
    let (_upstream, _home, gateway) = scene();
    let ask = |query: &str| {
        let path = format!("/utils/supported_openai_params{query}");
        gateway.send(&Request::get(&path).bearer(MASTER_KEY))
    };
    let takes = |model: &str, param: &str| {
        let answer = ask(&format!("?model={model}"));
        answer.assert_status(200);
        let params = answer.json()["supported_openai_params"].clone();
        params.as_array().expect("a list").contains(&json!(param))
    };

    assert!(takes("nickname", "temperature"));
    assert!(takes("openai/gpt-4o", "temperature"));
    assert!(!takes("openai/o3-mini", "temperature"));
    // Served by nobody here, and known.
    assert!(!takes("anthropic/claude-3-haiku-20240307", "seed"));
    for query in ["", "?model=", "?model=who-knows"] {
        let error = ask(query).assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], "model", "{query}");
    }
}

#[test]
fn a_path_may_name_a_model_with_a_slash() {
    let (upstream, _home, gateway) = scene();
    let mut body = chat_request_body("x");
    body.as_object_mut().expect("an object").remove("model");

    let answer = gateway.send(
        &Request::post("/openai/deployments/openai/gpt-4o/chat/completions", &body)
            .bearer(MASTER_KEY),
    );

    answer.assert_status(200);
    assert_eq!(upstream.only_request().json()["model"], "gpt-4o");
}
