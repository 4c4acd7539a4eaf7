//! Which deployment answers, by strategy, tags and capacity. What follows from failures stands in `failing_deployments`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, chat_request, chat_request_body, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// The state of the deployment with that id.
pub(crate) fn state_of(gateway: &Gateway, id: &str) -> Value {
    let answer = gateway.send(&Request::get("/router/state").bearer(MASTER_KEY));
    answer.assert_status(200);
    let state = answer.json();
    let deployments = state["deployments"].as_array().expect("deployments");
    let found = deployments.iter().find(|one| one["id"] == id);
    found.expect("the deployment").clone()
}

pub(crate) fn answered_by(answer: &Answer) -> String {
    answer.assert_status(200);
    answer
        .header("x-litellm-model-id")
        .expect("an id")
        .to_owned()
}

/// How many of so many requests each deployment answered.
fn shares(gateway: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let id = answered_by(&gateway.chat("m"));
        *shares.entry(id).or_default() += 1;
    }
    shares
}

fn with_tags(tags: &Value) -> Value {
    let mut body = chat_request_body("m");
    body["metadata"] = json!({ "tags": tags });
    body
}

#[test]
fn least_busy_gives_each_waiting_request_another_deployment() {
    let gate = Gate::closed();
    let upstreams: Vec<Upstream> = (0..3)
        .map(|_| Upstream::always(Reply::chat("at last").after(&gate)))
        .collect();
    let mut config = ConfigText::new()
        .one_attempt()
        .router("routing_strategy: least-busy");
    for upstream in &upstreams {
        config = config.deployment(Deployment::of("m", upstream));
    }
    let (_home, gateway) = start(&config);

    let mut pending = Vec::new();
    for begun in 1..=3 {
        pending.push(gateway.begin(&chat_request("m")));
        eventually("requests at providers", &begun, || {
            upstreams.iter().map(Upstream::request_count).sum()
        });
    }

    for upstream in &upstreams {
        assert_eq!(upstream.request_count(), 1);
    }
    gate.open();
    for request in pending {
        request.answer().assert_status(200);
    }
}

#[test]
fn power_of_two_choices_avoids_the_one_that_is_stuck() {
    let gate = Gate::closed();
    let stuck = Upstream::always(Reply::chat("at last").after(&gate));
    let quick = Upstream::always(Reply::chat("at once"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &stuck).id("stuck"))
        .deployment(Deployment::of("m", &quick).id("quick"))
        .one_attempt()
        .router("routing_strategy: power-of-two-choices");
    let (_home, gateway) = start(&config);
    let waiting = gateway.begin(&Request::post(
        "/v1/chat/completions",
        &chat_request_body("stuck"),
    ));
    stuck.wait_for_requests(1);

    let shares = shares(&gateway, 20);

    assert_eq!(shares, BTreeMap::from([("quick".to_owned(), 20)]));
    gate.open();
    waiting.answer().assert_status(200);
}

#[test]
fn latency_based_routing_tries_all_and_stays_with_the_quickest() {
    let slow = Upstream::answering(|_| {
        // A slow provider: what is measured is time itself.
        thread::park_timeout(Duration::from_millis(150));
        Reply::chat("slow")
    });
    let quick = Upstream::always(Reply::chat("quick"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &slow).id("slow"))
        .deployment(Deployment::of("m", &quick).id("quick"))
        .one_attempt()
        .router("routing_strategy: latency-based-routing")
        .with_master_key();
    let (_home, gateway) = start(&config);
    let gateway = gateway.with_master_key();
    for seen in 1..=2 {
        gateway.chat("m").assert_status(200);
        eventually("deployments with a latency", &seen, || {
            let known = |id| usize::from(state_of(&gateway, id)["latency_ms"].is_number());
            known("slow") + known("quick")
        });
    }
    assert_eq!((slow.request_count(), quick.request_count()), (1, 1));

    let shares = shares(&gateway, 20);

    assert_eq!(shares, BTreeMap::from([("quick".to_owned(), 20)]));
}

#[test]
fn usage_based_routing_v2_spreads_by_head_room() {
    let small = Upstream::always(Reply::chat("small"));
    let large = Upstream::always(Reply::chat("large"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &small).id("small").param("rpm: 10"))
        .deployment(Deployment::of("m", &large).id("large").param("rpm: 40"))
        .one_attempt()
        .router("routing_strategy: usage-based-routing-v2");
    let (_home, gateway) = start(&config);

    let shares = shares(&gateway, 25);

    assert!((4..=6).contains(&shares["small"]), "{shares:?}");
}

#[test]
fn usage_based_routing_takes_turns_where_answers_are_alike() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("one"))
        .deployment(Deployment::of("m", &upstream).id("two"))
        .one_attempt()
        .router("routing_strategy: usage-based-routing");
    let (_home, gateway) = start(&config);

    let shares = shares(&gateway, 10);

    assert_eq!((shares["one"], shares["two"]), (5, 5));
}

#[test]
fn cost_based_routing_takes_the_cheapest_that_answers() {
    let cheap = Upstream::scripted((0..5).map(|_| Reply::chat("cheap")));
    let dear = Upstream::always(Reply::chat("dear"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &dear)
                .id("dear")
                .param("input_cost_per_token: 0.00001"),
        )
        .deployment(Deployment::of("m", &cheap).id("cheap"))
        .router("routing_strategy: cost-based-routing");
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();
    assert_eq!(
        shares(&gateway, 5),
        BTreeMap::from([("cheap".to_owned(), 5)])
    );

    cheap.push(Reply::error(500, "server_error", "oops"));

    assert_eq!(answered_by(&gateway.chat("m")), "dear");
}

#[test]
fn tags_of_body_and_header_choose_the_deployment() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let deployment = |id, tags: &str| {
        let tags = format!("tags: {tags}");
        Deployment::of("m", &upstream).id(id).param(&tags)
    };
    let config = ConfigText::new()
        .deployment(deployment("free", "[free]"))
        .deployment(deployment("paid", "[paid, eu]"))
        .deployment(deployment("rest", "[default]"))
        .deployment(
            Deployment::of("strict", &upstream)
                .id("strict")
                .param("tags: [paid]"),
        )
        .one_attempt()
        .router("enable_tag_filtering: true");
    let (_home, gateway) = start(&config);
    let path = "/v1/chat/completions";
    let by = |tags: &Value| answered_by(&gateway.post(path, &with_tags(tags)));

    for _ in 0..5 {
        assert_eq!(by(&json!(["free"])), "free");
        assert_eq!(by(&json!(["eu", "other"])), "paid");
        assert_eq!(by(&json!(["nobody's"])), "rest");
        assert_eq!(answered_by(&gateway.chat("m")), "rest");
        let by_header = chat_request("m").header("x-litellm-tags", "free, other");
        assert_eq!(answered_by(&gateway.send(&by_header)), "free");
    }

    let mut body = with_tags(&json!(["free"]));
    body["model"] = json!("strict");
    let denied = gateway.post(path, &body);
    let error = denied.assert_error(401, "internal_server_error");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("tags configuration"), "{message}");
}

#[test]
fn a_deployments_rpm_is_never_exceeded() {
    let grants = [3, 5, 8];
    let upstreams = grants.map(|_| Upstream::always(Reply::chat("hi")));
    let mut config = ConfigText::new().one_attempt();
    for (upstream, rpm) in upstreams.iter().zip(grants) {
        config = config.deployment(Deployment::of("m", upstream).param(&format!("rpm: {rpm}")));
    }
    let (_home, gateway) = start(&config);
    let served = AtomicUsize::new(0);

    // From several clients at once, more than is granted.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..6 {
                    if gateway.chat("m").status == 200 {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });

    assert_eq!(served.load(Ordering::Relaxed), 16);
    for (upstream, rpm) in upstreams.iter().zip(grants) {
        assert_eq!(upstream.request_count(), rpm);
    }
    let refused = gateway.chat("m");
    refused.assert_error(429, "throttling_error");
    let seconds: u32 = refused
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("a number of seconds");
    assert!((1..=61).contains(&seconds), "{seconds}");
}

#[test]
fn counting_tokens_without_a_call_uses_up_no_rpm() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).param("rpm: 1"))
        .one_attempt();
    let (_home, gateway) = start(&config);

    for _ in 0..3 {
        let counted = gateway.post("/v1/messages/count_tokens", &chat_request_body("m"));
        counted.assert_status(200);
    }

    gateway.chat("m").assert_status(200);
    gateway.chat("m").assert_status(429);
}

#[test]
fn deployments_in_fallback_mode_are_tried_in_the_order_of_the_file() {
    let broken = Upstream::scripted((0..5).map(|_| Reply::chat("first")));
    let sound = Upstream::always(Reply::chat("second"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &broken)
                .id("first")
                .info("mode: fallback"),
        )
        .deployment(
            Deployment::of("m", &sound)
                .id("second")
                .info("mode: fallback"),
        )
        .router("num_retries: 0");
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();
    assert_eq!(
        shares(&gateway, 5),
        BTreeMap::from([("first".to_owned(), 5)])
    );

    broken.push(Reply::error(500, "server_error", "oops"));

    assert_eq!(answered_by(&gateway.chat("m")), "second");
}
