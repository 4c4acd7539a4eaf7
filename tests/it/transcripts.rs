//! What is asked and answered is kept where the operator wants that, and nowhere else.

use rusqlite::Connection;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;

use crate::keys::generate;
use crate::spend::whole_or_streamed;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{
    Gateway, Home, chat_request, chat_request_body, start, stream_request,
};
use crate::support::http::Request;
use crate::support::reply::{Gate, Reply, opening_event, text_event};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

const KEPT: &str = "store_prompts_in_spend_logs: true";

fn keeping(upstream: &Upstream) -> ConfigText {
    ConfigText::one("m", upstream)
        .general(KEPT)
        .with_master_key()
}

/// The requests and answers that are kept, in order of time.
fn kept(home: &Home) -> Vec<(Value, Value)> {
    let store = home.books();
    let mut select = store
        .prepare("SELECT request, answer FROM transcripts ORDER BY id")
        .expect("the table is there");
    let rows = select.query_map([], |row| {
        let answer: Option<String> = row.get(1)?;
        Ok((row.get::<_, String>(0)?, answer))
    });
    let json = |text: &str| serde_json::from_str(text).expect("JSON is kept");
    rows.expect("rows are read")
        .map(|row| row.expect("a row is read"))
        .map(|(request, answer)| {
            (
                json(&request),
                answer.map_or(Value::Null, |text| json(&text)),
            )
        })
        .collect()
}

fn said(answer: &Value) -> &Value {
    &answer["choices"][0]["message"]["content"]
}

fn ask(gateway: &Gateway, key: &str, path: &str) -> Value {
    let answer = gateway.send(&Request::get(path).bearer(key));
    answer.assert_status(200);
    answer.json()
}

#[test]
fn the_words_of_a_request_are_found_by_its_id_by_whom_it_belongs_to() {
    let upstream = Upstream::answering(whole_or_streamed);
    let (home, gateway) = start(&keeping(&upstream));
    let ann = generate(&gateway, &json!({"user_id": "ann"}));
    let ben = generate(&gateway, &json!({"user_id": "ben"}));
    let [ann, ben] = [&ann, &ben].map(|key| key["key"].as_str().expect("a key is made").to_owned());

    for request in [chat_request("m"), stream_request("m")] {
        gateway.send(&request.bearer(&ann)).assert_status(200);
    }

    eventually("both are kept", &2, || kept(&home).len());
    let rows = ask(&gateway, &ann, "/spend/logs/v2");
    let rows = rows["data"].as_array().expect("a page has rows");
    assert_eq!(rows.len(), 2);
    for (row, want) in rows.iter().zip(["streamed", "whole"]) {
        for member in ["messages", "response", "proxy_server_request"] {
            assert_eq!(row[member], json!({}), "pages are without words");
        }
        let id = row["id"].as_str().expect("rows have ids");
        let found = ask(&gateway, &ann, &format!("/spend/logs/ui/{id}"));
        assert_eq!(found["messages"], chat_request_body("m")["messages"]);
        assert_eq!(found["proxy_server_request"]["model"], "m");
        assert_eq!(found["response"]["object"], "chat.completion");
        assert_eq!(said(&found["response"]), want);
        for path in ["/spend/logs?request_id", "/spend/logs/v2?request_id"] {
            let list = ask(&gateway, MASTER_KEY, &format!("{path}={id}"));
            let row = list.get("data").unwrap_or(&list)[0].clone();
            for member in ["messages", "response", "proxy_server_request"] {
                assert_eq!(row[member], found[member], "{path}");
            }
        }
        let others = format!("/spend/logs/ui/{id}");
        let others = gateway.send(&Request::get(&others).bearer(&ben));
        others.assert_status(404);
        assert_eq!(others.json()["error"]["param"], "request_id");
        let list = ask(&gateway, &ben, &format!("/spend/logs?request_id={id}"));
        assert_eq!(list, json!([]));
    }
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let upstream = Upstream::answering(whole_or_streamed);
    for config in [
        ConfigText::one("m", &upstream).with_master_key(),
        keeping(&upstream).litellm("turn_off_message_logging: true"),
    ] {
        let (home, gateway) = start(&config);
        let gateway = gateway.with_master_key();
        gateway.chat("m").assert_status(200);
        assert_eq!(
            gateway.get("/health/readiness").json()["transcripts"],
            "off"
        );
        gateway.stop();
        assert_eq!(kept(&home), []);
    }
}

#[test]
fn a_request_can_ask_not_to_be_kept_and_the_provider_does_not_hear_of_it() {
    let upstream = Upstream::answering(whole_or_streamed);
    let (home, gateway) = start(&keeping(&upstream));
    for member in ["no-log", "turn_off_message_logging"] {
        let mut body = chat_request_body("m");
        body[member] = json!(true);
        let request = Request::post("/v1/chat/completions", &body).bearer(MASTER_KEY);
        gateway.send(&request).assert_status(200);
    }
    let request = chat_request("m")
        .bearer(MASTER_KEY)
        .header("x-litellm-enable-message-redaction", "true");
    gateway.send(&request).assert_status(200);
    let mut body = chat_request_body("m");
    body["no-log"] = json!("yes");
    let wrong = gateway.send(&Request::post("/v1/chat/completions", &body).bearer(MASTER_KEY));
    wrong.assert_status(400);
    assert_eq!(wrong.json()["error"]["param"], "no-log");
    gateway.stop();
    assert_eq!(kept(&home), []);
    for request in upstream.requests() {
        for member in ["no-log", "turn_off_message_logging"] {
            assert_eq!(request.json().get(member), None);
        }
    }
}

#[test]
fn what_a_client_got_before_it_left_and_what_failed_is_kept() {
    let (gate, rest) = (Gate::closed(), text_event("never sent"));
    let events = [opening_event(), text_event("first"), rest];
    let upstream = Upstream::scripted([
        Reply::events(events).gate_before_part(2, &gate),
        Reply::error(400, "invalid_request_error", "no"),
    ]);
    let (home, gateway) = start(&keeping(&upstream).one_attempt());
    let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
    assert_eq!(live.next_text(), "first");
    live.leave();
    eventually("the first is kept", &1, || kept(&home).len());
    gateway
        .send(&chat_request("m").bearer(MASTER_KEY))
        .assert_status(400);
    gateway.stop();
    gate.open();
    let kept = kept(&home);
    assert_eq!(kept.len(), 2, "what waits is stored at the end");
    assert_eq!(said(&kept[0].1), "first");
    assert_eq!(kept[1].1, Value::Null);
}

#[test]
fn what_there_is_no_room_for_is_answered_and_counted() {
    let upstream = Upstream::answering(whole_or_streamed);
    let config = keeping(&upstream).trunkline("transcripts: { buffer_bytes: 1048576 }");
    let (home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    let mut large = chat_request_body("m");
    large["messages"][0]["content"] = json!("x".repeat(2 << 20));
    gateway
        .post("/v1/chat/completions", &large)
        .assert_status(200);
    gateway.chat("m").assert_status(200);
    eventually("the small one is kept", &1, || kept(&home).len());
    let metrics = gateway.get("/metrics").text();
    for count in [
        "trunkline_transcripts_total{end=\"dropped\"} 1",
        "trunkline_transcripts_total{end=\"kept\"} 1",
    ] {
        assert!(metrics.contains(count), "{metrics}");
    }
}

#[test]
fn transcripts_wait_for_a_database_that_is_away_and_nobody_waits_for_them() {
    let mut server = Postgres::start();
    let upstream = Upstream::answering(whole_or_streamed);
    let config = keeping(&upstream).database(&server.database("words"));
    let (_home, gateway) = start(&config);
    let mut gateway = gateway.with_master_key();
    gateway.keeps_secret(DATABASE_PASSWORD);
    gateway.allow_errors();
    let count =
        |server: &Postgres| server.sql("words", "SELECT count(*) FROM trunkline.transcripts");
    let state = |gateway: &Gateway| gateway.get("/health/readiness").json()["transcripts"].clone();
    gateway.chat("m").assert_status(200);
    eventually("one is kept", &"1".to_owned(), || count(&server));

    server.stop();
    gateway.chat("m").assert_status(200);
    gateway.chat_stream("m").assert_status(200);
    eventually("readiness says so", &json!("waiting"), || state(&gateway));
    server.resume();

    eventually("all are kept", &"3".to_owned(), || count(&server));
    eventually("and readiness is content", &json!("kept"), || {
        state(&gateway)
    });
}

#[test]
fn old_transcripts_go() {
    let upstream = Upstream::answering(whole_or_streamed);
    let config = keeping(&upstream)
        .general("maximum_spend_logs_retention_interval: 1s")
        .trunkline("transcripts: { retention: 7d }");
    let (home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    gateway.chat("m").assert_status(200);
    gateway.stop();
    let store = Connection::open(home.path().join("trunkline.db")).expect("the store opens");
    let then = UnixMs::now().0 - 9 * 86_400_000;
    let id = RequestId::generate(then, 1).to_string();
    let aged = store.execute("UPDATE transcripts SET id = ?1", [id]);
    assert_eq!(aged.expect("the transcript is aged"), 1);
    drop(store);

    let gateway = home.start().with_master_key();
    gateway.chat_stream("m").assert_status(200);

    eventually(
        "the new one alone is there",
        &vec![json!("streamed")],
        || {
            let kept = kept(&home);
            kept.iter()
                .map(|(_, answer)| said(answer).clone())
                .collect()
        },
    );
    let removed = "trunkline_rows_removed_total{table=\"transcripts\"} 1";
    eventually("the removal is counted", &true, || {
        gateway.get("/metrics").text().contains(removed)
    });
}
