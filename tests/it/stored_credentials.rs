//! Credentials that are stored in the database: taken over by name, changed at once, and never shown.

use serde_json::{Value, json};

use crate::stored_models::{SECRET, config, home, model, names, patch, start, store};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Home};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::servers::postgres::Postgres;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// What the config file's own credential holds.
const OF_FILE: &str = "hush-key-of-the-file-0123456789";

fn with_credentials(config: &ConfigText, waiting: &str) -> Home {
    let text = config.text();
    let list = format!(
        "credential_list:\n  - credential_name: of-file\n    credential_values: {{api_key: {OF_FILE}}}\n    credential_info: {{note: mine}}\n"
    );
    let text = text.replacen("model_list:\n", &format!("model_list:\n{waiting}"), 1);
    Home::with_text(&format!("{text}\n{list}"))
        .variable("LITELLM_SALT_KEY", "sk-a-salt-that-stays")
        .variable("WHICH_CREDENTIAL", "later")
}

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = with_credentials(&config(&upstream), "");
    let mut gateway = start(&home);
    gateway.keeps_secret(OF_FILE);
    (upstream, home, gateway)
}

/// A deployment that takes its key from a credential.
fn naming(credential: &str, upstream: &Upstream) -> Value {
    let mut body = model("new", "new-1", upstream);
    body["litellm_params"] =
        json!({"model": "openai/stored", "litellm_credential_name": credential});
    body["litellm_params"]["api_base"] = json!(upstream.base_url());
    body
}

fn create(gateway: &Gateway, name: &str, values: &Value) -> Answer {
    let body = json!({"credential_name": name, "credential_values": values, "credential_info": {"note": "kept"}});
    gateway.post("/credentials", &body)
}

fn send(gateway: &Gateway, method: &str, name: &str, body: &Value) -> Answer {
    let path = format!("/credentials/{name}");
    gateway.send(&Request::with_body(method, &path, body))
}

fn sent_key(upstream: &Upstream) -> String {
    let requests = upstream.requests();
    let last = requests.last().unwrap().header("authorization").unwrap();
    last.trim_start_matches("Bearer ").to_owned()
}

#[test]
fn a_deployment_takes_over_what_its_credential_says_and_follows_its_changes() {
    let (upstream, _home, gateway) = scene();
    let made = create(
        &gateway,
        "shared",
        &json!({"api_key": SECRET, "api_base": "http://nobody.invalid/v1"}),
    );
    made.assert_status(200);
    assert_eq!(
        made.json(),
        json!({"success": true, "message": "Credential created successfully"})
    );
    store(&gateway, &naming("shared", &upstream));
    gateway.chat("new").assert_status(200);
    assert_eq!(sent_key(&upstream), SECRET);

    let again = format!("{SECRET}-again");
    let change = json!({"credential_values": {"api_key": again}, "credential_values_to_delete": ["api_base"], "display_name": "Shared"});
    send(&gateway, "PATCH", "shared", &change).assert_status(200);
    gateway.chat("new").assert_status(200);
    assert_eq!(sent_key(&upstream), again);

    let view = gateway.get("/credentials/by_name/shared");
    view.assert_status(200);
    assert_eq!(
        view.json(),
        json!({"credential_name": "shared", "display_name": "Shared", "credential_values": {"api_key": "[REDACTED]"},
            "credential_info": {"note": "kept"}, "source": "db"})
    );
    // What was shown is sent back.
    let values = json!({"api_key": "[REDACTED]", "api_base": upstream.base_url()});
    let back = json!({"credential_values": values});
    send(&gateway, "PATCH", "shared", &back).assert_status(200);
    gateway.chat("new").assert_status(200);
    assert_eq!(sent_key(&upstream), again);
    let other = json!({"credential_values": {"organization": "[REDACTED]"}});
    let err = send(&gateway, "PATCH", "shared", &other);
    let err = err.assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "credential_values.organization");

    patch(
        &gateway,
        "new-1",
        &json!({"litellm_params": {"litellm_credential_name": "of-file"}}),
    )
    .assert_status(200);
    gateway.chat("new").assert_status(200);
    assert_eq!(sent_key(&upstream), OF_FILE);
}

#[test]
fn credentials_of_the_config_are_shown_and_changed_there_only() {
    let (_upstream, _home, gateway) = scene();
    create(
        &gateway,
        "mine",
        &json!({"api_key": SECRET, "api_base": "https://host/v1", "other": "hush"}),
    )
    .assert_status(200);
    let list = gateway.get("/credentials");
    list.assert_status(200);
    let text = list.text();
    assert!(!text.contains("hush"), "{text}");
    let told = list.json()["credentials"].clone();
    assert_eq!(told[0]["source"], "config");
    assert_eq!(
        told[0]["credential_values"],
        json!({"api_key": "[REDACTED]"})
    );
    assert_eq!(told[1]["credential_values"]["api_base"], "https://host/v1");

    let body = json!({"credential_values": {"api_key": "x"}});
    send(&gateway, "PATCH", "of-file", &body).assert_status(405);
    send(&gateway, "DELETE", "of-file", &json!({})).assert_status(405);
    create(&gateway, "of-file", &json!({"api_key": "x"})).assert_status(409);
    create(&gateway, "mine", &json!({"api_key": "x"})).assert_status(409);
}

#[test]
fn what_is_wrong_is_refused_by_name_and_nothing_in_use_is_broken() {
    let (upstream, _home, gateway) = scene();
    for (body, param) in [
        (
            json!({"credential_values": {"api_key": "k"}}),
            "credential_name",
        ),
        (json!({"credential_name": "x"}), "credential_values"),
        (
            json!({"credential_name": "x", "credential_values": "k"}),
            "credential_values",
        ),
        (
            json!({"credential_name": "x", "credential_values": {"api_key": "k"}, "speed": 1}),
            "speed",
        ),
        (
            json!({"credential_name": "x", "credential_values": {"api_key": "[REDACTED]"}}),
            "credential_values.api_key",
        ),
        (
            json!({"credential_name": "x", "credential_values": {"api_key": "k"}, "model_id": "m"}),
            "model_id",
        ),
        (
            json!({"credential_name": "x", "credential_values": {"api_key": "k"}, "display_name": " "}),
            "display_name",
        ),
    ] {
        let err = gateway
            .post("/credentials", &body)
            .assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], param, "{body}: {err}");
    }
    let of_nobody = json!({"credential_name": "x", "model_id": "nobody"});
    gateway.post("/credentials", &of_nobody).assert_status(404);
    send(&gateway, "PATCH", "nobody", &json!({})).assert_status(404);
    send(&gateway, "DELETE", "nobody", &json!({})).assert_status(404);
    gateway
        .get("/credentials/by_name/nobody")
        .assert_status(404);

    create(&gateway, "shared", &json!({"api_key": SECRET})).assert_status(200);
    let body = json!({"credential_name": "another"});
    send(&gateway, "PATCH", "shared", &body).assert_status(400);
    let twice = json!({"credential_values": {"a": "b"}, "credential_values_to_delete": ["a"]});
    send(&gateway, "PATCH", "shared", &twice).assert_status(400);
    store(&gateway, &naming("shared", &upstream));
    let broken = json!({"credential_values": {"api_key": "no\nheader"}});
    let err = send(&gateway, "PATCH", "shared", &broken);
    let err = err.assert_error(400, "invalid_request_error");
    assert!(err["message"].as_str().unwrap().contains("new-1"), "{err}");
    let err = send(&gateway, "DELETE", "shared", &json!({}));
    let err = err.assert_error(400, "invalid_request_error");
    assert!(err["message"].as_str().unwrap().contains("new-1"), "{err}");
    gateway.chat("new").assert_status(200);
    gateway
        .post("/model/delete", &json!({"id": "new-1"}))
        .assert_status(200);
    send(&gateway, "DELETE", "shared", &json!({})).assert_status(200);
    gateway
        .get("/credentials/by_name/shared")
        .assert_status(404);
}

#[test]
fn the_values_of_a_deployment_become_a_credential_and_no_secret_is_told() {
    let (upstream, _home, gateway) = scene();
    store(&gateway, &model("old", "old-1", &upstream));
    let body = json!({"credential_name": "taken", "model_id": "old-1"});
    gateway.post("/credentials", &body).assert_status(200);
    store(&gateway, &naming("taken", &upstream));
    gateway.chat("new").assert_status(200);
    assert_eq!(sent_key(&upstream), SECRET);
    let log = gateway.get("/audit?page_size=100&table_name=LiteLLM_CredentialsTable");
    assert_eq!(log.json()["total"], 1);
    assert!(
        !log.text().contains(SECRET) && !log.text().contains("gcm"),
        "{}",
        log.text()
    );
}

#[test]
fn a_deployment_of_the_config_is_served_when_the_database_has_its_credential() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let waiting = format!(
        "  - model_name: waits\n    litellm_params: {{model: openai/x, api_base: \"{}\", litellm_credential_name: os.environ/WHICH_CREDENTIAL}}\n",
        upstream.base_url()
    );
    let server = Postgres::start();
    let config = config(&upstream).database(&server.database("books"));
    let (first, second) = (
        with_credentials(&config, &waiting),
        with_credentials(&config, &waiting),
    );
    let (one, other) = (start(&first), start(&second));
    one.chat("waits").assert_status(400);
    create(&one, "later", &json!({"api_key": SECRET})).assert_status(200);
    one.chat("waits").assert_status(200);
    assert_eq!(sent_key(&upstream), SECRET);
    eventually("the other replica knows", &200, || {
        other.chat("waits").status
    });
    assert_eq!(names(&one), ["m", "waits"]);
    let info = one.get("/model/info").json();
    assert_eq!(info["data"][1]["model_info"]["db_model"], false);
    let err = send(&one, "DELETE", "later", &json!({}));
    err.assert_error(400, "invalid_request_error");
    let id = info["data"][1]["model_info"]["id"].as_str().unwrap();
    patch(&one, id, &json!({})).assert_status(400);
    // Nobody else stores them.
    assert_eq!(
        home(&config).run(&["check", "config.yaml"]).status.code(),
        Some(0)
    );
}
