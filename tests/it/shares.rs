//! Callers share what a model group grants: keys in equal parts, priorities in those that are reserved for them.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Gateway, Home, chat_request, start};
use crate::support::http::Answer;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::tenants::{by, user};

/// Two deployments that grant ten requests a minute together.
fn scene(lines: &[&str]) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).param("rpm: 4"))
        .deployment(Deployment::of("m", &upstream).param("rpm: 6"))
        .deployment(Deployment::of("free", &upstream))
        .with_master_key();
    for line in lines {
        config = config.litellm(line);
    }
    let (home, gateway) = start(&config);
    (upstream, home, gateway.with_master_key())
}

fn key_of_priority(gateway: &Gateway, priority: &str) -> String {
    generate_key(gateway, &json!({"metadata": {"priority": priority}}))
}

fn ask(gateway: &Gateway, key: &str) -> Answer {
    gateway.send(&chat_request("m").bearer(key))
}

/// How many are served before the first that is not.
fn served(gateway: &Gateway, key: &str, most: usize) -> usize {
    (0..most)
        .take_while(|_| ask(gateway, key).status == 200)
        .count()
}

#[track_caller]
fn assert_refused(answer: &Answer, whose: &str, limit: u64) {
    let error = answer.assert_error(429, "throttling_error");
    let message = error["message"].as_str().expect("a message");
    let wanted = format!(
        "Rate limit exceeded for model: {whose}. Limit type: requests. Current limit: {limit}, "
    );
    assert!(message.starts_with(&wanted), "{message}");
    assert_eq!(answer.header("rate_limit_type"), Some("requests"));
}

#[test]
fn priorities_borrow_while_there_is_room_and_get_what_is_reserved_when_there_is_none() {
    let (upstream, _home, gateway) = scene(&[
        "callbacks: [dynamic_rate_limiter_v3]",
        "priority_reservation: {prod: 0.75, dev: {type: rpm, value: 2}}",
        "priority_reservation_settings: {default_priority: 0.1}",
    ]);
    let (prod, dev) = (
        key_of_priority(&gateway, "prod"),
        key_of_priority(&gateway, "dev"),
    );
    let other = generate_key(&gateway, &json!({}));

    // Half of the group may be used by anybody; then two belong to `dev`, which has had them.
    assert_eq!(served(&gateway, &dev, 9), 5);
    assert_refused(&ask(&gateway, &dev), "m of priority dev", 2);
    // One of ten is for those without a priority, all together.
    assert_eq!(served(&gateway, &other, 9), 1);
    let second = generate_key(&gateway, &json!({"metadata": {"priority": "unheard of"}}));
    assert_refused(&ask(&gateway, &second), "m without priority", 1);
    assert_eq!(served(&gateway, &prod, 9), 4);
    assert_refused(&ask(&gateway, &prod), "m", 10);
    assert_eq!(upstream.request_count(), 10);

    // A group without limits is not shared, and who was refused has taken nothing of the key.
    let free = gateway.send(&chat_request("free").bearer(&dev));
    free.assert_status(200);
}

#[test]
fn a_teams_priority_goes_before_the_keys() {
    let (_upstream, _home, gateway) = scene(&[
        "callbacks: dynamic_rate_limiter_v3",
        "priority_reservation: {prod: 0.9, dev: 0.1}",
        "priority_reservation_settings: {saturation_threshold: 0}",
    ]);
    let team = json!({"team_id": "t", "metadata": {"priority": "prod"}});
    gateway.post("/team/new", &team).assert_status(200);
    let of_team = generate_key(
        &gateway,
        &json!({"team_id": "t", "metadata": {"priority": "dev"}}),
    );
    let dev = key_of_priority(&gateway, "dev");

    // Nobody borrows from the start on.
    assert_eq!(served(&gateway, &dev, 9), 1);
    assert_refused(&ask(&gateway, &dev), "m of priority dev", 1);
    assert_eq!(served(&gateway, &of_team, 20), 9);
    assert_refused(&ask(&gateway, &of_team), "m", 10);
}

#[test]
fn keys_that_ask_within_a_minute_have_equal_parts() {
    let (upstream, _home, gateway) = scene(&["callbacks: [dynamic_rate_limiter]"]);
    let (ann, ben) = (
        generate_key(&gateway, &json!({})),
        generate_key(&gateway, &json!({})),
    );

    // Alone, a key might have all of it.
    assert_eq!(served(&gateway, &ann, 4), 4);
    assert_eq!(served(&gateway, &ben, 1), 1);
    assert_eq!(served(&gateway, &ann, 9), 1);
    let refused = ask(&gateway, &ann);
    let error = refused.assert_error(429, "throttling_error");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains("model: m shared by ") && message.contains("Current limit: 5"),
        "{message}"
    );
    assert!(!message.contains(&ann));
    assert_eq!(served(&gateway, &ben, 9), 4);
    assert_eq!(upstream.request_count(), 10);
}

#[test]
fn without_the_callback_a_reservation_does_nothing_and_that_is_said() {
    let (_upstream, _home, gateway) = scene(&["priority_reservation: {dev: 0.1}"]);
    let dev = key_of_priority(&gateway, "dev");
    assert_eq!(served(&gateway, &dev, 8), 8);
    let log = gateway.log_of_level("INFO");
    let said = log.iter().map(Value::to_string);
    assert_eq!(
        said.filter(|line| line.contains("has no effect without"))
            .count(),
        1,
        "{log:?}"
    );
}

#[test]
fn only_administrators_say_who_has_which_priority() {
    let (_upstream, _home, gateway) = scene(&[
        "callbacks: [dynamic_rate_limiter_v3]",
        "priority_reservation: {prod: 0.9, dev: 0.1}",
    ]);
    let ann = user(&gateway, "ann", &json!({}));
    let team = json!({"team_id": "t", "metadata": {"priority": "dev"}});
    gateway.post("/team/new", &team).assert_status(200);
    let member = json!({"team_id": "t", "member": {"user_id": "ann", "role": "admin"}});
    gateway.post("/team/member_add", &member).assert_status(200);

    let prod = json!({"metadata": {"priority": "prod"}});
    by(&gateway, &ann, "/key/generate", &prod).assert_status(403);
    let own = by(
        &gateway,
        &ann,
        "/key/generate",
        &json!({"metadata": {"colour": "red"}}),
    );
    own.assert_status(200);
    let with = |key: &str, value: &Value| {
        let mut body = prod.clone();
        body[key] = value.clone();
        body
    };
    let change = with("key", &own.json()["token"]);
    by(&gateway, &ann, "/key/update", &change).assert_status(403);
    by(&gateway, &ann, "/key/regenerate", &change).assert_status(403);
    let change = with("team_id", &json!("t"));
    by(&gateway, &ann, "/team/update", &change).assert_status(403);
    let same = json!({"team_id": "t", "metadata": {"priority": "dev", "colour": "red"}});
    by(&gateway, &ann, "/team/update", &same).assert_status(200);
    gateway.post("/team/update", &change).assert_status(200);
}
