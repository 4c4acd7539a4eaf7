//! Fallbacks that are stored in the database while the gateway runs: they count at once, here and at other replicas, and after a
//! restart.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keys::generate_key;
use crate::stored_models::{config, home, model, start, store};
use crate::support::config::ConfigText;
use crate::support::gateway::{self, Gateway, Home, chat_request, chat_request_body};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::servers::postgres::Postgres;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// `m` of the config never answers; `first` and `second` of the database do.
struct Scene {
    _upstreams: [Upstream; 3],
    home: Home,
    gateway: Gateway,
}

fn scene(more: &str) -> Scene {
    let broken = Upstream::always(Reply::error(500, "server_error", "broken"));
    let upstreams = [
        Upstream::always(Reply::chat("of first")),
        Upstream::always(Reply::chat("of second")),
    ];
    let mut config = config(&broken);
    if !more.is_empty() {
        config = config.router(more);
    }
    let home = home(&config);
    let gateway = start(&home);
    let [first, second] = upstreams;
    store(&gateway, &model("first", "first-1", &first));
    store(&gateway, &model("second", "second-1", &second));
    Scene {
        _upstreams: [broken, first, second],
        home,
        gateway,
    }
}

fn set(gateway: &Gateway, models: &[&str]) -> Answer {
    let body = json!({"model": "m", "fallback_models": models});
    gateway.post("/fallback", &body)
}

fn remove(gateway: &Gateway, path: &str) -> Answer {
    gateway.send(&Request::new("DELETE", path))
}

/// Who answers for `m`; nothing where nobody does.
fn answer(gateway: &Gateway) -> String {
    let answer = gateway.chat("m").json();
    let text = answer["choices"][0]["message"]["content"].as_str();
    text.unwrap_or_default().to_owned()
}

#[test]
fn a_stored_fallback_counts_at_once_and_after_a_restart_until_it_is_removed() {
    let scene = scene("");
    let gateway = scene.gateway;
    gateway.chat("m").assert_status(500);
    gateway.get("/fallback/m").assert_status(404);

    let told = set(&gateway, &["first"]);
    told.assert_status(200);
    assert_eq!(
        told.json(),
        json!({"model": "m", "fallback_models": ["first"], "fallback_type": "general",
            "message": "Fallback configuration created successfully"})
    );
    assert_eq!(answer(&gateway), "of first");
    let told = set(&gateway, &["second", "first"]).json();
    assert_eq!(
        told["message"],
        "Fallback configuration updated successfully"
    );
    assert_eq!(answer(&gateway), "of second");
    assert_eq!(
        gateway.get("/fallback/m").json(),
        json!({"model": "m", "fallback_models": ["second", "first"], "fallback_type": "general"})
    );
    let settings = gateway.get("/router/settings").json();
    assert_eq!(
        settings["current_values"]["fallbacks"],
        json!([{"m": ["second", "first"]}])
    );
    assert_eq!(settings["source"]["fallbacks"], "db");

    gateway.stop();
    let gateway = start(&scene.home);
    assert_eq!(answer(&gateway), "of second");

    let told = remove(&gateway, "/fallback/m");
    told.assert_status(200);
    assert_eq!(
        told.json(),
        json!({"model": "m", "fallback_type": "general",
            "message": "Fallback configuration deleted successfully"})
    );
    gateway.chat("m").assert_status(500);
    remove(&gateway, "/fallback/m").assert_status(404);

    let log = gateway.get("/audit?table_name=LiteLLM_Config").json();
    let lines = log["audit_logs"].as_array().unwrap();
    let actions: Vec<&str> = lines
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["updated", "updated", "created"]);
    assert_eq!(lines[0]["object_id"], "router_settings.fallbacks");
    assert_eq!(lines[0]["changed_by"], "default_user_id");
    let before = &lines[0]["before_value"]["param_value"];
    assert_eq!(*before, json!({"m": ["second", "first"]}), "{}", lines[0]);
}

#[test]
fn stored_fallbacks_stand_in_for_those_of_the_config_until_they_are_removed() {
    let scene = scene("fallbacks: [{m: [first]}]");
    let gateway = scene.gateway;
    assert_eq!(answer(&gateway), "of first");
    let err = remove(&gateway, "/fallback/m");
    let err = err.assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "model", "{err}");
    set(&gateway, &["second"]).assert_status(200);
    assert_eq!(answer(&gateway), "of second");
    remove(&gateway, "/fallback/m").assert_status(200);
    assert_eq!(answer(&gateway), "of first");
    let shown = gateway.get("/fallback/m").json();
    assert_eq!(shown["fallback_models"], json!(["first"]));
}

#[test]
fn a_model_with_a_slash_in_its_name_is_found_as_clients_write_paths() {
    let scene = scene("");
    let gateway = scene.gateway;
    let fine = Upstream::always(Reply::chat("hi"));
    store(&gateway, &model("open/one+one", "slash-1", &fine));
    let body = json!({"model": "open/one+one", "fallback_models": ["first"]});
    gateway.post("/fallback", &body).assert_status(200);
    for path in ["/fallback/open/one+one", "/fallback/open%2Fone%2Bone"] {
        let shown = gateway.get(path);
        shown.assert_status(200);
        assert_eq!(shown.json()["model"], "open/one+one", "{path}");
    }
    // As Azure's clients do, who name it nowhere else.
    let mut unnamed = chat_request_body("m");
    unnamed.as_object_mut().expect("an object").remove("model");
    let path = "/openai/deployments/open%2fone+one/chat/completions";
    gateway.post(path, &unnamed).assert_status(200);
    remove(&gateway, "/fallback/open%2Fone%2Bone").assert_status(200);
    gateway.get("/fallback/open/one+one").assert_status(404);
}

#[test]
fn fallbacks_that_are_set_at_the_same_time_are_all_kept() {
    let scene = scene("");
    let gateway = &scene.gateway;
    thread::scope(|scope| {
        for (name, target) in [("first", "m"), ("second", "m"), ("m", "first")] {
            let body = json!({"model": name, "fallback_models": [target]});
            scope.spawn(move || {
                gateway.post("/fallback", &body).assert_status(200);
            });
        }
    });
    for name in ["first", "second", "m"] {
        gateway.get(&format!("/fallback/{name}")).assert_status(200);
    }
}

#[test]
fn each_kind_of_failure_has_fallbacks_of_its_own() {
    let scene = scene("");
    let gateway = scene.gateway;
    let body = |kind: &str, target: &str| json!({"model": "m", "fallback_models": [target], "fallback_type": kind});
    for (kind, target) in [
        ("general", "first"),
        ("context_window", "second"),
        ("content_policy", "first"),
    ] {
        gateway
            .post("/fallback", &body(kind, target))
            .assert_status(200);
    }
    let shown = |kind: &str| gateway.get(&format!("/fallback/m?fallback_type={kind}"));
    assert_eq!(
        shown("context_window").json()["fallback_models"],
        json!(["second"])
    );
    remove(&gateway, "/fallback/m?fallback_type=context_window").assert_status(200);
    shown("context_window").assert_status(404);
    shown("content_policy").assert_status(200);
    shown("general").assert_status(200);
    let err = shown("other");
    let err = err.assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "fallback_type", "{err}");
}

#[test]
fn a_fallback_that_could_not_be_asked_is_refused_by_name() {
    let scene = scene("model_group_alias: {nickname: m}");
    let gateway = scene.gateway;
    let good = json!({"model": "m", "fallback_models": ["first"]});
    let many = vec!["first"; 33];
    for (name, value, status, param) in [
        ("fallback_models", json!(["nobody"]), 400, "fallback_models"),
        ("fallback_models", json!(["m"]), 400, "fallback_models"),
        (
            "fallback_models",
            json!(["nickname"]),
            400,
            "fallback_models",
        ),
        (
            "fallback_models",
            json!(["first", "first"]),
            400,
            "fallback_models",
        ),
        ("fallback_models", json!([]), 400, "fallback_models"),
        ("fallback_models", json!(many), 400, "fallback_models"),
        ("fallback_models", json!("first"), 400, "fallback_models"),
        ("fallback_type", json!("all"), 400, "fallback_type"),
        ("model", json!("nobody"), 404, "model"),
        ("model", json!("nickname"), 400, "model"),
        ("model", json!(""), 400, "model"),
        ("extra", json!(1), 400, "extra"),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let answer = gateway.post("/fallback", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
    }
    let mut incomplete = good.clone();
    incomplete["fallback_models"] = Value::Null;
    gateway.post("/fallback", &incomplete).assert_status(400);
    gateway.get("/fallback/m").assert_status(404);
}

#[test]
fn no_caller_is_served_by_a_stored_fallback_that_it_may_not_use() {
    let scene = scene("");
    let gateway = scene.gateway;
    set(&gateway, &["first"]).assert_status(200);
    let narrow = generate_key(&gateway, &json!({"models": ["m"]}));
    let wide = generate_key(&gateway, &json!({"models": ["m", "first"]}));
    let from_config = {
        let scene = self::scene("fallbacks: [{m: [first]}]");
        let key = generate_key(&scene.gateway, &json!({"models": ["m"]}));
        scene.gateway.send(&chat_request("m").bearer(&key)).status
    };
    let status = |key: &str| gateway.send(&chat_request("m").bearer(key)).status;
    assert_eq!(status(&wide), 200);
    // As with those of the config.
    assert_eq!(status(&narrow), from_config);
}

#[test]
fn nothing_is_stored_unless_storing_is_on() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).with_master_key();
    let (_home, gateway) = gateway::start(&config);
    let gateway = gateway.with_master_key();
    for answer in [set(&gateway, &["m"]), remove(&gateway, "/fallback/m")] {
        answer.assert_status(400);
        assert!(
            answer.text().contains("STORE_MODEL_IN_DB"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn other_replicas_go_by_stored_fallbacks_within_a_second() {
    let broken = Upstream::always(Reply::error(500, "server_error", "broken"));
    let fine = Upstream::always(Reply::chat("of first"));
    let server = Postgres::start();
    let config = config(&broken).database(&server.database("books"));
    let homes = (home(&config), home(&config));
    let (one, other) = (start(&homes.0), start(&homes.1));
    let soon = |what: &str, wanted: &str| {
        let began = Instant::now();
        eventually(what, &wanted.to_owned(), || answer(&other));
        let took = began.elapsed();
        assert!(took < Duration::from_millis(1500), "{what} took {took:?}");
    };
    store(&one, &model("first", "first-1", &fine));
    eventually("the other replica knows", &200, || {
        other.chat("first").status
    });
    set(&one, &["first"]).assert_status(200);
    soon("a stored fallback", "of first");
    remove(&one, "/fallback/m").assert_status(200);
    soon("a removed fallback", "");
}
