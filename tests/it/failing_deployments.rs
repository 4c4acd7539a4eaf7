//! What requests meet while deployments fail or have spent their budget, and how the gateway explains it.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use crate::strategies::{answered_by, state_of};
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Home, chat_request_body, start};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

#[test]
fn a_rolling_storm_of_429s_costs_no_client_request() {
    // One provider after the other refuses for a while, as if its own limit were met.
    let asked = Arc::new(AtomicUsize::new(0));
    let stormy = |place: usize| {
        let asked = Arc::clone(&asked);
        Upstream::answering(move |_| {
            if (asked.fetch_add(1, Ordering::Relaxed) / 8) % 3 == place {
                Reply::error(429, "rate_limit", "slow down")
            } else {
                Reply::chat("calm")
            }
        })
    };
    let grants = [60, 120, 180];
    let upstreams = [0, 1, 2].map(stormy);
    let mut config = ConfigText::new()
        .router("routing_strategy: usage-based-routing-v2")
        .router("num_retries: 5")
        .router("cooldown_time: 0.05");
    for (upstream, rpm) in upstreams.iter().zip(grants) {
        config = config.deployment(Deployment::of("m", upstream).param(&format!("rpm: {rpm}")));
    }
    let (_home, gateway) = start(&config);

    for _ in 0..60 {
        gateway.chat("m").assert_status(200);
    }

    let counts = upstreams.each_ref().map(Upstream::request_count);
    assert!(asked.load(Ordering::Relaxed) > 60, "nobody refused");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    for (count, rpm) in counts.iter().zip(grants) {
        assert!(*count <= rpm, "{counts:?}");
    }
}

#[test]
fn killing_one_of_three_providers_under_load_costs_no_client_request() {
    let doomed = Mutex::new(Some(Upstream::always(Reply::chat("doomed"))));
    let others = [(); 2].map(|()| Upstream::always(Reply::chat("sound")));
    let base_url = doomed.lock().unwrap().as_ref().map(Upstream::base_url);
    let config = ConfigText::new()
        .deployment(Deployment::at("m", &base_url.expect("an address")).id("doomed"))
        .deployment(Deployment::of("m", &others[0]))
        .deployment(Deployment::of("m", &others[1]))
        .with_master_key();
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();
    let gateway = gateway.with_master_key();
    let answered = AtomicUsize::new(0);

    let failed: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    for _ in 0..40 {
                        let status = gateway.chat("m").status;
                        if status != 200 {
                            failed.push(status);
                        }
                        if answered.fetch_add(1, Ordering::Relaxed) == 60 {
                            drop(doomed.lock().unwrap().take());
                        }
                    }
                    failed
                })
            })
            .collect();
        let clients = clients.into_iter();
        clients.flat_map(|client| client.join().unwrap()).collect()
    });

    assert!(failed.is_empty(), "{failed:?}");
    let state = state_of(&gateway, "doomed");
    assert!(state["cooldowns"].as_u64() >= Some(1), "{state}");
}

#[test]
fn the_router_state_explains_a_cooldown_and_metrics_count_it() {
    let limited =
        Upstream::always(Reply::error(429, "rate_limit", "slow down").header("retry-after", "40"));
    let sound = Upstream::always(Reply::chat("sound"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &limited)
                .id("limited")
                .param("order: 1")
                .param("rpm: 100"),
        )
        .deployment(Deployment::of("m", &sound).id("sound").param("order: 2"))
        .router("num_retries: 0")
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    assert_eq!(answered_by(&gateway.chat("m")), "sound");

    let state = state_of(&gateway, "limited");

    assert_eq!(state["state"], "open", "{state}");
    let cooldown = &state["cooldown"];
    assert_eq!(cooldown["rule"], "rate_limited", "{state}");
    assert_eq!(cooldown["failure"], "rate_limited");
    assert_eq!(cooldown["status"], 429);
    assert_eq!(
        (&cooldown["requests"], &cooldown["failures"]),
        (&json!(1), &json!(1))
    );
    let time = |name: &str| cooldown[name].as_str().expect("a time").to_owned();
    assert!(time("since") < time("until"), "{state}");
    assert_eq!(state["probing"], false);
    assert_eq!(state["usage"]["requests"], 1);
    assert_eq!(state["usage"]["rpm"], 100);
    let well = state_of(&gateway, "sound");
    assert!(well["cooldown"].is_null(), "{well}");
    let metrics = gateway.get("/metrics").text();
    let line = "trunkline_deployment_cooldowns_total{deployment=\"limited\",model_group=\"m\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    gateway.assert_logged(1, "\"deployment.id\":\"limited\",\"rule\":\"rate_limited\"");
}

#[test]
fn a_spent_budget_leaves_a_provider_or_deployment_out_and_outlives_a_restart() {
    // One answer costs some micro-dollars; see `Deployment::of`.
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .id("small")
                .param("order: 1")
                .param("max_budget: 0.00002"),
        )
        .deployment(Deployment::of("m", &upstream).id("large").param("order: 2"))
        .deployment(Deployment::of("n", &upstream).id("other"))
        .router("num_retries: 0");
    let home = Home::with(&config);
    let gateway = home.start();
    let mut first = 0;
    while answered_by(&gateway.chat("m")) == "small" {
        first += 1;
        assert!(first < 100, "never spent");
    }
    assert!(first >= 1, "the call that crosses the line is served");
    assert_eq!(answered_by(&gateway.chat("m")), "large");
    gateway.stop();

    let capped = config
        .router("provider_budget_config: {openai: {budget_limit: 0.00001, time_period: 30d}}");
    fs::write(home.config_path(), capped.text()).unwrap();
    let gateway = home.start();

    let refused = gateway.chat("n");

    let error = refused.assert_error(429, "internal_server_error");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("crossed budget"), "{message}");
    assert!(
        message.contains("Exceeded budget for provider openai: "),
        "{message}"
    );
    assert!(
        message.contains("Exceeded budget for deployment small: "),
        "{message}"
    );
}

#[test]
fn the_budget_of_a_provider_is_told_with_what_was_spent_and_when_it_is_renewed() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .router("provider_budget_config: {openai: {budget_limit: 2.5, time_period: 1d}, groq: {budget_limit: 1, time_period: 30d}}");
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    gateway.chat("m").assert_status(200);

    let budgets = gateway.get("/provider/budgets").json();

    let openai = &budgets["providers"]["openai"];
    assert_eq!(openai["budget_limit"], 2.5);
    assert_eq!(openai["time_period"], "1d");
    assert_eq!(openai["spend"], 0.000_025);
    let reset = openai["budget_reset_at"].as_str().expect("a time");
    assert!(reset.ends_with("T00:00:00.000Z"), "{reset}");
    let groq = &budgets["providers"]["groq"];
    assert_eq!(
        (&groq["spend"], &groq["time_period"]),
        (&json!(0), &json!("30d"))
    );
}

#[test]
fn mock_testing_flags_fail_the_group_where_they_are_allowed() {
    let first = Upstream::always(Reply::chat("first"));
    let second = Upstream::always(Reply::chat("second"));
    let base = || {
        ConfigText::new()
            .deployment(Deployment::of("m", &first).id("first"))
            .deployment(Deployment::of("n", &second).id("second"))
            .deployment(Deployment::of("alone", &second))
            .router("fallbacks: [{m: [n]}]")
            .router("context_window_fallbacks: [{m: [n]}]")
    };
    let allowed = base().general("dangerously_allow_mock_testing_request_params: true");
    let (_home, mut gateway) = start(&allowed);
    gateway.allow_errors();
    let path = "/v1/chat/completions";
    let with = |model: &str, flag: &str| {
        let mut body = chat_request_body(model);
        body[flag] = json!(true);
        gateway.post(path, &body)
    };
    for flag in ["mock_testing_fallbacks", "mock_testing_context_fallbacks"] {
        let answer = with("m", flag);
        assert_eq!(answered_by(&answer), "second", "{flag}");
        assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("1"));
    }
    assert_eq!(first.request_count(), 0);
    let retried = with("m", "mock_testing_rate_limit_error");
    assert_eq!(answered_by(&retried), "first");
    assert_eq!(retried.header("x-litellm-attempted-retries"), Some("1"));
    let sent = first.only_request();
    assert!(!sent.text().contains("mock_testing"), "{}", sent.text());
    with("alone", "mock_testing_fallbacks").assert_error(500, "internal_server_error");

    let (_home, gateway) = start(&base());
    let mut body = chat_request_body("m");
    body["mock_testing_fallbacks"] = json!(true);
    assert_eq!(answered_by(&gateway.post(path, &body)), "first");
}

#[test]
fn a_retry_policy_sets_the_retries_of_a_class_of_error() {
    let upstream = Upstream::always(Reply::error(400, "invalid_request_error", "bad"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .router("num_retries: 0")
        .router("retry_policy: {BadRequestErrorRetries: 2}");
    let (_home, gateway) = start(&config);

    gateway.chat("m").assert_status(400);

    assert_eq!(upstream.request_count(), 3);
}

#[test]
fn a_conflict_is_retried_and_counts_for_nobody() {
    let upstream = Upstream::scripted([
        Reply::error(409, "conflict", "try again"),
        Reply::chat("now"),
    ]);
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("one"))
        .router("num_retries: 1")
        .router("allowed_fails: 0")
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();

    gateway.chat("m").assert_status(200);

    assert_eq!(state_of(&gateway, "one")["cooldowns"], 0);
}

#[test]
fn no_retry_is_waited_for_beyond_the_requests_time() {
    let upstream =
        Upstream::always(Reply::error(429, "rate_limit", "slow down").header("retry-after", "50"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .router("num_retries: 3")
        .trunkline("timeouts: {request: 20}");
    let (_home, gateway) = start(&config);

    gateway.chat("m").assert_status(429);

    assert_eq!(upstream.request_count(), 1);
}
