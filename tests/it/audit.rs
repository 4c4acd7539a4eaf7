//! The audit log: every change of keys and tenants has its line, in order, without secrets, and a log that was tampered with
//! is found out.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::keys::{generate, generate_key};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Home, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    (upstream, home, gateway.with_master_key())
}

/// The lines, the oldest first.
fn log(gateway: &Gateway, query: &str) -> Vec<Value> {
    let answer = gateway.get(&format!("/audit?page_size=100&{query}"));
    answer.assert_status(200);
    let mut lines = answer.json()["audit_logs"].as_array().unwrap().clone();
    lines.reverse();
    lines
}

/// The exit code and what was printed.
fn verify(home: &Home, more: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["audit", "verify", "--config", "config.yaml"];
    arguments.extend(more);
    let output = home.run(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
fn every_change_has_its_line_with_what_was_before_and_after() {
    let (_upstream, home, gateway) = scene();
    gateway.post("/team/new", &json!({"team_id": "t", "max_budget": 1}));
    let update = Request::post("/team/update", &json!({"team_id": "t", "max_budget": 2}))
        .header("litellm-changed-by", "alice");
    gateway.send(&update).assert_status(200);
    let made = generate(
        &gateway,
        &json!({"team_id": "t", "metadata": {"vault_secret": "hush", "note": "n"}}),
    );
    let (key, token) = (
        made["key"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    gateway
        .post("/key/block", &json!({"key": key}))
        .assert_status(200);
    gateway
        .post("/key/regenerate", &json!({"key": token}))
        .assert_status(200);
    gateway
        .post("/team/delete", &json!({"team_ids": ["t"]}))
        .assert_status(200);

    let lines = log(&gateway, "");
    let told: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap();
            (text("action"), text("table_name"), text("object_id"))
        })
        .collect();
    let (keys, teams) = ("LiteLLM_VerificationToken", "LiteLLM_TeamTable");
    assert_eq!(
        told,
        [
            ("created", teams, "t"),
            ("updated", teams, "t"),
            ("created", keys, token),
            ("blocked", keys, token),
            ("rotated", keys, token),
            ("deleted", keys, token),
            ("deleted", teams, "t"),
        ]
    );
    assert_eq!(lines[0]["before_value"], Value::Null);
    assert_eq!(lines[1]["before_value"]["max_budget"], "1");
    assert_eq!(lines[1]["updated_values"]["max_budget"], "2");
    assert_eq!(lines[0]["changed_by"], "default_user_id");
    assert_eq!(lines[1]["changed_by"], "alice");
    assert_eq!(lines[1]["changed_by_api_key"], "litellm_proxy_master_key");
    assert_eq!(lines[6]["updated_values"], Value::Null);
    let all = json!(lines).to_string();
    assert!(!all.contains(key) && !all.contains("hush") && all.contains("\"note\":\"n\""));

    let id = lines[1]["id"].as_str().unwrap();
    assert_eq!(gateway.get(&format!("/audit/{id}")).json(), lines[1]);
    gateway.get("/audit/nothing").assert_status(404);
    assert_eq!(log(&gateway, "action=deleted").len(), 2);
    assert_eq!(log(&gateway, &format!("object_id={token}")).len(), 4);
    assert_eq!(log(&gateway, "changed_by=alice").len(), 1);
    assert_eq!(
        log(&gateway, "start_date=2020-01-01&end_date=2020-12-31").len(),
        0
    );
    let page = gateway.get("/audit?page=2&page_size=3").json();
    assert_eq!(page["total"], 7);
    assert_eq!(page["total_pages"], 3);
    assert_eq!(page["audit_logs"][0]["seq"], 4);

    let (code, said) = verify(&home, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("OK: 7 lines"), "{said}");
}

#[test]
fn what_changes_nothing_or_is_refused_has_no_line() {
    let (_upstream, _home, gateway) = scene();
    let alias = json!({"key_alias": "mine"});
    gateway.post("/key/generate", &alias).assert_status(200);
    let before = log(&gateway, "").len();

    gateway.post("/key/generate", &alias).assert_status(400);
    gateway
        .post("/key/delete", &json!({"keys": ["nothing"]}))
        .assert_status(400);
    let block = json!({"team_id": "nobody"});
    gateway.post("/team/block", &block).assert_status(404);
    gateway.get("/key/list").assert_status(200);

    assert_eq!(log(&gateway, "").len(), before);
}

#[test]
fn a_log_that_was_tampered_with_is_found_out() {
    for (deed, sql) in [
        ("nothing", "SELECT 1"),
        (
            "changed",
            "UPDATE audit_log SET changed_by = 'mallory' WHERE seq = 2",
        ),
        (
            "changed after",
            "UPDATE audit_log SET updated_values = '{}' WHERE seq = 3",
        ),
        ("taken out", "DELETE FROM audit_log WHERE seq = 2"),
        ("first taken out", "DELETE FROM audit_log WHERE seq = 1"),
        ("last taken out", "DELETE FROM audit_log WHERE seq = 4"),
        ("all taken out", "DELETE FROM audit_log"),
        (
            "put in",
            "INSERT INTO audit_log SELECT 5, 'x', updated_at, changed_by, changed_by_key, action, table_name, object_id, \
             before_value, updated_values, hash FROM audit_log WHERE seq = 4",
        ),
    ] {
        let (_upstream, home, gateway) = scene();
        for alias in ["a", "b", "c", "d"] {
            generate_key(&gateway, &json!({"key_alias": alias}));
        }
        gateway.stop();
        let connection = Connection::open(home.path().join("trunkline.db")).expect("the store");
        connection.execute_batch(sql).expect("a statement");
        drop(connection);

        let (code, said) = verify(&home, &[]);

        let wanted = i32::from(deed != "nothing");
        assert_eq!(code, Some(wanted), "{deed}: {said}");
    }
}

#[test]
fn a_hash_that_was_kept_elsewhere_proves_the_log_before_it() {
    let (_upstream, home, gateway) = scene();
    generate_key(&gateway, &json!({}));
    let kept = log(&gateway, "")[0]["hash"].as_str().unwrap().to_owned();
    generate_key(&gateway, &json!({}));

    assert_eq!(verify(&home, &["--holds", &kept]).0, Some(0));
    let (code, said) = verify(&home, &["--holds", "0000", "--json"]);

    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["clean"], false);
    assert_eq!(told["lines"], 2);
}

#[test]
fn keys_of_the_command_line_are_in_the_log_too() {
    let (_upstream, home, gateway) = scene();
    let output = home.run(&[
        "generate-key",
        "--config",
        "config.yaml",
        "--user-id",
        "ann",
    ]);
    assert!(output.status.success());

    let lines = log(&gateway, "");

    let told: Vec<&Value> = lines.iter().map(|line| &line["changed_by"]).collect();
    assert_eq!(
        told,
        ["generate-key", "generate-key"],
        "the user and the key"
    );
    let other = generate_key(&gateway, &json!({}));
    let refused = Request::get("/audit").bearer(&other);
    gateway.send(&refused).assert_error(401, "auth_error");
}
