//! The books as tables for people, and how long their rows stay.

use rusqlite::Connection;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;

use crate::spend::{COST_PICO, pico, rows, whole_or_streamed};
use crate::spend_reports::{dates, scene};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::start;
use crate::support::http::Request;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

#[test]
fn tables_are_safe_to_open_in_a_spreadsheet() {
    let scene = scene();
    let dates = dates();
    let lines = |path: &str| {
        let answer = scene.ask(MASTER_KEY, path);
        answer.assert_status(200);
        assert_eq!(
            answer.header("content-type"),
            Some("text/csv; charset=utf-8"),
            "{path}"
        );
        let text = answer.text();
        text.split_terminator("\r\n")
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let keys = lines("/global/spend/keys?format=csv");
    assert_eq!(keys[0], "api_key,key_alias,key_name,total_spend");
    assert!(keys[1].contains(",'=ann's,sk-..."), "{keys:?}");
    assert!(keys[1].ends_with(",0.000075"), "{keys:?}");
    for (path, count) in [
        ("/spend/logs?format=csv".to_owned(), 5),
        ("/spend/logs/v2?format=csv&page_size=2".to_owned(), 3),
        (format!("/spend/logs?{dates}&format=csv"), 1 + 5 + 1),
        ("/spend/keys?format=csv".to_owned(), 3),
        ("/spend/users?format=csv".to_owned(), 3),
        ("/spend/tags?format=csv".to_owned(), 2),
        ("/global/spend/models?format=csv".to_owned(), 3),
        (format!("/global/activity/model?{dates}&format=csv"), 3),
        (
            format!("/global/spend/report?{dates}&group_by=api_key&format=csv"),
            3,
        ),
    ] {
        let lines = lines(&path);
        let columns = lines[0].split(',').count();
        // Midnight may come between the requests of the scene.
        assert!(lines.len() >= count, "{path}: {lines:?}");
        assert!(
            lines.iter().all(|line| line.split(',').count() == columns),
            "{lines:?}"
        );
    }
    let accepted = Request::get("/spend/tags")
        .header("accept", "text/csv")
        .bearer(MASTER_KEY);
    let accepted = scene.gateway.send(&accepted);
    assert_eq!(
        accepted.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
}

#[test]
fn old_rows_go_and_what_was_spent_stays() {
    let upstream = Upstream::answering(whole_or_streamed);
    let config = ConfigText::one("m", &upstream)
        .general("maximum_spend_logs_retention_period: 30d")
        .general("maximum_spend_logs_retention_interval: 1s")
        .with_master_key();
    let (home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    gateway.chat("m").assert_status(200);
    gateway.stop();
    // As if that had been forty days ago.
    let store = Connection::open(home.path().join("trunkline.db")).expect("the store opens");
    let then = UnixMs::now().0 - 40 * 86_400_000;
    let aged = store.execute(
        "UPDATE spend_logs SET id = ?1",
        [RequestId::generate(then, 1).to_string()],
    );
    assert_eq!(aged.expect("the row is aged"), 1);
    for roll_up in [
        "daily_spend",
        "daily_team_spend",
        "daily_subject_spend",
        "daily_label_spend",
    ] {
        store
            .execute(
                &format!("UPDATE {roll_up} SET day = ?1"),
                [(then / 86_400_000).to_string()],
            )
            .expect("its sums are aged");
    }
    drop(store);

    let gateway = home.start().with_master_key();
    gateway.chat("m").assert_status(200);

    eventually("the old row is gone", &(1, 1), || rows(&home));
    let spent = gateway.send(&Request::get("/user/spend").bearer(MASTER_KEY));
    assert_eq!(pico(&spent.json()["total_spend"]), 2 * COST_PICO);
    eventually("the removal is counted", &true, || {
        let metrics = gateway.get("/metrics").text();
        metrics.contains("trunkline_rows_removed_total{table=\"spend_logs\"} 1")
    });
    eventually("it is in the log", &json!([1]), || {
        let logged = gateway.log_of_level("INFO");
        let removals = logged
            .iter()
            .filter(|line| line["message"] == "old rows were removed");
        removals.map(|line| line["rows"].clone()).collect()
    });
}
