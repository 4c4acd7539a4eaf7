//! Runs each part that every request pays for a thousand times. `bench/guard.py` runs this under callgrind and compares the
//! instructions of each function here with `bench/guard/budget.json`. Nothing is timed, but with the feature `criterion`
//! (`make bench-parts`).
//!
//! The functions are never inlined and begin with `measured_`: that is how they are found in callgrind's output.

// The modules themselves, compiled here: the package that they belong to takes minutes to build optimised.
#[path = "../../../src/cost/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub)]
mod cost;
#[path = "../../../src/journal/layout.rs"]
#[allow(dead_code)]
mod layout;

use std::hint::black_box;
use std::sync::Arc;

use actix_rt::{Arbiter, System};
use bytes::Bytes;
use serde_json::Map;
use trunkline_actors::admission::{Actual, Ask, admit};
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::deployment::Outcome;
use trunkline_actors::ids::{Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, BudgetName, NoReplicas, SpendRecord, StartedRecord};
use trunkline_actors::rate_limiter::{self, Bucket, LimiterSettings, Limits};
use trunkline_actors::spend_ledger::{self, Balance, LedgerSettings};
use trunkline_actors::supervisor::{
    self, DeploymentSpec, PlanAsk, RoutingConfig, RoutingTable, Step, SupervisorSettings,
};
use trunkline_actors::test_util::{RecordingJournal, RecordingStore, spend_record, started_record};
use trunkline_wire::exchange::{
    AnswerOptions, Decoded, Dialect, EncodeOptions, Encoded, MaxTokensField, decode, encode,
};
use trunkline_wire::relay::Relay;
use trunkline_wire::request::{Endpoint, RequestPeek};
use trunkline_wire::sse::SseDecoder;
use trunkline_wire::usage::Usage;

use cost::{CostBreakdown, Price, PriceBook, ServiceTier, Units};

/// How often each part is run.
#[cfg(not(feature = "criterion"))]
const RUNS: u64 = 1000;

/// Parts by name.
type Parts<'a> = Vec<(&'static str, Box<dyn FnMut() + 'a>)>;

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there, how can I help you today?","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19}}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"tok \"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const ANTHROPIC_START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5-20250929\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const ANTHROPIC_CHUNK: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"tok \"}}\n\n";

fn request(prompt: usize) -> Bytes {
    let text = "Tell me about the weather in Paris. ".repeat(prompt / 36 + 1);
    let text = text.get(..prompt).unwrap_or_default();
    Bytes::from(format!(
        "{{\"model\":\"chat\",\"max_tokens\":64,\"temperature\":0.7,\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
    ))
}

#[inline(never)]
fn measured_peek(body: &Bytes) -> RequestPeek {
    RequestPeek::parse(Endpoint::ChatCompletions, body).expect("a good body")
}

#[inline(never)]
fn measured_peek_16kb(body: &Bytes) -> RequestPeek {
    let body = black_box(body);
    RequestPeek::parse(Endpoint::ChatCompletions, body).expect("a good body")
}

#[inline(never)]
fn measured_splice(body: &Bytes, peek: &RequestPeek, options: &EncodeOptions<'_>) -> Encoded {
    encode(Dialect::OpenAi, body, peek, options).expect("a good body")
}

#[inline(never)]
fn measured_answer(body: Bytes, options: &AnswerOptions) -> Decoded {
    decode(Dialect::OpenAi, body, options).expect("a good answer")
}

#[inline(never)]
fn measured_sse(decoder: &mut SseDecoder, chunk: Bytes) {
    decoder.push(chunk);
    while let Ok(Some(event)) = decoder.next_event() {
        black_box(event);
    }
}

#[inline(never)]
fn measured_relayed_chunk(relay: &mut Relay, chunk: Bytes) {
    drain(relay, chunk);
}

#[inline(never)]
fn measured_translated_chunk(relay: &mut Relay, chunk: Bytes) {
    // Or it would be one function with the one before, being the same.
    drain(black_box(relay), chunk);
}

fn drain(relay: &mut Relay, chunk: Bytes) {
    relay.push(chunk);
    while let Some(frame) = relay.next_frame().expect("a good stream") {
        black_box(frame);
    }
}

#[inline(never)]
fn measured_price(usage: &Usage, price: &Price) -> Option<CostBreakdown> {
    cost::cost(usage, price, &Units::default(), ServiceTier::Standard)
}

#[inline(never)]
fn measured_admit(bucket: &[Arc<Bucket>], balance: &[Arc<Balance>], clock: Clock) {
    let ask = Ask {
        tokens: 100,
        hold: Usd::from_pico(1_000_000),
    };
    let permit = admit(bucket, balance, ask, clock).expect("room");
    permit.in_flight().settle(Actual {
        tokens: 19,
        cost: Some(Usd::from_pico(500_000)),
    });
}

#[inline(never)]
fn measured_select(table: &Arc<RoutingTable>, clock: Clock) {
    let resolved = table.resolve("chat").expect("the group");
    let mut plan = table.plan(resolved, PlanAsk::default());
    let now = clock.now();
    match plan.next(now) {
        // A neutral end: the actor's part is not the request path's.
        Step::Try(attempt) => attempt.report(Outcome::Neutral, now),
        other => panic!("nobody to call: {other:?}"),
    }
}

/// The journal's two records, as their frames hold them.
#[inline(never)]
fn measured_records(started: &StartedRecord, settled: &SpendRecord) -> [Vec<u8>; 2] {
    let mut written = [Vec::new(), Vec::new()];
    let [first, second] = &mut written;
    layout::write_started(started, first).expect("a record");
    layout::write_settled(settled, second).expect("a record");
    written
}

/// A `settled` record read back for the books.
#[inline(never)]
fn measured_read_back(settled: &[u8]) -> SpendRecord {
    layout::read_settled(settled).expect("a record")
}

fn main() {
    let small = request(60);
    let large = request(16 * 1024);
    let peek = RequestPeek::parse(Endpoint::ChatCompletions, &small).expect("a good body");
    let nothing = Map::new();
    let encode_options = EncodeOptions {
        upstream_model: "gpt-4o-mini",
        endpoint: Endpoint::ChatCompletions,
        max_tokens_field: MaxTokensField::Keep,
        max_output_tokens: None,
        drop_params: false,
        additional_drop_params: &[],
        allowed_openai_params: &[],
        defaults: &nothing,
        extra_body: &nothing,
        provider: "openai",
        api_version: None,
    };
    let answer_options = AnswerOptions {
        requested_model: Some("chat".to_owned()),
        ..AnswerOptions::new(Endpoint::ChatCompletions)
    };
    let book = PriceBook::built_in();
    let price = &book
        .lookup("openai", "gpt-4o-mini")
        .expect("a listed model")
        .price;
    let usage = Usage::estimated(10, 9);
    let mut sse = SseDecoder::new();
    let mut relay = Relay::new(Dialect::OpenAi, answer_options.clone());
    let mut translation = Relay::new(Dialect::Anthropic, answer_options.clone());
    drain(
        &mut translation,
        Bytes::from_static(ANTHROPIC_START.as_bytes()),
    );
    let system = System::new();
    let Actors {
        clock,
        bucket,
        balance,
        table,
        started,
        settled,
    } = system.block_on(actors());
    let [_, written] = measured_records(&started, &settled);
    // Chunks are as they come from a socket: owned by nobody else.
    let parts: Parts<'_> = vec![
        ("peek", part(|| measured_peek(black_box(&small)))),
        ("peek_16kb", part(|| measured_peek_16kb(black_box(&large)))),
        (
            "splice",
            part(|| measured_splice(black_box(&small), &peek, &encode_options)),
        ),
        (
            "answer",
            part(|| measured_answer(Bytes::from_static(ANSWER.as_bytes()), &answer_options)),
        ),
        ("price", part(|| measured_price(black_box(&usage), price))),
        (
            "sse",
            part(|| measured_sse(&mut sse, Bytes::copy_from_slice(CHUNK.as_bytes()))),
        ),
        (
            "relayed_chunk",
            part(|| measured_relayed_chunk(&mut relay, Bytes::copy_from_slice(CHUNK.as_bytes()))),
        ),
        (
            "translated_chunk",
            part(|| {
                let chunk = Bytes::copy_from_slice(ANTHROPIC_CHUNK.as_bytes());
                measured_translated_chunk(&mut translation, chunk);
            }),
        ),
        ("admit", part(|| measured_admit(&bucket, &balance, clock))),
        ("select", part(|| measured_select(&table, clock))),
        ("records", part(|| measured_records(&started, &settled))),
        (
            "read_back",
            part(|| measured_read_back(black_box(&written))),
        ),
    ];
    run(parts);
}

fn part<'a, T>(mut once: impl FnMut() -> T + 'a) -> Box<dyn FnMut() + 'a> {
    Box::new(move || drop(black_box(once())))
}

#[cfg(not(feature = "criterion"))]
fn run(parts: Parts<'_>) {
    for (_name, mut once) in parts {
        for _ in 0..RUNS {
            once();
        }
    }
}

#[cfg(feature = "criterion")]
fn run(parts: Parts<'_>) {
    let mut criterion = criterion::Criterion::default().without_plots();
    for (name, mut once) in parts {
        criterion.bench_function(name, |bencher| bencher.iter(&mut once));
    }
    criterion.final_summary();
}

/// What is measured needs of the actors, and two records.
struct Actors {
    clock: Clock,
    bucket: [Arc<Bucket>; 1],
    balance: [Arc<Balance>; 1],
    table: Arc<RoutingTable>,
    started: StartedRecord,
    settled: SpendRecord,
}

async fn actors() -> Actors {
    let arbiter = Arbiter::new();
    let clock = Clock::start();
    let limiter = rate_limiter::start(&arbiter.handle(), LimiterSettings::default(), clock);
    let ledger = spend_ledger::start(
        &arbiter.handle(),
        LedgerSettings::default(),
        Arc::new(RecordingJournal::default()),
        Arc::new(RecordingStore::default()),
        clock,
    );
    let key = Subject::new(
        SubjectKind::Key,
        "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    );
    let window = BudgetKey {
        subject: key.clone(),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(0),
    };
    let limits = Limits {
        rpm: Some(1_000_000),
        tpm: Some(1_000_000_000),
        ..Limits::default()
    };
    let bucket = [limiter.bucket(key, limits)];
    let balance = [ledger.open_balance(window.clone(), Usd::from_pico(i64::MAX), Usd::ZERO)];

    let supervisor = supervisor::start(
        &arbiter.handle(),
        SupervisorSettings::default(),
        Arc::new(NoReplicas),
        clock,
    );
    let deployments =
        (0..3).map(|at| DeploymentSpec::new(format!("deployment-{at}"), "chat", "gpt-4o-mini"));
    let config = RoutingConfig {
        deployments: deployments.collect(),
        ..RoutingConfig::default()
    };
    supervisor.apply(config).await.expect("a live supervisor");
    let table = supervisor.routing().load();

    let settled = SpendRecord {
        price_version: Some("2026-11-22".to_owned()),
        api_base: Some("https://api.openai.com/v1".to_owned()),
        budgets: vec![window.clone()],
        ..spend_record(1)
    };
    let started = StartedRecord {
        estimated_prompt_tokens: 20,
        estimated_input_cost: Some(Usd::from_pico(3_000_000)),
        budgets: vec![window],
        ..started_record(1)
    };
    Actors {
        clock,
        bucket,
        balance,
        table,
        started,
        settled,
    }
}
