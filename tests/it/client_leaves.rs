//! Clients that leave: the provider is left at once, nothing stays counted, and the books hold what was used.

use std::time::Duration;

use serde_json::{Value, json};

use crate::spend::{COST_PICO, rows, total};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, stream_request};
use crate::support::http::Request;
use crate::support::reply::{
    COMPLETION_TOKENS, Ending, Framing, Gate, PROMPT_TOKENS, Reply, event, finish_event,
    opening_event, text_event, usage_event,
};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// "At once", on a machine that runs other tests beside this one.
const AT_ONCE: Duration = Duration::from_secs(5);

/// As [`scene`], but answers are read on without their client.
fn draining(reply: Reply, bounds: &str) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(reply);
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .trunkline(&format!("client_gone: {{policy: drain{bounds}}}"));
    let home = Home::with(&config).variable("NUM_WORKERS", "1");
    let gateway = home.start().with_master_key();
    (upstream, home, gateway)
}

/// One worker, so that what the gateway reads of two connections is read in the order of arrival.
fn scene(reply: Reply) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(reply);
    let home =
        Home::with(&ConfigText::one("m", &upstream).with_master_key()).variable("NUM_WORKERS", "1");
    let gateway = home.start().with_master_key();
    (upstream, home, gateway)
}

/// Of the only row: status, prompt tokens, completion tokens, whether they are estimated, and the error's code.
#[derive(Debug, PartialEq)]
struct Row {
    status: String,
    prompt_tokens: i64,
    completion_tokens: i64,
    estimated: bool,
    error_code: Option<String>,
}

fn only_row(home: &Home) -> Row {
    let store = home.books();
    store
        .query_row(
            "SELECT status, prompt_tokens, completion_tokens, usage_estimated, error_code FROM spend_logs",
            [],
            |row| {
                Ok(Row {
                    status: row.get(0)?,
                    prompt_tokens: row.get(1)?,
                    completion_tokens: row.get(2)?,
                    estimated: row.get(3)?,
                    error_code: row.get(4)?,
                })
            },
        )
        .expect("there is a row")
}

#[track_caller]
fn wait_for_one_row(gateway: &Gateway, home: &Home) {
    eventually("the rows on the books", &1, || {
        total(gateway);
        rows(home).0
    });
}

/// The gateway has read everything that was sent to it before: it answers on a later connection.
fn let_it_notice(gateway: &Gateway) {
    for _ in 0..5 {
        gateway.get("/health/liveliness").assert_status(200);
    }
}

fn in_flight(gateway: &Gateway) -> (Value, Option<String>) {
    let state = gateway.send(&Request::get("/router/state").bearer(MASTER_KEY));
    let gauge = gateway
        .get("/metrics")
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("trunkline_in_flight_requests "))
        .map(str::to_owned);
    (state.json()["deployments"][0]["in_flight"].clone(), gauge)
}

fn counted(requests: u64) -> (Value, Option<String>) {
    (Value::from(requests), Some(requests.to_string()))
}

/// A whole stream up to its finish reason, then the usage behind the gate, and never an end.
fn finished_but_for_the_usage(gate: &Gate) -> Reply {
    Reply::events([
        opening_event(),
        text_event("all there is"),
        finish_event(),
        usage_event(),
    ])
    .gate_before_part(3, gate)
    .ending(Ending::Hang)
}

#[test]
fn usage_that_comes_after_a_client_left_with_the_finish_reason_is_on_the_books() {
    let gate = Gate::closed();
    let (_upstream, home, gateway) = scene(finished_but_for_the_usage(&gate));
    let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
    while !live
        .next_event()
        .expect("the stream goes on")
        .contains("\"stop\"")
    {}

    live.leave();
    let_it_notice(&gateway);
    gate.open();

    wait_for_one_row(&gateway, &home);
    assert_eq!(
        only_row(&home),
        Row {
            status: "success".to_owned(),
            prompt_tokens: PROMPT_TOKENS.cast_signed(),
            completion_tokens: COMPLETION_TOKENS.cast_signed(),
            estimated: false,
            error_code: None,
        }
    );
    assert_eq!(total(&gateway), COST_PICO);
}

#[test]
fn usage_that_never_comes_after_the_finish_reason_is_estimated() {
    let never = Gate::closed();
    let (upstream, home, gateway) = scene(finished_but_for_the_usage(&never));
    let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
    while !live
        .next_event()
        .expect("the stream goes on")
        .contains("\"stop\"")
    {}

    live.leave();

    assert!(
        upstream.is_left_within(0, AT_ONCE),
        "the wait for the usage has an end"
    );
    wait_for_one_row(&gateway, &home);
    let row = only_row(&home);
    assert!(
        row.estimated && row.prompt_tokens > 0 && row.completion_tokens > 0,
        "{row:?}"
    );
}

#[test]
fn a_client_that_leaves_in_the_middle_pays_for_the_prompt_and_what_it_got() {
    let never = Gate::closed();
    let text = "words ".repeat(400);
    let (upstream, home, gateway) =
        scene(Reply::stream(&[&text, "more"]).gate_before_part(2, &never));
    let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
    assert_eq!(live.next_text(), text);

    live.leave();

    assert!(upstream.is_left_within(0, AT_ONCE));
    wait_for_one_row(&gateway, &home);
    let row = only_row(&home);
    assert_eq!(row.error_code.as_deref(), Some("client_disconnected"));
    assert!(row.estimated && row.prompt_tokens > 0, "{row:?}");
    // 2,400 bytes of text are some 600 tokens; nobody gets them for nothing, and nobody pays for twice as many.
    assert!((300..=1_200).contains(&row.completion_tokens), "{row:?}");
}

#[test]
fn a_client_that_leaves_while_a_whole_answer_comes_closes_the_provider_at_once() {
    let (upstream, home, gateway) = scene(
        Reply::bytes(200, "application/json", "{\"id\":\"half\",")
            .framed(Framing::ClaimedLength(1_000))
            .ending(Ending::Hang),
    );
    let pending = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(1);

    pending.leave();

    assert!(upstream.is_left_within(0, AT_ONCE));
    wait_for_one_row(&gateway, &home);
    assert_eq!(rows(&home), (1, 0));
}

#[test]
fn a_request_is_counted_while_it_runs_and_no_longer_whether_it_ends_or_is_left() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = scene(Reply::stream(&["a", "b"]).gate_before_part(2, &gate));
    assert_eq!(in_flight(&gateway), counted(0));
    let open = || {
        let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
        assert_eq!(live.next_text(), "a");
        live
    };
    let leaving = [open(), open()];
    let staying = open();
    upstream.wait_for_requests(3);
    assert_eq!(in_flight(&gateway), counted(3));

    for live in leaving {
        live.leave();
    }
    eventually("requests in flight", &counted(1), || in_flight(&gateway));
    gate.open();
    let (events, _) = staying.remaining_events();

    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    eventually("requests in flight", &counted(0), || in_flight(&gateway));
}

#[test]
fn a_request_that_fails_or_waits_for_its_first_byte_is_counted_and_given_back() {
    let gate = Gate::closed();
    let (upstream, _home, gateway) = scene(Reply::error(500, "server_error", "oops").after(&gate));
    let pending = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    let leaving = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(2);
    assert_eq!(in_flight(&gateway), counted(2));

    leaving.leave();
    eventually("requests in flight", &counted(1), || in_flight(&gateway));
    gate.open();
    pending.answer().assert_status(500);

    eventually("requests in flight", &counted(0), || in_flight(&gateway));
}

fn served_to_the_end() -> Row {
    Row {
        status: "success".to_owned(),
        prompt_tokens: PROMPT_TOKENS.cast_signed(),
        completion_tokens: COMPLETION_TOKENS.cast_signed(),
        estimated: false,
        error_code: None,
    }
}

#[test]
fn a_drained_stream_is_read_to_its_end_and_charged_what_the_provider_reports() {
    let gate = Gate::closed();
    let (_upstream, home, gateway) =
        draining(Reply::stream(&["a", "b"]).gate_before_part(2, &gate), "");
    let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
    assert_eq!(live.next_text(), "a");

    live.leave();
    let_it_notice(&gateway);
    gate.open();

    wait_for_one_row(&gateway, &home);
    assert_eq!(only_row(&home), served_to_the_end());
    eventually("requests in flight", &counted(0), || in_flight(&gateway));
}

#[test]
fn a_drained_whole_answer_is_charged_what_the_provider_reports() {
    let gate = Gate::closed();
    let (upstream, home, gateway) = draining(Reply::chat("all of it").after(&gate), "");
    let pending = gateway.begin(&chat_request("m").bearer(MASTER_KEY));
    upstream.wait_for_requests(1);

    pending.leave();
    let_it_notice(&gateway);
    gate.open();

    wait_for_one_row(&gateway, &home);
    assert_eq!(only_row(&home), served_to_the_end());
}

#[test]
fn a_drain_ends_at_its_bounds_and_charges_what_was_delivered() {
    let never = Gate::closed();
    for bounds in [", drain_secs: 0.05", ", drain_requests: 0"] {
        let (upstream, home, gateway) = draining(
            Reply::stream(&["a", "b"]).gate_before_part(2, &never),
            bounds,
        );
        let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
        assert_eq!(live.next_text(), "a");

        live.leave();

        assert!(upstream.is_left_within(0, AT_ONCE), "{bounds}");
        wait_for_one_row(&gateway, &home);
        let row = only_row(&home);
        assert_eq!(row.error_code.as_deref(), Some("client_disconnected"));
        assert!(row.estimated, "{row:?}");
    }
}

#[test]
fn a_drain_ends_where_the_stream_breaks() {
    let gate = Gate::closed();
    let error = event(&json!({"error": {"message": "lost", "type": "server_error"}}));
    let (upstream, home, gateway) = draining(
        Reply::events([opening_event(), text_event("a"), error])
            .gate_before_part(2, &gate)
            .ending(Ending::Hang),
        "",
    );
    let mut live = gateway.open(&stream_request("m").bearer(MASTER_KEY));
    assert_eq!(live.next_text(), "a");

    live.leave();
    let_it_notice(&gateway);
    gate.open();

    // Not after the minute that a drain may take.
    assert!(upstream.is_left_within(0, AT_ONCE));
    wait_for_one_row(&gateway, &home);
    let row = only_row(&home);
    assert!(row.estimated, "{row:?}");
}
