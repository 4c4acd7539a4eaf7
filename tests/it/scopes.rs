//! What a key is for: models by any layer's list, routes, addresses, names of its own for models, limits of single models.

use serde_json::json;

use crate::keys::{generate, generate_key};
use crate::support::config::MASTER_KEY;
use crate::support::gateway::chat_request;
use crate::tenants::{admin, by, scene, told};

#[test]
fn each_layers_list_of_models_holds_and_says_whose_it_is() {
    let (_upstream, _home, gateway) = scene();
    let only = json!(["m"]);
    admin(
        &gateway,
        "/organization/new",
        &json!({"organization_id": "o", "organization_alias": "o", "models": only}),
    );
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "in-o", "organization_id": "o"}),
    );
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "t", "models": only}),
    );
    admin(&gateway, "/team/new", &json!({"team_id": "free"}));
    admin(
        &gateway,
        "/user/new",
        &json!({"user_id": "u", "models": only, "auto_create_key": false}),
    );
    let member = json!({"team_id": "free", "member": {"user_id": "u"}, "allowed_models": only});
    admin(&gateway, "/team/member_add", &member);
    admin(
        &gateway,
        "/customer/new",
        &json!({"user_id": "c", "models": only}),
    );
    admin(
        &gateway,
        "/user/new",
        &json!({"user_id": "none", "models": ["no-default-models"], "auto_create_key": false}),
    );
    for (wishes, customer, kind) in [
        (json!({"models": only}), None, "key_model_access_denied"),
        (json!({"team_id": "t"}), None, "team_model_access_denied"),
        (
            json!({"team_id": "t", "models": ["all-team-models"]}),
            None,
            "team_model_access_denied",
        ),
        (
            json!({"team_id": "free", "user_id": "u"}),
            None,
            "team_model_access_denied",
        ),
        (json!({"user_id": "u"}), None, "user_model_access_denied"),
        (json!({"team_id": "in-o"}), None, "org_model_access_denied"),
        (json!({}), Some("c"), "customer_model_access_denied"),
    ] {
        let key = generate_key(&gateway, &wishes);
        let ask = |model: &str| {
            let request = chat_request(model).bearer(&key);
            gateway.send(&match customer {
                Some(id) => request.header("x-litellm-end-user-id", id),
                None => request,
            })
        };
        ask("m").assert_status(200);
        let error = ask("other").assert_error(403, kind);
        assert_eq!(error["param"], "model", "{wishes}");
        if customer.is_none() {
            let models = told(&gateway, &key, "/v1/models").json();
            assert_eq!(models["data"].as_array().unwrap().len(), 1, "{wishes}");
        }
    }
    let team_only = generate_key(&gateway, &json!({"user_id": "none"}));
    gateway
        .send(&chat_request("m").bearer(&team_only))
        .assert_error(403, "user_model_access_denied");
    let in_team = generate_key(&gateway, &json!({"user_id": "none", "team_id": "free"}));
    gateway
        .send(&chat_request("m").bearer(&in_team))
        .assert_status(200);
}

#[test]
fn a_key_is_for_the_routes_and_addresses_that_it_lists() {
    let (_upstream, _home, gateway) = scene();
    let chat_only = generate_key(
        &gateway,
        &json!({"allowed_routes": ["/v1/chat/completions"]}),
    );
    gateway
        .send(&chat_request("m").bearer(&chat_only))
        .assert_status(200);
    let error = told(&gateway, &chat_only, "/v1/models").assert_error(403, "auth_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("[/v1/chat/completions]"), "{message}");
    told(&gateway, &chat_only, "/health?detailed=true").assert_error(403, "auth_error");

    let elsewhere = generate_key(&gateway, &json!({"allowed_ips": ["192.0.2.0/24"]}));
    let error = gateway
        .send(&chat_request("m").bearer(&elsewhere))
        .assert_error(403, "auth_error");
    assert_eq!(
        error["message"],
        "Access forbidden: IP address 127.0.0.1 not allowed."
    );
    let here = generate_key(&gateway, &json!({"allowed_ips": ["127.0.0.0/8"]}));
    gateway
        .send(&chat_request("m").bearer(&here))
        .assert_status(200);

    for (field, value) in [
        ("allowed_routes", json!(["chat"])),
        ("allowed_ips", json!(["localhost"])),
        ("key_type", json!("root")),
    ] {
        let refused = by(
            &gateway,
            MASTER_KEY,
            "/key/generate",
            &json!({field: value}),
        );
        let error = refused.assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], field);
    }
}

#[test]
fn a_key_and_a_team_have_names_of_their_own_for_models() {
    let (upstream, _home, gateway) = scene();
    let team =
        json!({"team_id": "t", "models": ["m"], "model_aliases": {"best": "m", "mine": "other"}});
    admin(&gateway, "/team/new", &team);
    let key = generate_key(&gateway, &json!({"team_id": "t", "aliases": {"mine": "m"}}));

    for alias in ["best", "mine"] {
        let answer = gateway.send(&chat_request(alias).bearer(&key));
        answer.assert_status(200);
        assert_eq!(answer.json()["model"], "m", "{alias}");
    }
    assert_eq!(upstream.request_count(), 2);
    // A name leads nowhere that the list does not allow, and is nobody else's.
    let widened = json!({"team_id": "t", "aliases": {"mine": "other"}});
    let other = generate_key(&gateway, &widened);
    gateway
        .send(&chat_request("mine").bearer(&other))
        .assert_error(403, "team_model_access_denied");
    let stranger = generate_key(&gateway, &json!({}));
    gateway
        .send(&chat_request("best").bearer(&stranger))
        .assert_status(400);
    let bad = json!({"aliases": {"a": 1}});
    let error = by(&gateway, MASTER_KEY, "/key/generate", &bad);
    assert_eq!(
        error.assert_error(400, "invalid_request_error")["param"],
        "aliases"
    );
}

#[test]
fn limits_of_single_models_count_for_these_alone() {
    let (_upstream, _home, gateway) = scene();
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "t", "model_rpm_limit": {"m": 2}}),
    );
    let key = generate(
        &gateway,
        &json!({"team_id": "t", "model_rpm_limit": {"m": 1, "other": 1}}),
    );
    let token = key["token"].as_str().unwrap();
    assert_eq!(key["model_rpm_limit"], json!({"m": 1, "other": 1}));
    let key = key["key"].as_str().unwrap();
    let second = generate_key(&gateway, &json!({"team_id": "t"}));
    let ask = |key: &str, model: &str| gateway.send(&chat_request(model).bearer(key));

    ask(key, "m").assert_status(200);
    let error = ask(key, "m").assert_error(429, "throttling_error");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("m of api_key {token}")),
        "{message}"
    );
    ask(key, "other").assert_status(200);
    ask(&second, "m").assert_status(200);
    let error = ask(&second, "m").assert_error(429, "throttling_error");
    assert!(
        error["message"].as_str().unwrap().contains("m of team t"),
        "{error}"
    );
    ask(&second, "other").assert_status(200);

    let more = json!({"key": token, "model_rpm_limit": {"other": 5}, "model_tpm_limit": {"m": 9}});
    let changed = admin(&gateway, "/key/update", &more);
    assert_eq!(changed["model_rpm_limit"], json!({"other": 5}));
    assert_eq!(changed["model_tpm_limit"], json!({"m": 9}));
    ask(key, "other").assert_status(200);
    for bad in [json!({"m": 0}), json!({"m": "many"}), json!([1])] {
        let body = json!({"key": token, "model_rpm_limit": bad});
        let refused = by(&gateway, MASTER_KEY, "/key/update", &body);
        let error = refused.assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], "model_rpm_limit");
    }
}
