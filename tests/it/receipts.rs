//! What an answer says of its cost, and that the books can show it: every row is explained to the last digit, the books agree
//! with themselves, what is changed behind their back is found, and other prices are put on them once.

use std::fs;
use std::process::Output;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::spend::{pico, total};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request_body};
use crate::support::http::{Answer, BodyEnd, Request};
use crate::support::reply::{
    DONE_EVENT, Ending, Reply, chat_body, event, finish_event, opening_event, text_event,
    usage_event,
};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

/// What the provider says it used: 1,000 plain, 600 from the cache; 60 said, 40 thought.
fn counters() -> Value {
    json!({"prompt_tokens": 1600, "completion_tokens": 100, "total_tokens": 1700,
        "prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 40}})
}

/// Answers whole or as a stream, and says that it served what was asked for.
fn provider() -> Upstream {
    Upstream::answering(|request: &Recorded| {
        let asked = request.json();
        let tier = asked["service_tier"].clone();
        if asked["stream"] != true {
            let mut body = chat_body("hi");
            body["usage"] = counters();
            body["service_tier"] = tier;
            return Reply::json(200, &body);
        }
        let mut last: Value = serde_json::from_str(
            String::from_utf8(usage_event())
                .expect("text")
                .trim()
                .trim_start_matches("data: "),
        )
        .expect("JSON");
        last["usage"] = counters();
        last["service_tier"] = tier;
        Reply::events([
            opening_event(),
            text_event("hi"),
            finish_event(),
            event(&last),
            DONE_EVENT.to_vec(),
        ])
    })
}

/// A listed model, one with prices of its own behind a wildcard's back, and the operator's terms.
fn config(upstream: &Upstream) -> ConfigText {
    let at = |group: &str, model: &str| {
        Deployment::bare(
            group,
            &[
                &format!("model: {model}"),
                &format!("api_base: {}", upstream.base_url()),
                "api_key: sk-of-the-provider",
            ],
        )
    };
    ConfigText::new()
        .deployment(at("listed", "openai/gpt-6-astra"))
        .deployment(
            at("own", "openai/house-model")
                .param("input_cost_per_token: 1.5e-07")
                .param("output_cost_per_token: 0.0000006"),
        )
        .deployment(at("any/*", "groq/*"))
        .deployment(at("unpriced", "openai/of-nobody"))
        .litellm("cost_discount_config: {groq: 0.05}")
        .litellm("cost_margin_config: {groq: {percentage: 0.1, fixed_amount: 0.001}}")
        .one_attempt()
        .with_master_key()
}

fn ask(gateway: &Gateway, key: &str, model: &str, more: &[(&str, Value)]) -> Answer {
    let mut body = chat_request_body(model);
    for (name, value) in more {
        body[*name] = value.clone();
    }
    let request = Request::post("/v1/chat/completions", &body).bearer(key);
    let answer = gateway.send(&request);
    answer.assert_status(200);
    answer
}

const GROQ: &str = "any/openai/gpt-oss-20b";

/// Asks in every way there is; answers with the ids on the books.
fn ask_in_every_way(gateway: &Gateway, key: &str) -> Vec<String> {
    let streamed = || ("stream", json!(true));
    let flex = || ("service_tier", json!("flex"));
    let ways: [(&str, &[(&str, Value)]); 9] = [
        ("listed", &[]),
        ("listed", &[streamed()]),
        ("listed", &[flex()]),
        ("listed", &[flex(), streamed()]),
        ("own", &[]),
        (GROQ, &[]),
        (GROQ, &[streamed()]),
        ("unpriced", &[]),
        (
            "own",
            &[
                streamed(),
                ("stream_options", json!({"include_usage": true})),
            ],
        ),
    ];
    let mut ids = Vec::new();
    for (model, more) in ways {
        let answer = ask(gateway, key, model, more);
        let id = answer.header("x-trunkline-request-id");
        ids.push(id.expect("an id").to_owned());
    }
    ids
}

fn run(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = home.run(&[arguments, &["--config", "config.yaml"]].concat());
    let said = String::from_utf8_lossy(&stdout).into_owned();
    (status.code(), said + &String::from_utf8_lossy(&stderr))
}

fn verified(home: &Home) -> (Option<i32>, Value) {
    let (code, said) = run(home, &["ledger", "verify", "--json"]);
    let report = serde_json::from_str(&said).unwrap_or_else(|err| panic!("{err}: {said}"));
    (code, report)
}

#[track_caller]
fn assert_clean(home: &Home) -> Value {
    let (code, report) = verified(home);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["clean"], true, "{report:#}");
    report
}

fn count(report: &Value, check: &str, what: &str) -> u64 {
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|one| one["name"] == check).expect(check);
    found["counts"][what].as_u64().expect(what)
}

#[track_caller]
fn assert_explained(home: &Home, id: &str) -> Value {
    let (code, said) = run(home, &["explain", id, "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let found: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{said}");
    let one = found[0].clone();
    assert_eq!(one["agrees"], true, "{one:#}");
    if one["cost"].is_string() {
        assert_eq!(one["recomputed"]["total"], one["cost"], "{one:#}");
    }
    one
}

/// The books, for a hand that has no business there.
fn tampering(home: &Home) -> Connection {
    Connection::open(home.path().join("trunkline.db")).expect("the file can be opened")
}

fn prices(home: &Home, models: &Value) -> String {
    let path = home.path().join("other-prices.json");
    fs::write(&path, models.to_string()).expect("the prices are written");
    path.to_string_lossy().into_owned()
}

/// The whole of it, on whichever database.
fn from_receipt_to_repricing(home: &Home, mut gateway: Gateway) {
    gateway.keeps_secret(DATABASE_PASSWORD);
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 50}));
    let ids = ask_in_every_way(&gateway, &key);
    eventually("all rows", &9, || {
        count(&verified(home).1, "costs and prices", "rows")
    });

    // Beside the gateway that is running.
    let report = assert_clean(home);
    assert_eq!(count(&report, "costs and prices", "worked out again"), 8);
    assert_eq!(count(&report, "costs and prices", "of unknown cost"), 1);
    assert!(count(&report, "roll-ups and rows", "lines") > 10);
    assert_eq!(count(&report, "balances and rows", "windows"), 1);

    let explained: Vec<Value> = ids.iter().map(|id| assert_explained(home, id)).collect();
    // 1,000 × $10 + 600 × $1 + 100 × $50 a million; flex half. A stream costs what a whole answer does.
    let costs: Vec<&Value> = explained.iter().map(|one| &one["cost"]).collect();
    assert_eq!(*costs[0], "0.0156");
    assert_eq!(costs[1], costs[0]);
    assert_eq!(*costs[2], "0.0078");
    assert_eq!(costs[3], costs[2]);
    // 1,600 × 0.15e-6 + 100 × 0.6e-6.
    assert_eq!(*costs[4], "0.0003");
    assert_eq!(costs[5], costs[6]);
    assert!(costs[7].is_null());
    assert_eq!(costs[8], costs[4]);
    assert_eq!(explained[2]["service_tier"], "flex");
    let sheet = explained[5]["price_sheet"].as_str().expect("a sheet");
    assert!(
        sheet.contains("\ndiscount 0.05\nmargin 0.1\nfixed 0.001"),
        "{sheet}"
    );
    let (_, said) = run(home, &["explain", &ids[2]]);
    assert!(said.contains("served as flex"), "{said}");
    assert!(said.contains("to the last digit"), "{said}");
    let (_, said) = run(home, &["explain", &ids[4]]);
    assert!(
        said.contains("no price of its own: that of input"),
        "{said}"
    );
    let (code, said) = run(home, &["explain", "chatcmpl-scripted"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("\nrequest ").count(), 9, "{said}");
    let (code, said) = run(home, &["explain", "nobody"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("neither on the books nor in the journal"),
        "{said}"
    );

    // Twice the price of one model, and a price for another that had none.
    let before = total(&gateway);
    let file = prices(
        home,
        &json!({
            "house-model": {"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": 3e-07, "output_cost_per_token": 0.000_001_2},
            "of-nobody": {"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
        }),
    );
    let reprice = |more: &[&str]| {
        let arguments = [
            "ledger",
            "reprice",
            "--since",
            "2020-01-01",
            "--prices",
            &file,
        ];
        let (code, said) = run(home, &[&arguments[..], &["--json"], more].concat());
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str::<Value>(&said).expect("JSON")
    };
    let announced = reprice(&["--dry-run"]);
    assert_eq!(total(&gateway), before);
    let done = reprice(&[]);
    assert_eq!(announced["models"], done["models"]);
    assert_eq!(done["models"][0]["model"], "house-model");
    assert_eq!(done["models"][0]["difference"], "0.0006");
    assert_eq!(done["models"][1]["were_unknown"], 1);
    assert_eq!(done["models"][1]["after"], "0.0017");
    assert_eq!(total(&gateway), before + 600_000_000 + 1_700_000_000);
    assert_eq!(reprice(&[])["models"], json!([]), "once is enough");
    assert_eq!(reprice(&["--until", "2020-01-02"])["rows"], 0);

    let report = assert_clean(home);
    assert_eq!(count(&report, "costs and prices", "adjustments"), 3);
    let one = assert_explained(home, &ids[4]);
    assert_eq!(one["cost"], "0.0003", "what was charged stays");
    assert_eq!(one["cost_with_adjustments"], "0.0006");

    gateway.stop();
    assert_clean(home);
}

#[test]
fn the_books_in_sqlite_are_explained_verified_and_repriced() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    from_receipt_to_repricing(&home, gateway);
}

#[test]
fn the_books_in_postgres_are_explained_verified_and_repriced() {
    let server = Postgres::start();
    let upstream = provider();
    let home = Home::with(&config(&upstream).database(&server.database("books")));
    let gateway = home.start();
    from_receipt_to_repricing(&home, gateway);

    server.sql(
        "books",
        "UPDATE trunkline.spend_logs SET cost = cost + 0.000000000001 WHERE model_group = 'own'",
    );
    let (code, report) = verified(&home);
    assert_eq!(code, Some(1), "{report:#}");
    let said = report.to_string();
    for wanted in [
        "its cost is 0.000300000001, and its price makes 0.0003 of it",
        "daily_subject_spend",
        "spend is 0.000000000004 less than the rows say",
        "balances kind=api_key",
        "charged is 0.000000000004 less than the rows say",
    ] {
        assert!(said.contains(wanted), "{wanted}: {report:#}");
    }
}

#[test]
fn whatever_is_changed_behind_the_books_back_is_found() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 50}));
    ask_in_every_way(&gateway, &key);
    gateway.stop();
    assert_clean(&home);
    let sound = fs::read(home.path().join("trunkline.db")).expect("the books can be copied");

    for (change, wanted) in [
        (
            "UPDATE spend_logs SET output_text = output_text + 1 WHERE model_group = 'listed'",
            "its price makes",
        ),
        (
            "UPDATE spend_logs SET service_tier = NULL WHERE service_tier = 'flex'",
            "its price makes 0.0156 of it",
        ),
        (
            "UPDATE prices SET sheet = replace(sheet, '0.00001', '0.00002')",
            "its text is not the one that its id was made of",
        ),
        ("DELETE FROM prices", "the price is not on the books"),
        (
            "DELETE FROM spend_logs WHERE id = (SELECT max(id) FROM spend_logs)",
            "requests is 1 more than the rows say",
        ),
        (
            "UPDATE daily_spend SET prompt_tokens = prompt_tokens + 5 WHERE model_group = 'own'",
            "prompt_tokens is 5 more than the rows say",
        ),
        (
            "UPDATE daily_subject_spend SET duration_ms = duration_ms + 1 WHERE kind = 'provider'",
            "duration_ms is 1 more than the rows say",
        ),
        (
            "UPDATE balances SET charged = charged - 1",
            "charged is 0.000000000001 less than the rows say",
        ),
        (
            "UPDATE balances SET unpriced = 7",
            "unpriced is 6 more than the rows say",
        ),
        ("DELETE FROM balances", "balances kind=api_key"),
    ] {
        let books = tampering(&home);
        let changed = books.execute(change, []).expect(change);
        assert!(changed > 0, "{change}");
        drop(books);
        let (code, said) = run(&home, &["ledger", "verify"]);
        assert_eq!(code, Some(1), "{change}: {said}");
        assert!(said.contains(wanted), "{change}: {said}");
        assert!(
            said.ends_with("DIFFERENT: the books do not agree\n"),
            "{said}"
        );
        for file in ["trunkline.db-wal", "trunkline.db-shm"] {
            fs::remove_file(home.path().join(file)).ok();
        }
        fs::write(home.path().join("trunkline.db"), &sound).expect("the books are put back");
    }
    assert_clean(&home);
}

#[test]
fn a_settled_request_that_waits_in_the_journal_is_compared_and_said_to_wait() {
    let upstream = provider();
    let mut home = Home::with(&config(&upstream));
    let mut gateway = home.start();
    gateway.allow_errors();
    let first = ask(&gateway, MASTER_KEY, "own", &[]);
    eventually("the first on the books", &1, || {
        count(&verified(&home).1, "costs and prices", "rows")
    });
    drop(first);
    // Nothing more reaches the books from here on.
    let books = tampering(&home);
    books
        .execute_batch("CREATE TRIGGER shut BEFORE INSERT ON spend_logs BEGIN SELECT RAISE(ABORT, 'shut'); END")
        .expect("the books are shut");
    let second = ask(&gateway, MASTER_KEY, "own", &[]);
    let id = second.header("x-trunkline-request-id").expect("an id");
    gateway.kill();

    let report = assert_clean(&home);
    assert_eq!(count(&report, "journal and rows", "not shipped yet"), 1);
    let (code, said) = run(&home, &["explain", id]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("is in the journal and not on the books yet"),
        "{said}"
    );

    // Somebody writes another row under its id.
    books
        .execute_batch(&format!(
            "DROP TRIGGER shut; CREATE TEMP TABLE other AS SELECT * FROM spend_logs; \
             UPDATE other SET id = '{id}', model_group = 'forged'; INSERT INTO spend_logs SELECT * FROM other"
        ))
        .expect("a forged row");
    let (code, report) = verified(&home);
    assert_eq!(code, Some(1), "{report:#}");
    let said = report.to_string();
    assert!(
        said.contains(&format!("row {id}: the journal has another one")),
        "{said}"
    );
    assert!(said.contains("model_group"), "{said}");
    home.falsify();
}

#[test]
fn commands_about_the_books_make_none() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    for arguments in [&["ledger", "verify"][..], &["explain", "x"]] {
        let (code, said) = run(&home, arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("has no books"), "{said}");
    }
    assert!(!home.path().join("trunkline.db").exists());
}

#[test]
fn a_whole_answer_carries_its_receipt_in_headers() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 0.001}));

    let answer = ask(&gateway, &key, "own", &[]);

    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.0003"));
    let usage = "input=1000;cache_read=600;output=60;reasoning=40";
    assert_eq!(answer.header("x-trunkline-usage"), Some(usage));
    let version = answer
        .header("x-trunkline-price-version")
        .expect("a version");
    assert!(version.starts_with("20"), "{version}");
    let remaining = "api_key;remaining=0.0007";
    assert_eq!(
        answer.header("x-trunkline-budget-remaining"),
        Some(remaining)
    );

    let answer = ask(&gateway, MASTER_KEY, "unpriced", &[]);
    assert_eq!(answer.header("x-trunkline-usage"), Some(usage));
    for unknown in [
        "x-litellm-response-cost",
        "x-trunkline-price-version",
        "x-trunkline-budget-remaining",
    ] {
        assert_eq!(answer.header(unknown), None, "{unknown}");
    }
}

/// The receipt among the raw events of a stream, and what came behind it.
fn receipt(gateway: &Gateway, request: &Request) -> (Option<Value>, Vec<String>) {
    let mut answer = gateway.open(request);
    let mut events = Vec::new();
    let end = loop {
        match answer.next_raw_event() {
            Ok(event) => events.push(event),
            Err(end) => break end,
        }
    };
    assert_eq!(end, BodyEnd::Clean);
    let place = events
        .iter()
        .position(|event| event.starts_with(": trunkline "));
    let Some(place) = place else {
        return (None, events);
    };
    let behind = events.split_off(place + 1);
    let text = events[place].trim_start_matches(": trunkline ");
    (serde_json::from_str(text).ok(), behind)
}

#[test]
fn a_stream_carries_its_receipt_before_its_last_event() {
    let upstream = provider();
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 0.001}));
    let mut body = chat_request_body("own");
    body["stream"] = json!(true);

    for (path, last) in [
        ("/v1/chat/completions", "data: [DONE]"),
        ("/v1/messages", "event: message_stop"),
    ] {
        let request = Request::post(path, &body).bearer(&key);
        let (receipt, behind) = receipt(&gateway, &request);
        let receipt = receipt.expect("a receipt");
        assert_eq!(pico(&receipt["cost"]), 300_000_000, "{receipt}");
        let usage = json!({"input": 1000, "cache_read": 600, "output": 60, "reasoning": 40});
        assert_eq!(receipt["usage"], usage);
        assert_eq!(receipt["estimated"], false);
        assert_eq!(receipt["remaining_budget"]["subject"], "api_key");
        assert_eq!(behind.len(), 1, "{behind:?}");
        assert!(behind[0].starts_with(last), "{behind:?}");
        let id = receipt["id"].as_str().expect("an id").to_owned();
        eventually("the row", &Some(0), || run(&home, &["explain", &id]).0);
        let explained = assert_explained(&home, &id);
        assert_eq!(explained["row"]["price_id"], receipt["price_id"]);
        assert_eq!(explained["row"]["price_version"], receipt["price_version"]);
    }
}

#[test]
fn a_stream_that_breaks_off_says_what_was_charged_before_its_error() {
    let broken = Reply::events([opening_event(), text_event("so far")]).ending(Ending::Cut);
    let upstream = Upstream::always(broken);
    let home = Home::with(&config(&upstream));
    let gateway = home.start();
    let mut body = chat_request_body("own");
    body["stream"] = json!(true);
    let request = Request::post("/v1/chat/completions", &body).bearer(MASTER_KEY);

    let (receipt, behind) = receipt(&gateway, &request);

    let receipt = receipt.expect("a receipt");
    assert_eq!(receipt["estimated"], true, "{receipt}");
    assert!(pico(&receipt["cost"]) > 0, "{receipt}");
    assert!(receipt["remaining_budget"].is_null());
    assert!(behind[0].contains("\"error\""), "{behind:?}");
}

#[test]
fn the_usage_chunk_of_a_stream_says_the_cost_to_who_asked_for_usage() {
    let upstream = provider();
    for (line, says_cost) in [
        ("drop_params: false", true),
        ("include_cost_in_streaming_usage: false", false),
    ] {
        let home = Home::with(&config(&upstream).litellm(line));
        let gateway = home.start();
        let options = ("stream_options", json!({"include_usage": true}));
        for (model, cost) in [("own", Some(300_000_000)), ("unpriced", None)] {
            let answer = ask(
                &gateway,
                MASTER_KEY,
                model,
                &[("stream", json!(true)), options.clone()],
            );
            let events = answer.events();
            let usage = events
                .iter()
                .filter_map(|event| serde_json::from_str::<Value>(event).ok())
                .map(|event| event["usage"].clone())
                .find(Value::is_object)
                .expect("usage");
            assert_eq!(usage["prompt_tokens"], 1600);
            let said = usage.get("cost").map(pico);
            assert_eq!(said, cost.filter(|_| says_cost), "{usage}");
        }
        let answer = ask(&gateway, MASTER_KEY, "own", &[("stream", json!(true))]);
        assert!(
            !answer.text().contains("\"usage\":{\"prompt"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn receipts_can_be_turned_off() {
    let upstream = provider();
    let off = config(&upstream).trunkline("receipts: {headers: false, stream_comment: false}");
    let home = Home::with(&off);
    let gateway = home.start();
    let whole = ask(&gateway, MASTER_KEY, "own", &[]);
    let streamed = ask(&gateway, MASTER_KEY, "own", &[("stream", json!(true))]);
    for answer in [&whole, &streamed] {
        let ours: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-trunkline-"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
    assert!(
        !streamed.text().contains(": trunkline"),
        "{}",
        streamed.text()
    );
    assert_eq!(whole.header("x-litellm-response-cost"), Some("0.0003"));
}
