//! `/metrics`: what is counted, under bounded labels, and for whom it is open.

use serde_json::json;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, chat_request, start, stream_request};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// The value of the sample that begins with `name` and has all of `labels`.
fn sample(gateway: &Gateway, name: &str, labels: &[&str]) -> Option<f64> {
    gateway.get("/metrics").text().lines().find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let rest = series.strip_prefix(name)?;
        let whole = rest.is_empty() || rest.starts_with('{');
        (whole && labels.iter().all(|label| rest.contains(label)))
            .then(|| value.parse().expect("a sample is a number"))
    })
}

#[test]
fn requests_tokens_spend_and_times_are_counted_by_group() {
    let upstream = Upstream::answering(|request| {
        if request.json()["stream"] == true {
            Reply::stream(&["a"])
        } else {
            Reply::chat("a")
        }
    });
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let ask = |request: Request| gateway.send(&request.bearer(MASTER_KEY));

    ask(chat_request("m")).assert_status(200);
    ask(chat_request("m")).assert_status(200);
    ask(stream_request("m")).assert_status(200);

    let group = "model_group=\"m\"";
    let expected = [
        (
            "trunkline_requests_total",
            vec![group, "status=\"200\"", "endpoint=\"chat_completions\""],
            3.0,
        ),
        (
            "trunkline_tokens_total",
            vec![group, "direction=\"prompt\""],
            33.0,
        ),
        (
            "trunkline_tokens_total",
            vec![group, "direction=\"completion\""],
            21.0,
        ),
        ("trunkline_request_duration_seconds_count", vec![group], 3.0),
        ("trunkline_first_content_seconds_count", vec![group], 1.0),
        ("trunkline_in_flight_requests", vec![], 0.0),
    ];
    for (name, labels, value) in expected {
        eventually(&format!("{name} {labels:?}"), &Some(value), || {
            sample(&gateway, name, &labels)
        });
    }
    let spend = sample(&gateway, "trunkline_spend_usd_total", &[group]).expect("a sample");
    assert_eq!(format!("{spend:.9}"), "0.000075000");
}

#[test]
fn failures_retries_fallbacks_and_refusals_are_counted() {
    let broken = Upstream::always(Reply::error(500, "server_error", "oops"));
    let sound = Upstream::always(Reply::chat("saved"));
    let config = ConfigText::new()
        .deployment(Deployment::of("first", &broken))
        .deployment(Deployment::of("second", &sound))
        .deployment(Deployment::of("alone", &broken))
        .router("num_retries: 1")
        .router("disable_cooldowns: true")
        .router("fallbacks: [{first: [second]}]")
        .with_master_key();
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();
    let small = generate_key(&gateway, &json!({"rpm_limit": 1}));
    let send = |request: &Request, key: &str| gateway.send(&request.clone().bearer(key));

    send(&chat_request("first"), MASTER_KEY).assert_status(200);
    send(&chat_request("alone"), MASTER_KEY).assert_status(500);
    send(&chat_request("second"), &small).assert_status(200);
    send(&chat_request("second"), &small).assert_status(429);
    send(&chat_request("no-such-model"), MASTER_KEY).assert_status(400);
    gateway.chat("second").assert_status(401);

    for (name, labels, value) in [
        (
            "trunkline_requests_total",
            vec!["model_group=\"second\"", "status=\"200\""],
            2.0,
        ),
        (
            "trunkline_requests_total",
            vec!["model_group=\"alone\"", "status=\"500\""],
            1.0,
        ),
        ("trunkline_fallbacks_total", vec![], 1.0),
        (
            "trunkline_retries_total",
            vec!["model_group=\"alone\""],
            1.0,
        ),
        (
            "trunkline_refused_requests_total",
            vec!["code=\"rate_limited\""],
            1.0,
        ),
        (
            "trunkline_refused_requests_total",
            vec!["code=\"unknown_model\""],
            1.0,
        ),
        (
            "trunkline_refused_requests_total",
            vec!["code=\"auth\""],
            1.0,
        ),
    ] {
        assert_eq!(
            sample(&gateway, name, &labels),
            Some(value),
            "{name} {labels:?}\n{}",
            gateway.get("/metrics").text()
        );
    }
    let text = gateway.get("/metrics").text();
    assert!(
        !text.contains("no-such-model"),
        "a label that any client can write: {text}"
    );
}

#[test]
fn names_of_models_behind_a_wildcard_do_not_become_labels() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(Deployment::of("\"openai/*\"", &upstream).param("model: \"openai/*\""))
        .one_attempt();
    let (_home, gateway) = start(&config);

    for number in 0..20 {
        gateway
            .chat(&format!("openai/made-up-{number}"))
            .assert_status(200);
    }

    let text = gateway.get("/metrics").text();
    assert!(!text.contains("made-up"), "{text}");
    assert_eq!(
        sample(
            &gateway,
            "trunkline_requests_total",
            &["model_group=\"openai/*\""]
        ),
        Some(20.0)
    );
}

#[test]
fn metrics_can_be_closed_to_those_without_a_key() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .litellm("require_auth_for_metrics_endpoint: true");
    let (_home, gateway) = start(&config);

    gateway.get("/metrics").assert_error(401, "auth_error");
    gateway
        .send(&Request::get("/metrics").bearer(MASTER_KEY))
        .assert_status(200);
}
