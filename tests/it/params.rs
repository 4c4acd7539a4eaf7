//! What a request may say about its own handling: parameters to drop, retries, fallbacks; in the body or in a header.

use serde_json::{Value, json};

use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Home, chat_request, chat_request_body, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

/// A model that refuses `temperature`.
fn reasoning(upstream: &Upstream) -> ConfigText {
    ConfigText::new()
        .deployment(Deployment::of("m", upstream).param("model: openai/o3-mini"))
        .one_attempt()
}

fn hot() -> Value {
    let mut body = chat_request_body("m");
    body["temperature"] = json!(0.5);
    body
}

#[test]
fn a_parameter_that_the_model_does_not_take_is_refused_by_name() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&reasoning(&upstream));

    let error = gateway
        .post("/v1/chat/completions", &hot())
        .assert_error(400, "invalid_request_error");

    assert_eq!(error["param"], "temperature");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("drop_params")),
        "the error says what to do: {error}"
    );
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn a_parameter_is_dropped_when_the_request_the_deployment_or_the_config_says_so() {
    let by_request = |config: ConfigText| config;
    let by_config = |config: ConfigText| config.litellm("drop_params: true");
    for (case, configure, in_body) in [
        ("request", by_request as fn(ConfigText) -> ConfigText, true),
        ("config", by_config, false),
    ] {
        let upstream = Upstream::always(Reply::chat("hi"));
        let (_home, gateway) = start(&configure(reasoning(&upstream)));
        let mut body = hot();
        if in_body {
            body["drop_params"] = json!(true);
        }

        let answer = gateway.post("/v1/chat/completions", &body);

        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        let sent = upstream.only_request().json();
        assert!(sent.get("temperature").is_none(), "{case}: {sent}");
        assert!(sent.get("drop_params").is_none(), "{case}: {sent}");
        assert_eq!(
            answer.header("x-trunkline-dropped-params"),
            Some("temperature"),
            "{case}"
        );
    }
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(
            Deployment::of("m", &upstream)
                .param("model: openai/o3-mini")
                .param("drop_params: true"),
        )
        .one_attempt();
    let (_home, gateway) = start(&config);
    gateway
        .post("/v1/chat/completions", &hot())
        .assert_status(200);
    let mut insisting = hot();
    insisting["drop_params"] = json!(false);
    gateway
        .post("/v1/chat/completions", &insisting)
        .assert_status(400);
}

#[test]
fn a_request_says_how_often_it_is_retried_in_its_body_or_in_a_header() {
    for (case, in_body, header, calls) in [
        ("the config's", None, None, 1),
        ("none", Some(0), None, 1),
        ("body", Some(1), None, 2),
        ("header", None, Some("1"), 2),
        ("the header wins", Some(5), Some("1"), 2),
    ] {
        let upstream = Upstream::always(Reply::error(500, "server_error", "oops"));
        let (_home, mut gateway) = start(&ConfigText::one("m", &upstream));
        gateway.allow_errors();
        let mut body = chat_request_body("m");
        if let Some(retries) = in_body {
            body["num_retries"] = json!(retries);
        }
        let mut request = Request::post("/v1/chat/completions", &body);
        if let Some(retries) = header {
            request = request.header("x-litellm-num-retries", retries);
        }

        gateway.send(&request).assert_status(500);

        assert_eq!(upstream.request_count(), calls, "{case}");
        for sent in upstream.requests() {
            assert!(sent.json().get("num_retries").is_none(), "{case}");
            assert_eq!(sent.header("x-litellm-num-retries"), None, "{case}");
        }
    }
}

#[test]
fn headers_that_make_no_sense_are_refused_by_name() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    for (name, value) in [
        ("x-litellm-timeout", "soon"),
        ("x-litellm-timeout", "-1"),
        ("x-litellm-timeout", "0"),
        ("x-litellm-timeout", "inf"),
        ("x-litellm-stream-timeout", "NaN"),
        ("x-litellm-num-retries", "many"),
        ("x-litellm-num-retries", "-1"),
    ] {
        let error = gateway
            .send(&chat_request("m").header(name, value))
            .assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], name, "{value}: {error}");
    }

    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn settings_of_the_request_that_make_no_sense_are_refused_by_name() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    for (name, value) in [
        ("num_retries", json!("many")),
        ("num_retries", json!(-1)),
        ("timeout", json!("soon")),
        ("timeout", json!(-1)),
        ("stream_timeout", json!({})),
        ("fallbacks", json!("other")),
        ("fallbacks", json!([7])),
        ("disable_fallbacks", json!("yes")),
        ("drop_params", json!(1)),
    ] {
        let mut body = chat_request_body("m");
        body[name] = value.clone();
        let answer = gateway.post("/v1/chat/completions", &body);
        assert_eq!(answer.status, 400, "{name}={value}: {}", answer.text());
        let error = answer.error();
        assert!(
            error["param"]
                .as_str()
                .is_some_and(|param| param.starts_with(name)),
            "{name}={value}: {error}"
        );
    }

    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn an_output_limit_goes_by_the_name_that_the_model_takes() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&reasoning(&upstream));

    gateway.chat("m").assert_status(200);

    let sent = upstream.only_request().json();
    assert_eq!(sent["max_completion_tokens"], 16);
    assert!(sent.get("max_tokens").is_none(), "{sent}");
}

#[test]
fn members_that_the_operator_drops_are_named_in_the_answer_for_every_endpoint() {
    let upstream = Upstream::answering(|request| {
        if request.path == "/v1/embeddings" {
            Reply::embeddings(&[[1.0, 2.0, 3.0]])
        } else {
            Reply::completion("text")
        }
    });
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).param("additional_drop_params: [user]"))
        .one_attempt();
    let home = Home::with(&config);
    let gateway = home.start();
    for (path, body) in [
        (
            "/v1/embeddings",
            json!({"model": "m", "input": "a", "user": "ann"}),
        ),
        (
            "/v1/completions",
            json!({"model": "m", "prompt": "a", "user": "ann"}),
        ),
    ] {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(
            answer.header("x-trunkline-dropped-params"),
            Some("user"),
            "{path}"
        );
    }

    for request in upstream.requests() {
        assert!(request.json().get("user").is_none(), "{}", request.text());
    }
}
