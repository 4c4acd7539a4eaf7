//! Headers of an answer: the provider's own, marked as such, the caller's limits, and never a secret.

use serde_json::json;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, PROVIDER_KEY};
use crate::support::gateway::{chat_request, chat_request_body, start, stream_request};
use crate::support::reply::{Gate, Reply, event, opening_event, text_event};
use crate::support::upstream::Upstream;

const HEADER_SECRET: &str = "opaque-header-secret-13572468";

fn dressed(reply: Reply) -> Reply {
    reply
        .header("x-request-id", "req-of-the-provider")
        .header("openai-processing-ms", "12")
        .header("x-ratelimit-remaining-requests", "99")
        .header("set-cookie", "session=1")
        .header("keep-alive", "timeout=5")
}

#[test]
fn the_providers_headers_come_back_under_a_prefix_on_answers_and_errors() {
    for (reply, stream, status) in [
        (Reply::chat("hi"), false, 200),
        (Reply::stream(&["hi"]), true, 200),
        (Reply::error(429, "rate_limit", "slow down"), false, 429),
        (Reply::error(500, "server_error", "oops"), true, 500),
    ] {
        let upstream = Upstream::always(dressed(reply));
        let (_home, gateway) = start(&ConfigText::one("m", &upstream));
        let request = if stream {
            stream_request("m")
        } else {
            chat_request("m")
        };

        let answer = gateway.send(&request);

        answer.assert_status(status);
        for (name, value) in [
            ("llm_provider-x-request-id", Some("req-of-the-provider")),
            ("llm_provider-openai-processing-ms", Some("12")),
            ("llm_provider-x-ratelimit-remaining-requests", Some("99")),
            ("x-ratelimit-remaining-requests", Some("99")),
            ("request-id", Some("req-of-the-provider")),
            ("openai-processing-ms", None),
            ("set-cookie", None),
            ("llm_provider-set-cookie", None),
            ("keep-alive", None),
            ("llm_provider-transfer-encoding", None),
        ] {
            assert_eq!(answer.header(name), value, "{status} {name}");
        }
    }
}

#[test]
fn the_providers_wait_is_passed_on() {
    for request in [chat_request("m"), stream_request("m")] {
        let upstream = Upstream::always(
            Reply::error(429, "rate_limit", "slow down").header("retry-after", "17"),
        );
        let (_home, gateway) = start(&ConfigText::one("m", &upstream));

        let answer = gateway.send(&request);

        answer.assert_error(429, "throttling_error");
        assert_eq!(answer.header("retry-after"), Some("17"));
    }
}

#[test]
fn a_secret_that_the_provider_repeats_is_cut_out_of_headers() {
    let echo = |reply: Reply| {
        reply
            .header("x-echo", &format!("Bearer {PROVIDER_KEY}"))
            .header("x-echo-bare", PROVIDER_KEY)
            .header("x-echo-team", HEADER_SECRET)
    };
    for reply in [
        echo(Reply::chat("hi")),
        echo(Reply::error(500, "server_error", "oops")),
    ] {
        let upstream = Upstream::always(reply);
        let config = ConfigText::new()
            .deployment(Deployment::of("m", &upstream).param(&format!(
                "extra_headers: {{x-team-secret: {HEADER_SECRET}}}"
            )))
            .one_attempt();
        let (_home, gateway) = start(&config);

        let answer = gateway.chat("m");

        for (name, value) in &answer.headers {
            assert!(
                !value.contains(PROVIDER_KEY) && !value.contains(HEADER_SECRET),
                "{} {name}: {value}",
                answer.status
            );
        }
    }
}

#[test]
fn a_secret_that_the_provider_repeats_in_the_middle_of_a_stream_is_cut_out() {
    let upstream = Upstream::always(Reply::events([
        opening_event(),
        text_event("so far"),
        event(
            &json!({"error": {"message": format!("bad key {PROVIDER_KEY} of {HEADER_SECRET}"),
            "type": "server_error", "param": null, "code": "500"}}),
        ),
    ]));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).param(&format!(
            "extra_headers: {{x-team-secret: {HEADER_SECRET}}}"
        )))
        .one_attempt();
    let (_home, mut gateway) = start(&config);
    gateway.keeps_secret(HEADER_SECRET);

    let (answer, _) = gateway.open(&stream_request("m")).read_to_end();

    assert!(answer.text().contains("bad key"), "{}", answer.text());
    assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
    assert!(!answer.text().contains(HEADER_SECRET), "{}", answer.text());
}

#[test]
fn a_key_sees_every_limit_that_it_has_and_what_is_left() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::chat("hi").after(&gate));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let key = generate_key(
        &gateway,
        &json!({"rpm_limit": 10, "tpm_limit": 10_000, "max_parallel_requests": 4, "max_budget": 2.5}),
    );
    let first = gateway.begin(&chat_request("m").bearer(&key));
    upstream.wait_for_requests(1);
    let second = gateway.begin(&chat_request("m").bearer(&key));
    upstream.wait_for_requests(2);
    gate.open();
    first.answer().assert_status(200);

    let answer = second.answer();

    answer.assert_status(200);
    for (name, value) in [
        ("x-ratelimit-api_key-limit-requests", "10"),
        ("x-ratelimit-api_key-remaining-requests", "8"),
        ("x-ratelimit-api_key-limit-tokens", "10000"),
        ("x-ratelimit-api_key-limit-max_parallel_requests", "4"),
        ("x-ratelimit-api_key-remaining-max_parallel_requests", "2"),
        ("x-litellm-key-rpm-limit", "10"),
        ("x-litellm-key-tpm-limit", "10000"),
        ("x-litellm-key-max-budget", "2.5"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let tokens: u64 = answer
        .header("x-ratelimit-api_key-remaining-tokens")
        .and_then(|left| left.parse().ok())
        .expect("the tokens that are left");
    // Each request reserves its prompt and 16 tokens.
    assert!((9_800..10_000 - 32).contains(&tokens), "{tokens}");
}

#[test]
fn a_key_without_limits_is_told_of_none() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let key = generate_key(&gateway, &json!({}));

    let answer = gateway.send(&chat_request("m").bearer(&key));

    let about_limits: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-ratelimit-") || name.starts_with("x-litellm-key-"))
        .collect();
    assert!(about_limits.is_empty(), "{about_limits:?}");
}

#[test]
fn the_spend_of_a_key_in_the_header_holds_this_very_call() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let key = generate_key(&gateway, &json!({"max_budget": 1}));
    let spend = || {
        let answer = gateway.send(&chat_request("m").bearer(&key));
        answer.assert_status(200);
        answer.header("x-litellm-key-spend").map(str::to_owned)
    };

    assert_eq!(spend().as_deref(), Some("0.000025"));
    assert_eq!(spend().as_deref(), Some("0.00005"));
}

#[test]
fn retries_and_fallbacks_are_counted_in_the_headers_of_streams_too() {
    let broken = Upstream::always(Reply::error(500, "server_error", "oops"));
    let sound = Upstream::always(Reply::stream(&["saved"]));
    let config = ConfigText::new()
        .deployment(Deployment::of("first", &broken))
        .deployment(Deployment::of("second", &sound).id("second-1"))
        .router("num_retries: 0")
        .router("fallbacks: [{first: [second]}]");
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();
    let mut body = chat_request_body("first");
    body["stream"] = json!(true);

    let answer = gateway.post("/v1/chat/completions", &body);

    for (name, value) in [
        ("x-litellm-attempted-retries", "0"),
        ("x-litellm-attempted-fallbacks", "1"),
        ("x-litellm-model-id", "second-1"),
        ("x-litellm-model-group", "second"),
        ("x-litellm-model-name", "openai/upstream-model"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let overhead: f64 = answer
        .header("x-litellm-overhead-duration-ms")
        .and_then(|ms| ms.parse().ok())
        .expect("milliseconds");
    assert!((0.0..5_000.0).contains(&overhead), "{overhead}");
}
