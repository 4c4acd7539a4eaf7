//! The end of an answer is handed over only after its record is on the journal. No process is needed for that: the
//! dispatcher runs on a journal that tells what it holds, and fails when told to.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_rt::{Arbiter, System};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::yield_now;
use tokio::time::Instant;
use trunkline::auth::Identity;
use trunkline::auth::{BudgetRules, LabelTable, PayerReader};
use trunkline::config::{CliOverrides, ConfigSource, CountedTokens, MapEnv, load};
use trunkline::dispatch::{
    DispatchError, Dispatcher, Draining, Inbound, Recording, Reply, Shared, TargetParts, Targets,
    routing_config, tls_config,
};
use trunkline::http::model_call;
use trunkline::storage::open_sqlite;
use trunkline::telemetry::metrics::Metrics;
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::NoReplicas;
use trunkline_actors::ports::{
    BoxFuture, BudgetKey, Carry, JournalBatch, JournalError, JournalPosition, JournalReader,
    JournalWriter, SpendRecord, SpendStatus, SpendStore, StartedRecord, StoreError,
};
use trunkline_actors::rate_limiter::{self, LimiterSettings, Limits};
use trunkline_actors::spend_ledger::{self, LedgerSettings};
use trunkline_actors::supervisor::{self, SupervisorSettings};
use trunkline_wire::request::{Endpoint, RequestPeek};

use crate::spend::whole_or_streamed;
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::chat_request_body;
use crate::support::reply;
use crate::support::upstream::Upstream;

#[derive(Default)]
struct Journal {
    started: AtomicUsize,
    settled: Mutex<Vec<SpendStatus>>,
    refuses_starts: AtomicBool,
    refuses_settlements: AtomicBool,
    /// What was appended has to be waited for.
    syncs: AtomicBool,
    /// Waits that are over.
    synced: Arc<AtomicUsize>,
    /// This wait, counted from 1, ends with an error.
    failing_sync: AtomicUsize,
}

/// Ships nothing and has nothing to ship.
struct Nothing;

impl Journal {
    fn settled(&self) -> Vec<SpendStatus> {
        self.settled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl JournalWriter for Journal {
    fn started(&self, _record: &StartedRecord) -> Result<(), JournalError> {
        if self.refuses_starts.load(Ordering::Relaxed) {
            return Err(JournalError::NoRoom);
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn settled(&self, record: &SpendRecord) -> Result<(), JournalError> {
        if self.refuses_settlements.load(Ordering::Relaxed) {
            return Err(JournalError::Closed);
        }
        self.settled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record.status);
        Ok(())
    }

    fn synced(&self) -> Option<BoxFuture<'static, Result<(), JournalError>>> {
        if !self.syncs.load(Ordering::Relaxed) {
            return None;
        }
        let synced = Arc::clone(&self.synced);
        let failing = self.failing_sync.load(Ordering::Relaxed);
        Some(Box::pin(async move {
            // Whoever does not wait is through before the count goes up.
            yield_now().await;
            if synced.fetch_add(1, Ordering::Relaxed) + 1 == failing {
                return Err(JournalError::Closed);
            }
            Ok(())
        }))
    }
}

impl JournalReader for Nothing {
    fn next_batch(&self, _max: usize) -> Result<JournalBatch, JournalError> {
        Ok(JournalBatch {
            up_to: JournalPosition(0),
            records: Vec::new(),
        })
    }

    fn release(&self, _up_to: JournalPosition) -> Result<(), JournalError> {
        Ok(())
    }
}

impl SpendStore for Nothing {
    fn insert(&self, _rows: Vec<SpendRecord>) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async { Ok(0) })
    }

    fn charged(&self, _key: BudgetKey) -> BoxFuture<'_, Result<Usd, StoreError>> {
        Box::pin(async { Ok(Usd::ZERO) })
    }

    fn carry_over(&self, _key: BudgetKey, _carry: Carry) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn begin_with(&self, _key: BudgetKey, _spent: Usd) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

async fn dispatcher(upstream: &Upstream, journal: &Arc<Journal>) -> Rc<Dispatcher> {
    let text = ConfigText::new()
        .deployment(Deployment::of("m", upstream))
        .one_attempt()
        .text();
    let config = load(
        ConfigSource::Text {
            name: "config.yaml",
            text: &text,
        },
        &CliOverrides::default(),
        &MapEnv::new([]),
    )
    .expect("the config is good");
    let actors = Arbiter::current();
    let clock = Clock::start();
    let supervisor = supervisor::start(
        &actors,
        SupervisorSettings::default(),
        Arc::new(NoReplicas),
        clock,
    );
    let prices = Arc::clone(&config.price_book);
    let metrics = Metrics::new("test");
    let ledger = spend_ledger::start(
        &actors,
        LedgerSettings::default(),
        Arc::new(Nothing),
        Arc::new(Nothing),
        clock,
    );
    let parts = TargetParts {
        router: &config.router,
        prices: &prices,
        metrics: &metrics,
        ledger: &ledger,
    };
    let targets = Targets::after(&Targets::default(), &config.deployments, parts).await;
    let (targets, refused) = targets.expect("no cap needs the books");
    assert!(refused.is_empty(), "{refused:?}");
    supervisor
        .apply(routing_config(&config.router, &Arc::new(targets)))
        .await
        .expect("the supervisor runs");
    // Nobody is named whose budget it would be asked for.
    let dir = TempDir::new().expect("a directory");
    let store = open_sqlite(&dir.path().join("trunkline.db")).await;
    let payers = PayerReader::new(
        store.expect("a database"),
        ledger.clone(),
        BudgetRules::of(&config.budgets),
        None,
    );
    let labels = LabelTable::new(
        payers,
        Limits::default(),
        config.general.user_api_key_cache_ttl,
        clock,
    )
    .await;
    let shared = Shared {
        labels: labels.expect("no budget needs the books"),
        routing: supervisor.routing().clone(),
        limiter: rate_limiter::start(&actors, LimiterSettings::default(), clock),
        ledger,
        prices: prices.into(),
        metrics,
        clock,
        timeouts: config.server.timeouts,
        router: config.router.clone(),
        litellm: config.litellm.clone(),
        queue: None,
        sharing: None,
        counted_tokens: CountedTokens::Total,
        always_include_stream_usage: false,
        allow_mock_testing: false,
        client_gone: config.server.client_gone,
        receipts: config.server.receipts,
        draining: Draining::default(),
        recording: Recording::new(config.server.journal.when_full),
        transcripts: None,
        late_error: model_call::late_error,
    };
    let writer: Arc<dyn JournalWriter> = Arc::<Journal>::clone(journal);
    Rc::new(Dispatcher::new(Arc::new(shared), &tls_config(), writer))
}

async fn ask(
    upstream: &Upstream,
    journal: &Arc<Journal>,
    stream: bool,
) -> Result<Reply, DispatchError> {
    let mut body = chat_request_body("m");
    body["stream"] = json!(stream);
    let body = Bytes::from(body.to_string());
    let peek = RequestPeek::parse(Endpoint::ChatCompletions, &body).expect("the request is good");
    let inbound = Inbound {
        endpoint: Endpoint::ChatCompletions,
        body,
        peek,
        model: "m".to_owned(),
        upstream_model: None,
        end_user: None,
        client_ip: None,
        header_tags: Vec::new(),
        anthropic_version: None,
        anthropic_betas: Vec::new(),
        arrived: Instant::now(),
        arrived_at: UnixMs::now(),
    };
    dispatcher(upstream, journal)
        .await
        .run(&Identity::Open, inbound)
        .await
}

/// Reads a stream; what the journal held when each piece was handed over.
async fn read(reply: Reply, journal: &Journal) -> Vec<(String, Vec<SpendStatus>)> {
    let Reply::Stream { mut events, .. } = reply else {
        panic!("a stream was asked for");
    };
    let mut pieces = Vec::new();
    while let Some(Ok(piece)) = events.next().await {
        let text = String::from_utf8_lossy(&piece).into_owned();
        pieces.push((text, journal.settled()));
    }
    pieces
}

#[test]
fn a_terminal_event_is_handed_over_when_its_record_is_written_and_not_before() {
    let upstream = Upstream::always(reply::Reply::stream(&["a", "b"]));
    let journal = Arc::new(Journal::default());

    let pieces = System::new().block_on(async {
        let reply = ask(&upstream, &journal, true).await.expect("an answer");
        read(reply, &journal).await
    });

    let (last, held) = pieces.last().expect("pieces");
    assert!(last.contains("[DONE]"), "{pieces:?}");
    assert_eq!(held, &[SpendStatus::Success], "{pieces:?}");
    assert_eq!(journal.settled().len(), 1);
}

#[test]
fn a_terminal_event_whose_record_cannot_be_written_is_withheld() {
    let upstream = Upstream::always(reply::Reply::stream(&["a", "b"]));
    let journal = Arc::new(Journal::default());
    journal.refuses_settlements.store(true, Ordering::Relaxed);

    let pieces = System::new().block_on(async {
        let reply = ask(&upstream, &journal, true).await.expect("an answer");
        read(reply, &journal).await
    });

    let text: String = pieces.into_iter().map(|(text, _)| text).collect();
    assert!(!text.contains("[DONE]"), "{text}");
    assert!(
        text.contains("\"error\"") && text.contains("\"503\""),
        "{text}"
    );
}

#[test]
fn a_whole_answer_is_handed_over_only_with_its_record() {
    let upstream = Upstream::always(reply::Reply::chat("hi"));
    let journal = Arc::new(Journal::default());
    System::new().block_on(async {
        let reply = ask(&upstream, &journal, false).await.expect("an answer");
        assert!(matches!(reply, Reply::Whole { .. }));
        assert_eq!(journal.settled(), [SpendStatus::Success]);

        journal.refuses_settlements.store(true, Ordering::Relaxed);
        let withheld = ask(&upstream, &journal, false).await;

        assert!(matches!(withheld, Err(DispatchError::JournalFull)));
    });
}

#[test]
fn a_request_that_the_journal_has_no_room_for_reaches_no_provider() {
    let upstream = Upstream::always(reply::Reply::chat("hi"));
    let journal = Arc::new(Journal::default());
    journal.refuses_starts.store(true, Ordering::Relaxed);
    System::new().block_on(async {
        for stream in [false, true] {
            let refused = ask(&upstream, &journal, stream).await;

            assert!(matches!(refused, Err(DispatchError::JournalFull)));
        }
    });

    assert_eq!(upstream.request_count(), 0);
    assert_eq!(journal.started.load(Ordering::Relaxed), 0);
    assert!(
        journal.settled().is_empty(),
        "nothing is settled that never began"
    );
}

#[test]
fn where_power_loss_is_provided_for_provider_and_client_wait_for_the_disk() {
    let journal = Arc::new(Journal::default());
    journal.syncs.store(true, Ordering::Relaxed);
    let synced = Arc::clone(&journal.synced);
    let seen = Arc::clone(&synced);
    let upstream = Upstream::answering(move |request| {
        assert_eq!(seen.load(Ordering::Relaxed) % 2, 1, "its `started` is safe");
        if request.json()["stream"] == true {
            reply::Reply::stream(&["a", "b"])
        } else {
            reply::Reply::chat("hi")
        }
    });

    System::new().block_on(async {
        let whole = ask(&upstream, &journal, false).await;
        assert!(matches!(whole, Ok(Reply::Whole { .. })));
        assert_eq!(synced.load(Ordering::Relaxed), 2);

        let Ok(Reply::Stream { mut events, .. }) = ask(&upstream, &journal, true).await else {
            panic!("a stream was asked for");
        };
        let mut text = String::new();
        while let Some(Ok(piece)) = events.next().await {
            text.push_str(&String::from_utf8_lossy(&piece));
            let safe = synced.load(Ordering::Relaxed) == 4;
            assert_eq!(text.contains("[DONE]"), safe, "{text}");
        }
        assert!(text.contains("[DONE]"), "{text}");
    });
    assert_eq!(journal.settled(), [SpendStatus::Success; 2]);
}

#[test]
fn what_may_not_outlive_a_power_loss_reaches_neither_provider_nor_client() {
    let upstream = Upstream::answering(whole_or_streamed);
    let unsafe_at = |sync| {
        let journal = Arc::new(Journal::default());
        journal.syncs.store(true, Ordering::Relaxed);
        journal.failing_sync.store(sync, Ordering::Relaxed);
        journal
    };
    System::new().block_on(async {
        for stream in [false, true] {
            let journal = unsafe_at(1);
            let refused = ask(&upstream, &journal, stream).await;
            assert!(matches!(refused, Err(DispatchError::JournalFull)));
            assert_eq!(upstream.request_count(), 0);
            assert_eq!(journal.settled(), [SpendStatus::Failure]);
        }

        let withheld = ask(&upstream, &unsafe_at(2), false).await;
        assert!(matches!(withheld, Err(DispatchError::JournalFull)));

        let journal = unsafe_at(2);
        let stream = ask(&upstream, &journal, true).await.expect("a stream");
        let text: String = read(stream, &journal)
            .await
            .into_iter()
            .map(|(text, _)| text)
            .collect();
        assert!(
            text.contains("streamed") && !text.contains("[DONE]"),
            "{text}"
        );
        assert!(
            text.contains("\"error\"") && text.contains("\"503\""),
            "{text}"
        );
    });
}

#[test]
fn a_request_is_noted_before_it_reaches_the_provider() {
    let journal = Arc::new(Journal::default());
    let seen = Arc::clone(&journal);
    let upstream = Upstream::answering(move |_request| {
        reply::Reply::chat(&seen.started.load(Ordering::Relaxed).to_string())
    });

    System::new().block_on(async {
        let Ok(Reply::Whole { body, .. }) = ask(&upstream, &journal, false).await else {
            panic!("an answer was asked for");
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(text.contains("\"content\":\"1\""), "{text}");
    });
}
