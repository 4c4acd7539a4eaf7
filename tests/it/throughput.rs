//! What a key's limits promise: `rpm_limit_type` and `tpm_limit_type`.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::limits::{assert_rate_limited, scene};
use crate::support::gateway::chat_request;
use crate::support::reply::Reply;
use crate::support::wait::eventually;

#[test]
fn a_dynamic_limit_holds_only_while_the_model_fails() {
    let (upstream, _home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let key = generate_key(
        &gateway,
        &json!({"rpm_limit": 2, "rpm_limit_type": "dynamic", "max_parallel_requests": 9}),
    );
    let info = gateway.get(&format!("/key/info?key={key}")).json();
    assert_eq!(info["info"]["rpm_limit_type"], "dynamic");
    assert_eq!(info["info"]["tpm_limit_type"], Value::Null);
    let ask = || gateway.send(&chat_request("m").bearer(&key));

    for _ in 0..5 {
        ask().assert_status(200);
    }
    for _ in 0..12 {
        upstream.push(Reply::error(500, "server_error", "oops"));
    }
    // Two failures, and the limit counts what was asked before.
    eventually("the limit holds", &429, || ask().status);
    assert_rate_limited(&ask(), "requests", 2);
    // Without a word it holds always.
    let change = json!({"key": key, "rpm_limit_type": "sometimes"});
    let refused = gateway.post("/key/update", &change);
    let error = refused.assert_error(400, "invalid_request_error");
    assert_eq!(error["param"], "rpm_limit_type");
}

#[test]
fn throughput_that_is_guaranteed_must_be_there() {
    let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let make = |path: &str, body: Value| gateway.post(path, &body);
    make("/team/new", json!({"team_id": "t", "rpm_limit": 100})).assert_status(200);
    make("/budget/new", json!({"budget_id": "b", "tpm_limit": 1_000})).assert_status(200);
    let org = json!({"organization_id": "o", "organization_alias": "o", "budget_id": "b"});
    make("/organization/new", org).assert_status(200);
    generate_key(&gateway, &json!({"team_id": "t", "rpm_limit": 30}));
    let guaranteed = |rpm: u64| json!({"team_id": "t", "rpm_limit": rpm, "rpm_limit_type": "guaranteed_throughput"});

    let refused = make("/key/generate", guaranteed(71));
    let error = refused.assert_error(400, "invalid_request_error");
    assert_eq!(error["param"], "rpm_limit");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains("team t has 100") && message.contains("Write 70 or less"),
        "{message}"
    );
    let key = generate_key(&gateway, &guaranteed(70));
    let change = json!({"key": key, "rpm_limit": 71});
    make("/key/update", change).assert_error(400, "invalid_request_error");
    make("/key/update", json!({"key": key, "rpm_limit": 60})).assert_status(200);
    let many = json!({"keys": [{"key": key, "rpm_limit": 99}]});
    let told = make("/key/bulk_update", many).json();
    assert_eq!(
        told["failed_updates"].as_array().map(Vec::len),
        Some(1),
        "{told}"
    );
    // Best effort asks nobody.
    generate_key(
        &gateway,
        &json!({"team_id": "t", "rpm_limit": 500, "rpm_limit_type": "best_effort_throughput"}),
    );

    let of_org = |tpm: u64| json!({"organization_id": "o", "tpm_limit": tpm, "tpm_limit_type": "guaranteed_throughput"});
    make("/key/generate", of_org(1_001)).assert_error(400, "invalid_request_error");
    generate_key(&gateway, &of_org(1_000));
    make("/key/generate", of_org(1)).assert_error(400, "invalid_request_error");
}

#[test]
fn what_a_teams_key_guarantees_its_teams_organisation_must_have() {
    let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let make = |path: &str, body: Value| gateway.post(path, &body);
    for (id, tpm) in [("narrow", 1_000), ("wide", 9_000)] {
        let org = json!({"organization_id": id, "organization_alias": id, "tpm_limit": tpm});
        make("/organization/new", org).assert_status(200);
    }
    let team = json!({"team_id": "t", "organization_id": "narrow"});
    make("/team/new", team).assert_status(200);
    let guaranteed = |tpm: u64, organisation: Option<&str>| json!({"team_id": "t", "organization_id": organisation, "tpm_limit": tpm, "tpm_limit_type": "guaranteed_throughput"});

    // Whatever the key says of itself: its requests are charged to the team's.
    for organisation in [None, Some("wide")] {
        let refused = make("/key/generate", guaranteed(1_001, organisation));
        let error = refused.assert_error(400, "invalid_request_error");
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.contains("organization narrow has 1000"),
            "{message}"
        );
    }
    generate_key(&gateway, &guaranteed(1_000, Some("wide")));
}

#[test]
fn a_guarantee_is_looked_at_when_it_changes_and_not_with_every_change() {
    let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let change = |path: &str, body: Value| gateway.post(path, &body);
    let team = json!({"team_id": "t", "rpm_limit": 100});
    change("/team/new", team).assert_status(200);
    let key = generate_key(
        &gateway,
        &json!({"team_id": "t", "rpm_limit": 100, "rpm_limit_type": "guaranteed_throughput"}),
    );
    // The operator gives the team less than was promised.
    let less = json!({"team_id": "t", "rpm_limit": 50});
    change("/team/update", less).assert_status(200);

    let named = json!({"key": key, "key_alias": "named", "max_budget": 3});
    change("/key/update", named).assert_status(200);
    let many = json!({"keys": [{"key": key, "key_alias": "named again"}]});
    let told = change("/key/bulk_update", many).json();
    assert_eq!(told["failed_updates"], json!([]), "{told}");
    for changed in [
        json!({"key": key, "rpm_limit": 99}),
        json!({"key": key, "tpm_limit": 5, "rpm_limit": 101}),
    ] {
        change("/key/update", changed).assert_error(400, "invalid_request_error");
    }
    let kept = json!({"key": key, "rpm_limit": 50});
    change("/key/update", kept).assert_status(200);
}
