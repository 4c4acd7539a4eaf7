//! `general_settings.allowed_ips`, and addresses that are stored: who calls from elsewhere is refused, whatever key it has, and no
//! administrator shuts itself out.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::runtime;
use tokio::time::Instant;

use crate::stored_models::{config, home, start};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{self, Gateway, Home};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::servers::postgres::Postgres;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// Nobody here calls from there.
const ELSEWHERE: &str = "192.0.2.7";

fn add(gateway: &Gateway, ip: &str) -> Answer {
    gateway.post("/add/allowed_ip", &json!({"ip": ip}))
}

fn remove(gateway: &Gateway, ip: &str) -> Answer {
    gateway.post("/delete/allowed_ip", &json!({"ip": ip}))
}

fn listed(gateway: &Gateway) -> Value {
    let answer = gateway.get("/get/allowed_ips");
    answer.assert_status(200);
    answer.json()["data"].clone()
}

/// What a caller at another address of this machine is answered, with the master key.
fn status_from(last: u8, gateway: &Gateway) -> u16 {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let request = format!(
        "GET /v1/models HTTP/1.1
host: localhost
authorization: Bearer {MASTER_KEY}
connection: close

"
    );
    let text = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
        socket.bind(own).unwrap();
        let mut stream = socket.connect(gateway.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    });
    let status = text.split(' ').nth(1).unwrap();
    status.parse().unwrap()
}

fn refused_by_address(answer: &Answer) {
    let err = answer.assert_error(403, "auth_error");
    assert_eq!(
        err["message"],
        "Access forbidden: IP address 127.0.0.1 not allowed."
    );
}

#[test]
fn who_calls_from_elsewhere_is_refused_whatever_it_shows() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .general("allowed_ips: [192.0.2.7, 10.0.0.0/8]");
    let (_home, gateway) = gateway::start(&config);
    let forged = Request::get("/v1/models")
        .bearer(MASTER_KEY)
        .header("x-forwarded-for", ELSEWHERE);
    for request in [
        Request::get("/v1/models"),
        Request::get("/v1/models").bearer("sk-nobodys"),
        forged,
        Request::get("/model/info").bearer(MASTER_KEY),
        Request::get("/health?detailed=true").bearer(MASTER_KEY),
        Request::get("/"),
        Request::get("/openapi.json"),
    ] {
        refused_by_address(&gateway.send(&request));
    }
    let gateway = gateway.with_master_key();
    refused_by_address(&gateway.chat("m"));
    assert_eq!(upstream.request_count(), 0);
    for path in [
        "/health",
        "/health/liveliness",
        "/health/readiness",
        "/metrics",
    ] {
        gateway.get(path).assert_status(200);
    }
}

#[test]
fn who_is_on_the_list_of_the_config_is_served() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .general("allowed_ips: [192.0.2.7, 127.0.0.0/8]");
    let (_home, gateway) = gateway::start(&config);
    let gateway = gateway.with_master_key();
    gateway.chat("m").assert_status(200);
    assert_eq!(listed(&gateway), json!([ELSEWHERE, "127.0.0.0/8"]));
    // Nothing is stored unless storing is on.
    for answer in [add(&gateway, "10.0.0.1"), remove(&gateway, ELSEWHERE)] {
        answer.assert_status(400);
        assert!(
            answer.text().contains("STORE_MODEL_IN_DB"),
            "{}",
            answer.text()
        );
    }
}

fn scene(more: &str) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut config = config(&upstream);
    if !more.is_empty() {
        config = config.general(more);
    }
    let home = home(&config);
    let gateway = start(&home);
    (upstream, home, gateway)
}

#[test]
fn stored_addresses_are_told_among_the_settings() {
    let (_upstream, _home, gateway) = scene("allowed_ips: [127.0.0.1]");
    let told = || {
        let field = gateway.get("/config/field/info?field_name=allowed_ips");
        (
            field.json()["source"].clone(),
            field.json()["field_value"].clone(),
        )
    };
    assert_eq!(told(), (json!("config"), json!(["127.0.0.1"])));
    add(&gateway, "10.0.0.0/8").assert_status(200);
    assert_eq!(told(), (json!("db"), json!(["127.0.0.1", "10.0.0.0/8"])));
    let all = gateway
        .get("/config/list?config_type=general_settings")
        .json();
    let mut all = all.as_array().expect("a list").iter();
    let row = all.find(|row| row["field_name"] == "allowed_ips");
    assert_eq!(row.expect("is listed")["stored_in_db"], true);
}

#[test]
fn addresses_are_added_and_removed_while_the_gateway_runs_and_nobody_shuts_itself_out() {
    let (_upstream, home, gateway) = scene("");
    assert_eq!(listed(&gateway), Value::Null);
    // The first address makes it a list: one without the caller's own is refused, and nothing is stored.
    let err = add(&gateway, ELSEWHERE);
    let err = err.assert_error(400, "invalid_request_error");
    assert_eq!(err["param"], "ip", "{err}");
    let message = err["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1"), "{message}");
    assert_eq!(listed(&gateway), Value::Null);

    let told = add(&gateway, "127.0.0.0/8");
    told.assert_status(200);
    assert_eq!(
        told.json(),
        json!({"message": "IP 127.0.0.0/8 address added successfully", "status": "success"})
    );
    add(&gateway, ELSEWHERE).assert_status(200);
    assert_eq!(listed(&gateway), json!(["127.0.0.0/8", ELSEWHERE]));
    let again = add(&gateway, ELSEWHERE);
    let again = again.assert_error(400, "invalid_request_error");
    assert_eq!(again["message"], "IP address already exists");
    remove(&gateway, "127.0.0.0/8").assert_status(400);
    assert_eq!(status_from(2, &gateway), 200);

    add(&gateway, "127.0.0.1").assert_status(200);
    remove(&gateway, "127.0.0.0/8").assert_status(200);
    assert_eq!(status_from(2, &gateway), 403);
    gateway.stop();
    let gateway = start(&home);
    assert_eq!(listed(&gateway), json!([ELSEWHERE, "127.0.0.1"]));
    assert_eq!(status_from(2, &gateway), 403);
    gateway.chat("m").assert_status(200);
    remove(&gateway, ELSEWHERE).assert_status(200);
    let missing = remove(&gateway, ELSEWHERE);
    assert_eq!(missing.status, 404, "{}", missing.text());
    let last = remove(&gateway, "127.0.0.1");
    last.assert_status(200);
    assert!(
        last.text().contains("No address is left"),
        "{}",
        last.text()
    );
    assert_eq!(listed(&gateway), Value::Null);
    assert_eq!(status_from(2, &gateway), 200);

    let log = gateway.get("/audit?table_name=LiteLLM_Config").json();
    let lines = log["audit_logs"].as_array().unwrap();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert_eq!(lines[5]["action"], "created");
    assert_eq!(lines[5]["object_id"], "general_settings.allowed_ips");
    let now = &lines[4]["updated_values"]["param_value"];
    assert_eq!(*now, json!(["127.0.0.0/8", ELSEWHERE]));
}

#[test]
fn addresses_of_the_config_stay_and_what_is_no_address_is_refused() {
    let (_upstream, _home, gateway) = scene("allowed_ips: [127.0.0.1]");
    add(&gateway, "2001:db8::/32").assert_status(200);
    assert_eq!(listed(&gateway), json!(["127.0.0.1", "2001:db8::/32"]));
    let kept = remove(&gateway, "127.0.0.1");
    let kept = kept.assert_error(400, "invalid_request_error");
    assert!(kept["message"].as_str().unwrap().contains("config file"));
    for (body, param) in [
        (json!({"ip": "localhost"}), "ip"),
        (json!({"ip": "10.0.0.0/33"}), "ip"),
        (json!({"ip": ""}), "ip"),
        (json!({"ip": 5}), "ip"),
        (json!({}), "ip"),
        (json!({"ip": "10.0.0.1", "note": "x"}), "note"),
    ] {
        let answer = gateway.post("/add/allowed_ip", &body);
        let err = answer.assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], param, "{body}");
    }
}

#[test]
fn another_replica_refuses_who_is_not_on_the_list_within_a_second() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let server = Postgres::start();
    let config = config(&upstream).database(&server.database("books"));
    let homes = (home(&config), home(&config));
    let (one, other) = (start(&homes.0), start(&homes.1));
    assert_eq!(status_from(2, &other), 200);
    // Whoever follows is told everything that it may have missed first.
    add(&one, "127.0.0.0/8").assert_status(200);
    eventually("the other replica follows", &json!(["127.0.0.0/8"]), || {
        listed(&other)
    });
    add(&one, "127.0.0.1").assert_status(200);
    remove(&one, "127.0.0.0/8").assert_status(200);
    let began = Instant::now();
    eventually("the other replica refuses", &403, || status_from(2, &other));
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    other.chat("m").assert_status(200);
}
