//! SIGTERM: nothing new is taken, what runs is finished, the books are closed, exit code 0.

use crate::spend::rows;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, start, stream_request};
use crate::support::http::{BodyEnd, Request, text_of};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// The stop has begun (a health probe says so or finds nobody), and a new request is refused.
///
/// The probe comes first: a request that arrives just before the stop is taken, and would wait for the closed gate.
fn takes_nothing_new(gateway: &Gateway) -> bool {
    let refused = |request: &Request| match gateway.try_open(request) {
        Ok(answer) => answer.status == 503,
        Err(_) => true,
    };
    refused(&Request::get("/health/readiness")) && refused(&chat_request("m").bearer(MASTER_KEY))
}

fn scene(reply: Reply) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(reply);
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    (upstream, home, gateway.with_master_key())
}

#[test]
fn an_idle_gateway_stops_at_once_with_exit_code_0() {
    let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
    gateway.chat("m").assert_status(200);

    gateway.stop();
}

#[test]
fn a_stop_right_after_the_start_is_a_clean_stop() {
    for _ in 0..5 {
        let (_upstream, _home, gateway) = scene(Reply::chat("hi"));
        gateway.stop();
    }
}

#[test]
fn a_running_stream_is_finished_and_nothing_new_is_taken() {
    let gate = Gate::closed();
    let (_upstream, home, mut gateway) =
        scene(Reply::stream(&["before", "after"]).gate_before_part(2, &gate));
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text(), "before");

    gateway.terminate();
    eventually("nothing new is taken", &true, || {
        takes_nothing_new(&gateway)
    });
    gate.open();
    let (events, end) = live.remaining_events();

    assert_eq!(end, BodyEnd::Clean);
    let text: String = events.iter().map(|event| text_of(event)).collect();
    assert_eq!(text, "after");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);
    assert_books(&home, 0.000_025);
}

#[test]
fn a_running_request_is_finished() {
    let gate = Gate::closed();
    let (upstream, home, mut gateway) = scene(Reply::chat("hi").after(&gate));
    let pending = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(1);

    gateway.terminate();
    eventually("nothing new is taken", &true, || {
        takes_nothing_new(&gateway)
    });
    gate.open();

    pending.answer().assert_status(200);
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);
    assert_books(&home, 0.000_025);
}

/// What was spent is in the store right after the stop: the next start finds it without a wait.
#[track_caller]
fn assert_books(home: &Home, usd: f64) {
    let gateway = home.start();
    let spend = gateway
        .send(&Request::get("/global/spend").bearer(MASTER_KEY))
        .json();
    let found = spend["spend"].as_f64().expect("an amount");
    assert_eq!(format!("{found:.12}"), format!("{usd:.12}"));
}

#[test]
fn a_stream_that_outlives_the_deadline_is_cut_visibly_and_charged() {
    let never = Gate::closed();
    let upstream =
        Upstream::always(Reply::stream(&["before", "never"]).gate_before_part(2, &never));
    let home = Home::with(&ConfigText::one("m", &upstream).with_master_key())
        .variable("TRUNKLINE_SHUTDOWN_TIMEOUT_SECS", "1");
    let mut gateway = home.start().with_master_key();
    let mut live = gateway.open(&stream_request("m"));
    assert_eq!(live.next_text(), "before");

    gateway.terminate();
    let (events, end) = live.remaining_events();

    assert!(
        end == BodyEnd::Cut
            || events
                .last()
                .is_some_and(|event| event.contains("\"error\"")),
        "{events:?} {end:?}"
    );
    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);
    let gateway = home.start();
    let spend = gateway
        .send(&Request::get("/global/spend").bearer(MASTER_KEY))
        .json();
    assert!(
        spend["spend"].as_f64().is_some_and(|usd| usd > 0.0),
        "{spend}"
    );
    assert_eq!(rows(&home), (1, 0));
}
