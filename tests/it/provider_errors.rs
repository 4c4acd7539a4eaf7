//! What a provider answers wrongly becomes a classified error: the right status and type, the provider's own words
//! where it has some, its secrets never.

use serde_json::{Value, json};

use crate::support::config::{ConfigText, Deployment, PROVIDER_KEY};
use crate::support::gateway::{chat_request_body, start};
use crate::support::http::Answer;
use crate::support::reply::{Ending, Framing, Reply, chat_body};
use crate::support::upstream::Upstream;

fn ask_once(reply: Reply) -> Answer {
    let upstream = Upstream::always(reply);
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let answer = gateway.chat("m");
    assert_eq!(upstream.request_count(), 1);
    answer
}

#[track_caller]
fn assert_broken_answer(case: &str, answer: &Answer) {
    assert!(
        (500..600).contains(&answer.status),
        "{case}: {} {}",
        answer.status,
        answer.text()
    );
    let error = answer.error();
    assert_eq!(error["code"], answer.status.to_string(), "{case}: {error}");
}

#[test]
fn the_providers_status_becomes_the_clients_by_the_contracts_table() {
    let upstream = Upstream::scripted([]);
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    for (from_provider, to_client, kind) in [
        (401, 401, "authentication_error"),
        (403, 403, "permission_error"),
        (404, 404, "invalid_request_error"),
        (408, 408, "invalid_request_error"),
        (418, 418, "invalid_request_error"),
        (429, 429, "throttling_error"),
        (500, 500, "internal_server_error"),
        (503, 503, "internal_server_error"),
        (529, 500, "internal_server_error"),
    ] {
        upstream.push(Reply::error(
            from_provider,
            "the_providers_own_type",
            &format!("the provider says {from_provider}"),
        ));

        let answer = gateway.chat("m");

        assert_eq!(
            answer.status,
            to_client,
            "{from_provider}: {}",
            answer.text()
        );
        let error = answer.error();
        assert_eq!(error["type"], kind, "{from_provider}: {error}");
        assert_eq!(
            error["code"],
            to_client.to_string(),
            "{from_provider}: {error}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains(&format!("the provider says {from_provider}"))),
            "{from_provider}: {error}"
        );
    }
    for (from_provider, to_client) in [(402, 402), (422, 422), (502, 502), (504, 504), (507, 507)] {
        upstream.push(Reply::error(from_provider, "its_type", "it says so"));
        let answer = gateway.chat("m");
        assert_eq!(
            answer.status,
            to_client,
            "{from_provider}: {}",
            answer.text()
        );
        assert_eq!(answer.error()["code"], to_client.to_string());
    }
}

#[test]
fn a_bad_request_keeps_the_providers_type_and_parameter() {
    let upstream = Upstream::always(Reply::json(
        400,
        &json!({"error": {"message": "'messages[0].content' is too sweet", "type": "sweetness_error",
            "param": "messages[0].content", "code": "too_sweet"}}),
    ));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let error = gateway.chat("m").assert_error(400, "sweetness_error");

    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("'messages[0].content' is too sweet")),
        "{error}"
    );
}

#[test]
fn a_prompt_that_is_too_long_keeps_the_words_that_clients_look_for() {
    let words = "This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens.";
    let answer = ask_once(Reply::error(400, "invalid_request_error", words));

    let error = answer.assert_error(400, "invalid_request_error");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("maximum context length is 128000 tokens")),
        "{error}"
    );
}

#[test]
fn errors_in_other_shapes_are_classified_by_their_status() {
    for (case, reply, status) in [
        (
            "HTML",
            Reply::bytes(
                503,
                "text/html",
                "<html><h1>Service Unavailable</h1></html>",
            ),
            503,
        ),
        (
            "plain text",
            Reply::bytes(429, "text/plain", "slow down"),
            429,
        ),
        ("no body", Reply::bytes(500, "text/plain", ""), 500),
        (
            "an error that is text",
            Reply::json(401, &json!({"error": "no such key"})),
            401,
        ),
        (
            "FastAPI",
            Reply::json(404, &json!({"detail": "Not Found"})),
            404,
        ),
        (
            "not UTF-8",
            Reply::bytes(500, "text/plain", vec![0xff, 0xfe, 0x00]),
            500,
        ),
        (
            "JSON that is cut",
            Reply::bytes(503, "application/json", "{\"error\": {\"mess"),
            503,
        ),
        (
            "a body that is cut",
            Reply::bytes(503, "application/json", "{\"error\"")
                .framed(Framing::ClaimedLength(500))
                .ending(Ending::Cut),
            503,
        ),
    ] {
        let answer = ask_once(reply);
        assert_eq!(answer.status, status, "{case}: {}", answer.text());
        assert_eq!(answer.error()["code"], status.to_string(), "{case}");
    }
}

#[test]
fn an_answer_that_is_not_what_it_should_be_is_a_gateway_error() {
    let whole = chat_body("hi").to_string();
    let half = whole.split_at(whole.len() / 2).0;
    for (case, reply) in [
        (
            "HTML with status 200",
            Reply::bytes(
                200,
                "text/html",
                "<!doctype html><p>Sign in to the Wi-Fi</p>",
            ),
        ),
        (
            "HTML that calls itself JSON",
            Reply::bytes(200, "application/json", "<!doctype html>"),
        ),
        ("cut JSON", Reply::bytes(200, "application/json", half)),
        (
            "fewer bytes than claimed",
            Reply::bytes(200, "application/json", half)
                .framed(Framing::ClaimedLength(whole.len()))
                .ending(Ending::Cut),
        ),
        (
            "whole JSON, fewer bytes than claimed",
            Reply::bytes(200, "application/json", whole.clone())
                .framed(Framing::ClaimedLength(whole.len() + 10))
                .ending(Ending::Cut),
        ),
        (
            "chunked, never ended",
            Reply::bytes(200, "application/json", half)
                .framed(Framing::Chunked)
                .ending(Ending::Cut),
        ),
        (
            "reset in the middle",
            Reply::bytes(200, "application/json", half)
                .framed(Framing::ClaimedLength(whole.len()))
                .ending(Ending::Reset),
        ),
        ("an empty body", Reply::bytes(200, "application/json", "")),
        ("a list", Reply::json(200, &json!([1, 2]))),
        (
            "an object that is no completion",
            Reply::json(200, &json!({"hello": "world"})),
        ),
        (
            "not UTF-8",
            Reply::bytes(200, "application/json", vec![b'{', 0xff, b'}']),
        ),
        (
            "an event stream that nobody asked for",
            Reply::stream(&["a"]),
        ),
    ] {
        let answer = ask_once(reply);
        assert_broken_answer(case, &answer);
    }
}

#[test]
fn a_compressed_answer_that_nobody_asked_for_is_named_and_not_shown() {
    // To be understood it would have to be unpacked; that it could pass for text by chance is what this is about.
    let packed = |reply: Reply| reply.header("content-encoding", "gzip");
    for (case, reply, status) in [
        ("whole", packed(Reply::chat("looks plain")), 502),
        ("error", packed(Reply::error(429, "t", "looks plain")), 429),
    ] {
        let answer = ask_once(reply);

        let error = answer.error();
        assert_eq!(answer.status, status, "{case}: {error}");
        let message = error["message"].as_str().expect("a message");
        assert!(!message.contains("looks plain"), "{case}: {message}");
        assert!(
            status == 429 || message.contains("gzip"),
            "{case}: {message}"
        );
    }
    let upstream = Upstream::always(packed(Reply::stream(&["looks plain"])));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    let error = answer.assert_error(502, "internal_server_error");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("gzip")),
        "{error}"
    );
}

#[test]
fn a_status_200_with_an_error_inside_is_an_error() {
    for error in [
        json!({"error": {"message": "quota is used up", "type": "server_error", "code": 500}}),
        json!({"error": {"message": "quota is used up", "code": "insufficient"}}),
        json!({"error": "quota is used up"}),
    ] {
        let answer = ask_once(Reply::json(200, &error));

        assert!(answer.status >= 400, "{error}: {}", answer.text());
        assert!(
            answer.error()["message"]
                .as_str()
                .is_some_and(|text| text.contains("quota is used up")),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_stream_that_was_asked_for_and_is_html_is_an_error() {
    let upstream = Upstream::always(Reply::bytes(200, "text/html", "<!doctype html>"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    let answer = gateway.chat_stream("m");

    assert_broken_answer("HTML for a stream", &answer);
}

#[test]
fn a_providers_key_that_it_repeats_is_cut_out() {
    let words = format!("Incorrect API key provided: {PROVIDER_KEY}. Find yours in the settings.");
    for reply in [
        Reply::error(401, "invalid_request_error", &words),
        Reply::json(200, &json!({"error": {"message": words.clone()}})),
        Reply::bytes(500, "text/plain", words.clone()),
    ] {
        let answer = ask_once(reply);

        assert!(answer.status >= 400);
        assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
        assert!(
            answer
                .headers
                .iter()
                .all(|(_, value)| !value.contains(PROVIDER_KEY))
        );
    }
}

#[test]
fn a_provider_that_cannot_be_reached_is_a_server_error() {
    let gone = Upstream::scripted([]);
    let address = gone.base_url();
    drop(gone);
    let config = ConfigText::new()
        .deployment(Deployment::at("m", &address))
        .one_attempt();
    let (_home, gateway) = start(&config);

    let error = gateway.chat("m").assert_error(500, "internal_server_error");

    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.contains(PROVIDER_KEY)),
        "{error}"
    );
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Upstream::always(Reply::chat("you should not be here"));
    for status in [301, 302, 307, 308] {
        let upstream = Upstream::always(Reply::bytes(status, "text/plain", "").header(
            "location",
            &format!("{}/chat/completions", elsewhere.base_url()),
        ));
        let (_home, gateway) = start(&ConfigText::one("m", &upstream));

        let answer = gateway.chat("m");

        assert!(answer.status >= 400, "{status}: {}", answer.text());
        answer.error();
    }
    assert_eq!(elsewhere.request_count(), 0, "the redirect was followed");
}

#[test]
fn a_provider_that_never_answers_is_a_timeout() {
    for stream in [false, true] {
        let upstream = Upstream::always(Reply::never());
        let config = ConfigText::new()
            .deployment(
                Deployment::of("m", &upstream)
                    .param("timeout: 0.3")
                    .param("stream_timeout: 0.3"),
            )
            .one_attempt();
        let (_home, gateway) = start(&config);
        let mut body = chat_request_body("m");
        body["stream"] = json!(stream);

        let answer = gateway.post("/v1/chat/completions", &body);

        answer.assert_error(408, "invalid_request_error");
    }
}

#[test]
fn a_body_that_stops_in_its_middle_is_a_timeout() {
    let upstream = Upstream::always(
        Reply::bytes(200, "application/json", "{\"id\":")
            .framed(Framing::ClaimedLength(1_000))
            .ending(Ending::Hang),
    );
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).param("timeout: 0.3"))
        .one_attempt();
    let (_home, gateway) = start(&config);

    gateway.chat("m").assert_error(408, "invalid_request_error");
}

#[test]
fn a_request_can_ask_for_a_shorter_timeout() {
    let upstream = Upstream::always(Reply::never());
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));
    let mut body = chat_request_body("m");
    body["timeout"] = json!(0.3);

    let answer = gateway.post("/v1/chat/completions", &body);

    answer.assert_error(408, "invalid_request_error");
    assert_eq!(
        upstream.only_request().json().get("timeout"),
        None::<&Value>
    );
}
