//! A provider that takes long to say anything: the client gets its status and comments meanwhile, and what happens after
//! that is said inside the stream.

use std::time::Duration;

use serde_json::Value;

use crate::spend::{COST_PICO, rows, total};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, start, stream_request};
use crate::support::http::{BodyEnd, LiveAnswer, text_of};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

const SHORT_WAIT: &str = "timeouts: {header_wait: 0.1}";

fn scene(reply: Reply) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(reply);
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .trunkline(SHORT_WAIT);
    let (home, gateway) = start(&config);
    (upstream, home, gateway)
}

fn ask(gateway: &Gateway) -> LiveAnswer {
    gateway.open(&stream_request("m").bearer(MASTER_KEY))
}

/// The status is out although the provider has said nothing: a comment is all there is.
#[track_caller]
fn assert_waits(live: &mut LiveAnswer) {
    assert_eq!(live.status, 200);
    let comment = live.next_raw_event().expect("the stream goes on");
    assert!(comment.starts_with(':'), "{comment:?}");
}

#[track_caller]
fn assert_text(live: LiveAnswer, text: &str) {
    let (events, end) = live.remaining_events();
    assert_eq!(end, BodyEnd::Clean);
    let joined: String = events.iter().map(|event| text_of(event)).collect();
    assert_eq!(joined, text, "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn a_stream_that_begins_late_has_its_status_and_comments_before() {
    let gate = Gate::closed();
    let (_upstream, home, gateway) = scene(Reply::stream(&["late, but whole"]).after(&gate));

    let mut live = ask(&gateway);

    assert!(
        live.headers
            .iter()
            .any(|(name, value)| name == "x-litellm-call-id" && !value.is_empty())
    );
    assert_waits(&mut live);
    gate.open();
    assert_text(live, "late, but whole");
    assert_eq!(total(&gateway), COST_PICO);
    assert_eq!(rows(&home), (1, 1));
}

#[test]
fn a_role_without_content_does_not_count_as_a_beginning() {
    let gate = Gate::closed();
    let (_upstream, _home, gateway) = scene(Reply::stream(&["content"]).gate_before_part(1, &gate));

    let mut live = ask(&gateway);

    assert_waits(&mut live);
    gate.open();
    assert_text(live, "content");
}

#[test]
fn the_wait_can_be_set_by_a_variable() {
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::stream(&["late"]).after(&gate));
    let home = Home::with(&ConfigText::one("m", &upstream))
        .variable("TRUNKLINE_TIMEOUT_HEADER_WAIT_SECS", "0.1");
    let gateway = home.start();

    let mut live = gateway.open(&stream_request("m"));

    assert_waits(&mut live);
    gate.open();
    assert_text(live, "late");
}

#[test]
fn a_failure_after_the_status_is_an_error_event_and_costs_nothing() {
    let gate = Gate::closed();
    let (_upstream, home, gateway) =
        scene(Reply::error(429, "rate_limit", "slow down, please").after(&gate));

    let mut live = ask(&gateway);
    assert_waits(&mut live);
    gate.open();
    let (events, _) = live.remaining_events();

    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    assert_eq!(last["error"]["code"], "429", "{last}");
    assert_eq!(last["error"]["type"], "throttling_error", "{last}");
    assert!(
        last["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("slow down, please")),
        "{last}"
    );
    assert_eq!(total(&gateway), 0);
    assert_eq!(rows(&home), (1, 0));
}

#[test]
fn another_deployment_may_answer_after_the_status() {
    let gate = Gate::closed();
    let broken = Upstream::always(Reply::error(500, "server_error", "oops").after(&gate));
    let sound = Upstream::always(Reply::stream(&["from the other"]));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &broken).param("weight: 1000000"))
        .deployment(Deployment::of("m", &sound).param("weight: 1"))
        .router("num_retries: 2")
        .with_master_key()
        .trunkline(SHORT_WAIT);
    let (_home, gateway) = start(&config);

    let mut live = ask(&gateway);
    assert_waits(&mut live);
    gate.open();

    assert_text(live, "from the other");
    assert_eq!(broken.request_count(), 1);
}

#[test]
fn a_client_that_leaves_during_the_wait_closes_the_provider_at_once() {
    let (upstream, home, gateway) = scene(Reply::never());
    let mut live = ask(&gateway);
    assert_waits(&mut live);

    live.leave();

    assert!(upstream.is_left_within(0, Duration::from_secs(5)));
    eventually("one row, not completed", &(1, 0), || {
        total(&gateway);
        rows(&home)
    });
}
