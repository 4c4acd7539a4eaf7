//! Several replicas on one Redis server: limits, budgets and cooldowns hold for all of them together, and within a stated bound
//! when the server is killed, flushed or replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, chat_request_body};
use crate::support::http::Request;
use crate::support::reply::{Gate, Reply};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::servers::redis::{REDIS_PASSWORD, Redis};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

pub(crate) const REPLICAS: usize = 3;

/// Three replicas with one database and one Redis server, or several that are one for them.
pub(crate) struct Fleet<R = Redis> {
    pub(crate) replicas: Vec<Gateway>,
    homes: Vec<Home>,
    pub(crate) redis: R,
    database: Postgres,
}

// === impl Fleet ===

impl Fleet {
    pub(crate) fn start(config: ConfigText) -> Self {
        let redis = Redis::start();
        let config = config.router(&format!("redis_url: {}", redis.url()));
        Self::start_at(redis, config)
    }

    pub(crate) fn of(upstream: &Upstream) -> Self {
        Self::start(ConfigText::one("m", upstream))
    }
}

impl<R> Fleet<R> {
    /// The configuration says where the server is.
    pub(crate) fn start_at(redis: R, config: ConfigText) -> Self {
        let database = Postgres::start();
        let config = config
            .with_master_key()
            .database(&database.database("books"))
            // The machine may be running a build beside the tests.
            .trunkline("fleet: {deadline_secs: 5}");
        let starting: Vec<_> = (0..REPLICAS)
            .map(|_| {
                let home = Home::with(&config);
                thread::spawn(move || {
                    let gateway = started(&home);
                    (home, gateway)
                })
            })
            .collect();
        let started = starting
            .into_iter()
            .map(|thread| thread.join().expect("a replica starts"));
        let (homes, replicas): (Vec<_>, Vec<_>) = started.unzip();
        let fleet = Self {
            replicas,
            homes,
            redis,
            database,
        };
        fleet.wait_for("together", REPLICAS);
        fleet
    }

    /// What one statement says of the database.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.database.sql("books", statement)
    }

    /// Kills a replica and starts it anew, with the journal that it left.
    pub(crate) fn restart(&mut self, place: usize) {
        self.replicas.remove(place).kill();
        self.replicas.insert(place, started(&self.homes[place]));
    }

    /// Each replica keeps limits in that way and knows of so many.
    pub(crate) fn wait_for(&self, limits: &str, replicas: usize) {
        for gateway in &self.replicas {
            let wanted = (json!(limits), json!(replicas));
            eventually("the replicas know of each other", &wanted, || {
                let said = gateway.get("/health/readiness").json();
                (said["limits"].clone(), said["replicas"].clone())
            });
        }
    }

    pub(crate) fn key(&self, wishes: &Value) -> String {
        generate_key(&self.replicas[0], wishes)
    }

    /// The statuses of so many requests at each replica at the same time, by so many clients each.
    pub(crate) fn load(&self, request: &Request, clients: usize, each: usize) -> Statuses {
        let counted = Arc::new(Statuses::default());
        let threads: Vec<_> = self
            .replicas
            .iter()
            .flat_map(|gateway| (0..clients).map(|_| gateway.address()))
            .map(|address| {
                let (request, counted) = (request.clone(), Arc::clone(&counted));
                thread::spawn(move || {
                    for _ in 0..each {
                        counted.count(request.send(address).status);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("every request is answered");
        }
        Arc::into_inner(counted).expect("the threads are gone")
    }
}

fn started(home: &Home) -> Gateway {
    let mut gateway = home.start();
    gateway.keeps_secret(DATABASE_PASSWORD);
    gateway.keeps_secret(REDIS_PASSWORD);
    gateway
}

#[derive(Debug, Default)]
pub(crate) struct Statuses {
    served: AtomicUsize,
    limited: AtomicUsize,
    over_budget: AtomicUsize,
}

impl Statuses {
    fn count(&self, status: u16) {
        let counter = match status {
            200 => &self.served,
            429 => &self.limited,
            422 => &self.over_budget,
            other => panic!("an answer of status {other}"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

pub(crate) fn with(key: &str) -> Request {
    chat_request("m").bearer(key)
}

#[test]
fn many_times_the_load_is_admitted_up_to_the_limit_by_all_replicas_together() {
    const LIMIT: usize = 120;
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = Fleet::of(&upstream);
    let key = fleet.key(&json!({"rpm_limit": LIMIT}));

    let statuses = fleet.load(&with(&key), 6, 40);

    assert!(statuses.served() <= LIMIT, "{statuses:?}");
    assert!(statuses.served() * 100 >= LIMIT * 99, "{statuses:?}");
    assert_eq!(upstream.request_count(), statuses.served());
    // Whoever is asked knows what is left.
    let other = fleet.key(&json!({"rpm_limit": 10}));
    for (asked, left) in [(0, "9"), (1, "8"), (2, "7"), (0, "6")] {
        let answer = fleet.replicas[asked].send(&with(&other));
        let header = answer.header("x-ratelimit-api_key-remaining-requests");
        assert_eq!(header, Some(left));
        assert_eq!(answer.header("x-trunkline-weakened"), None);
    }
}

#[test]
fn tokens_are_limited_by_what_all_replicas_used() {
    // Every answer reports 18 tokens; each request reserves its prompt and 100.
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = Fleet::of(&upstream);
    let key = fleet.key(&json!({"tpm_limit": 180}));
    let mut body = chat_request_body("m");
    body["max_tokens"] = json!(100);
    let request = Request::post("/v1/chat/completions", &body).bearer(&key);

    let mut served = 0;
    for round in 0..30 {
        let status = fleet.replicas[round % REPLICAS].send(&request).status;
        served += usize::from(status == 200);
    }

    // 18 for each that was served; the next one must fit with its 109.
    assert_eq!(served, 4);
}

#[test]
fn a_budget_is_overshot_by_one_request_at_most_however_many_run_at_once() {
    // Each answer costs 0.000025 USD and is estimated at no less.
    const COST: f64 = 0.000_025;
    const WORTH: usize = 10;
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = Fleet::of(&upstream);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let budget = COST * WORTH as f64;
    let key = fleet.key(&json!({"max_budget": budget}));

    let statuses = fleet.load(&with(&key), 24, 7);

    assert!((1..=WORTH + 1).contains(&statuses.served()), "{statuses:?}");
    assert_eq!(upstream.request_count(), statuses.served());
    // One after the other uses what is left of it, wherever it is asked for.
    let mut served = statuses.served();
    for round in 0..3 * WORTH {
        eventually("no money is held any more", &false, || {
            let status = fleet.replicas[round % REPLICAS].send(&with(&key)).status;
            served += usize::from(status == 200);
            status == 429
        });
    }
    assert!((WORTH..=WORTH + 1).contains(&served), "{served}");
}

#[test]
fn slots_of_a_killed_replica_come_back() {
    const SLOTS: usize = 4;
    let gate = Gate::closed();
    let upstream = Upstream::always(Reply::chat("hi").after(&gate));
    let mut fleet = Fleet::of(&upstream);
    let key = fleet.key(&json!({"max_parallel_requests": SLOTS}));
    let dying = fleet.replicas.pop().expect("three");
    let held: Vec<_> = (0..SLOTS).map(|_| dying.begin(&with(&key))).collect();
    upstream.wait_for_requests(SLOTS);
    for gateway in &fleet.replicas {
        gateway.send(&with(&key)).assert_status(429);
    }

    dying.kill();
    drop(held);

    gate.open();
    eventually("the slots are free", &200, || {
        fleet.replicas[0].send(&with(&key)).status
    });
    fleet.wait_for("together", REPLICAS - 1);
}

#[test]
fn slots_of_requests_that_end_are_free_at_once_everywhere() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = Fleet::of(&upstream);
    let key = fleet.key(&json!({"max_parallel_requests": 1}));

    for round in 0..30 {
        // A client that goes on with another replica may be there before the word of the first one.
        eventually("the slot is free", &200, || {
            fleet.replicas[round % REPLICAS].send(&with(&key)).status
        });
    }
    assert_eq!(upstream.request_count(), 30);
}

#[test]
fn a_cooldown_on_one_replica_is_seen_by_the_others() {
    let upstream = Upstream::always(Reply::error(401, "invalid_api_key", "no such key"));
    let config = ConfigText::new()
        .deployment(Deployment::of("m", &upstream).id("failing"))
        .deployment(Deployment::of("m", &upstream).id("failing-too"))
        .router("num_retries: 0")
        .router("cooldown_time: 60");
    let fleet = Fleet::start(config);
    let state = |gateway: &Gateway| {
        let request = Request::get("/health").bearer(MASTER_KEY);
        gateway.send(&request).json()["unhealthy_count"].clone()
    };
    let master = chat_request("m").bearer(MASTER_KEY);
    while state(&fleet.replicas[0]) != json!(2) {
        fleet.replicas[0].send(&master);
    }
    let asked = upstream.request_count();
    for gateway in &fleet.replicas {
        eventually("the cooldown is known", &json!(2), || state(gateway));
        gateway.send(&master).assert_status(429);
    }
    assert_eq!(upstream.request_count(), asked, "no provider was asked");
}

#[test]
fn what_one_replica_spends_at_a_provider_is_known_to_the_others() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .router("provider_budget_config: {openai: {budget_limit: 0.000075, time_period: 30d}}");
    let fleet = Fleet::start(config);
    let master = chat_request("m").bearer(MASTER_KEY);
    for _ in 0..3 {
        fleet.replicas[0].send(&master).assert_status(200);
    }

    // No request asks for the others' figures: they are read from the books now and then.
    for gateway in &fleet.replicas {
        eventually("the budget is known to be spent", &json!(0.000_075), || {
            let budgets = Request::get("/provider/budgets").bearer(MASTER_KEY);
            gateway.send(&budgets).json()["providers"]["openai"]["spend"].clone()
        });
        gateway.send(&master).assert_status(429);
    }
    assert_eq!(upstream.request_count(), 3);
}

#[test]
fn a_key_that_one_replica_blocks_is_refused_by_the_others_within_a_second() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut fleet = Fleet::of(&upstream);
    let key = fleet.key(&json!({"user_id": "ann"}));
    for gateway in &fleet.replicas {
        gateway.send(&with(&key)).assert_status(200);
    }
    let admin = |path: &str, body: &Value| {
        let request = Request::post(path, body).bearer(MASTER_KEY);
        fleet.replicas[0].send(&request).assert_status(200);
    };

    // Keys are believed for a minute: what is seen within seconds was told.
    admin("/key/block", &json!({"key": key}));
    for gateway in &fleet.replicas {
        within_a_second("the key is refused", 401, || {
            gateway.send(&with(&key)).status
        });
    }
    admin("/key/unblock", &json!({"key": key}));
    for gateway in &fleet.replicas {
        within_a_second("the key works", 200, || gateway.send(&with(&key)).status);
    }
    // So is what changes for whom the key belongs to, and what somebody changes in the database.
    admin("/user/update", &json!({"user_id": "ann", "max_budget": 0}));
    for gateway in &fleet.replicas {
        within_a_second("there is no budget", 422, || {
            gateway.send(&with(&key)).status
        });
    }
    let statement = "UPDATE trunkline.virtual_keys SET blocked = true";
    fleet.database.sql("books", statement);
    for gateway in &fleet.replicas {
        within_a_second("the key is refused", 401, || {
            gateway.send(&with(&key)).status
        });
    }

    // What was changed while nobody listened is seen as soon as somebody does.
    for gateway in &mut fleet.replicas {
        gateway.allow_errors();
    }
    let listening = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%trunkline%' AND pid <> pg_backend_pid()";
    let statement = format!(
        "UPDATE trunkline.virtual_keys SET blocked = false; UPDATE trunkline.tenants SET max_budget = NULL, terms = '{{}}'; {listening}"
    );
    fleet.database.sql("books", &statement);
    for gateway in &fleet.replicas {
        eventually("the key works", &200, || gateway.send(&with(&key)).status);
    }
}

/// As [`eventually`], but soon; some more on a busy machine.
#[track_caller]
fn within_a_second(what: &str, wanted: u16, ask: impl FnMut() -> u16) {
    let began = Instant::now();
    eventually(what, &wanted, ask);
    assert!(began.elapsed() < Duration::from_secs(3), "{what}");
}
