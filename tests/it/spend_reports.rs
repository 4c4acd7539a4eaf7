//! What was spent, told: lists, activity and reports in LiteLLM's shapes, to those who may see them. Rows are told in `spend_logs`.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::keys::generate;
use crate::spend::{COST_PICO, pico, whole_or_streamed};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request_body, start};
use crate::support::http::{Answer, Request};
use crate::support::upstream::Upstream;

/// Ann asks `m` twice and `n` once, Ben asks `m` once; all in a tag, Ben for a customer.
pub(crate) struct Scene {
    _upstream: Upstream,
    home: Home,
    pub(crate) gateway: Gateway,
    pub(crate) ann: Value,
    pub(crate) ben: Value,
}

pub(crate) fn scene() -> Scene {
    let upstream = Upstream::answering(whole_or_streamed);
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .deployment(Deployment::of("n", &upstream))
        .one_attempt()
        .with_master_key();
    let (home, gateway) = start(&config);
    let ann = generate(&gateway, &json!({"user_id": "ann", "key_alias": "=ann's"}));
    let ben = generate(&gateway, &json!({"user_id": "ben"}));
    for (key, model, customer) in [
        (&ann, "m", None),
        (&ann, "n", None),
        (&ann, "m", None),
        (&ben, "m", Some("acme")),
    ] {
        let mut body = chat_request_body(model);
        if let Some(customer) = customer {
            body["user"] = json!(customer);
        }
        let request = Request::post("/v1/chat/completions", &body)
            .header("x-litellm-tags", "team:red")
            .bearer(text(&key["key"]));
        gateway.send(&request).assert_status(200);
    }
    Scene {
        _upstream: upstream,
        home,
        gateway,
        ann,
        ben,
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

pub(crate) fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// From yesterday to tomorrow.
pub(crate) fn dates() -> String {
    let today = today();
    format!(
        "start_date={}&end_date={}",
        today - 1.day(),
        today + 1.day()
    )
}

impl Scene {
    pub(crate) fn ask(&self, key: &str, path: &str) -> Answer {
        self.gateway.send(&Request::get(path).bearer(key))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask(MASTER_KEY, path);
        answer.assert_status(200);
        answer.json()
    }

    fn own(&self, key: &Value, path: &str) -> Value {
        let answer = self.ask(text(&key["key"]), path);
        answer.assert_status(200);
        answer.json()
    }
}

pub(crate) fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

#[test]
fn who_is_no_administrator_sees_its_own_users_spend_alone() {
    let scene = scene();
    let dates = dates();
    let own = scene.own(&scene.ben, "/spend/logs");
    assert_eq!(list(&own).len(), 1);
    assert_eq!(own[0]["user"], "ben");
    let page = scene.own(&scene.ben, "/spend/logs/v2");
    assert_eq!(page["total"], 1);
    // Another's key, row or team shows nothing.
    let ann = text(&scene.ann["token"]);
    let rows = scene.get("/spend/logs?user_id=ann");
    let anns_row = text(&rows[0]["id"]);
    for query in [format!("api_key={ann}"), format!("request_id={anns_row}")] {
        let page = scene.own(&scene.ben, &format!("/spend/logs/v2?{query}"));
        assert_eq!(page["data"], json!([]), "{query}");
        let rows = scene.own(&scene.ben, &format!("/spend/logs?{query}"));
        assert_eq!(rows, json!([]), "{query}");
    }
    let days = scene.own(&scene.ben, &format!("/spend/logs?{dates}"));
    assert_eq!(pico(&days[0]["spend"]), COST_PICO);
    assert_eq!(days[0]["users"]["ann"], Value::Null);
    let days = scene.own(&scene.ben, &format!("/spend/logs?{dates}&api_key={ann}"));
    assert_eq!(days, json!([]));
    let activity = scene.own(&scene.ben, &format!("/user/daily/activity?{dates}"));
    assert_eq!(activity["metadata"]["total_api_requests"], 1);
    assert_eq!(
        activity["results"][0]["breakdown"]["api_keys"][ann],
        Value::Null
    );
    let activity = scene.own(&scene.ben, &format!("/global/activity?{dates}"));
    assert_eq!(activity["sum_api_requests"], 1);
    let keys = scene.own(&scene.ben, "/spend/keys");
    assert_eq!(list(&keys).len(), 1);
    assert_eq!(keys[0]["token"], scene.ben["token"]);
    let users = scene.own(&scene.ben, "/spend/users");
    assert_eq!(list(&users).len(), 1);
    assert_eq!(users[0]["user_id"], "ben");
    let report = scene.own(
        &scene.ben,
        &format!("/key/spend/report?{dates}&api_key={ann}"),
    );
    assert_eq!(report, json!([]));

    // Asked for by name it is refused.
    for path in [
        format!("/spend/logs?{dates}&user_id=ann"),
        "/spend/logs/v2?user_id=ann".to_owned(),
        "/spend/users?user_id=ann".to_owned(),
        "/user/spend?user_id=ann".to_owned(),
        format!("/user/daily/activity?{dates}&user_id=ann"),
        format!("/user/spend/report?{dates}&user_id=ann"),
    ] {
        let refused = scene.ask(text(&scene.ben["key"]), &path);
        let err = refused.assert_error(403, "auth_error");
        assert_eq!(err["param"], "user_id", "{path}");
    }
    for path in [
        "/spend/tags",
        "/global/spend/keys",
        "/global/spend/models",
        "/global/spend/teams",
        "/global/spend/logs",
        "/global/spend/all_tag_names",
        "/global/spend/report",
        "/tag/daily/activity",
        "/customer/daily/activity",
    ] {
        scene.ask(text(&scene.ben["key"]), path).assert_status(401);
    }
}

#[test]
fn lists_have_litellms_words_and_the_dearest_first() {
    let scene = scene();
    let dates = dates();
    let keys = scene.get("/global/spend/keys?limit=5");
    assert_eq!(list(&keys).len(), 2);
    assert_eq!(keys[0]["api_key"], scene.ann["token"]);
    assert_eq!(keys[0]["key_alias"], "=ann's");
    assert_eq!(keys[0]["key_name"], scene.ann["key_name"]);
    assert_eq!(pico(&keys[0]["total_spend"]), 3 * COST_PICO);
    assert_eq!(list(&scene.get("/global/spend/keys?limit=1")).len(), 1);

    let models = scene.get("/global/spend/models");
    assert_eq!(models[0]["model"], "m");
    assert_eq!(pico(&models[0]["total_spend"]), 3 * COST_PICO);
    let providers = scene.get(&format!("/global/spend/provider?{dates}"));
    assert_eq!(providers[0]["provider"], "openai");
    assert_eq!(pico(&providers[0]["spend"]), 4 * COST_PICO);
    let tags = scene.get("/spend/tags");
    assert_eq!(tags[0]["individual_request_tag"], "team:red");
    assert_eq!(tags[0]["log_count"], 4);
    assert_eq!(pico(&tags[0]["total_spend"]), 4 * COST_PICO);
    let tags = scene.get(&format!("/global/spend/tags?{dates}&tags=team:red,other"));
    assert_eq!(tags["spend_per_tag"][0]["name"], "team:red");
    assert_eq!(tags["spend_per_tag"][0]["log_count"], 4);
    assert_eq!(pico(&tags["spend_per_tag"][0]["spend"]), 4 * COST_PICO);
    let days = scene.get("/global/spend/logs");
    let spent: i64 = list(&days).iter().map(|day| pico(&day["spend"])).sum();
    assert_eq!(spent, 4 * COST_PICO);
    let names = scene.get("/global/spend/all_tag_names");
    assert_eq!(names, json!({"tag_names": ["team:red"]}));
    let names = scene.get("/global/spend/all_end_users");
    assert_eq!(names, json!({"end_users": ["acme"]}));
    let teams = scene.get("/global/spend/teams");
    assert_eq!(
        teams,
        json!({"daily_spend": [], "teams": [], "total_spend_per_team": []})
    );

    for (body, count) in [
        (json!({}), 1),
        (json!({"api_key": scene.ben["key"]}), 1),
        (json!({"api_key": scene.ann["token"]}), 0),
        (
            json!({"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-02-01"}),
            0,
        ),
    ] {
        let asked = Request::post("/global/spend/end_users", &body).bearer(MASTER_KEY);
        let customers = scene.gateway.send(&asked);
        customers.assert_status(200);
        let customers = customers.json();
        assert_eq!(list(&customers).len(), count, "{body}");
        if count == 1 {
            assert_eq!(customers[0]["end_user"], "acme");
            assert_eq!(customers[0]["total_count"], 1);
            assert_eq!(pico(&customers[0]["total_spend"]), COST_PICO);
        }
    }
    let keys = scene.get("/spend/keys");
    assert_eq!(keys[0]["token"], scene.ann["token"]);
    assert_eq!(pico(&keys[0]["spend"]), 3 * COST_PICO);
    let users = scene.get("/spend/users");
    assert_eq!(users[0]["user_id"], "ann");
    assert_eq!(pico(&users[0]["spend"]), 3 * COST_PICO);
    let ben = scene.get("/spend/users?user_id=ben");
    assert_eq!(pico(&ben[0]["spend"]), COST_PICO);
}

#[test]
fn a_team_behind_a_thousand_others_is_told_by_its_name() {
    let scene = scene();
    let gateway = &scene.gateway;
    let team = json!({"team_id": "zebra", "team_alias": "Zebras"});
    let made = gateway.send(&Request::post("/team/new", &team).bearer(MASTER_KEY));
    made.assert_status(200);
    let key = generate(gateway, &json!({"team_id": "zebra"}));
    let request = Request::post("/v1/chat/completions", &chat_request_body("m"));
    let request = request.bearer(text(&key["key"]));
    gateway.send(&request).assert_status(200);
    let store = Connection::open(scene.home.path().join("trunkline.db")).expect("the store opens");
    let more = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000) \
         INSERT INTO tenants (kind, id, alias, created_at, updated_at) \
         SELECT 'team', 'a' || n, 'A ' || n, 0, 0 FROM numbers";
    store.execute_batch(more).expect("a thousand teams");

    let totals = scene.get("/global/spend/teams");
    assert_eq!(totals["teams"], json!(["Zebras"]));
    assert!(
        list(&totals["daily_spend"])
            .iter()
            .all(|day| day.get("Zebras").is_some()),
        "{totals}"
    );
    let daily = scene.get(&format!("/team/daily/activity?{}", dates()));
    let entities = &daily["results"][0]["breakdown"]["entities"];
    assert_eq!(entities["zebra"]["metadata"]["team_alias"], "Zebras");
}

#[test]
fn activity_counts_requests_and_tokens_by_day() {
    let scene = scene();
    let dates = dates();
    let all = scene.get(&format!("/global/activity?{dates}"));
    assert_eq!(all["sum_api_requests"], 4);
    assert_eq!(all["sum_total_tokens"], 4 * 18);
    let day = &all["daily_data"][0];
    assert_eq!(day["api_requests"], 4, "{all}");
    assert_eq!(text(&day["date"]).len(), "Nov 23".len());
    let models = scene.get(&format!("/global/activity/model?{dates}"));
    assert_eq!(models[0]["model"], "m");
    assert_eq!(models[0]["sum_api_requests"], 3);
    assert_eq!(models[1]["model"], "n");
    assert_eq!(models[1]["daily_data"][0]["total_tokens"], 18);
    let hits = scene.get(&format!("/global/activity/cache_hits?{dates}"));
    assert_eq!(hits["sum_cache_hits"], 0);
    assert_eq!(hits["sum_api_requests"], 4);
    let path = format!("/global/activity/exceptions?{dates}&model_group=m");
    assert_eq!(scene.get(&path)["sum_num_exceptions"], 0);
}

#[test]
fn daily_activity_breaks_down_what_was_spent() {
    let scene = scene();
    let dates = dates();
    let activity = scene.get(&format!("/user/daily/activity?{dates}"));
    let metadata = &activity["metadata"];
    assert_eq!(pico(&metadata["total_spend"]), 4 * COST_PICO, "{metadata}");
    assert_eq!(metadata["total_prompt_tokens"], 4 * 11);
    assert_eq!(metadata["total_completion_tokens"], 4 * 7);
    assert_eq!(metadata["total_tokens"], 4 * 18);
    assert_eq!(metadata["total_successful_requests"], 4);
    assert_eq!(metadata["total_failed_requests"], 0);
    assert_eq!(metadata["page"], 1);
    assert_eq!(metadata["total_pages"], 1);
    assert_eq!(metadata["has_more"], false);
    let day = &activity["results"][0];
    assert_eq!(pico(&day["metrics"]["spend"]), 4 * COST_PICO, "{day}");
    assert_eq!(day["metrics"]["api_requests"], 4);
    let breakdown = &day["breakdown"];
    for (part, name, requests) in [
        ("model_groups", "m", 3),
        ("model_groups", "n", 1),
        ("providers", "openai", 4),
        ("endpoints", "/chat/completions", 4),
        ("entities", "ann", 3),
        ("entities", "ben", 1),
        ("api_keys", text(&scene.ann["token"]), 3),
    ] {
        let found = &breakdown[part][name];
        assert_eq!(
            found["metrics"]["api_requests"], requests,
            "{part} {name}: {breakdown}"
        );
        assert_eq!(pico(&found["metrics"]["spend"]), requests * COST_PICO);
    }
    let metadata = &breakdown["api_keys"][text(&scene.ann["token"])]["metadata"];
    assert_eq!(metadata["key_alias"], "=ann's");

    // A page is some days; the newest are on the first.
    let page = scene.get(&format!("/user/daily/activity?{dates}&page_size=1"));
    assert_eq!(page["results"], json!([]), "nothing was spent tomorrow");
    assert_eq!(page["metadata"]["total_pages"], 3);
    assert_eq!(page["metadata"]["has_more"], true);
    let spent: Vec<i64> = (1..=4)
        .map(|page| {
            scene.get(&format!(
                "/user/daily/activity?{dates}&page_size=1&page={page}"
            ))
        })
        .map(|page| pico(&page["metadata"]["total_spend"]))
        .collect();
    assert_eq!(spent.iter().sum::<i64>(), 4 * COST_PICO, "{spent:?}");

    let ben = scene.get(&format!("/user/daily/activity?{dates}&user_id=ben"));
    assert_eq!(ben["metadata"]["total_api_requests"], 1);
    let path = format!(
        "/user/daily/activity?{dates}&api_key={}",
        text(&scene.ann["key"])
    );
    assert_eq!(scene.get(&path)["metadata"]["total_api_requests"], 3);
    let tags = scene.get(&format!("/tag/daily/activity?{dates}&tags=team:red"));
    assert_eq!(
        tags["results"][0]["breakdown"]["entities"]["team:red"]["metrics"]["api_requests"],
        4
    );
    assert_eq!(
        tags["results"][0]["breakdown"]["model_groups"]["m"]["metrics"]["api_requests"],
        3
    );
    let all_tags = format!("/tag/daily/activity?{dates}");
    let newest = scene.get(&all_tags);
    assert_eq!(newest["results"], json!([]), "a page of all tags is a day");
    assert_eq!(newest["metadata"]["has_more"], true);
    let all_tags = scene.get(&format!("{all_tags}&page_size=7"));
    assert_eq!(all_tags["metadata"]["total_api_requests"], 4);
    assert_eq!(all_tags["metadata"]["omitted"][0], "models");
    let customers = scene.get(&format!(
        "/customer/daily/activity?{dates}&end_user_ids=acme,zeta"
    ));
    assert_eq!(customers["metadata"]["total_api_requests"], 1);
    for path in ["/team/daily/activity", "/organization/daily/activity"] {
        let none = scene.get(&format!("{path}?{dates}"));
        assert_eq!(none["results"], json!([]), "{path}");
    }
}

#[test]
fn reports_go_down_to_models() {
    let scene = scene();
    let dates = dates();
    let ann = text(&scene.ann["token"]);
    for (key, path) in [
        (
            MASTER_KEY,
            format!("/global/spend/report?{dates}&group_by=api_key"),
        ),
        (
            MASTER_KEY,
            format!("/global/spend/report?{dates}&api_key={ann}"),
        ),
        (
            MASTER_KEY,
            format!("/global/spend/report?{dates}&internal_user_id=ann"),
        ),
        (
            MASTER_KEY,
            format!("/key/spend/report?{dates}&api_key={ann}"),
        ),
        (
            MASTER_KEY,
            format!("/user/spend/report?{dates}&user_id=ann"),
        ),
        (
            text(&scene.ann["key"]),
            format!("/key/spend/report?{dates}"),
        ),
        (
            text(&scene.ann["key"]),
            format!("/user/spend/report?{dates}"),
        ),
    ] {
        let answer = scene.ask(key, &path);
        answer.assert_status(200);
        let report = answer.json();
        assert_eq!(report[0]["api_key"], ann, "{path}");
        assert_eq!(pico(&report[0]["total_cost"]), 3 * COST_PICO);
        assert_eq!(report[0]["total_input_tokens"], 33);
        assert_eq!(report[0]["total_output_tokens"], 21);
        let parts: i64 = list(&report[0]["model_details"])
            .iter()
            .map(|part| pico(&part["total_cost"]))
            .sum();
        assert_eq!(parts, 3 * COST_PICO, "{path}");
    }
    let customers = scene.get(&format!("/global/spend/report?{dates}&group_by=customer"));
    let acme = &customers[0]["customers"][0];
    assert_eq!(acme["customer"], "acme", "{customers}");
    assert_eq!(pico(&acme["total_spend"]), COST_PICO);
    assert_eq!(acme["metadata"][0]["api_key"], scene.ben["token"]);
    let teams = scene.get(&format!("/global/spend/report?{dates}&group_by=team"));
    assert_eq!(teams, json!([]));
}

#[test]
fn what_cannot_be_asked_is_a_400_that_names_the_field() {
    let scene = scene();
    for (path, param) in [
        ("/spend/logs?start_date=2026-01-01", "end_date"),
        (
            "/spend/logs?start_date=soon&end_date=2026-01-01",
            "start_date",
        ),
        (
            "/spend/logs?start_date=2026-01-02&end_date=2026-01-01",
            "end_date",
        ),
        (
            "/spend/logs?start_date=2020-01-01&end_date=2026-01-01",
            "start_date",
        ),
        ("/spend/logs?summarize=maybe", "summarize"),
        ("/spend/logs?limit=10001", "limit"),
        ("/spend/logs?format=xml", "format"),
        ("/spend/logs/v2?page=0", "page"),
        ("/spend/logs/v2?page=201", "page"),
        ("/spend/logs/v2?page_size=1001", "page_size"),
        ("/spend/logs/v2?page_size=ten", "page_size"),
        ("/spend/logs/v2?cursor=x", "cursor"),
        (
            "/spend/logs/v2?page=2&cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "page",
        ),
        ("/spend/logs/v2?status_filter=maybe", "status_filter"),
        ("/spend/logs/v2?status=maybe", "status"),
        ("/spend/logs/v2?min_spend=much", "min_spend"),
        ("/spend/logs/v2?sort_by=model", "sort_by"),
        ("/spend/logs/v2?start_date=2026-13-01", "start_date"),
        ("/spend/logs/v2?cache_hit_filter=yes", "cache_hit_filter"),
        ("/global/activity", "start_date"),
        ("/global/spend/provider", "start_date"),
        ("/global/spend/tags?start_date=2026-01-01", "end_date"),
        ("/global/spend/keys?limit=0", "limit"),
        ("/user/daily/activity", "start_date"),
        (
            "/tag/daily/activity?start_date=2026-01-01&end_date=2026-01-02&model=m",
            "tags",
        ),
        ("/global/spend/report?group_by=team", "start_date"),
        (
            "/global/spend/report?start_date=2026-01-01&end_date=2026-01-02&group_by=x",
            "group_by",
        ),
        (
            "/team/spend/report?start_date=2026-01-01&end_date=2026-01-02",
            "team_id",
        ),
    ] {
        let err = scene
            .ask(MASTER_KEY, path)
            .assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], param, "{path}: {err}");
    }
}

#[test]
fn reports_are_the_same_after_a_restart() {
    let scene = scene();
    let path = format!("/user/daily/activity?{}", dates());
    let before = scene.get(&path);
    let Scene { gateway, home, .. } = scene;
    gateway.stop();
    let gateway = home.start();
    let after = gateway.send(&Request::get(&path).bearer(MASTER_KEY));
    assert_eq!(after.json(), before);
}
