//! The books can show what they say: every row is explained to the last digit, the books agree with themselves, what is changed
//! behind their back is found, and other prices are put on them once.

use std::fs;
use std::process::Output;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::receipts::{ask, config, provider};
use crate::spend::total;
use crate::support::config::MASTER_KEY;
use crate::support::gateway::{Gateway, Home};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::wait::eventually;

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

pub(crate) fn run(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
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
pub(crate) fn assert_explained(home: &Home, id: &str) -> Value {
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
