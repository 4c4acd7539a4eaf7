//! The five named timers: each runs out for its own reason, by its own setting, as a 408 that names it.

use serde_json::json;

use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Home, chat_request, chat_request_body, start, stream_request};
use crate::support::http::{Answer, Request};
use crate::support::reply::{Ending, Framing, Gate, Reply, opening_event, text_event};
use crate::support::upstream::Upstream;
use crate::support::wait::PATIENCE;

#[track_caller]
fn assert_timed_out(answer: &Answer, timer: &str) {
    let error = answer.assert_error(408, "invalid_request_error");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains(&format!("timer={timer}"))),
        "{error}"
    );
    let seconds: f64 = answer
        .header("x-litellm-timeout")
        .and_then(|seconds| seconds.parse().ok())
        .expect("the seconds that were waited");
    assert!((0.0..5.0).contains(&seconds), "{seconds}");
}

fn with_timer(upstream: &Upstream, timer: &str) -> ConfigText {
    ConfigText::one("m", upstream).trunkline(&format!("timeouts: {{{timer}: 0.3}}"))
}

#[test]
fn a_connection_that_is_never_made_runs_into_connect() {
    // It takes the TCP connection and never answers the TLS handshake.
    let upstream = Upstream::always(Reply::never());
    let address = format!("https://{}/v1", upstream.address());
    let config = ConfigText::new()
        .deployment(Deployment::at("m", &address))
        .one_attempt()
        .trunkline("timeouts: {connect: 0.3}");
    let (_home, gateway) = start(&config);

    assert_timed_out(&gateway.chat("m"), "connect");
}

#[test]
fn a_provider_that_says_nothing_runs_into_first_byte() {
    for request in [chat_request("m"), stream_request("m")] {
        let upstream = Upstream::always(Reply::never());
        let (_home, gateway) = start(&with_timer(&upstream, "first_byte"));

        assert_timed_out(&gateway.send(&request), "first_byte");
        assert!(
            upstream.is_left_within(0, PATIENCE),
            "the provider is left when its time is over"
        );
    }
}

#[test]
fn a_stream_without_content_runs_into_first_content() {
    let upstream = Upstream::always(Reply::events([opening_event()]).ending(Ending::Hang));
    let (_home, gateway) = start(&with_timer(&upstream, "first_content"));

    assert_timed_out(&gateway.chat_stream("m"), "first_content");
}

#[test]
fn a_stream_that_falls_silent_runs_into_idle_and_says_so() {
    let never = Gate::closed();
    let upstream = Upstream::always(
        Reply::events([opening_event(), text_event("so far")])
            .gate_before_part(2, &never)
            .ending(Ending::Hang),
    );
    let (_home, gateway) = start(&with_timer(&upstream, "idle"));

    let (events, _) = gateway.open(&stream_request("m")).remaining_events();

    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    let last = events.last().expect("events");
    assert!(
        last.contains("\"408\"") && last.contains("timer=idle"),
        "{last}"
    );
}

#[test]
fn an_answer_that_never_ends_runs_into_total() {
    let upstream = Upstream::always(
        Reply::bytes(200, "application/json", "{\"id\":")
            .framed(Framing::ClaimedLength(1_000))
            .ending(Ending::Hang),
    );
    let (_home, gateway) = start(&with_timer(&upstream, "total"));

    assert_timed_out(&gateway.chat("m"), "total");
}

#[test]
fn every_timer_can_be_set_by_a_variable() {
    for (variable, timer) in [
        ("TRUNKLINE_TIMEOUT_FIRST_BYTE_SECS", "first_byte"),
        ("TRUNKLINE_TIMEOUT_TOTAL_SECS", "total"),
    ] {
        let upstream = Upstream::always(Reply::never());
        let home = Home::with(&ConfigText::one("m", &upstream)).variable(variable, "0.3");
        let gateway = home.start();

        assert_timed_out(&gateway.chat("m"), timer);
    }
}

#[test]
fn a_request_its_headers_and_the_config_can_shorten_the_wait() {
    let plain = |config: ConfigText| config;
    let by_router = |config: ConfigText| config.router("timeout: 0.3");
    let by_litellm = |config: ConfigText| config.litellm("request_timeout: 0.3");
    let in_body = |name: &str| {
        let mut body = chat_request_body("m");
        body[name] = json!(0.3);
        Request::post("/v1/chat/completions", &body)
    };
    let streamed_in_body = {
        let mut body = chat_request_body("m");
        body["stream"] = json!(true);
        body["stream_timeout"] = json!(0.3);
        Request::post("/v1/chat/completions", &body)
    };
    for (case, configure, request) in [
        (
            "router",
            by_router as fn(ConfigText) -> ConfigText,
            chat_request("m"),
        ),
        ("litellm", by_litellm, chat_request("m")),
        ("timeout", plain, in_body("timeout")),
        ("request_timeout", plain, in_body("request_timeout")),
        ("stream_timeout", plain, streamed_in_body),
        (
            "header",
            plain,
            chat_request("m").header("x-litellm-timeout", "0.3"),
        ),
        (
            "stream header",
            plain,
            stream_request("m").header("x-litellm-stream-timeout", "0.3"),
        ),
    ] {
        let upstream = Upstream::always(Reply::never());
        let (_home, gateway) = start(&configure(ConfigText::one("m", &upstream)));

        let answer = gateway.send(&request);

        println!("{case}");
        answer.assert_error(408, "invalid_request_error");
    }
}
