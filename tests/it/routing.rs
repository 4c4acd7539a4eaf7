//! Which deployment answers: shares by weight, another one after a failure, none while all cool down, a fallback
//! group after that.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{chat_request_body, start};
use crate::support::reply::{Ending, PROVIDER_MODEL, Reply, event, opening_event};
use crate::support::upstream::Upstream;

#[test]
fn two_deployments_share_requests_by_weight() {
    let heavy = Upstream::always(Reply::chat("heavy"));
    let light = Upstream::always(Reply::chat("light"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &heavy).id("heavy").param("weight: 3"))
        .deployment(Deployment::of("m", &light).id("light").param("weight: 1"))
        .one_attempt();
    let (_home, gateway) = start(&config);

    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..400 {
        let answer = gateway.chat("m");
        answer.assert_status(200);
        let id = answer.header("x-litellm-model-id").expect("an id");
        *shares.entry(id.to_owned()).or_default() += 1;
    }

    // 300 expected; six standard deviations (8.7) either way.
    assert!((248..=352).contains(&shares["heavy"]), "{shares:?}");
    assert_eq!(heavy.request_count(), shares["heavy"]);
    assert_eq!(light.request_count(), shares["light"]);
}

#[test]
fn a_deployment_without_weight_is_not_chosen_beside_one_with() {
    let weighted = Upstream::always(Reply::chat("weighted"));
    let unweighted = Upstream::always(Reply::chat("unweighted"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &weighted).param("weight: 1"))
        .deployment(Deployment::of("m", &unweighted))
        .one_attempt();
    let (_home, gateway) = start(&config);

    for _ in 0..30 {
        gateway.chat("m").assert_status(200);
    }

    assert_eq!(unweighted.request_count(), 0);
}

#[test]
fn a_failure_is_retried_on_the_other_deployment() {
    for (case, reply) in [
        ("429", Reply::error(429, "rate_limit", "slow down")),
        ("500", Reply::error(500, "server_error", "oops")),
        ("401", Reply::error(401, "auth", "bad key")),
        ("no byte", Reply::closes_without_a_byte()),
        ("HTML", Reply::bytes(200, "text/html", "<p>")),
    ] {
        let broken = Upstream::always(reply);
        let sound = Upstream::always(Reply::chat("sound"));
        let config = ConfigText::new()
            .deployment(
                Deployment::of("m", &broken)
                    .id("broken")
                    .param("weight: 1000000"),
            )
            .deployment(Deployment::of("m", &sound).id("sound").param("weight: 1"))
            .router("num_retries: 2");
        let (_home, mut gateway) = start(&config);
        gateway.allow_errors();

        let answer = gateway.chat("m");

        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        assert_eq!(answer.header("x-litellm-model-id"), Some("sound"), "{case}");
        assert_eq!(answer.header("x-litellm-model-group"), Some("m"), "{case}");
        let retries: u32 = answer
            .header("x-litellm-attempted-retries")
            .and_then(|count| count.parse().ok())
            .expect("a count");
        assert!((1..=2).contains(&retries), "{case}: {retries}");
        assert_eq!(answer.json()["model"], "m", "{case}");
    }
}

#[test]
fn a_bad_request_is_not_retried() {
    let upstream = Upstream::always(Reply::error(400, "invalid_request_error", "bad"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .deployment(Deployment::of("m", &upstream).id("second"))
        .router("num_retries: 3");
    let (_home, gateway) = start(&config);

    gateway.chat("m").assert_error(400, "invalid_request_error");

    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_stream_that_failed_before_its_first_content_is_retried_unseen() {
    let broken = Upstream::always(Reply::events([opening_event()]).ending(Ending::Cut));
    let refused = Upstream::always(Reply::events([
        opening_event(),
        event(&json!({"error": {"message": "overloaded", "type": "server_error", "code": "503"}})),
    ]));
    let sound = Upstream::always(Reply::stream(&["whole"]));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &broken).param("weight: 1000000"))
        .deployment(Deployment::of("m", &refused).param("weight: 1000000"))
        .deployment(Deployment::of("m", &sound).id("sound").param("weight: 1"))
        .router("num_retries: 5");
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();

    let answer = gateway.chat_stream("m");

    answer.assert_status(200);
    assert_eq!(answer.header("x-litellm-model-id"), Some("sound"));
    assert!(!answer.text().contains("overloaded"));
    assert_eq!(
        answer.events().last().map(String::as_str),
        Some("[DONE]"),
        "{}",
        answer.text()
    );
}

#[test]
fn when_all_deployments_cool_down_nobody_is_asked_and_the_client_is_told_when() {
    let upstream =
        Upstream::always(Reply::error(429, "rate_limit", "slow down").header("retry-after", "40"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("one"))
        .deployment(Deployment::of("m", &upstream).id("two"))
        .router("num_retries: 0");
    let (_home, gateway) = start(&config);
    gateway.chat("m").assert_status(429);
    gateway.chat("m").assert_status(429);
    let asked = upstream.request_count();
    assert_eq!(asked, 2, "each deployment refused once");

    let answer = gateway.chat("m");

    answer.assert_error(429, "all_deployments_in_cooldown");
    let seconds: u32 = answer
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("a number of seconds");
    assert!((1..=40).contains(&seconds), "{seconds}");
    assert_eq!(upstream.request_count(), asked, "no provider was asked");
}

#[test]
fn a_single_deployment_does_not_cool_down_for_a_429() {
    let upstream = Upstream::scripted([
        Reply::error(429, "rate_limit", "slow down"),
        Reply::chat("back"),
    ]);
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .router("num_retries: 0");
    let (_home, gateway) = start(&config);

    gateway.chat("m").assert_status(429);
    gateway.chat("m").assert_status(200);
}

#[test]
fn a_single_deployment_with_a_bad_key_cools_down() {
    let upstream = Upstream::always(Reply::error(401, "auth", "bad key"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream))
        .router("num_retries: 0")
        .router("cooldown_time: 60");
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();

    gateway.chat("m").assert_error(401, "authentication_error");
    gateway
        .chat("m")
        .assert_error(429, "all_deployments_in_cooldown");

    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_group_that_fails_falls_back_to_the_next_and_says_so() {
    for stream in [false, true] {
        let broken = Upstream::always(Reply::error(500, "server_error", "oops"));
        let sound = Upstream::answering(|request| {
            if request.json()["stream"] == true {
                Reply::stream(&["from the fallback"])
            } else {
                Reply::chat("from the fallback")
            }
        });
        let config = ConfigText::new()
            .deployment(Deployment::of("first", &broken).id("first-1"))
            .deployment(Deployment::of("second", &sound).id("second-1"))
            .router("num_retries: 0")
            .router("fallbacks: [{first: [second]}]");
        let (_home, mut gateway) = start(&config);
        gateway.allow_errors();
        let mut body = chat_request_body("first");
        body["stream"] = json!(stream);

        let answer = gateway.post("/v1/chat/completions", &body);

        answer.assert_status(200);
        assert_eq!(answer.header("x-litellm-attempted-fallbacks"), Some("1"));
        assert_eq!(answer.header("x-litellm-model-group"), Some("second"));
        assert_eq!(answer.header("x-litellm-model-id"), Some("second-1"));
        assert!(answer.text().contains("from the fallback"));
        assert!(
            answer.text().contains(PROVIDER_MODEL),
            "after a fallback the answering model is named: {}",
            answer.text()
        );
        assert_eq!(sound.only_request().json()["model"], "upstream-model");
    }
}

#[test]
fn when_the_fallback_fails_too_the_first_error_is_returned() {
    let broken = Upstream::always(Reply::error(503, "server_error", "the first failure"));
    let worse = Upstream::always(Reply::error(500, "server_error", "the second failure"));
    let config = ConfigText::new()
        .deployment(Deployment::of("first", &broken))
        .deployment(Deployment::of("second", &worse))
        .router("num_retries: 0")
        .router("fallbacks: [{first: [second]}]");
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();

    let answer = gateway.chat("first");

    answer.assert_status(503);
    assert!(
        answer.text().contains("the first failure"),
        "{}",
        answer.text()
    );
    assert_eq!(worse.request_count(), 1);
}

#[test]
fn a_request_can_bring_its_fallbacks_or_refuse_them() {
    let broken = Upstream::always(Reply::error(500, "server_error", "oops"));
    let sound = Upstream::always(Reply::chat("saved"));
    let config = ConfigText::new()
        .deployment(Deployment::of("first", &broken))
        .deployment(Deployment::of("second", &sound))
        .one_attempt();
    let (_home, mut gateway) = start(&config);
    gateway.allow_errors();
    let mut body = chat_request_body("first");
    body["fallbacks"] = json!(["second"]);

    gateway
        .post("/v1/chat/completions", &body)
        .assert_status(200);
    body["disable_fallbacks"] = json!(true);
    gateway
        .post("/v1/chat/completions", &body)
        .assert_status(500);
}

#[test]
fn an_alias_and_a_deployment_id_are_names_of_a_model() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).router("model_group_alias: {nickname: m}");
    let (_home, gateway) = start(&config);

    gateway.chat("nickname").assert_status(200);
    let by_id = gateway.chat("the-deployment");

    by_id.assert_status(200);
    assert_eq!(by_id.header("x-litellm-model-id"), Some("the-deployment"));
}

#[test]
fn a_prompt_that_is_too_long_goes_to_the_fallback_for_that_and_other_failures_do_not() {
    let words = "This model's maximum context length is 10 tokens. However, your messages resulted in 20 tokens.";
    let too_long = Reply::json(
        400,
        &json!({"error": {"message": words, "type": "invalid_request_error", "param": "messages",
            "code": "context_length_exceeded"}}),
    );
    for stream in [false, true] {
        let small = Upstream::scripted([
            too_long.clone(),
            Reply::error(400, "invalid_request_error", "just a bad request"),
        ]);
        let large = Upstream::answering(|request| {
            if request.json()["stream"] == true {
                Reply::stream(&["from the large one"])
            } else {
                Reply::chat("from the large one")
            }
        });
        let config = ConfigText::new()
            .deployment(Deployment::of("small", &small))
            .deployment(Deployment::of("large", &large).id("large-1"))
            .router("num_retries: 2")
            .router("context_window_fallbacks: [{small: [large]}]");
        let (_home, gateway) = start(&config);
        let mut body = chat_request_body("small");
        body["stream"] = json!(stream);

        let saved = gateway.post("/v1/chat/completions", &body);
        let refused = gateway.post("/v1/chat/completions", &body);

        saved.assert_status(200);
        assert_eq!(saved.header("x-litellm-model-id"), Some("large-1"));
        refused.assert_error(400, "invalid_request_error");
        assert_eq!(small.request_count(), 2, "neither is repeated");
        assert_eq!(large.request_count(), 1);
    }
}
