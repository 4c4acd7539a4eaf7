//! What was spent, request by request and day by day, as `/spend/logs` tells it.

use jiff::ToSpan as _;
use serde_json::{Value, json};

use crate::spend::{COST_PICO, pico};
use crate::spend_reports::{dates, list, scene, text, today};
use crate::support::config::MASTER_KEY;

#[test]
fn spend_by_day_names_users_and_models_and_is_zero_up_to_the_end() {
    let scene = scene();

    let days = scene.get(&format!("/spend/logs?{}", dates()));

    let days = list(&days);
    let first = &days[0];
    assert_eq!(pico(&first["spend"]), 4 * COST_PICO, "{first}");
    assert_eq!(pico(&first["users"]["ann"]), 3 * COST_PICO);
    assert_eq!(pico(&first["users"]["ben"]), COST_PICO);
    assert_eq!(pico(&first["models"]["m"]), 3 * COST_PICO);
    assert_eq!(pico(&first["models"]["n"]), COST_PICO);
    let last = days.last().expect("tomorrow");
    let tomorrow = (today() + 1.day()).to_string();
    let nothing = json!({"startTime": tomorrow, "spend": 0, "users": {}, "models": {}});
    assert_eq!(last, &nothing);
    let dates: Vec<&str> = days.iter().map(|day| text(&day["startTime"])).collect();
    assert!(dates.is_sorted(), "{dates:?}");

    // One key's, named by its text and by its hash.
    for name in ["key", "token"] {
        let key = text(&scene.ben[name]);
        let path = format!("/spend/logs?{}&api_key={key}", self::dates());
        let days = scene.get(&path);
        assert_eq!(pico(&days[0]["spend"]), COST_PICO, "{days}");
        assert_eq!(days[0]["users"]["ann"], Value::Null, "{days}");
    }
    let nobody = scene.get(&format!("/spend/logs?{}&user_id=nobody", self::dates()));
    assert_eq!(nobody, json!([]));
}

#[test]
fn rows_are_listed_newest_first_with_litellms_columns() {
    let scene = scene();

    let rows = scene.get("/spend/logs");

    let rows = list(&rows);
    assert_eq!(rows.len(), 4);
    let row = &rows[0];
    assert_eq!(row["user"], "ben");
    assert_eq!(row["end_user"], "acme");
    assert_eq!(row["api_key"], scene.ben["token"]);
    assert_eq!(row["model_group"], "m");
    assert_eq!(row["status"], "success");
    assert_eq!(row["call_type"], "acompletion");
    assert_eq!(row["request_tags"], json!(["team:red"]));
    assert_eq!(row["custom_llm_provider"], "openai");
    assert_eq!(row["cache_hit"], "False");
    assert_eq!(row["requester_ip_address"], "127.0.0.1");
    assert_eq!(row["total_tokens"], 18);
    assert_eq!(row["metadata"]["user_api_key_user_id"], "ben");
    assert_eq!(row["metadata"]["usage_object"]["output_text"], 7);
    assert_eq!(pico(&row["spend"]), COST_PICO);
    let times: Vec<&str> = rows.iter().map(|row| text(&row["startTime"])).collect();
    assert!(times.iter().rev().is_sorted(), "{times:?}");
    assert!(
        times[0].starts_with(&today().year().to_string()),
        "{times:?}"
    );

    let id = text(&row["request_id"]);
    let by_id = scene.get(&format!("/spend/logs?request_id={}", text(&row["id"])));
    assert_eq!(by_id, json!([row]));
    let by_provider = scene.get(&format!("/spend/logs?request_id={id}"));
    assert!(list(&by_provider).contains(row), "{by_provider}");
    let unsummarised = scene.get(&format!("/spend/logs?{}&summarize=false", dates()));
    assert_eq!(list(&unsummarised).len(), 4);
    let answer = scene.ask(MASTER_KEY, "/spend/logs?limit=3");
    assert_eq!(list(&answer.json()).len(), 3);
    let next = answer.header("x-next-cursor").expect("there is more");
    let rest = scene.get(&format!("/spend/logs?limit=3&cursor={next}"));
    assert_eq!(list(&rest).len(), 1);
}

#[test]
fn rows_are_paged_and_filtered() {
    let scene = scene();
    let page = scene.get("/spend/logs/v2?page=2&page_size=3");
    assert_eq!(list(&page["data"]).len(), 1);
    assert_eq!(page["total"], 4);
    assert_eq!(page["total_pages"], 2);
    assert_eq!(page["page"], 2);
    assert_eq!(page["page_size"], 3);
    assert_eq!(page["total_is_capped"], false);
    assert_eq!(page["next_cursor"], Value::Null);
    let first = scene.get("/spend/logs/v2?page_size=3");
    let next = text(&first["next_cursor"]);
    let behind = scene.get(&format!("/spend/logs/v2?page_size=3&cursor={next}"));
    assert_eq!(behind["data"], page["data"]);
    assert_eq!(behind["total"], 4, "all rows, not those behind the cursor");

    let ann = text(&scene.ann["token"]);
    for (query, count) in [
        ("user_id=ann".to_owned(), 3),
        (format!("api_key={ann}"), 3),
        ("user_id=ann&model_group=n".to_owned(), 1),
        ("model_group=m".to_owned(), 3),
        ("end_user=acme".to_owned(), 1),
        ("status_filter=failure".to_owned(), 0),
        ("status_filter=success".to_owned(), 4),
        ("min_spend=0.00001".to_owned(), 4),
        ("min_spend=1".to_owned(), 0),
        ("max_spend=0.00001".to_owned(), 0),
        ("cache_hit_filter=hit".to_owned(), 0),
        ("team_id=none".to_owned(), 0),
        ("key_alias=%3Dann%27s".to_owned(), 3),
        (dates(), 4),
        (
            "start_date=2020-01-01 00:00:00&end_date=2020-01-02".to_owned(),
            0,
        ),
        (format!("start_date={} 00:00:00", today() - 1.day()), 4),
    ] {
        let query = query.replace(' ', "%20");
        let page = scene.get(&format!("/spend/logs/v2?{query}"));
        assert_eq!(page["total"], count, "{query}: {page}");
        assert_eq!(list(&page["data"]).len(), count, "{query}");
    }
}
