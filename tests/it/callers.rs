//! How a caller shows its key, what is said to who shows none or a wrong one, and what is served while there is no master key.

use serde_json::json;

use crate::keys::{generate_key, scene};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Home, chat_request, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

#[test]
fn the_master_key_is_taken_in_every_spelling_of_the_header() {
    let (_upstream, _home, gateway) = scene();
    for (header, value) in [
        ("authorization", format!("Bearer {MASTER_KEY}")),
        ("authorization", format!("bearer {MASTER_KEY}")),
        ("x-litellm-api-key", MASTER_KEY.to_owned()),
        ("x-litellm-api-key", format!("Bearer {MASTER_KEY}")),
        ("api-key", MASTER_KEY.to_owned()),
        ("x-api-key", MASTER_KEY.to_owned()),
    ] {
        let answer = gateway.send(&chat_request("m").header(header, &value));
        assert_eq!(answer.status, 200, "{header}: {}", answer.text());
    }
}

#[test]
fn the_first_header_in_the_contracts_order_decides() {
    let (_upstream, _home, gateway) = scene();

    let answer = gateway.send(
        &chat_request("m")
            .bearer("sk-nobody-knows-this-one-at-all")
            .header("x-litellm-api-key", MASTER_KEY),
    );

    answer.assert_status(200);
}

#[test]
fn who_shows_no_key_is_refused_everywhere_but_at_the_health_routes() {
    let (upstream, _home, gateway) = scene();
    for request in [
        chat_request("m"),
        Request::get("/v1/models"),
        Request::get("/model/info"),
        Request::get("/user/spend"),
        Request::get("/global/spend"),
        Request::post("/key/generate", &json!({})),
    ] {
        let error = gateway.send(&request).assert_error(401, "auth_error");
        assert_eq!(error["param"], "None", "{request:?}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("Authentication Error, No api key passed in.")),
            "{request:?}: {error}"
        );
    }
    for path in [
        "/health",
        "/health/liveliness",
        "/health/liveness",
        "/health/readiness",
    ] {
        gateway.get(path).assert_status(200);
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn wrong_keys_are_refused_each_in_its_own_words() {
    let (upstream, _home, mut gateway) = scene();
    let stranger = "sk-stranger-key-9876543210abcdef";
    gateway.keeps_secret(stranger);

    let unknown = gateway.send(&chat_request("m").bearer(stranger));
    let error = unknown.assert_error(401, "token_not_found_in_db");
    assert_eq!(error["param"], "key");
    assert!(!unknown.text().contains(stranger), "{}", unknown.text());

    let no_scheme = gateway.send(&chat_request("m").header("authorization", MASTER_KEY));
    no_scheme.assert_error(401, "auth_error");

    let foreign = gateway.send(&chat_request("m").bearer("pk-not-one-of-ours-123456"));
    foreign.assert_error(401, "auth_error");
    assert!(!foreign.text().contains("pk-not-one-of-ours-123456"));

    let almost = MASTER_KEY.split_at(MASTER_KEY.len() - 1).0;
    let shorter = gateway.send(&chat_request("m").bearer(almost));
    shorter.assert_status(401);

    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn a_refused_caller_learns_nothing_about_its_body() {
    let (_upstream, _home, gateway) = scene();

    let answer = gateway.send(&Request::post_bytes("/v1/chat/completions", "{ not json"));

    answer.assert_error(401, "auth_error");
}

#[test]
fn a_weak_master_key_works_with_a_loud_warning() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).general("master_key: sk-1234");
    let (_home, gateway) = start(&config);

    gateway
        .send(&chat_request("m").bearer("sk-1234"))
        .assert_status(200);

    let warnings = gateway.log_of_level("WARN");
    assert!(
        warnings.iter().any(|line| {
            line["message"].as_str().is_some_and(|text| {
                text.to_lowercase().contains("master key") || text.contains("master_key")
            })
        }),
        "{warnings:?}"
    );
    assert!(
        gateway.log().iter().all(|line| !line.contains("sk-1234")),
        "the warning does not repeat the key"
    );
}

#[test]
fn without_a_master_key_any_key_and_none_are_served_on_loopback() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    gateway.send(&chat_request("m")).assert_status(200);
    gateway
        .send(&chat_request("m").bearer("anything"))
        .assert_status(200);
    gateway
        .send(&chat_request("m").bearer("sk-anything-at-all-1234567"))
        .assert_status(200);
}

#[test]
fn without_a_master_key_a_foreign_host_header_is_refused() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let foreign = gateway.send(&chat_request("m").header("host", "evil.example"));
    assert!(
        (400..500).contains(&foreign.status),
        "{} {}",
        foreign.status,
        foreign.text()
    );
    let port = gateway.address().port();
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        "[::1]".to_owned(),
    ] {
        let answer = gateway.send(&chat_request("m").header("host", &host));
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
    let allowed = gateway.get("/v1/models");
    assert_eq!(allowed.header("access-control-allow-origin"), None);
    assert_eq!(upstream.request_count(), 3);
}

#[test]
fn without_a_master_key_other_addresses_serve_only_the_health_routes() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&ConfigText::one("m", &upstream)).host("0.0.0.0");
    let mut gateway = home.start();
    gateway.allow_errors();

    gateway.get("/health/liveliness").assert_status(200);
    let answer = gateway.chat("m");

    answer.assert_status(401);
    let error = answer.error();
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("LITELLM_MASTER_KEY") || text.contains("master_key")),
        "the error says what to set: {error}"
    );
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn the_master_key_may_come_from_the_environment() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home =
        Home::with(&ConfigText::one("m", &upstream)).variable("LITELLM_MASTER_KEY", MASTER_KEY);
    let gateway = home.start();

    gateway.chat("m").assert_status(401);
    gateway
        .send(&chat_request("m").bearer(MASTER_KEY))
        .assert_status(200);
}

#[test]
fn a_key_of_a_user_is_taken_in_every_spelling_of_the_header() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .general("litellm_key_header_name: X-Company-Key");
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"user_id": "ann"}));
    for header in [
        "x-litellm-api-key",
        "x-company-key",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
    ] {
        for case in [header.to_owned(), header.to_ascii_uppercase()] {
            let answer = gateway.send(&chat_request("m").header(&case, &key));
            assert_eq!(answer.status, 200, "{case}: {}", answer.text());
            let unknown = gateway.send(&chat_request("m").header(&case, "sk-unknown-0123456789"));
            assert_eq!(unknown.status, 401, "{case}: {}", unknown.text());
        }
    }
    for header in ["x-litellm-api-key", "x-company-key", "authorization"] {
        let answer = gateway.send(&chat_request("m").header(header, &format!("Bearer {key}")));
        assert_eq!(answer.status, 200, "{header}: {}", answer.text());
    }
    for sent in upstream.requests() {
        assert!(
            sent.headers.iter().all(|(_, value)| !value.contains(&key)),
            "the provider got the caller's key: {:?}",
            sent.headers
        );
    }
}
