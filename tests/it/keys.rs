//! Keys that were made on the command line and over HTTP: what they are made of, and what they may do.

use std::fs;

use serde_json::{Value, json};

use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, chat_request_body, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

pub(crate) fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    (upstream, home, gateway)
}

/// Makes a key with the master key; the answer of `POST /key/generate`.
#[track_caller]
pub(crate) fn generate(gateway: &Gateway, wishes: &Value) -> Value {
    let answer = gateway.send(&Request::post("/key/generate", wishes).bearer(MASTER_KEY));
    answer.assert_status(200);
    answer.json()
}

/// See [`generate`]; only the key.
#[track_caller]
pub(crate) fn generate_key(gateway: &Gateway, wishes: &Value) -> String {
    generate(gateway, wishes)["key"]
        .as_str()
        .expect("a key")
        .to_owned()
}

#[test]
fn null_takes_the_tags_of_a_key_away() {
    let (_upstream, _home, gateway) = scene();
    let wishes = json!({"metadata": {"note": 1}, "tags": ["red"]});
    let key = generate(&gateway, &wishes);
    assert_eq!(key["metadata"], json!({"note": 1, "tags": ["red"]}));
    for (changes, want) in [
        (json!({"tags": null}), json!({"note": 1})),
        (
            json!({"tags": ["blue"]}),
            json!({"note": 1, "tags": ["blue"]}),
        ),
        // What a client does not use it may send as null.
        (
            json!({"metadata": {"tags": ["green"]}, "tags": null}),
            json!({"tags": ["green"]}),
        ),
        (json!({"metadata": {}, "tags": null}), json!({})),
    ] {
        let mut body = changes.clone();
        body["key"] = key["token"].clone();
        let changed = gateway.send(&Request::post("/key/update", &body).bearer(MASTER_KEY));
        changed.assert_status(200);
        assert_eq!(changed.json()["metadata"], want, "{changes}");
    }
}

#[test]
fn whom_a_key_names_must_be_there() {
    let (_upstream, _home, gateway) = scene();
    let key = generate(&gateway, &json!({}))["token"].clone();
    for (field, what) in [
        ("team_id", "team"),
        ("organization_id", "organization"),
        ("budget_id", "budget"),
    ] {
        for (path, body) in [
            ("/key/generate", json!({field: "ghost"})),
            ("/key/update", json!({"key": key, field: "ghost"})),
            ("/key/regenerate", json!({"key": key, field: "ghost"})),
        ] {
            let refused = gateway.send(&Request::post(path, &body).bearer(MASTER_KEY));
            let error = refused.assert_error(400, "invalid_request_error");
            assert_eq!(error["param"], field, "{path}");
            assert_eq!(
                error["message"],
                format!("There is no {what} 'ghost'. Make it with POST /{what}/new first."),
                "{path}"
            );
        }
    }
}

#[test]
fn both_spellings_of_the_command_make_a_key_that_works() {
    let (_upstream, home, mut gateway) = scene();
    let config = home.config_path();
    let config = config.to_str().expect("a UTF-8 path");
    for arguments in [
        vec!["generate-key", "--config", config, "--user-id", "user1"],
        vec!["--config", config, "--generate_key", "--user_id", "user1"],
    ] {
        let output = home.run(&arguments);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {stdout} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let key = stdout
            .split(|letter: char| letter.is_whitespace() || letter == '"')
            .find(|word| word.starts_with("sk-") && word.len() >= 20)
            .unwrap_or_else(|| panic!("no key in {stdout:?}"));
        gateway.keeps_secret(key);

        let answer = gateway.send(&chat_request("m").bearer(key));

        assert_eq!(answer.status, 200, "{arguments:?}: {}", answer.text());
        let spend = gateway
            .send(&Request::get("/user/spend").bearer(key))
            .json();
        assert_eq!(spend["user_id"], "user1");
    }
}

#[test]
fn a_key_made_over_http_is_shown_once_and_works() {
    let (_upstream, home, mut gateway) = scene();

    let made = generate(
        &gateway,
        &json!({"user_id": "user2", "models": ["m"], "max_budget": 5.5, "rpm_limit": 10, "tpm_limit": 10_000,
            "max_parallel_requests": 3, "duration": "30d", "metadata": {"team": "blue"}, "key_alias": "mine"}),
    );

    let key = made["key"].as_str().expect("a key").to_owned();
    gateway.keeps_secret(&key);
    assert!(key.starts_with("sk-") && key.len() >= 24, "{made}");
    assert_eq!(
        made["key_name"],
        format!("sk-...{}", key.split_at(key.len() - 4).1)
    );
    assert_eq!(made["user_id"], "user2");
    assert_eq!(made["max_budget"], 5.5);
    assert_eq!(made["rpm_limit"], 10);
    assert_eq!(made["models"], json!(["m"]));
    assert_eq!(made["metadata"], json!({"team": "blue"}));
    assert!(made["expires"].is_string(), "{made}");
    let token = made["token"].as_str().expect("a hash");
    assert_eq!(token.len(), 64, "SHA-256 in hex");
    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);
    assert_no_file_holds(&home, &key);
}

fn assert_no_file_holds(home: &Home, secret: &str) {
    let mut folders = vec![home.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the home can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).expect("a file can be read");
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes()),
                "{} holds the key",
                path.display()
            );
        }
    }
    assert!(files > 1, "there is a database");
}

#[test]
fn a_key_outlives_the_process() {
    let (_upstream, home, gateway) = scene();
    let key = generate_key(&gateway, &json!({}));
    gateway.stop();

    let gateway = home.start();

    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);
}

#[test]
fn only_the_master_key_makes_keys() {
    let (_upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"user_id": "user3"}));

    let answer =
        gateway.send(&Request::post("/key/generate", &json!({"user_id": "user4"})).bearer(&key));

    assert!(
        matches!(answer.status, 401 | 403),
        "{} {}",
        answer.status,
        answer.text()
    );
    answer.error();
}

#[test]
fn wishes_that_make_no_sense_are_refused_by_name() {
    let (_upstream, _home, gateway) = scene();
    for (field, value) in [
        ("max_budget", json!(-1)),
        ("max_budget", json!("lots")),
        ("rpm_limit", json!(-5)),
        ("tpm_limit", json!(1.5)),
        ("duration", json!("a while")),
        ("models", json!("m")),
        ("metadata", json!([])),
        ("user_id", json!(7)),
    ] {
        let answer = gateway
            .send(&Request::post("/key/generate", &json!({field: value})).bearer(MASTER_KEY));
        assert!(
            matches!(answer.status, 400 | 422),
            "{field}={value}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(
            answer.text().contains(field),
            "{field}={value}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_key_is_held_to_its_models() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .deployment(Deployment::of("dear", &upstream))
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"models": ["m"]}));

    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);
    let error = gateway
        .send(&chat_request("dear").bearer(&key))
        .assert_error(403, "key_model_access_denied");

    assert_eq!(error["param"], "model");
    let list = gateway
        .send(&Request::get("/v1/models").bearer(&key))
        .json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert_eq!(ids, ["m"]);
    let mut body = chat_request_body("m");
    body["fallbacks"] = json!(["dear"]);
    gateway
        .send(&Request::post("/v1/chat/completions", &body).bearer(&key))
        .assert_error(403, "key_model_access_denied");
}

#[test]
fn a_key_expires() {
    let (_upstream, _home, gateway) = scene();
    let key = generate_key(&gateway, &json!({"duration": "2s"}));
    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);

    eventually("the status for a key that lived 2 s", &401, || {
        gateway.send(&chat_request("m").bearer(&key)).status
    });

    let answer = gateway.send(&chat_request("m").bearer(&key));
    answer.assert_error(401, "expired_key");
    assert!(!answer.text().contains(&key));
}

#[test]
fn a_key_that_was_asked_for_before_it_was_made_works_once_it_is() {
    let (_upstream, home, mut gateway) = scene();
    let config = home.config_path();
    let config = config.to_str().expect("a UTF-8 path");
    // An unknown key is remembered for a moment; a new one must not be mistaken for it.
    gateway
        .send(&chat_request("m").bearer("sk-unknown-0123456789"))
        .assert_status(401);

    let output = home.run(&[
        "generate-key",
        "--config",
        config,
        "--user-id",
        "ann",
        "--models",
        "m,other",
        "--max-budget",
        "0.5",
        "--rpm-limit",
        "2",
        "--tpm-limit",
        "100000",
        "--max-parallel-requests",
        "3",
        "--duration",
        "1h",
    ]);
    let key = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    gateway.keeps_secret(&key);

    let answer = gateway.send(&chat_request("m").bearer(&key));
    answer.assert_status(200);
    for (name, value) in [
        ("x-litellm-key-rpm-limit", "2"),
        ("x-litellm-key-tpm-limit", "100000"),
        ("x-litellm-key-max-budget", "0.5"),
        ("x-ratelimit-api_key-limit-max_parallel_requests", "3"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let taken = home.run(&["generate-key", "--config", config, "--user-id", ""]);
    assert!(!taken.status.success(), "a user without a name");
}

#[test]
fn an_alias_of_a_key_is_taken_once() {
    let (_upstream, _home, gateway) = scene();
    generate(&gateway, &json!({"key_alias": "mine"}));

    let second = gateway
        .send(&Request::post("/key/generate", &json!({"key_alias": "mine"})).bearer(MASTER_KEY));

    let error = second.assert_error(400, "invalid_request_error");
    assert_eq!(error["param"], "key_alias");
}

#[test]
fn a_wish_that_is_not_acted_on_is_refused_and_not_ignored() {
    let (_upstream, _home, gateway) = scene();

    for field in ["guardrails", "permissions", "no_such_field"] {
        let wish = Request::post("/key/generate", &json!({field: "30d"})).bearer(MASTER_KEY);
        let error = gateway
            .send(&wish)
            .assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], field);
    }
}

#[test]
fn a_provider_is_called_with_the_key_of_a_variable() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .param("api_key: os.environ/THE_PROVIDERS_KEY")
                .param("api_base: os.environ/THE_PROVIDERS_BASE"),
        )
        .one_attempt();
    let home = Home::with(&config)
        .variable("THE_PROVIDERS_KEY", "sk-of-a-variable-0123456789")
        .variable("THE_PROVIDERS_BASE", &upstream.base_url());
    let mut gateway = home.start();
    gateway.keeps_secret("sk-of-a-variable-0123456789");

    gateway.chat("m").assert_status(200);

    assert_eq!(
        upstream.only_request().header("authorization"),
        Some("Bearer sk-of-a-variable-0123456789")
    );
}

#[test]
fn users_that_the_config_declares_are_there_from_the_start_and_follow_it() {
    let text = |budget: &str| {
        format!(
            "general_settings: {{master_key: {MASTER_KEY}}}\nuser_config:\n  - user_id: team_a\n    max_budget: {budget}\n"
        )
    };
    let home = Home::with_text(&text("200.0"));
    let ask = Request::get("/user/spend?user_id=team_a").bearer(MASTER_KEY);

    let gateway = home.start();
    assert_eq!(gateway.send(&ask).json()["max_budget"], 200);
    gateway.stop();
    fs::write(home.config_path(), text("150.5")).expect("a config file");

    let gateway = home.start();
    assert_eq!(gateway.send(&ask).json()["max_budget"], 150.5);
}

/// `GET path` with the master key.
#[track_caller]
fn told(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.send(&Request::get(path).bearer(MASTER_KEY));
    answer.assert_status(200);
    answer.json()
}

#[test]
fn a_key_that_is_to_be_rotated_is_told_of_until_it_is_regenerated() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&ConfigText::one("m", &upstream).with_master_key())
        .variable("LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS", "1")
        .variable("LITELLM_KEY_ROTATION_GRACE_PERIOD", "1h");
    let gateway = home.start();
    for wrong in [
        json!({"auto_rotate": true}),
        json!({"auto_rotate": true, "rotation_interval": "soon"}),
        json!({"auto_rotate": 1, "rotation_interval": "1d"}),
    ] {
        let answer = gateway.send(&Request::post("/key/generate", &wrong).bearer(MASTER_KEY));
        answer.assert_status(400);
        assert!(
            answer.json()["error"]["param"]
                .as_str()
                .is_some_and(|param| param.contains("rotat")),
            "{}",
            answer.text()
        );
    }
    generate(&gateway, &json!({"key_alias": "never"}));
    let wishes = json!({"key_alias": "sometimes", "auto_rotate": true, "rotation_interval": "90d"});
    generate(&gateway, &wishes);
    let wishes = json!({"key_alias": "often", "auto_rotate": true, "rotation_interval": "2s"});
    let made = generate(&gateway, &wishes);
    assert_eq!(made["auto_rotate"], true);
    assert_eq!(made["rotation_count"], 0);
    assert_eq!(made["last_rotation_at"], Value::Null);
    assert!(made["key_rotation_at"].is_string(), "{made}");

    let due = || told(&gateway, "/key/list?status=rotation_due")["keys"].clone();
    assert_eq!(due(), json!([]), "its time has not come");
    eventually("it is due", &json!([made["token"]]), due);
    let counted = || {
        let text = gateway.send(&Request::get("/metrics").bearer(MASTER_KEY));
        let text = text.text();
        let line = text
            .lines()
            .find(|line| line.starts_with("trunkline_keys_rotation_due "));
        line.expect("the gauge").to_owned()
    };
    eventually(
        "it is counted",
        &"trunkline_keys_rotation_due 1".to_owned(),
        counted,
    );
    let old = made["key"].as_str().expect("a key");
    let still = gateway.send(&chat_request("m").bearer(old));
    still.assert_status(200);

    let body = json!({"key": old, "rotation_interval": "30d"});
    let again = gateway.send(&Request::post("/key/regenerate", &body).bearer(MASTER_KEY));
    again.assert_status(200);
    let again = again.json();
    assert_eq!(again["rotation_count"], 1);
    assert!(again["last_rotation_at"].is_string(), "{again}");
    assert!(again["key_rotation_at"].as_str() > made["key_rotation_at"].as_str());
    assert_eq!(due(), json!([]));
    eventually(
        "it is counted no more",
        &"trunkline_keys_rotation_due 0".to_owned(),
        counted,
    );
    for key in [old, again["key"].as_str().expect("a key")] {
        let answer = gateway.send(&chat_request("m").bearer(key));
        assert_eq!(
            answer.status, 200,
            "the grace period of the environment holds"
        );
    }
    let log = gateway.log().join("\n");
    assert!(log.contains("often"), "{log}");
    assert!(!log.contains("sometimes"), "{log}");
}
