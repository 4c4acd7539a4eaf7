//! The job's rounds against a server, and books that do as they are told.

use std::future::pending;
use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use actix_rt::{Arbiter, System};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::deployment::{DeploymentHandle, Grant};
use trunkline_actors::ids::{KeyId, ModelGroup, RequestId, Subject, UserId};
use trunkline_actors::ports::{
    BoxFuture, Carry, JournalBatch, JournalError, JournalPosition, JournalReader, SpendRecord,
    SpendStore, StartedRecord, StoreError,
};
use trunkline_actors::spend_ledger::{self, LedgerSettings};
use trunkline_actors::supervisor::{self, DeploymentSpec, RoutingConfig, SupervisorSettings};

use super::*;
use crate::config::{CountedTokens, RedisPlace, RedisSettings, RedisTls, Secret};
use crate::day_books::DayBooks;
use crate::fleet::SharedCooldowns;
use crate::fleet::tests::window;
use crate::servers::redis::Redis;
use crate::storage::{SlotTokens, SpendQueries, StorageError, UserSpend};

/// A journal, and books that can be read so many times.
#[derive(Default)]
struct Books {
    journal: Mutex<Vec<SpendRecord>>,
    booked: AtomicUsize,
    readings: AtomicU32,
    /// Readings do not end.
    hang: AtomicBool,
}

impl JournalReader for Books {
    fn next_batch(&self, _max: usize) -> Result<JournalBatch, JournalError> {
        Ok(JournalBatch {
            records: self.journal.lock().unwrap().clone(),
            ..JournalBatch::default()
        })
    }

    fn release(&self, _up_to: JournalPosition) -> Result<(), JournalError> {
        self.journal.lock().unwrap().clear();
        Ok(())
    }
}

impl SpendStore for Books {
    fn insert(&self, rows: Vec<SpendRecord>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.booked.fetch_add(rows.len(), Ordering::Relaxed);
        Box::pin(async { Ok(0) })
    }

    fn charged(&self, _key: BudgetKey) -> BoxFuture<'_, Result<Usd, StoreError>> {
        let (order, readings) = (Ordering::Relaxed, &self.readings);
        let read = readings.fetch_update(order, order, |left| left.checked_sub(1));
        let read = read.map(|_left| Usd::from_pico(7));
        let hangs = self.hang.load(order);
        Box::pin(async move {
            if hangs {
                pending::<()>().await;
            }
            read.map_err(|_none_left| StoreError::Closed)
        })
    }

    fn carry_over(&self, _: BudgetKey, _: Carry) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn begin_with(&self, _: BudgetKey, _: Usd) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Nobody took anything.
impl SpendQueries for Books {
    fn user_spend(&self, _: UserId) -> BoxFuture<'_, Result<UserSpend, StorageError>> {
        Box::pin(async { Ok(UserSpend::default()) })
    }

    fn key_spend(&self, _: KeyId) -> BoxFuture<'_, Result<Usd, StorageError>> {
        Box::pin(async { Ok(Usd::ZERO) })
    }

    fn total_spend(&self, _: Option<UnixMs>) -> BoxFuture<'_, Result<Usd, StorageError>> {
        Box::pin(async { Ok(Usd::ZERO) })
    }

    fn tokens_between(
        &self,
        _: Subject,
        _: UnixMs,
        _: UnixMs,
    ) -> BoxFuture<'_, Result<Vec<SlotTokens>, StorageError>> {
        Box::pin(async { Ok(vec![]) })
    }
}

/// A database that works on, whoever waits for it.
#[derive(Default)]
struct Register {
    /// What was done, in order.
    done: Arc<Mutex<Vec<&'static str>>>,
    asked: Mutex<Option<Sender<()>>>,
}

impl Register {
    fn begin(&self, what: &'static str, lasts: Duration) -> impl Future<Output = ()> + use<> {
        let done = Arc::clone(&self.done);
        let doing = spawn(async move {
            sleep(lasts).await;
            done.lock().unwrap().push(what);
        });
        async { doing.await.unwrap() }
    }
}

impl ReplicaStore for Register {
    fn beat(
        &self,
        replica: String,
        _lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<String>, StorageError>> {
        let beating = self.begin("noted", Duration::from_millis(200));
        if let Some(asked) = mem::take(&mut *self.asked.lock().unwrap()) {
            asked.send(()).unwrap();
        }
        Box::pin(async {
            beating.await;
            Ok(vec![replica])
        })
    }

    fn leave(&self, _replica: String) -> BoxFuture<'_, Result<(), StorageError>> {
        let leaving = self.begin("left", Duration::ZERO);
        Box::pin(async {
            leaving.await;
            Ok(())
        })
    }
}

/// A job that was never run, on this thread.
fn job(redis: &Redis, books: &Arc<Books>) -> Job {
    let settings = RedisSettings {
        url: Secret::new(redis.url()),
        place: RedisPlace::Address,
        tls: RedisTls::default(),
        shown: "redis://here".to_owned(),
        namespace: "test".to_owned(),
        deadline: Duration::from_millis(25),
    };
    let clock = Clock::start();
    let ledger = spend_ledger::start(
        &Arbiter::current(),
        LedgerSettings {
            // Ships when it is asked to.
            flush_interval: Duration::from_hours(1),
            ..LedgerSettings::default()
        },
        Arc::clone(books) as _,
        Arc::clone(books) as _,
        clock,
    );
    let days = DayBooks {
        spend: Arc::clone(books) as _,
        counted: CountedTokens::Total,
    };
    let fleet = Fleet::new(Some(&settings), "one".to_owned(), &ledger, days, false);
    Job {
        fleet: Arc::new(fleet.unwrap()),
        ledger,
        members: None,
        watched: Box::new(Vec::new),
        clock,
        beats: 0,
        heard_of: HeardOf::default(),
        said: None,
        back_since: None,
    }
}

#[test]
fn what_was_charged_apart_is_on_the_books_when_a_replica_says_that_it_is_back() {
    let (redis, books) = (Redis::start(), Arc::new(Books::default()));
    System::new().block_on(async {
        let mut job = job(&redis, &books);
        // What the ledger ships when it starts is behind.
        job.ledger.flush().await.unwrap();
        let id = RequestId::generate(1, 0);
        let started = StartedRecord::new(id, ModelGroup::from("m"), "acompletion");
        let record = SpendRecord::of(started);
        books.journal.lock().unwrap().push(record);

        job.hear().await;

        assert!(job.fleet.standing.is_together());
        assert_eq!(books.booked.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn after_a_time_apart_the_books_are_read_when_the_others_have_shipped() {
    let (redis, books) = (Redis::start(), Arc::new(Books::default()));
    System::new().block_on(async {
        let mut job = job(&redis, &books);
        job.fleet.touched.touch_all([&window("a")], job.clock.now());
        let mut waited = Duration::ZERO;
        loop {
            job.hear().await;
            let due = job.fleet.touched.due(COMPARE_EVERY, 9, job.clock.now());
            if !due.is_empty() {
                break;
            }
            assert!(waited < COMPARE_EVERY / 2, "they are never read");
            sleep(BEAT).await;
            waited += BEAT;
        }
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
    });
}

#[test]
fn what_was_read_of_the_books_is_told_although_the_rest_fails() {
    let (redis, books) = (Redis::start(), Arc::new(Books::default()));
    books.readings.store(2, Ordering::Relaxed);
    System::new().block_on(async {
        let job = job(&redis, &books);
        job.fleet.standing.set_together(true);
        let windows = ["a", "b", "c", "d"].map(window);
        job.fleet.touched.touch_all(&windows, job.clock.now());
        job.fleet.touched.all_are_due();

        job.compare().await;
    });

    let windows = redis.command(&["KEYS", "{test}:w:*"]);
    let windows = windows.lines().filter(|line| line.starts_with('{'));
    assert_eq!(windows.count(), 2);
}

/// A deployment with that limit.
async fn deployment(cooldowns: Arc<SharedCooldowns>, clock: Clock, rpm: u64) -> DeploymentHandle {
    let settings = SupervisorSettings::default();
    let supervisor = supervisor::start(&Arbiter::current(), settings, cooldowns, clock);
    let spec = DeploymentSpec {
        rpm: Some(rpm),
        ..DeploymentSpec::new("d", "m", "m")
    };
    let config = RoutingConfig {
        deployments: vec![spec],
        ..RoutingConfig::default()
    };
    supervisor.apply(config).await.unwrap();
    let table = supervisor.routing().load();
    table.deployment("d").unwrap()
}

#[test]
fn leases_are_renewed_while_the_books_hang() {
    let (redis, books) = (Redis::start(), Arc::new(Books::default()));
    books.hang.store(true, Ordering::Relaxed);
    System::new().block_on(async {
        let Job {
            fleet,
            ledger,
            clock,
            ..
        } = job(&redis, &books);
        let leased = deployment(fleet.cooldowns(), clock, 9).await;
        fleet.touched.touch_all([&window("a")], clock.now());
        fleet.touched.all_are_due();
        let beside = Beside {
            watched: Box::new(Vec::new),
            granted: Box::new(move || {
                vec![(
                    leased.clone(),
                    Grant {
                        rpm: Some(9),
                        tpm: None,
                    },
                )]
            }),
        };
        let keeper = Keeper::start(fleet, ledger, None, beside, clock).await;
        sleep(BOOKS_WITHIN.saturating_sub(BEAT)).await;
        let lease = redis.command(&["HVALS", "{test}:a:d"]);
        // Until when, and by which report.
        let report = lease.split_whitespace().rev().nth(6);
        let report: u32 = report.expect(&lease).parse().expect(&lease);
        assert!(report >= 4, "{lease}");
        keeper.stop().await;
    });
}

#[test]
fn a_replica_leaves_when_its_last_beat_is_over() {
    let (redis, books) = (Redis::start(), Arc::new(Books::default()));
    let (asked, stop_asked_for) = oneshot::channel();
    let register = Arc::new(Register {
        asked: Mutex::new(Some(asked)),
        ..Register::default()
    });
    System::new().block_on(async {
        let mut job = job(&redis, &books);
        job.members = Some(Arc::clone(&register) as _);
        let leasing = Leasing {
            fleet: Arc::clone(&job.fleet),
            granted: Box::new(Vec::new),
            clock: job.clock,
        };
        // It is stopped while it beats.
        job.until(leasing, stop_asked_for).await;
        sleep(Duration::from_millis(300)).await;
    });
    assert_eq!(*register.done.lock().unwrap(), ["noted", "left"]);
}
