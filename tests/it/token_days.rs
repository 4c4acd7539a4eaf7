//! Limits of tokens a day.

use serde_json::json;

use crate::keys::generate_key;
use crate::limits::scene;
use crate::support::gateway::{Gateway, chat_request_body};
use crate::support::http::Request;
use crate::support::reply::Reply;

/// A key with a limit of 150 a day, and its request that reserves its prompt and 100.
fn limited(gateway: &Gateway) -> (String, Request) {
    let key = generate_key(gateway, &json!({"tpd_limit": 150}));
    let mut body = chat_request_body("m");
    body["max_tokens"] = json!(100);
    let request = Request::post("/v1/chat/completions", &body).bearer(&key);
    (key, request)
}

#[test]
fn tokens_over_the_limit_of_a_day_are_refused_and_those_not_used_come_back() {
    // An answer has 18 tokens; a request reserves its prompt and 100.
    let (upstream, _home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let (key, request) = limited(&gateway);
    for served in 1..=2_u64 {
        let answer = gateway.send(&request);
        answer.assert_status(200);
        assert_eq!(
            answer.header("x-ratelimit-api_key-limit-tokens_per_day"),
            Some("150")
        );
        let left: u64 = answer
            .header("x-ratelimit-api_key-remaining-tokens_per_day")
            .and_then(|left| left.parse().ok())
            .expect("a number");
        // What this one has reserved, and what the ones before have used.
        assert!(left < 150 - 100 && left + 18 * served >= 18, "{left}");
    }

    let refused = gateway.send(&request);
    let error = refused.assert_error(429, "throttling_error");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("Limit type: tokens_per_day. Current limit: 150, Remaining: 114."));
    assert_eq!(refused.header("rate_limit_type"), Some("tokens_per_day"));
    let seconds = refused
        .header("retry-after")
        .and_then(|text| text.parse().ok());
    assert!(seconds.is_some_and(|seconds: u64| (86_000..=86_400).contains(&seconds)));
    assert_eq!(upstream.request_count(), 2);

    // A limit that is raised counts what was taken before.
    let change = json!({"key": key, "tpd_limit": 200});
    gateway.post("/key/update", &change).assert_status(200);
    let info = gateway.get(&format!("/key/info?key={key}")).json();
    assert_eq!(info["info"]["tpd_limit"], 200);
    for served in 2.. {
        let answer = gateway.send(&request);
        if answer.status == 200 {
            continue;
        }
        assert!(served > 2);
        let error = answer.assert_error(429, "throttling_error");
        let left = format!("Current limit: 200, Remaining: {}.", 200 - 18 * served);
        assert!(
            error["message"]
                .as_str()
                .expect("a message")
                .contains(&left),
            "{error}"
        );
        break;
    }
    let bad = json!({"key": key, "tpd_limit": "many"});
    let refused = gateway.post("/key/update", &bad);
    assert_eq!(
        refused.assert_error(400, "invalid_request_error")["param"],
        "tpd_limit"
    );
}

#[test]
fn a_limit_of_a_day_outlives_the_process() {
    let (_upstream, home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let (_key, request) = limited(&gateway);
    for _ in 0..2 {
        gateway.send(&request).assert_status(200);
    }
    let check = |gateway: &Gateway, request: &Request| {
        let error = gateway.send(request).assert_error(429, "throttling_error");
        assert!(
            error["message"]
                .as_str()
                .expect("a message")
                .contains("Remaining: 114."),
            "{error}"
        );
    };
    check(&gateway, &request);
    // Killed, so that the journal is what it knows it by.
    gateway.kill();

    let gateway = home.start().with_master_key();
    check(&gateway, &request);
    // A limit that somebody is given later counts what was taken before.
    let late = generate_key(&gateway, &json!({}));
    let request = request.bearer(&late);
    for _ in 0..2 {
        gateway.send(&request).assert_status(200);
    }
    let change = json!({"key": late, "tpd_limit": 150});
    gateway.post("/key/update", &change).assert_status(200);
    check(&gateway, &request);
}

#[test]
fn everybody_who_has_limits_may_have_one_of_tokens_a_day() {
    let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
    let gateway = gateway.with_master_key();
    let make = |path: &str, id: &str, name: &str| {
        let body = json!({id: name, "tpd_limit": 20});
        gateway.post(path, &body).assert_status(200);
    };
    make("/team/new", "team_id", "t");
    make("/user/new", "user_id", "u");
    make("/budget/new", "budget_id", "b");
    make("/customer/new", "user_id", "c");
    make("/tag/new", "name", "night");
    let org = json!({"organization_id": "o", "organization_alias": "o", "tpd_limit": 20});
    gateway.post("/organization/new", &org).assert_status(200);
    let shown = gateway.get("/team/info?team_id=t").json();
    assert_eq!(shown["team_info"]["tpd_limit"], 20);

    for (whose, wishes, body) in [
        ("team: t", json!({"team_id": "t"}), json!({})),
        ("user: u", json!({"user_id": "u"}), json!({})),
        (
            "organization: o",
            json!({"organization_id": "o"}),
            json!({}),
        ),
        ("api_key: ", json!({"budget_id": "b"}), json!({})),
        ("end_user: c", json!({}), json!({"user": "c"})),
        (
            "tag: night",
            json!({}),
            json!({"metadata": {"tags": ["night"]}}),
        ),
    ] {
        let key = generate_key(&gateway, &wishes);
        let mut asked = chat_request_body("m");
        asked["max_tokens"] = json!(2);
        for (name, value) in body.as_object().expect("an object") {
            asked[name] = value.clone();
        }
        let request = Request::post("/v1/chat/completions", &asked).bearer(&key);
        gateway.send(&request).assert_status(200);
        let refused = gateway.send(&request);
        assert_eq!(
            refused.header("rate_limit_type"),
            Some("tokens_per_day"),
            "{whose}"
        );
        let error = refused.assert_error(429, "throttling_error");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("for {whose}")), "{message}");
    }
}
