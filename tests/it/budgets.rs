//! Budgets and limits of everybody that a request is charged to, and how they begin anew.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::spend::{COST_PICO, pico, whole_or_streamed};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, Pending, chat_request_body, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// Less than one answer costs, in USD: the first request is admitted, the second is not.
const LITTLE: f64 = 0.000_02;

fn scene(settings: &[&str]) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::answering(whole_or_streamed);
    let mut config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .deployment(Deployment::of("other", &upstream))
        .with_master_key();
    for setting in settings {
        config = config.litellm(setting);
    }
    let (home, gateway) = start(&config);
    (upstream, home, gateway)
}

#[track_caller]
fn admin(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let answer = gateway.send(&Request::post(path, body).bearer(MASTER_KEY));
    answer.assert_status(200);
    answer.json()
}

#[track_caller]
fn told(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.send(&Request::get(path).bearer(MASTER_KEY));
    answer.assert_status(200);
    answer.json()
}

/// A chat with more members in its body.
fn ask(gateway: &Gateway, key: &str, model: &str, more: &Value) -> Answer {
    let mut body = chat_request_body(model);
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    gateway.send(&Request::post("/v1/chat/completions", &body).bearer(key))
}

/// The first request is served, the next is over the budget, in these words.
#[track_caller]
fn assert_spent_after_one(gateway: &Gateway, key: &str, more: &Value, words: &str) {
    ask(gateway, key, "m", more).assert_status(200);
    let error = ask(gateway, key, "m", more).assert_error(422, "budget_exceeded");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(words), "{words} not in {message}");
    assert_eq!(error["param"], Value::Null);
}

#[test]
fn a_users_budget_is_one_for_all_its_keys() {
    let (_upstream, _home, gateway) = scene(&[]);
    let user = json!({"user_id": "alice", "max_budget": LITTLE, "auto_create_key": false});
    admin(&gateway, "/user/new", &user);
    let first = generate_key(&gateway, &json!({"user_id": "alice"}));
    let second = generate_key(&gateway, &json!({"user_id": "alice"}));
    let other = generate_key(&gateway, &json!({"user_id": "bob"}));

    ask(&gateway, &first, "m", &json!({})).assert_status(200);

    let refused = ask(&gateway, &second, "m", &json!({}));
    let error = refused.assert_error(422, "budget_exceeded");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("ExceededBudget: User=alice over budget."),
        "{message}"
    );
    ask(&gateway, &other, "m", &json!({})).assert_status(200);
}

#[test]
fn a_team_its_member_and_its_organisation_each_have_a_budget() {
    for (who, words) in [
        ("organization", "Organization=org-a "),
        ("team", "Team=team-a "),
        ("member", "User=alice in Team=team-a "),
    ] {
        let (_upstream, _home, gateway) = scene(&[]);
        let budget_of = |kind: &str| (kind == who).then_some(LITTLE);
        let organisation = json!({"organization_id": "org-a", "organization_alias": "A",
            "max_budget": budget_of("organization")});
        admin(&gateway, "/organization/new", &organisation);
        let team = json!({"team_id": "team-a", "organization_id": "org-a",
            "max_budget": budget_of("team")});
        admin(&gateway, "/team/new", &team);
        let member = json!({"team_id": "team-a", "member": {"user_id": "alice"},
            "max_budget_in_team": budget_of("member")});
        let info = admin(&gateway, "/team/member_add", &member);
        let roles = json!([{"user_id": "alice", "role": "user"}]);
        assert_eq!(info["team_info"]["members_with_roles"], roles);
        let key = generate_key(&gateway, &json!({"team_id": "team-a", "user_id": "alice"}));

        assert_spent_after_one(&gateway, &key, &json!({}), words);

        let info = told(&gateway, "/team/info?team_id=team-a");
        assert_eq!(pico(&info["team_info"]["spend"]), COST_PICO, "{info}");
        assert_eq!(pico(&info["team_memberships"][0]["spend"]), COST_PICO);
        let info = told(&gateway, "/organization/info?organization_id=org-a");
        assert_eq!(pico(&info["spend"]), COST_PICO, "{info}");
    }
}

#[test]
fn a_users_own_budget_is_not_for_the_teams_keys_unless_it_is_said() {
    for (users_pay, status) in [(false, 200), (true, 422)] {
        let upstream = Upstream::answering(whole_or_streamed);
        let mut config = ConfigText::one("m", &upstream).with_master_key();
        if users_pay {
            config = config.general("apply_user_budget_to_team_keys: true");
        }
        let (_home, gateway) = start(&config);
        admin(&gateway, "/team/new", &json!({"team_id": "team-a"}));
        let user = json!({"user_id": "alice", "max_budget": 0, "auto_create_key": false});
        admin(&gateway, "/user/new", &user);
        let key = generate_key(&gateway, &json!({"team_id": "team-a", "user_id": "alice"}));
        ask(&gateway, &key, "m", &json!({})).assert_status(status);
    }
}

#[test]
fn a_customer_has_a_budget_of_its_own_or_the_default_one() {
    let (_upstream, _home, gateway) = scene(&[&format!("max_end_user_budget: {LITTLE}")]);
    let key = generate_key(&gateway, &json!({}));
    admin(
        &gateway,
        "/customer/new",
        &json!({"user_id": "rich", "max_budget": 5}),
    );
    admin(
        &gateway,
        "/budget/new",
        &json!({"budget_id": "none", "max_budget": 0}),
    );
    admin(
        &gateway,
        "/customer/new",
        &json!({"user_id": "poor", "budget_id": "none"}),
    );

    let of = |customer: &str| json!({"user": customer});
    assert_spent_after_one(&gateway, &key, &of("somebody"), "End User=somebody ");
    for _ in 0..3 {
        ask(&gateway, &key, "m", &of("rich")).assert_status(200);
    }
    ask(&gateway, &key, "m", &of("poor")).assert_error(422, "budget_exceeded");
    let info = told(&gateway, "/customer/info?end_user_id=rich");
    assert_eq!(pico(&info["spend"]), 3 * COST_PICO, "{info}");

    admin(&gateway, "/customer/block", &json!({"user_ids": ["rich"]}));
    ask(&gateway, &key, "m", &of("rich")).assert_error(401, "auth_error");
    admin(
        &gateway,
        "/customer/unblock",
        &json!({"user_ids": ["rich"]}),
    );
    ask(&gateway, &key, "m", &of("rich")).assert_status(200);
}

#[test]
fn what_can_be_set_on_a_shared_budget_is_listed_with_what_is() {
    let (_upstream, _home, gateway) = scene(&[]);
    let budget = json!({"budget_id": "small", "max_budget": 5, "rpm_limit": 60});
    admin(&gateway, "/budget/new", &budget);
    let settings = told(&gateway, "/budget/settings?budget_id=small");
    let value = |name: &str| {
        let settings = settings.as_array().unwrap();
        let setting = settings.iter().find(|one| one["field_name"] == name);
        setting.unwrap()["field_value"].clone()
    };
    assert_eq!(pico(&value("max_budget")), 5_000_000_000_000);
    assert_eq!(value("rpm_limit"), 60);
    assert_eq!(value("soft_budget"), Value::Null);
    for (query, status) in [("", 400), ("?budget_id=nobody", 404)] {
        let path = format!("/budget/settings{query}");
        let answer = gateway.send(&Request::get(&path).bearer(MASTER_KEY));
        answer.assert_status(status);
        assert!(answer.text().contains("budget"), "{}", answer.text());
    }
}

#[test]
fn how_many_users_and_teams_there_are_is_counted_without_a_limit() {
    let (_upstream, _home, gateway) = scene(&[]);
    let before = told(&gateway, "/user/available_users");
    admin(
        &gateway,
        "/user/new",
        &json!({"user_id": "u", "auto_create_key": false}),
    );
    admin(&gateway, "/team/new", &json!({"team_id": "t"}));
    let after = told(&gateway, "/user/available_users");
    for of in ["total_users_used", "total_teams_used"] {
        assert_eq!(
            after[of].as_u64(),
            before[of].as_u64().map(|n| n + 1),
            "{after}"
        );
    }
    assert_eq!(after["total_users_remaining"], Value::Null);
}

#[test]
fn how_a_budget_of_the_file_stands_is_told_of_whom_it_counts_for() {
    let (_upstream, _home, gateway) = scene(&[
        "max_internal_user_budget: 5",
        "internal_user_budget_duration: 30d",
        "max_end_user_budget_id: customers",
        "tag_budget_config: {batch: {max_budget: 5, budget_duration: 1d}}",
    ]);
    let budget = json!({"budget_id": "customers", "max_budget": 5, "budget_duration": "30d"});
    admin(&gateway, "/budget/new", &budget);
    let user = json!({"user_id": "alice", "auto_create_key": false});
    admin(&gateway, "/user/new", &user);
    admin(&gateway, "/customer/new", &json!({"user_id": "c"}));
    admin(&gateway, "/tag/new", &json!({"name": "batch"}));
    let key = generate_key(&gateway, &json!({"user_id": "alice"}));
    let request = json!({"user": "c", "metadata": {"tags": ["batch"]}});
    ask(&gateway, &key, "m", &request).assert_status(200);

    let tags = admin(&gateway, "/tag/info", &json!({"names": ["batch"]}));
    let user = told(&gateway, "/user/info?user_id=alice");
    for told in [
        &user,
        &told(&gateway, "/customer/info?end_user_id=c"),
        &tags[0],
    ] {
        assert_eq!(pico(&told["spend"]), COST_PICO, "{told}");
        assert!(told["budget_reset_at"].is_string(), "{told}");
    }
    let reset = admin(&gateway, "/user/reset_budget", &json!({"user_id": "alice"}));
    assert_eq!(pico(&reset["previous_spend"]), COST_PICO, "{reset}");
    assert!(reset["budget_reset_at"].is_string(), "{reset}");
    let user = told(&gateway, "/user/info?user_id=alice");
    assert_eq!(pico(&user["spend"]), 0, "{user}");
}

#[test]
fn tags_have_budgets_from_the_file_and_from_the_store() {
    let settings = format!("tag_budget_config: {{batch: {{max_budget: {LITTLE}}}}}");
    let (_upstream, _home, gateway) = scene(&[&settings]);
    admin(
        &gateway,
        "/tag/new",
        &json!({"name": "night", "max_budget": LITTLE}),
    );
    let key = generate_key(&gateway, &json!({}));
    let tagged = generate_key(&gateway, &json!({"tags": ["of-the-key"]}));
    admin(
        &gateway,
        "/tag/new",
        &json!({"name": "of-the-key", "max_budget": LITTLE}),
    );

    let with = |tag: &str| json!({"metadata": {"tags": [tag]}});
    assert_spent_after_one(&gateway, &key, &with("batch"), "Tag=batch ");
    assert_spent_after_one(&gateway, &key, &with("night"), "Tag=night ");
    assert_spent_after_one(&gateway, &tagged, &json!({}), "Tag=of-the-key ");
    ask(&gateway, &key, "m", &with("day")).assert_status(200);
}

#[test]
fn a_tag_that_is_said_twice_is_charged_once() {
    let (_upstream, home, gateway) = scene(&[]);
    admin(
        &gateway,
        "/tag/new",
        &json!({"name": "night", "max_budget": 5}),
    );
    let key = generate_key(&gateway, &json!({"tags": ["night"]}));
    let twice = json!({"metadata": {"tags": ["night", "night"]}});
    ask(&gateway, &key, "m", &twice).assert_status(200);
    let spent = |gateway: &Gateway| {
        let tags = admin(gateway, "/tag/info", &json!({"names": ["night"]}));
        pico(&tags[0]["spend"])
    };
    assert_eq!(spent(&gateway), COST_PICO);
    gateway.stop();

    assert_eq!(spent(&home.start()), COST_PICO, "in the store too");
}

#[test]
fn a_key_has_budgets_for_single_models_and_of_several_lengths() {
    let (_upstream, _home, gateway) = scene(&[]);
    let by_model = generate_key(
        &gateway,
        &json!({"model_max_budget": {"m": {"budget_limit": LITTLE, "time_period": "1d"}}}),
    );
    assert_spent_after_one(
        &gateway,
        &by_model,
        &json!({}),
        "exceeded budget for model=m",
    );
    ask(&gateway, &by_model, "other", &json!({})).assert_status(200);

    let windows = json!([{"budget_duration": "1d", "max_budget": LITTLE}]);
    let by_day = json!({"max_budget": 5, "budget_duration": "30d", "budget_limits": windows});
    let by_day = generate_key(&gateway, &by_day);
    assert_spent_after_one(&gateway, &by_day, &json!({}), "over 1d budget");
    let info = told(&gateway, &format!("/key/info?key={by_day}"));
    assert_eq!(pico(&info["info"]["spend"]), COST_PICO, "{info}");
    let resets_at = info["info"]["budget_reset_at"].as_str().unwrap_or_default();
    assert!(resets_at.ends_with("-01T00:00:00.000Z"), "{resets_at}");
}

#[test]
fn the_gateway_as_a_whole_has_a_budget_but_for_the_master_key() {
    let (_upstream, _home, gateway) = scene(&[
        &format!("max_budget: {LITTLE}"),
        "budget_duration: 1d",
        "budget_exceeded_status_code: 429",
    ]);
    let key = generate_key(&gateway, &json!({}));
    ask(&gateway, &key, "m", &json!({})).assert_status(200);
    let error = ask(&gateway, &key, "m", &json!({})).assert_error(429, "budget_exceeded");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("Budget has been exceeded! Current cost: "),
        "{message}"
    );
    ask(&gateway, MASTER_KEY, "m", &json!({})).assert_status(200);
}

#[test]
fn free_models_are_served_whatever_was_spent() {
    let upstream = Upstream::answering(whole_or_streamed);
    let free = Deployment::of("free", &upstream)
        .param("input_cost_per_token: 0")
        .param("output_cost_per_token: 0");
    let config = ConfigText::one("m", &upstream)
        .deployment(free)
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"max_budget": 0}));
    ask(&gateway, &key, "m", &json!({})).assert_error(422, "budget_exceeded");
    ask(&gateway, &key, "free", &json!({})).assert_status(200);
}

#[test]
fn budgets_begin_anew_by_hand_and_survive_a_restart() {
    let (upstream, home, gateway) = scene(&[]);
    let user = json!({"user_id": "alice", "max_budget": LITTLE, "budget_duration": "1d"});
    let key = admin(&gateway, "/user/new", &user)["key"].clone();
    let key = key.as_str().expect("a key").to_owned();
    assert_spent_after_one(&gateway, &key, &json!({}), "User=alice");

    let reset = admin(&gateway, "/user/reset_budget", &json!({"user_id": "alice"}));
    assert_eq!(pico(&reset["previous_spend"]), COST_PICO, "{reset}");
    assert_eq!(pico(&reset["spend"]), 0);
    assert!(reset["budget_reset_at"].is_string(), "{reset}");
    assert_spent_after_one(&gateway, &key, &json!({}), "User=alice");
    drop(gateway);

    let gateway = home.start();
    ask(&gateway, &key, "m", &json!({})).assert_error(422, "budget_exceeded");
    let info = told(&gateway, "/user/info?user_id=alice");
    assert_eq!(
        pico(&info["spend"]),
        COST_PICO,
        "only what came after the reset: {info}"
    );
    let missing = json!({"user_id": "nobody"});
    let missing = Request::post("/user/reset_budget", &missing).bearer(MASTER_KEY);
    gateway.send(&missing).assert_status(404);
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_key_is_changed_while_it_is_used() {
    let (_upstream, _home, gateway) = scene(&[]);
    let key = generate_key(&gateway, &json!({"max_budget": LITTLE, "key_alias": "one"}));
    assert_spent_after_one(&gateway, &key, &json!({}), "Key=");

    let more = json!({"key": key, "temp_budget_increase": 1, "temp_budget_expiry": "2999-01-01"});
    admin(&gateway, "/key/update", &more);
    ask(&gateway, &key, "m", &json!({})).assert_status(200);
    admin(
        &gateway,
        "/key/update",
        &json!({"key": key, "temp_budget_increase": null}),
    );
    ask(&gateway, &key, "m", &json!({})).assert_error(422, "budget_exceeded");
    let to = json!({"reset_to": 0.000_01});
    let reset = admin(&gateway, &format!("/key/{key}/reset_spend"), &to);
    assert_eq!(pico(&reset["previous_spend"]), 2 * COST_PICO, "{reset}");
    assert_spent_after_one(&gateway, &key, &json!({}), "Current cost: 0.000035,");
    admin(
        &gateway,
        "/key/update",
        &json!({"key": key, "max_budget": null}),
    );
    ask(&gateway, &key, "m", &json!({})).assert_status(200);
    admin(&gateway, "/key/block", &json!({"key": key}));
    ask(&gateway, &key, "m", &json!({})).assert_error(401, "auth_error");
    admin(&gateway, "/key/unblock", &json!({"key": key}));
    ask(&gateway, &key, "m", &json!({})).assert_status(200);
    let info = told(&gateway, &format!("/key/info?key={key}"));
    assert_eq!(info["info"]["key_alias"], "one");
    assert_eq!(pico(&info["info"]["total_spend"]), 5 * COST_PICO, "{info}");
}

#[test]
fn limits_of_a_team_count_for_all_its_keys() {
    let (_upstream, _home, gateway) = scene(&[]);
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "team-a", "rpm_limit": 2}),
    );
    let first = generate_key(&gateway, &json!({"team_id": "team-a"}));
    let second = generate_key(&gateway, &json!({"team_id": "team-a"}));
    ask(&gateway, &first, "m", &json!({})).assert_status(200);
    ask(&gateway, &second, "m", &json!({})).assert_status(200);
    let error = ask(&gateway, &first, "m", &json!({})).assert_error(429, "throttling_error");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("team: team-a"), "{message}");
    let blocked = admin(&gateway, "/team/block", &json!({"team_id": "team-a"}));
    assert_eq!(blocked["blocked"], true, "{blocked}");
    ask(&gateway, &second, "m", &json!({})).assert_error(401, "auth_error");
}

#[test]
fn what_makes_no_sense_in_terms_is_refused_by_name() {
    let (_upstream, _home, gateway) = scene(&[]);
    for (path, body, param) in [
        ("/team/new", json!({"team_id": "a:b"}), "team_id"),
        ("/team/new", json!({"max_budget": -1}), "max_budget"),
        (
            "/team/new",
            json!({"budget_duration": "soon"}),
            "budget_duration",
        ),
        (
            "/team/new",
            json!({"organization_id": "nobody"}),
            "organization_id",
        ),
        ("/team/new", json!({"guardrails": ["x"]}), "guardrails"),
        ("/customer/new", json!({"max_budget": 1}), "user_id"),
        (
            "/tag/new",
            json!({"name": "t", "budget_limits": [{"budget_duration": "1d"}]}),
            "budget_limits",
        ),
        ("/user/new", json!({"user_role": "king"}), "user_role"),
        ("/key/generate", json!({"budget_id": "nobody"}), "budget_id"),
        (
            "/key/generate",
            json!({"temp_budget_increase": 1}),
            "temp_budget_expiry",
        ),
        ("/key/generate", json!({"key": "sk-short"}), "key"),
        ("/key/update", json!({"max_budget": 1}), "key"),
    ] {
        let refused = gateway.send(&Request::post(path, &body).bearer(MASTER_KEY));
        let status = refused.status;
        let error = refused.json();
        assert!(
            status == 400 || status == 404,
            "{path} {body}: {status} {error}"
        );
        assert_eq!(error["error"]["param"], param, "{path} {body}");
    }
}

/// What one answer may cost at most is 1 USD, and what it costs is 0.7.
fn dear(upstream: &Upstream) -> Deployment {
    Deployment::of("m", upstream)
        .param("input_cost_per_token: 0")
        .param("output_cost_per_token: 0.1")
}

fn of_ten_tokens(key: &str) -> Request {
    let mut body = chat_request_body("m");
    body["max_tokens"] = json!(10);
    Request::post("/v1/chat/completions", &body).bearer(key)
}

#[test]
fn of_500_requests_at_once_a_budget_worth_10_admits_10() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::chat("hi").after(&gate));
    let config = ConfigText::new()
        .deployment(dear(&upstream))
        .with_master_key();
    let (_home, gateway) = start(&config);
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "t", "max_budget": 10}),
    );
    let keys: Vec<String> = (0..5)
        .map(|_| generate_key(&gateway, &json!({"team_id": "t"})))
        .collect();

    let pending: Vec<_> = (0..500)
        .map(|n| gateway.begin(&of_ten_tokens(&keys[n % keys.len()])))
        .collect();
    upstream.wait_for_requests(10);
    // Whoever is not among the ten has its answer before they have theirs.
    eventually("the others are refused", &490, || {
        let metrics = gateway.get("/metrics").text();
        counter(
            &metrics,
            "trunkline_refused_requests_total{code=\"rate_limited\"}",
        )
    });
    gate.open();
    let answers: Vec<Answer> = pending.into_iter().map(Pending::answer).collect();

    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((served, upstream.request_count()), (10, 10));
    let held = answers.iter().find(|answer| answer.status != 200);
    let held = held.expect("some are refused");
    held.assert_error(429, "throttling_error");
    assert!(held.header("retry-after").is_some());
    // 7 USD are spent and nothing is held: one after the other goes on until 10 are.
    let mut more = 0;
    while gateway.send(&of_ten_tokens(&keys[0])).status == 200 {
        more += 1;
    }
    assert_eq!(more, 5);
    gateway
        .send(&of_ten_tokens(&keys[1]))
        .assert_error(422, "budget_exceeded");
}

/// The value of a counter, 0 before it is there.
fn counter(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().expect("a number"))
}

#[test]
fn every_end_of_a_request_ends_its_hold() {
    let gate = Gate::closed();
    let upstream = Upstream::scripted([
        Reply::error(500, "server_error", "no"),
        Reply::never(),
        Reply::never(),
        Reply::chat("hi").after(&gate),
        Reply::chat("hi").after(&gate),
    ]);
    let config = ConfigText::new()
        .deployment(dear(&upstream).param("timeout: 1"))
        .one_attempt()
        .router("disable_cooldowns: true")
        .with_master_key();
    let (_home, gateway) = start(&config);
    let key = generate_key(&gateway, &json!({"max_budget": 2}));

    gateway.send(&of_ten_tokens(&key)).assert_status(500);
    gateway.send(&of_ten_tokens(&key)).assert_status(408);
    let left = gateway.begin(&of_ten_tokens(&key));
    upstream.wait_for_requests(3);
    left.leave();
    eventually("the client's leaving is noticed", &1, || {
        let metrics = gateway.get("/metrics").text();
        let name = "trunkline_requests_total{endpoint=\"chat_completions\",model_group=\"m\",status=\"499\"}";
        counter(&metrics, name)
    });

    // Both fit only if nothing is held any more.
    let both = [(); 2].map(|()| gateway.begin(&of_ten_tokens(&key)));
    upstream.wait_for_requests(5);
    gate.open();
    for request in both {
        request.answer().assert_status(200);
    }
}
