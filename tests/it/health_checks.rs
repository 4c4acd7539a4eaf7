//! Background health checks: what they ask of providers, what they cost, what is told of them, what routing makes of them.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, PROVIDER_KEY};
use crate::support::gateway::{Gateway, Home, start};
use crate::support::http::Request;
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

const MODELS: &str = "/v1/models";

/// A provider that lists its models, or says this to whoever asks for them, and answers chats.
fn provider(models: Reply) -> Upstream {
    Upstream::answering(move |request| {
        if request.path == MODELS {
            models.clone()
        } else {
            Reply::chat("hi")
        }
    })
}

fn listing() -> Reply {
    Reply::json(200, &json!({"object": "list", "data": []}))
}

fn of_path(upstream: &Upstream, path: &str) -> Vec<Recorded> {
    let requests = upstream.requests().into_iter();
    requests.filter(|request| request.path == path).collect()
}

/// Checks every 100 ms.
fn checked(config: ConfigText) -> ConfigText {
    config
        .general("background_health_checks: true")
        .general("health_check_interval: 0.1")
        .with_master_key()
}

fn started(config: &ConfigText) -> (Home, Gateway) {
    let (home, gateway) = start(config);
    (home, gateway.with_master_key())
}

fn report(gateway: &Gateway) -> Value {
    let answer = gateway.get("/health?detailed=true");
    answer.assert_status(200);
    answer.json()
}

#[track_caller]
fn counts_become(gateway: &Gateway, healthy: u64, unhealthy: u64) {
    eventually("healthy and unhealthy", &(healthy, unhealthy), || {
        let report = report(gateway);
        let count = |name: &str| report[name].as_u64().unwrap_or(u64::MAX);
        (count("healthy_count"), count("unhealthy_count"))
    });
}

fn state_of(gateway: &Gateway, id: &str) -> Value {
    let state = gateway.get("/router/state").json();
    let deployments = state["deployments"].as_array().cloned();
    let mut deployments = deployments.unwrap_or_default().into_iter();
    deployments
        .find(|deployment| deployment["id"] == id)
        .unwrap_or_default()
}

#[track_caller]
fn becomes_unhealthy(gateway: &Gateway, id: &str, wanted: bool) {
    eventually("an unhealthy deployment", &wanted, || {
        state_of(gateway, id)["unhealthy_remaining_ms"].is_u64()
    });
}

#[test]
fn a_check_asks_for_the_list_of_models_with_the_deployments_key_and_calls_no_model() {
    let upstream = provider(listing());
    let config = ConfigText::new().deployment(
        Deployment::of("m", &upstream)
            .param("extra_headers: {x-mine: 'yes'}")
            .id("one"),
    );
    let (_home, gateway) = started(&checked(config));

    upstream.wait_for_requests(3);

    for request in upstream.requests() {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("GET", MODELS)
        );
        let bearer = format!("Bearer {PROVIDER_KEY}");
        assert_eq!(request.header("authorization"), Some(bearer.as_str()));
        assert_eq!(request.header("x-mine"), Some("yes"));
        assert_eq!(request.text(), "");
    }
    assert_eq!(
        upstream.connection_count(),
        1,
        "one connection serves all checks"
    );
    counts_become(&gateway, 1, 0);
    let spend = gateway.get("/global/spend").json();
    assert!(
        spend["spend"].as_f64().is_some_and(|usd| usd <= 0.0),
        "{spend}"
    );
    let endpoint = &report(&gateway)["healthy_endpoints"][0];
    assert_eq!(endpoint["model_id"], "one", "{endpoint}");
    assert!(endpoint["checked_at"].is_string(), "{endpoint}");
    assert!(endpoint["took_ms"].is_u64(), "{endpoint}");
}

#[test]
fn anthropic_is_asked_in_its_own_way() {
    let upstream = provider(listing());
    let base = upstream.base_url();
    let params = [
        "model: anthropic/claude-sonnet-4-5",
        &format!("api_base: {}", base.trim_end_matches("/v1")),
        &format!("api_key: {PROVIDER_KEY}"),
    ];
    let config = ConfigText::new().deployment(Deployment::bare("m", &params));
    let (_home, gateway) = started(&checked(config));

    counts_become(&gateway, 1, 0);

    let asked = of_path(&upstream, MODELS);
    let request = asked.first().expect("a check");
    assert_eq!(request.header("x-api-key"), Some(PROVIDER_KEY));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
}

#[test]
fn nobody_is_checked_unless_it_is_asked_for() {
    let upstream = provider(listing());
    let config = ConfigText::one("m", &upstream)
        .general("health_check_interval: 0.01")
        .with_master_key();
    let (_home, gateway) = started(&config);

    let report = report(&gateway);

    assert_eq!(report["healthy_count"], 1, "{report}");
    let endpoint = &report["healthy_endpoints"][0];
    assert!(endpoint["checked_at"].is_null(), "{endpoint}");
    assert_eq!(upstream.only_request().path, "/v1/chat/completions");
}

#[test]
fn what_is_left_out_is_not_checked() {
    let (named, off, other) = (
        provider(listing()),
        provider(listing()),
        provider(listing()),
    );
    let config = ConfigText::new()
        .deployment(Deployment::of("named", &named))
        .deployment(Deployment::of("named", &off).info("disable_background_health_check: true"))
        .deployment(Deployment::of("other", &other))
        .general("background_health_check_model_groups: [named]");
    let (_home, gateway) = started(&checked(config));

    named.wait_for_requests(4);

    assert_eq!((off.request_count(), other.request_count()), (0, 0));
    counts_become(&gateway, 1, 0);
}

#[test]
fn a_refused_key_is_unhealthy_and_a_server_without_a_list_is_not() {
    let cases = [
        (401, false),
        (403, false),
        (500, false),
        (400, false),
        (404, true),
        (405, true),
        (501, true),
    ];
    for (status, healthy) in cases {
        let words = format!("no, {PROVIDER_KEY} again");
        let upstream = provider(Reply::error(status, "x", &words));
        let config = ConfigText::new().deployment(Deployment::of("m", &upstream));
        let (_home, gateway) = started(&checked(config));

        counts_become(&gateway, u64::from(healthy), u64::from(!healthy));

        if !healthy {
            let report = report(&gateway);
            let endpoint = &report["unhealthy_endpoints"][0];
            let error = endpoint["error"].as_str().unwrap_or_default();
            assert!(error.contains("no, [REDACTED] again"), "{status}: {report}");
        }
    }
}

#[test]
fn a_provider_that_does_not_answer_is_unhealthy_and_is_not_asked_twice_at_the_same_time() {
    let upstream = provider(Reply::never());
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).info("health_check_timeout: 0.5"));
    let (_home, gateway) = started(&checked(config));

    upstream.wait_for_requests(1);
    assert_eq!(upstream.request_count(), 1);
    counts_become(&gateway, 0, 1);

    // The first was given up before the second began.
    upstream.wait_for_requests(2);
    assert!(upstream.is_left_within(0, Duration::ZERO));
}

#[test]
fn a_change_is_logged_once_and_shown_by_a_metric() {
    let well = Gate::closed();
    let gate = well.clone();
    let upstream = Upstream::answering(move |_| {
        if gate.is_open() {
            listing()
        } else {
            Reply::error(503, "x", "down")
        }
    });
    let config = ConfigText::new().deployment(Deployment::of("m", &upstream).id("one"));
    let (_home, gateway) = started(&checked(config));
    let healthy = |value: u8| {
        format!("trunkline_deployment_healthy{{deployment=\"one\",model_group=\"m\"}} {value}")
    };

    upstream.wait_for_requests(4);
    assert!(gateway.get("/metrics").text().contains(&healthy(0)));
    gateway.assert_logged(1, "the health check fails");

    well.open();
    counts_become(&gateway, 1, 0);
    let seen = upstream.request_count();
    upstream.wait_for_requests(seen + 3);
    assert!(gateway.get("/metrics").text().contains(&healthy(1)));
    gateway.assert_logged(1, "the health check fails");
    gateway.assert_logged(1, "the health check passes again");
}

#[test]
fn the_report_is_of_what_the_caller_may_use_and_as_short_as_the_config_says() {
    let upstream = provider(Reply::error(401, "x", "no"));
    let config = ConfigText::new()
        .deployment(Deployment::of("a", &upstream).id("a1"))
        .deployment(Deployment::of("b", &upstream).id("b1"))
        .general("health_check_details: false");
    let (_home, gateway) = started(&checked(config));
    counts_become(&gateway, 0, 2);

    let one = gateway.get("/health?detailed=true&model=b").json();
    assert_eq!(one["unhealthy_count"], 1, "{one}");
    assert_eq!(
        one["unhealthy_endpoints"][0],
        json!({"model": "openai/upstream-model", "model_name": "b", "model_id": "b1"})
    );

    let key = generate_key(&gateway, &json!({"models": ["a"]}));
    let own = gateway.send(&Request::get("/health?detailed=true").bearer(&key));
    assert_eq!(own.json()["unhealthy_endpoints"][0]["model_name"], "a");
    assert_eq!(own.json()["unhealthy_count"], 1);
}

#[test]
fn a_check_calls_the_model_where_the_config_says_so_and_the_call_is_on_the_books() {
    let upstream = provider(listing());
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).info("health_check_max_tokens: 3"))
        .trunkline("health_checks: call");
    let (_home, gateway) = started(&checked(config));

    upstream.wait_for_requests(2);
    counts_become(&gateway, 1, 0);

    let request = upstream.requests()[0].clone();
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.json()["model"], "upstream-model");
    assert_eq!(request.json()["max_tokens"], 3);
    assert!(of_path(&upstream, MODELS).is_empty());
    eventually("spend on the books", &true, || {
        gateway.get("/global/spend").json()["spend"].as_f64() > Some(0.0)
    });
}

#[test]
fn a_wildcard_is_called_by_the_model_that_is_named_for_it_and_else_asked_for_its_list() {
    let (named, bare) = (provider(listing()), provider(listing()));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("x/*", &named)
                .param("model: openai/*")
                .info("health_check_model: openai/small"),
        )
        .deployment(Deployment::of("y/*", &bare).param("model: openai/*"))
        .trunkline("health_checks: call");
    let (_home, gateway) = started(&checked(config));

    named.wait_for_requests(1);
    bare.wait_for_requests(1);
    counts_become(&gateway, 2, 0);

    assert_eq!(named.requests()[0].json()["model"], "small");
    assert_eq!(bare.requests()[0].path, MODELS);
}

#[test]
fn routing_passes_over_who_failed_a_check_and_takes_it_back_when_it_is_well() {
    let well = Gate::closed();
    let gate = well.clone();
    let sick = Upstream::answering(move |request| {
        if request.path == MODELS && !gate.is_open() {
            Reply::error(401, "x", "no")
        } else {
            Reply::chat("from the sick one")
        }
    });
    let sound = provider(listing());
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &sick).param("order: 1").id("sick"))
        .deployment(Deployment::of("m", &sound).param("order: 2").id("sound"))
        .general("enable_health_check_routing: true")
        .general("health_check_staleness_threshold: 60");
    let (_home, gateway) = started(&checked(config));
    becomes_unhealthy(&gateway, "sick", true);

    for _ in 0..3 {
        gateway.chat("m").assert_status(200);
    }
    let chats = |upstream: &Upstream| of_path(upstream, "/v1/chat/completions").len();
    assert_eq!((chats(&sick), chats(&sound)), (0, 3));

    well.open();
    becomes_unhealthy(&gateway, "sick", false);
    gateway.chat("m").assert_status(200);
    assert_eq!((chats(&sick), chats(&sound)), (1, 3));
}

#[test]
fn a_group_whose_checks_all_failed_is_called_all_the_same() {
    let upstream = provider(Reply::error(401, "x", "no"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("one"))
        .router("enable_health_check_routing: true")
        .router("health_check_staleness_threshold: 60");
    let (_home, gateway) = started(&checked(config));
    becomes_unhealthy(&gateway, "one", true);

    gateway.chat("m").assert_status(200);
}

#[test]
fn transient_failures_count_unless_the_config_ignores_them() {
    for ignored in [false, true] {
        let upstream = provider(Reply::error(429, "rate_limit", "slow down"));
        let config = ConfigText::new()
            .deployment(Deployment::of("m", &upstream).id("one"))
            .general("enable_health_check_routing: true")
            .general("health_check_staleness_threshold: 60")
            .general(&format!("health_check_ignore_transient_errors: {ignored}"));
        let (_home, gateway) = started(&checked(config));
        counts_become(&gateway, 0, 1);

        let state = state_of(&gateway, "one");
        assert_eq!(
            state["unhealthy_remaining_ms"].is_u64(),
            !ignored,
            "{state}"
        );
    }
}

#[test]
fn the_list_of_models_leaves_out_what_is_unhealthy_if_it_is_to() {
    let (sick, sound) = (provider(Reply::error(401, "x", "no")), provider(listing()));
    let config = ConfigText::new()
        .deployment(Deployment::of("sick", &sick))
        .deployment(Deployment::of("both", &sick))
        .deployment(Deployment::of("both", &sound))
        .general("health_check_staleness_threshold: 60")
        .general("model_list_healthy_only: true");
    let (_home, gateway) = started(&checked(config));
    counts_become(&gateway, 1, 2);

    let list = gateway.get("/v1/models").json();
    let models = list["data"].as_array().expect("a list").iter();
    let models: Vec<&Value> = models.map(|model| &model["id"]).collect();
    assert_eq!(models, ["both"]);
    // It is unwell, not unknown.
    gateway.get("/v1/models/sick").assert_status(200);
    let status = gateway.get("/health").json();
    assert_eq!(status["unhealthy_count"], 2, "{status}");
}

#[test]
fn a_gateway_stops_while_a_check_runs() {
    for by in ["models", "call"] {
        let upstream = Upstream::always(Reply::never());
        let config = ConfigText::new()
            .deployment(Deployment::of("m", &upstream))
            .trunkline(&format!("health_checks: {by}"));
        let (home, gateway) = started(&checked(config));
        upstream.wait_for_requests(1);

        gateway.stop();

        assert!(upstream.is_left_within(0, Duration::from_secs(5)), "{by}");
        let left = home.path().join("data").join("journal");
        let left = fs::read_dir(left).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{by}: a call that was cut is settled and shipped");
    }
}

#[test]
fn services_that_are_here_are_told_of_and_others_are_named() {
    let upstream = provider(listing());
    let (_home, gateway) = started(&ConfigText::one("m", &upstream).with_master_key());
    for service in ["database", "journal"] {
        let answer = gateway.get(&format!("/health/services?service={service}"));
        answer.assert_status(200);
        assert_eq!(answer.json()["status"], "healthy", "{service}");
        assert!(answer.json()["message"].is_string(), "{service}");
    }
    for path in ["/health/services", "/health/services?service=slack"] {
        let answer = gateway.get(path);
        answer.assert_status(422);
        let text = answer.text();
        assert!(
            text.contains("database") && text.contains("journal"),
            "{text}"
        );
    }
    let details = gateway.get("/health/readiness/details").json();
    assert_eq!(details["status"], "healthy", "{details}");
    assert_eq!(details["log_level"], "info", "{details}");
    let bare = Request::get("/health/readiness/details");
    bare.send(gateway.address()).assert_status(401);
}
