//! How a gateway comes to its Redis server: over TLS, by user and password; and that whatever is wrong with it is said, while
//! requests go on with this replica's share.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::reply::Reply;
use crate::support::servers::redis::{REDIS_PASSWORD, Redis, certificate};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

fn config(upstream: &Upstream) -> ConfigText {
    ConfigText::one("m", upstream)
        .with_master_key()
        .trunkline("fleet: {deadline_secs: 5}")
        .trunkline("workers: 1")
}

fn started(home: &Home) -> Gateway {
    let mut gateway = home.start();
    gateway.keeps_secret(REDIS_PASSWORD);
    gateway
}

/// Two requests are served, and no third, and the server has counted them.
fn limits_are_kept_at(redis: &Redis, gateway: &Gateway) {
    eventually("the server is found", &json!("together"), || {
        limits(gateway)
    });
    // The worker has a connection of its own.
    let other = generate_key(gateway, &json!({"rpm_limit": 10_000}));
    let other = chat_request("m").bearer(&other);
    eventually("the worker asks the server", &true, || {
        let answer = gateway.send(&other);
        answer.header("x-trunkline-weakened").is_none()
    });
    let key = generate_key(gateway, &json!({"rpm_limit": 2}));
    let request = chat_request("m").bearer(&key);
    for status in [200, 200, 429] {
        let answer = gateway.send(&request);
        answer.assert_status(status);
        assert_eq!(answer.header("x-trunkline-weakened"), None);
    }
    let kept = redis.command(&["KEYS", "{trunkline}:l:*"]);
    assert!(kept.contains("{trunkline}:l:"), "{kept}");
}

/// The server is not used, for that reason, and what it would limit is limited here.
fn limits_are_kept_alone(gateway: &Gateway, reason: &str) {
    eventually("the reason is said", &true, || {
        let warnings = gateway.log_of_level("WARN");
        let said = |line: &&Value| line.to_string().contains("limits cannot be reached");
        let said = warnings.iter().find(said);
        said.is_some_and(|line| line["reason"].as_str().unwrap_or_default().contains(reason))
    });
    assert_eq!(limits(gateway), "weakened");
    let key = generate_key(gateway, &json!({"rpm_limit": 2}));
    let request = chat_request("m").bearer(&key);
    for (status, weakened) in [(200, Some("limits")), (200, Some("limits")), (429, None)] {
        let answer = gateway.send(&request);
        answer.assert_status(status);
        assert_eq!(answer.header("x-trunkline-weakened"), weakened);
    }
}

fn limits(gateway: &Gateway) -> Value {
    gateway.get("/health/readiness").json()["limits"].clone()
}

#[test]
fn over_tls_a_server_is_trusted_by_the_authority_that_is_named() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::over_tls(false));
    let authority = certificate("authority.pem");
    let by_url = config(&upstream)
        .router(&format!("redis_url: {}", redis.url()))
        .router(&format!("redis_ssl_ca_certs: {authority}"));
    let home = Home::with(&by_url);
    limits_are_kept_at(&redis, &started(&home));

    redis.command(&["FLUSHALL"]);
    let home = Home::with(&config(&upstream))
        .variable("REDIS_HOST", "localhost")
        .variable("REDIS_PORT", &redis.tls_port().to_string())
        .variable("REDIS_PASSWORD", REDIS_PASSWORD)
        .variable("REDIS_SSL", "True")
        .variable("REDIS_SSL_CA_CERTS", &authority);
    limits_are_kept_at(&redis, &started(&home));
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::over_tls(true));
    let without = config(&upstream)
        .router(&format!("redis_url: {}", redis.url()))
        .router(&format!(
            "redis_ssl_ca_certs: {}",
            certificate("authority.pem")
        ));
    let home = Home::with(&without);
    limits_are_kept_alone(&started(&home), "asks for a certificate of ours");

    let with = without
        .router(&format!(
            "redis_ssl_certfile: {}",
            certificate("client.pem")
        ))
        .router(&format!("redis_ssl_keyfile: {}", certificate("client.key")));
    let home = Home::with(&with);
    limits_are_kept_at(&redis, &started(&home));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_no_server_and_the_reason_is_said() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::over_tls(false));
    let unknown = config(&upstream).router(&format!("redis_url: {}", redis.url()));
    let home = Home::with(&unknown);
    limits_are_kept_alone(&started(&home), "certificate is not trusted");

    // Signed by whom it should be, for another name.
    let by_address = redis.url().replace("localhost", "127.0.0.1");
    let elsewhere = config(&upstream)
        .router(&format!("redis_url: {by_address}"))
        .router(&format!(
            "redis_ssl_ca_certs: {}",
            certificate("authority.pem")
        ));
    let home = Home::with(&elsewhere);
    limits_are_kept_alone(&started(&home), "certificate is not trusted");
    assert_eq!(redis.command(&["DBSIZE"]), ":0");
}

#[test]
fn a_file_for_tls_that_is_of_no_use_ends_the_start() {
    let upstream = Upstream::always(Reply::chat("hi"));
    for (file, reason) in [
        ("/not/there.pem".to_owned(), "No such file"),
        (certificate("server.key"), "holds no certificate"),
    ] {
        let config = config(&upstream)
            .router("redis_url: rediss://localhost:1/0")
            .router(&format!("redis_ssl_ca_certs: {file}"));
        let home = Home::with(&config);
        let output = home.run(&["--config", "config.yaml", "--port", "0"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        for part in ["redis_ssl_ca_certs", &file, reason] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

/// What the documentation says that a user must be allowed.
const ALLOWED: &[&str] = &[
    "on",
    "~{trunkline}:*",
    "+@read",
    "+@write",
    "+@scripting",
    "+@connection",
    "+time",
];

#[test]
fn a_user_that_may_do_what_is_documented_is_enough() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::start());
    let password = format!(">{REDIS_PASSWORD}/@:");
    let user = [&["ACL", "SETUSER", "gateway", &password], ALLOWED].concat();
    assert_eq!(redis.command(&user), "+OK");
    let port = redis.port().to_string();
    let in_parts = config(&upstream)
        .router("redis_host: 127.0.0.1")
        .router(&format!("redis_port: {port}"))
        .router("redis_username: gateway")
        .router(&format!("redis_password: \"{REDIS_PASSWORD}/@:\""));
    let home = Home::with(&in_parts);
    let gateway = started(&home);
    limits_are_kept_at(&redis, &gateway);
    // It was that user.
    let clients = redis.command(&["CLIENT", "LIST"]);
    assert!(clients.contains("user=gateway"), "{clients}");
}

#[test]
fn a_wrong_password_is_said_and_forgotten_once_it_is_right() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::start());
    let url = redis.url_as("gateway:hush-another-password");
    let home = Home::with(&config(&upstream).router(&format!("redis_url: {url}")));
    let mut gateway = started(&home);
    gateway.keeps_secret("hush-another-password");
    limits_are_kept_alone(&gateway, "refuses user and password");

    let password = ">hush-another-password";
    let user = [&["ACL", "SETUSER", "gateway", password], ALLOWED].concat();
    assert_eq!(redis.command(&user), "+OK");
    limits_are_kept_at(&redis, &gateway);
}

#[test]
fn a_user_that_may_not_enough_is_said_so() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::start());
    let user = [
        "ACL",
        "SETUSER",
        "gateway",
        ">hush-another-password",
        "on",
        "~*",
        "+@read",
    ];
    assert_eq!(redis.command(&user), "+OK");
    let url = redis.url_as("gateway:hush-another-password");
    let home = Home::with(&config(&upstream).router(&format!("redis_url: {url}")));
    limits_are_kept_alone(&started(&home), "may not do what is needed");
}
