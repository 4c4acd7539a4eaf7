//! Streams that break after content and are carried on by another deployment, where one says that it can.

use serde_json::{Value, json};

use crate::spend::{rows, total};
use crate::support::claude;
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Gateway, Home, PROMPT_MARK, chat_request_body, start};
use crate::support::http::{Answer, text_of};
use crate::support::reply::{Ending, Reply, event, opening_event, text_event};
use crate::support::upstream::Upstream;

/// Says "One, two," and breaks.
fn breaks() -> Upstream {
    Upstream::always(
        Reply::events([opening_event(), text_event("One, "), text_event("two,")])
            .ending(Ending::Cut),
    )
}

fn scene(first: &Upstream, second: Deployment) -> (Home, Gateway) {
    let (home, gateway) = start(
        &ConfigText::new()
            .deployment(Deployment::of("m", first))
            .deployment(second)
            .router("num_retries: 0")
            .router("disable_cooldowns: true")
            .router("fallbacks: [{m: [spare]}]")
            .with_master_key(),
    );
    (home, gateway.with_master_key())
}

fn spare(upstream: &Upstream) -> Deployment {
    Deployment::of("spare", upstream)
        .id("the-spare")
        .param("stream_resume: prefill")
}

fn stream(gateway: &Gateway) -> Answer {
    let mut body = chat_request_body("m");
    body["stream"] = json!(true);
    gateway.post("/v1/chat/completions", &body)
}

fn joined(answer: &Answer) -> String {
    answer.events().iter().map(|event| text_of(event)).collect()
}

#[track_caller]
fn assert_ends_in_error(answer: &Answer) {
    let events = answer.events();
    let last: Value = serde_json::from_str(events.last().expect("events")).expect("JSON");
    assert!(last["error"].is_object(), "{last}");
    assert!(!answer.text().contains("[DONE]"));
}

#[test]
fn a_broken_stream_is_carried_on_from_what_was_said_and_marked() {
    let second = Upstream::always(Reply::stream(&[" three."]));
    let first = breaks();
    let (home, gateway) = scene(&first, spare(&second));

    let answer = stream(&gateway);

    answer.assert_status(200);
    assert_eq!(joined(&answer), "One, two, three.");
    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(
        answer
            .text()
            .contains("\n: the answer broke off here and is carried on by the-spare\n"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.text().matches("\"role\":\"assistant\"").count(), 1);
    let asked = second.only_request().json();
    assert_eq!(
        asked["messages"],
        json!([
            {"role": "user", "content": format!("Say something. {PROMPT_MARK}")},
            {"role": "assistant", "content": "One, two,"},
        ])
    );
    // 9 bytes of text are 3 tokens; 16 were asked for.
    assert_eq!(asked["max_tokens"], 13);
    // The second part as reported (11 and 7 tokens), the 3 tokens of the first part by estimate.
    assert_eq!(total(&gateway), 11_000_000 + (7 + 3) * 2_000_000);
    assert_eq!(rows(&home), (1, 1));
}

#[test]
fn a_provider_of_another_dialect_carries_on_too() {
    let second = claude::says(" three.");
    let first = breaks();
    let (_home, gateway) = scene(
        &first,
        claude::deployment("spare", &second).param("stream_resume: prefill"),
    );

    let answer = stream(&gateway);

    assert_eq!(joined(&answer), "One, two, three.");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    let asked = second.only_request().json();
    assert_eq!(asked["messages"][1]["role"], "assistant");
}

#[test]
fn without_a_deployment_that_can_the_stream_ends_in_an_error_as_before() {
    let second = Upstream::always(Reply::stream(&[" three."]));
    let first = breaks();
    let (home, gateway) = scene(&first, Deployment::of("spare", &second));

    let answer = stream(&gateway);

    assert_eq!(joined(&answer), "One, two,");
    assert_ends_in_error(&answer);
    assert_eq!(second.request_count(), 0);
    assert_eq!(
        {
            total(&gateway);
            rows(&home)
        },
        (1, 0)
    );
}

#[test]
fn an_attempt_to_carry_on_that_fails_ends_in_the_first_error_and_charges_what_was_delivered() {
    let second = Upstream::always(Reply::error(500, "server_error", "out of order"));
    let first = breaks();
    let (home, gateway) = scene(&first, spare(&second));

    let answer = stream(&gateway);

    assert_eq!(joined(&answer), "One, two,");
    assert_ends_in_error(&answer);
    assert!(!answer.text().contains("out of order"));
    assert_eq!(second.request_count(), 1);
    let spent = total(&gateway);
    assert!(spent > 0, "{spent}");
    assert_eq!(rows(&home), (1, 0));
}

#[test]
fn a_stream_of_tool_calls_is_not_carried_on() {
    let second = Upstream::always(Reply::stream(&[" three."]));
    let call = json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}, "finish_reason": null}]});
    let first =
        Upstream::always(Reply::events([opening_event(), event(&call)]).ending(Ending::Cut));
    let (_home, gateway) = scene(&first, spare(&second));

    assert_ends_in_error(&stream(&gateway));
    assert_eq!(second.request_count(), 0);
}

#[test]
fn a_stream_is_carried_on_twice_and_then_no_more() {
    let second = breaks();
    let first = breaks();
    let (_home, gateway) = start(
        &ConfigText::new()
            .deployment(Deployment::of("m", &first).param("stream_resume: prefill"))
            .deployment(Deployment::of("m", &second).param("stream_resume: prefill"))
            .router("num_retries: 9")
            .router("disable_cooldowns: true"),
    );

    let answer = stream(&gateway);

    assert_eq!(joined(&answer), "One, two,One, two,One, two,");
    assert_ends_in_error(&answer);
    assert_eq!(first.request_count() + second.request_count(), 3);
}
