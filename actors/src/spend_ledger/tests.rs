use std::future::Future;
use std::ops::Range;

use actix::{Arbiter, System};
use tokio::task::yield_now;
use tokio::time::{Instant, advance, pause, sleep};

use super::*;
use crate::clock::UnixMs;
use crate::ids::{Subject, SubjectKind};
use crate::money::Usd;
use crate::ports::{BudgetKey, BudgetName, JournalWriter};
use crate::test_util::{RecordingJournal, RecordingStore, settle_down, spend_record};

pub(super) struct Books {
    pub(super) journal: Arc<RecordingJournal>,
    pub(super) store: Arc<RecordingStore>,
    pub(super) ledger: LedgerHandle,
}

/// Runs a test on a paused clock, with a ledger of ten-row batches on its own thread.
pub(super) fn with_books<F: Future<Output = ()>>(
    prepare: impl Fn(&RecordingJournal, &RecordingStore),
    test: impl FnOnce(Books) -> F,
) {
    System::new().block_on(async {
        pause();
        let journal = Arc::new(RecordingJournal::default());
        let store = Arc::new(RecordingStore::default());
        prepare(&journal, &store);
        let settings = LedgerSettings {
            batch_rows: 10,
            ..LedgerSettings::default()
        };
        let reader: Arc<dyn JournalReader> = Arc::clone(&journal) as _;
        let spend: Arc<dyn SpendStore> = Arc::clone(&store) as _;
        let ledger = start(&Arbiter::current(), settings, reader, spend, Clock::start());
        test(Books {
            journal,
            store,
            ledger,
        })
        .await;
    });
}

fn settle(journal: &RecordingJournal, numbers: Range<u64>) {
    for number in numbers {
        journal.settled(&spend_record(number)).unwrap();
    }
}

fn ids(store: &RecordingStore) -> Vec<u64> {
    store.rows().iter().map(|row| row.id.unix_ms()).collect()
}

#[test]
fn a_flush_is_answered_when_everything_before_it_is_in_the_store() {
    with_books(
        |_, _| {},
        |books| async move {
            settle(&books.journal, 0..25);
            books.ledger.flush().await.unwrap();
            assert_eq!(ids(&books.store), (0..25).collect::<Vec<_>>());
            assert_eq!(books.journal.unreleased(), 0);
            let status = books.ledger.status();
            assert_eq!((status.rows_shipped, status.rows_new), (25, 25));
        },
    );
}

#[test]
fn a_lone_record_is_shipped_by_the_deadline() {
    with_books(
        |_, _| {},
        |books| async move {
            books.ledger.flush().await.unwrap();
            settle(&books.journal, 0..1);
            // The paused clock moves on by itself, but never while a read is on its blocking thread.
            sleep(Duration::from_millis(1_100)).await;
            assert_eq!(ids(&books.store), [0]);
        },
    );
}

#[test]
fn what_an_earlier_process_left_is_shipped_at_the_start() {
    with_books(
        |journal, _| settle(journal, 0..3),
        |books| async move {
            books.ledger.flush().await.unwrap();
            assert_eq!(ids(&books.store), [0, 1, 2]);
        },
    );
}

#[test]
fn a_store_that_fails_k_times_costs_time_and_loses_and_doubles_nothing() {
    for (before, after, journal_failures) in [(1, 0, 0), (7, 0, 0), (0, 3, 0), (2, 2, 3)] {
        with_books(
            |journal, store| {
                settle(journal, 0..35);
                store.fail(before);
                store.fail_after_commit(after);
                journal.fail(journal_failures);
            },
            |books| async move {
                books.ledger.flush().await.unwrap();
                assert_eq!(ids(&books.store), (0..35).collect::<Vec<_>>());
                assert_eq!(books.journal.unreleased(), 0);
                let status = books.ledger.status();
                assert_eq!(status.consecutive_failures, 0);
                assert_eq!(status.last_error, None);
            },
        );
    }
}

#[test]
fn a_failing_store_is_visible_in_the_status() {
    with_books(
        |journal, store| {
            settle(journal, 5..6);
            store.fail(u32::MAX);
        },
        |books| async move {
            let drain = Drain {
                within: Duration::from_secs(3),
            };
            assert_eq!(books.ledger.drain(drain).await, Err(FlushFailed::TimedOut));
            let status = books.ledger.status();
            assert!(status.consecutive_failures > 1);
            assert!(status.last_error.as_ref().unwrap().contains("told to fail"));
            assert_eq!(status.lag(UnixMs(1005)), Duration::from_secs(1));
            assert_eq!(books.journal.unreleased(), 1, "it stays in the journal");
        },
    );
}

#[test]
fn draining_ships_everything_and_stops_the_ledger() {
    with_books(
        |_, _| {},
        |books| async move {
            settle(&books.journal, 0..12);
            let drain = Drain {
                within: Duration::from_secs(3),
            };
            books.ledger.drain(drain).await.unwrap();
            assert_eq!(books.store.rows().len(), 12);
            settle_down().await;
            assert!(!books.ledger.is_live());
            assert_eq!(books.ledger.flush().await, Err(FlushFailed::Gone));
        },
    );
}

#[test]
fn a_balance_is_seeded_from_the_store_with_what_the_journal_still_held() {
    with_books(
        |_, _| {},
        |books| async move {
            let key = BudgetKey {
                subject: Subject::new(SubjectKind::Key, "k"),
                budget: BudgetName::default(),
                generation: 0,
                window_start: UnixMs(0),
            };
            let mut record = spend_record(1);
            record.cost = Some(Usd::from_pico(7));
            record.budgets.push(key.clone());
            books.journal.settled(&record).unwrap();
            let limit = Usd::from_pico(10);
            let balance = books
                .ledger
                .load_balance(key.clone(), limit, None)
                .await
                .unwrap();
            assert_eq!(balance.snapshot().spent, Usd::from_pico(7));
            let same = books.ledger.open_balance(key, limit, Usd::ZERO);
            assert!(Arc::ptr_eq(&balance, &same));
        },
    );
}

#[test]
fn a_settled_batch_wakes_the_ledger_before_its_tick() {
    with_books(
        |_, _| {},
        |books| async move {
            books.ledger.flush().await.unwrap();
            let began = Instant::now();
            settle(&books.journal, 0..10);
            for _ in 0..10 {
                books.ledger.note_settled();
            }
            while books.store.rows().is_empty() {
                yield_now().await;
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        },
    );
}

#[test]
fn an_idle_balance_is_forgotten_only_when_the_store_has_its_charges() {
    with_books(
        |_, _| {},
        |books| async move {
            let key = BudgetKey {
                subject: Subject::new(SubjectKind::Key, "k"),
                budget: BudgetName::default(),
                generation: 0,
                window_start: UnixMs(0),
            };
            let limit = Usd::from_pico(10);
            settle(&books.journal, 0..1);
            books.store.fail(u32::MAX);
            drop(books.ledger.open_balance(key.clone(), limit, Usd::ZERO));
            settle_down().await;
            advance(Duration::from_mins(20)).await;
            settle_down().await;
            assert!(books.ledger.balance(&key).is_some(), "not shipped yet");
            books.store.fail(0);
            books.ledger.flush().await.unwrap();
            advance(Duration::from_secs(2)).await;
            settle_down().await;
            assert!(books.ledger.balance(&key).is_none());
        },
    );
}

#[test]
fn a_full_ledger_mailbox_slows_callers_and_loses_nothing() {
    with_books(
        |_, _| {},
        |books| async move {
            books.ledger.flush().await.unwrap();
            settle(&books.journal, 0..10);
            // Nothing is handled before the next await: the mailbox fills up.
            let mut sent = 0;
            while books.ledger.addr.try_send(JournalHasMore).is_ok() {
                sent += 1;
                assert!(sent < 1_000, "the mailbox has no bound");
            }
            for _ in 0..10 {
                books.ledger.note_settled();
            }
            books.ledger.flush().await.unwrap();
            assert_eq!(ids(&books.store), (0..10).collect::<Vec<_>>());
        },
    );
}

#[test]
fn a_cap_is_spent_after_the_charge_that_crosses_it_and_again_free_in_the_next_window() {
    with_books(
        |_, _| {},
        |books| async move {
            let minute = Duration::from_mins(1);
            let cap = |id: &str, limit, period| Cap {
                subject: Subject::new(SubjectKind::Provider, id),
                limit: Usd::from_pico(limit),
                period,
            };
            let caps = vec![
                ("a".into(), cap("p", 10, Some(minute))),
                ("b".into(), cap("p", 10, Some(minute))),
                ("b".into(), cap("q", 5, None)),
            ];
            let caps = Caps::load(&books.ledger, caps, UnixMs(61_000)).await;
            let caps = caps.unwrap();
            assert_eq!(caps.spent(UnixMs(61_000)), []);
            let named = caps.charge(&"a".into(), Usd::from_pico(12), UnixMs(61_000));
            assert_eq!(named.len(), 1);
            assert_eq!(named[0].window_start, UnixMs(60_000));
            let ids = |now| {
                let spent = caps.spent(UnixMs(now)).into_iter();
                let mut ids: Vec<_> = spent.map(|cap| cap.deployment.to_string()).collect();
                ids.sort_unstable();
                ids
            };
            assert_eq!(ids(119_999), ["a", "b"], "both are at one provider");
            assert_eq!(ids(120_000), [""; 0], "a new window");
            assert_eq!(
                caps.charge(&"b".into(), Usd::from_pico(5), UnixMs(120_000))
                    .len(),
                2
            );
            assert_eq!(ids(120_000), ["b"]);
            assert_eq!(ids(u64::MAX), ["b"], "one without a period never ends");
            assert_eq!(caps.charge(&"c".into(), Usd::from_pico(5), UnixMs(0)), []);
        },
    );
}

#[test]
fn a_cap_begins_with_what_the_books_hold() {
    with_books(
        |journal, _| {
            let mut record = spend_record(1);
            record.budgets.push(BudgetKey {
                subject: Subject::new(SubjectKind::Provider, "p"),
                budget: BudgetName::default(),
                generation: 0,
                window_start: UnixMs(0),
            });
            record.cost = Some(Usd::from_pico(9));
            journal.settled(&record).unwrap();
        },
        |books| async move {
            let cap = Cap {
                subject: Subject::new(SubjectKind::Provider, "p"),
                limit: Usd::from_pico(9),
                period: None,
            };
            let caps = Caps::load(&books.ledger, vec![("a".into(), cap)], UnixMs(5)).await;
            let spent = caps.unwrap().spent(UnixMs(5));
            assert_eq!(spent.len(), 1);
            assert_eq!(spent[0].spent, Usd::from_pico(9));
        },
    );
}
