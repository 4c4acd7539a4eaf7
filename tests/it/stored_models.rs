//! Deployments that are stored in the database while the gateway runs: served at once, here and by other replicas, kept over a
//! restart, and their secrets nowhere to be read.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::http::{Answer, Request};
use crate::support::reply::{Gate, Reply};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// A provider's key that must not be seen again.
pub(crate) const SECRET: &str = "hush-provider-key-0123456789";
const SALT: &str = "sk-a-salt-that-stays";

pub(crate) fn config(upstream: &Upstream) -> ConfigText {
    ConfigText::one("m", upstream)
        .one_attempt()
        .with_master_key()
        .general("store_model_in_db: true")
}

pub(crate) fn home(config: &ConfigText) -> Home {
    Home::with(config).variable("LITELLM_SALT_KEY", SALT)
}

pub(crate) fn start(home: &Home) -> Gateway {
    let mut gateway = home.start();
    for secret in [SECRET, SALT, DATABASE_PASSWORD] {
        gateway.keeps_secret(secret);
    }
    gateway.with_master_key()
}

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = home(&config(&upstream));
    let gateway = start(&home);
    (upstream, home, gateway)
}

/// The body that stores a deployment.
pub(crate) fn model(name: &str, id: &str, upstream: &Upstream) -> Value {
    json!({
        "model_name": name,
        "litellm_params": {"model": "openai/stored", "api_base": upstream.base_url(), "api_key": SECRET, "rpm": 1000},
        "model_info": {"id": id, "mode": "chat", "note": "kept"},
    })
}

pub(crate) fn store(gateway: &Gateway, body: &Value) -> Value {
    let answer = gateway.post("/model/new", body);
    answer.assert_status(200);
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    answer.json()
}

pub(crate) fn patch(gateway: &Gateway, id: &str, body: &Value) -> Answer {
    let path = format!("/model/{id}/update");
    gateway.send(&Request::with_body("PATCH", &path, body))
}

fn info(gateway: &Gateway, id: &str) -> Value {
    let answer = gateway.get(&format!("/model/info?litellm_model_id={id}"));
    answer.assert_status(200);
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    answer.json()["data"][0].clone()
}

pub(crate) fn names(gateway: &Gateway) -> Vec<String> {
    let list = gateway.get("/v1/models").json();
    let models = list["data"].as_array().unwrap().iter();
    let names = models.map(|model| model["id"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn a_model_that_is_stored_is_served_at_once_and_unknown_once_it_is_deleted() {
    let (upstream, _home, gateway) = scene();
    gateway.chat("new").assert_status(400);

    let row = store(&gateway, &model("new", "new-1", &upstream));
    assert_eq!(row["model_id"], "new-1");
    assert_eq!(row["model_name"], "new");
    assert_eq!(row["blocked"], false);
    assert_eq!(row["model_info"]["note"], "kept");
    assert_eq!(row["created_by"], "default_user_id");
    let sealed = row["litellm_params"]["api_key"].as_str().unwrap();
    assert!(sealed.starts_with("v2:gcm:"), "{sealed}");

    gateway.chat("new").assert_status(200);
    let sent = upstream.only_request();
    assert_eq!(sent.json()["model"], "stored");
    let key = format!("Bearer {SECRET}");
    assert_eq!(sent.header("authorization"), Some(key.as_str()));
    gateway.chat("new-1").assert_status(200);
    assert_eq!(names(&gateway), ["m", "new"]);
    let shown = info(&gateway, "new-1");
    assert_eq!(shown["model_info"]["db_model"], true);
    assert_eq!(shown["model_info"]["note"], "kept");
    assert_eq!(shown["litellm_params"]["rpm"], 1000);
    let groups = gateway.get("/model_group/info?model_group=new").json();
    assert_eq!(groups["data"][0]["rpm"], 1000);

    gateway
        .post("/model/delete", &json!({"id": "new-1"}))
        .assert_status(200);
    gateway.chat("new").assert_status(400);
    assert_eq!(names(&gateway), ["m"]);
    gateway
        .post("/model/delete", &json!({"id": "new-1"}))
        .assert_status(400);
    gateway.chat("m").assert_status(200);
}

#[test]
fn an_update_changes_what_it_names_and_null_removes_it() {
    let (upstream, _home, gateway) = scene();
    let other = Upstream::always(Reply::chat("from elsewhere"));
    let before = store(&gateway, &model("new", "new-1", &upstream));

    let update = json!({"litellm_params": {"rpm": null, "tpm": 5000}, "model_info": {"note": null, "mode": "chat"}});
    let row = patch(&gateway, "new-1", &update);
    row.assert_status(200);
    let row = row.json();
    assert_eq!(row["litellm_params"]["rpm"], Value::Null);
    assert_eq!(row["litellm_params"]["tpm"], 5000);
    assert_eq!(
        row["litellm_params"]["api_key"],
        before["litellm_params"]["api_key"]
    );
    assert_eq!(row["model_info"].get("note"), None);
    assert_eq!(row["created_at"], before["created_at"]);

    let update = json!({"model_name": "renamed", "litellm_params": {"api_base": other.base_url()}, "model_info": {"id": "new-1"}});
    gateway.post("/model/update", &update).assert_status(200);
    gateway.chat("new").assert_status(400);
    gateway.chat("renamed").assert_status(200);
    let key = format!("Bearer {SECRET}");
    assert_eq!(
        other.only_request().header("authorization"),
        Some(key.as_str())
    );
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn an_answer_that_is_sent_back_changes_no_secret_and_what_it_shows_instead_is_none() {
    let (upstream, _home, gateway) = scene();
    let mut body = model("new", "new-1", &upstream);
    body["litellm_params"]["extra_headers"] = json!({"x-one": "hush-1", "x-two": "hush-2"});
    let mut row = store(&gateway, &body);
    row["litellm_params"]["rpm"] = json!(7);
    let mut back = row.clone();
    let members = back.as_object_mut().unwrap();
    members.retain(|name, _| ["model_name", "litellm_params", "model_info"].contains(&&**name));
    let changed = patch(&gateway, "new-1", &back);
    changed.assert_status(200);
    assert_eq!(changed.json()["litellm_params"], row["litellm_params"]);
    gateway.chat("new").assert_status(200);
    let request = upstream.only_request();
    let key = format!("Bearer {SECRET}");
    assert_eq!(request.header("authorization"), Some(key.as_str()));
    assert_eq!(request.header("x-two"), Some("hush-2"));

    // A secret among others that change.
    back["litellm_params"]["extra_headers"]["x-one"] = json!("hush-3");
    let err = patch(&gateway, "new-1", &back).assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "litellm_params.extra_headers", "{err}");
    let shown = json!({"litellm_params": {"api_key": "[REDACTED]"}});
    let err = patch(&gateway, "new-1", &shown).assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "litellm_params.api_key", "{err}");
    back["model_info"]["id"] = json!("new-2");
    let err = gateway
        .post("/model/new", &back)
        .assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "litellm_params.api_key", "{err}");
}

#[test]
fn a_blocked_model_is_refused_until_it_is_unblocked_and_its_counters_stay() {
    let (upstream, _home, gateway) = scene();
    store(&gateway, &model("new", "new-1", &upstream));
    gateway.chat("new").assert_status(200);
    let requests = || {
        let state = gateway.get("/router/state").json();
        let rows = state["deployments"].as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["id"] == "new-1");
        row.map(|row| row["requests"].clone())
    };
    assert_eq!(requests(), Some(json!(1)));

    let row = gateway.post("/model/block", &json!({"model_id": "new-1"}));
    row.assert_status(200);
    assert_eq!(row.json()["blocked"], true);
    for name in ["new", "new-1"] {
        let err = gateway.chat(name).assert_error(503, "service_unavailable");
        let message = err["message"].as_str().unwrap();
        assert!(message.contains("is currently paused"), "{message}");
    }
    assert_eq!(names(&gateway), ["m"]);
    assert_eq!(info(&gateway, "new-1")["model_info"]["blocked"], true);

    gateway
        .post("/model/unblock", &json!({"model_id": "new-1"}))
        .assert_status(200);
    gateway.chat("new").assert_status(200);
    assert_eq!(requests(), Some(json!(2)));
    gateway
        .post("/model/block", &json!({"model_id": "nobody"}))
        .assert_status(404);
}

#[test]
fn a_bad_model_is_refused_by_the_name_of_its_field() {
    let (upstream, _home, gateway) = scene();
    let with = |member: &str, value: Value| {
        let mut body = model("new", "new-1", &upstream);
        body[member] = value;
        body
    };
    let params = |params: Value| with("litellm_params", params);
    for (body, param) in [
        (
            json!({"litellm_params": {"model": "openai/x"}}),
            "model_name",
        ),
        (json!({"model_name": "x"}), "litellm_params"),
        (with("litellm_params", json!("openai/x")), "litellm_params"),
        (with("speed", json!(1)), "speed"),
        (with("blocked", json!("yes")), "blocked"),
        (params(json!({"api_key": "k"})), "litellm_params.model"),
        (
            params(json!({"model": "openai/x", "api_key": "k", "rpm": "many"})),
            "litellm_params.rpm",
        ),
        (
            params(json!({"model": "nobody-knows-me", "api_key": "k"})),
            "litellm_params.model",
        ),
        (
            params(json!({"model": "openai/x", "api_key": "k", "api_base": "ftp://x"})),
            "litellm_params.api_base",
        ),
        (
            params(json!({"model": "openai/x", "api_key": "os.environ/LITELLM_SALT_KEY"})),
            "litellm_params.api_key",
        ),
        (
            params(json!({"model": "openai/x", "litellm_credential_name": "nobody"})),
            "litellm_params.litellm_credential_name",
        ),
        (
            with("model_info", json!({"id": "new-1", "team_id": "t"})),
            "model_info.team_id",
        ),
        (with("model_info", json!({"id": {}})), "model_info.id"),
    ] {
        let answer = gateway.post("/model/new", &body);
        let err = answer.assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], param, "{body}: {err}");
    }
    gateway.chat("new").assert_status(400);

    let of_config = gateway.get("/model/info").json()["data"][0]["model_info"]["id"].clone();
    let id = of_config.as_str().unwrap();
    patch(&gateway, id, &json!({"litellm_params": {"rpm": 1}})).assert_status(400);
    gateway
        .post("/model/delete", &json!({"id": id}))
        .assert_status(400);
    gateway
        .post("/model/block", &json!({"model_id": id}))
        .assert_status(400);
    gateway
        .post("/model/new", &model("new", id, &upstream))
        .assert_status(400);
    patch(&gateway, "nobody", &json!({})).assert_status(404);
    store(&gateway, &model("new", "new-1", &upstream));
    gateway
        .post("/model/new", &model("new", "new-1", &upstream))
        .assert_status(400);
    let wrong = json!({"litellm_params": {"rpm": 0}});
    let err = patch(&gateway, "new-1", &wrong).assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "litellm_params.rpm");
    let other = json!({"model_info": {"id": "another"}});
    patch(&gateway, "new-1", &other).assert_status(400);
    assert_eq!(info(&gateway, "new-1")["litellm_params"]["rpm"], 1000);
}

#[test]
fn without_the_switch_and_without_an_administrator_nothing_is_stored() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).with_master_key();
    let off = Home::with(&config).start().with_master_key();
    let body = model("new", "new-1", &upstream);
    let err = off
        .post("/model/new", &body)
        .assert_error(400, "invalid_request_error");
    assert!(
        err["message"]
            .as_str()
            .unwrap()
            .contains("STORE_MODEL_IN_DB"),
        "{err}"
    );

    let by_variable = Home::with(&config)
        .variable("LITELLM_SALT_KEY", SALT)
        .variable("STORE_MODEL_IN_DB", "True");
    let on = start(&by_variable);
    store(&on, &body);
    let key = generate_key(&on, &json!({}));
    let request = Request::post("/model/new", &model("other", "other-1", &upstream)).bearer(&key);
    assert_eq!(on.send(&request).status, 401);
    on.chat("other").assert_status(400);
}

#[test]
fn the_secret_is_in_no_answer_no_line_of_the_audit_log_and_not_in_the_database() {
    let (upstream, home, gateway) = scene();
    let mut body = model("new", "new-1", &upstream);
    body["litellm_params"]["extra_headers"] = json!({"x-own": SECRET});
    body["litellm_params"]["some_unknown_word"] = json!(SECRET);
    store(&gateway, &body);
    let again = format!("{SECRET}-again");
    patch(
        &gateway,
        "new-1",
        &json!({"litellm_params": {"api_key": again}}),
    )
    .assert_status(200);
    gateway.chat("new").assert_status(200);
    assert_eq!(upstream.only_request().header("x-own"), Some(SECRET));
    gateway
        .post("/model/block", &json!({"model_id": "new-1"}))
        .assert_status(200);
    gateway
        .post("/model/delete", &json!({"id": "new-1"}))
        .assert_status(200);

    let log = gateway.get("/audit?page_size=100");
    let text = log.text();
    assert!(
        !text.contains(SECRET) && !text.contains("v2:gcm:"),
        "{text}"
    );
    let mut lines = log.json()["audit_logs"].as_array().unwrap().clone();
    lines.reverse();
    let told: Vec<&str> = lines
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["created", "updated", "blocked", "deleted"]);
    assert!(
        lines
            .iter()
            .all(|line| line["table_name"] == "LiteLLM_ProxyModelTable")
    );
    assert_eq!(
        lines[0]["updated_values"]["litellm_params"]["model"],
        "openai/stored"
    );
    let key = |line: usize, side: &str| lines[line][side]["litellm_params"]["api_key"].clone();
    assert!(
        key(1, "before_value")
            .as_str()
            .unwrap()
            .starts_with("[REDACTED]")
    );
    assert_ne!(
        key(1, "before_value"),
        key(1, "updated_values"),
        "that it changed is seen"
    );
    assert_eq!(key(2, "before_value"), key(2, "updated_values"));
    gateway.stop();
    for entry in fs::read_dir(home.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let found = bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn stored_models_outlive_a_restart_and_a_wrong_salt_key_stops_nothing_else() {
    let (upstream, home, gateway) = scene();
    store(&gateway, &model("new", "new-1", &upstream));
    gateway.stop();

    let gateway = start(&home);
    gateway.chat("new").assert_status(200);
    assert_eq!(info(&gateway, "new-1")["model_info"]["db_model"], true);
    gateway.stop();

    let home = home.variable("LITELLM_SALT_KEY", "sk-another-salt");
    let mut gateway = start(&home);
    gateway.allow_errors();
    gateway.chat("m").assert_status(200);
    gateway.chat("new").assert_status(400);
    gateway.assert_logged(1, "\"level\":\"ERROR\"");
    let said = gateway.log_of_level("ERROR");
    let said = said[0].to_string();
    assert!(
        said.contains("new-1") && said.contains("LITELLM_SALT_KEY"),
        "{said}"
    );
    let err = patch(&gateway, "new-1", &json!({"litellm_params": {"rpm": 5}}));
    let err = err.assert_error(400, "invalid_request_error");
    assert!(
        err["message"]
            .as_str()
            .unwrap()
            .contains("cannot be decrypted"),
        "{err}"
    );
    store(&gateway, &model("fresh", "fresh-1", &upstream));
    gateway.chat("fresh").assert_status(200);
    gateway
        .post("/model/delete", &json!({"id": "new-1"}))
        .assert_status(200);
}

#[test]
fn a_second_process_on_the_same_file_serves_what_the_first_one_stores_within_a_second() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let first = home(&config(&upstream));
    let file = first.path().join("trunkline.db");
    let second = home(&config(&upstream).database(&format!("sqlite:///{}", file.display())));
    let (one, other) = (start(&first), start(&second));
    both_ways(&one, &other, &upstream);
}

#[test]
fn a_second_replica_serves_what_the_first_one_stores_within_a_second() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let server = Postgres::start();
    let config = config(&upstream).database(&server.database("books"));
    let (first, second) = (home(&config), home(&config));
    let (one, other) = (start(&first), start(&second));
    both_ways(&one, &other, &upstream);
}

fn both_ways(one: &Gateway, other: &Gateway, upstream: &Upstream) {
    let soon = |gateway: &Gateway, model: &str, status: u16| {
        let began = Instant::now();
        eventually("the other replica knows", &status, || {
            gateway.chat(model).status
        });
        let took = began.elapsed();
        assert!(
            took < Duration::from_millis(1500),
            "{model}: {status} after {took:?}"
        );
    };
    // Whoever follows is told everything that it may have missed first.
    store(one, &model("first", "first-1", upstream));
    soon(other, "first", 200);
    store(other, &model("second", "second-1", upstream));
    soon(one, "second", 200);
    one.post("/model/block", &json!({"model_id": "second-1"}))
        .assert_status(200);
    soon(other, "second", 503);
    other
        .post("/model/delete", &json!({"id": "first-1"}))
        .assert_status(200);
    soon(one, "first", 400);
    // Keys of one are known to the other just as soon.
    let key = generate_key(one, &json!({}));
    let chat = chat_request("m").bearer(&key);
    other.send(&chat).assert_status(200);
    one.post("/key/block", &json!({"key": key}))
        .assert_status(200);
    eventually("the key is blocked", &401, || other.send(&chat).status);
}

#[test]
fn requests_go_on_while_models_come_change_and_go() {
    let (upstream, _home, gateway) = scene();
    let other = Upstream::always(Reply::chat("hi"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    while !stop.load(Ordering::Relaxed) {
                        gateway.chat("m").assert_status(200);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for round in 0..20 {
            let id = format!("id-{round}");
            store(&gateway, &model("m", &id, &other));
            let update = json!({"litellm_params": {"api_base": upstream.base_url()}});
            patch(&gateway, &id, &update).assert_status(200);
            gateway
                .post("/model/delete", &json!({"id": id}))
                .assert_status(200);
        }
        stop.store(true, Ordering::Relaxed);
        let served: usize = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum();
        assert!(served > 20, "{served}");
    });
    let state = gateway.get("/router/state").json();
    let rows = state["deployments"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["in_flight"], 0);
}

#[test]
fn a_request_that_runs_ends_with_the_deployment_that_it_began_with() {
    let gate = Gate::closed();
    let slow = Upstream::always(Reply::chat("late").after(&gate));
    let home = home(&config(&slow));
    let gateway = start(&home);
    store(&gateway, &model("new", "new-1", &slow));
    let running = gateway.begin(&chat_request("new").bearer(MASTER_KEY));
    slow.wait_for_requests(1);
    gateway
        .post("/model/delete", &json!({"id": "new-1"}))
        .assert_status(200);
    gateway.chat("new").assert_status(400);
    gate.open();
    running.answer().assert_status(200);
    let spent = gateway.get("/spend/logs").json();
    let rows = spent.as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["status"]),
        (1, &json!("success")),
        "{rows:?}"
    );
}

#[test]
fn what_a_stored_model_may_spend_is_kept_beside_its_providers_budget() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = home(&config(&upstream));
    let gateway = start(&home);
    let mut body = model("new", "new-1", &upstream);
    for (name, value) in [
        ("input_cost_per_token", json!(1)),
        ("output_cost_per_token", json!(1)),
        ("max_budget", json!(0.5)),
        ("budget_duration", json!("1d")),
    ] {
        body["litellm_params"][name] = value;
    }
    store(&gateway, &body);
    gateway.chat("new").assert_status(200);
    gateway
        .chat("new")
        .assert_error(429, "internal_server_error");
    // Another deployment of the group, and the budget of the first is still spent.
    store(&gateway, &model("other", "other-1", &upstream));
    gateway.chat("new").assert_status(429);
    gateway.chat("other").assert_status(200);
    gateway.stop();
    let gateway = start(&home);
    gateway.chat("new").assert_status(429);
    let update = json!({"litellm_params": {"max_budget": null, "budget_duration": null}});
    patch(&gateway, "new-1", &update).assert_status(200);
    gateway.chat("new").assert_status(200);
    assert_eq!(
        gateway
            .send(&Request::get("/model/info").bearer(MASTER_KEY))
            .status,
        200
    );
}
