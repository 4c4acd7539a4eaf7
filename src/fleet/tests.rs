//! The scripts on a real server, at times that the test gives, against what `trunkline_actors` does with the same requests.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Client, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::runtime::{Builder, Runtime};
use trunkline_actors::clock::{Millis, UnixMs};
use trunkline_actors::ids::{Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, BudgetName, SharedAsk, SharedRefusal};
use trunkline_actors::rate_limiter::{DayWindow, LimitType, Limits, TakenIn, Window};

use super::amount::Amount;
use super::connect::Server;
use super::keys::Keys;
use super::scripts::{BEAT, BEGIN_DAY, RAISE, RENEW};
use super::wire::{Answer, LEASE, Missing, Question, Settlement, answer, millis, settle};
use crate::config::{RedisPlace, RedisSettings, RedisTls, Secret};
use crate::servers::redis::Redis;

mod days;
mod leases;

/// A server, and a connection to it that everything goes over.
struct Scene {
    runtime: Runtime,
    connection: MultiplexedConnection,
    keys: Keys,
    server: Redis,
}

impl Scene {
    fn new() -> Self {
        let server = Redis::start();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::open(server.url()).unwrap();
        let connection = runtime.block_on(client.get_multiplexed_async_connection());
        Self {
            connection: connection.unwrap(),
            runtime,
            keys: Keys::new("test"),
            server,
        }
    }

    fn take(&self, question: &Question, lane: &str, now: u64) -> Answer {
        let call = question.take(lane, &now.to_string());
        let values: Vec<Value> = self
            .runtime
            .block_on(call.invoke_async(&mut self.connection.clone()))
            .unwrap();
        answer(question, &values).unwrap_or_else(|| panic!("{values:?}"))
    }

    fn settle(&self, batch: &[Settlement], lane: &str, now: u64) {
        let call = settle(batch, lane, &now.to_string());
        let entries = self
            .runtime
            .block_on(call.invoke_async::<u64>(&mut self.connection.clone()));
        entries.unwrap();
    }

    /// A request that was taken then ends with so many tokens, or was never sent.
    fn end(&self, question: Arc<Question>, at: u64, tokens: Option<u64>, now: u64) {
        let used = tokens.map(|tokens| (tokens, Amount::default()));
        let settlement = Settlement { question, at, used };
        self.settle(&[settlement], "lane", now);
    }

    fn raise(&self, key: &BudgetKey, spent: Usd) {
        let mut call = RAISE.prepare_invoke();
        let spent = Amount::of(spent);
        call.key(self.keys.window(key))
            .arg(spent.high)
            .arg(spent.low);
        let raised = self
            .runtime
            .block_on(call.invoke_async::<u64>(&mut self.connection.clone()));
        raised.unwrap();
    }

    /// Whether the day began with that: how long ago in ms, and how many tokens.
    fn begin_day(&self, name: &str, now: u64, past: &[(u64, u64)]) -> bool {
        let mut call = BEGIN_DAY.prepare_invoke();
        let subject = Subject::new(SubjectKind::Key, name);
        call.key(self.keys.rings(&subject)).arg(now);
        for (ago, tokens) in past {
            call.arg(*ago).arg(*tokens);
        }
        let began = self
            .runtime
            .block_on(call.invoke_async::<u64>(&mut self.connection.clone()));
        began.unwrap() == 1
    }

    fn renew(&self, lanes: &str, lane: &str, now: u64, count: Option<u64>) {
        let mut call = RENEW.prepare_invoke();
        call.key(lanes).arg(now).arg(lane).arg(millis(LEASE));
        call.arg(u8::from(count.is_some()));
        call.arg(count.unwrap_or_default()).arg(0).arg(0);
        let renewed = self
            .runtime
            .block_on(call.invoke_async::<u64>(&mut self.connection.clone()));
        renewed.unwrap();
    }

    fn limits(&self, name: &str, limits: Limits, tokens: u64) -> Arc<Question> {
        let ask = SharedAsk {
            tokens,
            hold: Usd::ZERO,
            budgets: vec![],
            limits: vec![(Subject::new(SubjectKind::Key, name), limits)],
        };
        Arc::new(Question::new(ask, &self.keys))
    }

    fn budget(&self, name: &str, limit: i64, hold: i64) -> Arc<Question> {
        let ask = SharedAsk {
            tokens: 0,
            hold: Usd::from_pico(hold),
            budgets: vec![(window(name), Usd::from_pico(limit))],
            limits: vec![],
        };
        Arc::new(Question::new(ask, &self.keys))
    }
}

pub(super) fn window(name: &str) -> BudgetKey {
    BudgetKey {
        subject: Subject::new(SubjectKind::Key, name),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(0),
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many tokens.
    Take(u64),
    /// One of those that were taken ends with so many.
    Settle(usize, u64),
    /// One of them was never sent.
    GiveBack(usize),
}

/// The question, its time in Redis, the tokens, and its places in this process.
type Taken = (Arc<Question>, u64, u64, (TakenIn, TakenIn, TakenIn));

fn steps() -> impl Strategy<Value = (u64, u64, u64, Vec<(u64, Step)>)> {
    let step = prop_oneof![
        3 => (0_u64..60).prop_map(Step::Take),
        2 => (any::<usize>(), 0_u64..90).prop_map(|(which, tokens)| Step::Settle(which, tokens)),
        1 => any::<usize>().prop_map(Step::GiveBack),
    ];
    // Mostly within a second, at times over the whole minute and beyond, or over the day.
    let pause = prop_oneof![6 => 0_u64..900, 2 => 0_u64..20_000, 1 => 50_000_u64..200_000, 1 => 300_000_u64..40_000_000];
    let steps = prop::collection::vec((pause, step), 1..60);
    (1_u64..8, 1_u64..150, 1_u64..400, steps)
}

/// Many cases on one server, each with a name of its own there.
fn run_cases<S: Strategy>(cases: &S, test: impl Fn(&str, S::Value) -> TestCaseResult) {
    let number = Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(cases, |case| {
        number.set(number.get() + 1);
        test(&format!("case-{}", number.get()), case)
    });
    ran.unwrap();
}

#[test]
fn minute_and_day_in_redis_are_those_of_one_process() {
    let scene = Scene::new();
    run_cases(&steps(), |name, (rpm, tpm, tpd, steps)| {
        let limits = Limits {
            rpm: Some(rpm),
            tpm: Some(tpm),
            tpd: Some(tpd),
            max_parallel: None,
        };
        let (mut requests, mut tokens) = (Window::default(), Window::default());
        let mut day = DayWindow::default();
        let mut taken: Vec<Taken> = Vec::new();
        let mut now = 1_764_000_000_123;
        prop_assert!(scene.begin_day(name, now, &[]));
        for (pause, step) in steps {
            now += pause;
            let at = Millis(now);
            match step {
                Step::Take(units) => {
                    let question = scene.limits(name, limits, units);
                    let found = scene.take(&question, "lane", now);
                    let expected = if !requests.fits(1, rpm, at) {
                        Err((
                            LimitType::Requests,
                            requests.used(at),
                            requests.wait_for(1, rpm, at),
                        ))
                    } else if !tokens.fits(units, tpm, at) {
                        let wait = tokens.wait_for(units, tpm, at);
                        Err((LimitType::Tokens, tokens.used(at), wait))
                    } else if !day.fits(units, tpd, at) {
                        let wait = day.wait_for(units, tpd, at);
                        Err((LimitType::TokensPerDay, day.used(at), wait))
                    } else {
                        Ok((
                            requests.take(1, at),
                            tokens.take(units, at),
                            day.take(units, at),
                        ))
                    };
                    match (found, expected) {
                        (
                            Answer::Taken {
                                at: taken_at, used, ..
                            },
                            Ok(places),
                        ) => {
                            prop_assert_eq!(used[0].requests, Some(requests.used(at)));
                            prop_assert_eq!(used[0].tokens, Some(tokens.used(at)));
                            prop_assert_eq!(used[0].day_tokens, Some(day.used(at)));
                            taken.push((question, taken_at, units, places));
                        }
                        (
                            Answer::Refused(SharedRefusal::Limit {
                                limit_type,
                                used,
                                retry_after,
                                ..
                            }),
                            Err(expected),
                        ) => prop_assert_eq!((limit_type, used, retry_after), expected),
                        (found, expected) => {
                            prop_assert!(false, "{:?} instead of {:?}", found, expected);
                        }
                    }
                }
                Step::Settle(which, actual) if !taken.is_empty() => {
                    let (question, taken_at, units, places) = taken.remove(which % taken.len());
                    tokens.settle(places.1, units, actual, at);
                    day.settle(places.2, units, actual, at);
                    scene.end(question, taken_at, Some(actual), now);
                }
                Step::GiveBack(which) if !taken.is_empty() => {
                    let (question, taken_at, units, places) = taken.remove(which % taken.len());
                    requests.settle(places.0, 1, 0, at);
                    tokens.settle(places.1, units, 0, at);
                    day.settle(places.2, units, 0, at);
                    scene.end(question, taken_at, None, now);
                }
                Step::Settle(..) | Step::GiveBack(_) => {}
            }
        }
        Ok(())
    });
}

#[test]
fn slots_of_a_lane_that_says_nothing_come_back_when_its_lease_ends() {
    let scene = Scene::new();
    let limits = Limits {
        max_parallel: Some(3),
        ..Limits::default()
    };
    let question = scene.limits("k", limits, 0);
    let lease = millis(LEASE);
    let admitted = |scene: &Scene, lane: &str, now: u64| {
        matches!(scene.take(&question, lane, now), Answer::Taken { .. })
    };
    assert!(admitted(&scene, "dies", 1_000));
    assert!(admitted(&scene, "dies", 2_000));
    assert!(admitted(&scene, "lives", 3_000));
    assert!(!admitted(&scene, "lives", 3_000));
    let lanes = scene.keys.slots(&Subject::new(SubjectKind::Key, "k"));
    // Renewed as it was, then as it should be.
    scene.renew(&lanes, "lives", 10_000, None);
    assert!(!admitted(&scene, "lives", 10_000));
    assert!(!admitted(&scene, "lives", 2_000 + lease - 1));
    assert!(admitted(&scene, "lives", 2_000 + lease));
    assert!(admitted(&scene, "lives", 2_000 + lease));
    assert!(!admitted(&scene, "lives", 2_000 + lease));
    scene.renew(&lanes, "lives", 2_000 + lease, Some(0));
    assert!(admitted(&scene, "other", 2_000 + lease));
}

#[test]
fn a_budget_that_nobody_seeded_is_not_one_of_nothing() {
    let scene = Scene::new();
    let question = scene.budget("k", 100, 10);
    assert_eq!(
        scene.take(&question, "a", 1_000),
        Answer::Unseeded(vec![Missing::Window(window("k"))])
    );
    scene.raise(&window("k"), Usd::from_pico(99));
    // A later reading that knows less takes nothing back.
    scene.raise(&window("k"), Usd::from_pico(1));
    let Answer::Taken { at, spent, .. } = scene.take(&question, "a", 1_000) else {
        panic!("nobody else holds anything");
    };
    assert_eq!(spent, [Amount::of(Usd::from_pico(99))]);
    assert_eq!(
        scene.take(&question, "b", 1_000),
        Answer::Refused(SharedRefusal::Held { budget: 0 })
    );
    let settlement = Settlement {
        question: Arc::clone(&question),
        at,
        used: Some((0, Amount::of(Usd::from_pico(1)))),
    };
    scene.settle(&[settlement], "a", 1_500);
    assert_eq!(
        scene.take(&question, "b", 2_000),
        Answer::Refused(SharedRefusal::Exceeded {
            budget: 0,
            spent: Usd::from_pico(100)
        })
    );
}

#[test]
fn sums_beyond_what_a_double_holds_are_exact() {
    let scene = Scene::new();
    // 9 million dollars less a millionth of a millionth.
    let nearly = 9_000_000_000_000_000_000 - 1;
    let question = scene.budget("k", nearly + 1, 1);
    scene.raise(&window("k"), Usd::from_pico(nearly));
    let Answer::Taken { at, .. } = scene.take(&question, "a", 1_000) else {
        panic!("there is one unit left");
    };
    let settlement = Settlement {
        question: Arc::clone(&question),
        at,
        used: Some((0, Amount::of(Usd::from_pico(1)))),
    };
    scene.settle(&[settlement], "a", 1_000);
    assert_eq!(
        scene.take(&question, "a", 1_000),
        Answer::Refused(SharedRefusal::Exceeded {
            budget: 0,
            spent: Usd::from_pico(nearly + 1)
        })
    );
}

#[test]
fn all_of_a_request_is_taken_or_nothing() {
    let scene = Scene::new();
    let one = |rpm: u64| Limits {
        rpm: Some(rpm),
        ..Limits::default()
    };
    let both = |scene: &Scene| {
        let subject = |name: &str| Subject::new(SubjectKind::Team, name);
        let ask = SharedAsk {
            tokens: 0,
            hold: Usd::ZERO,
            budgets: vec![],
            limits: vec![(subject("wide"), one(9)), (subject("narrow"), one(1))],
        };
        Question::new(ask, &scene.keys)
    };
    let question = both(&scene);
    assert!(matches!(
        scene.take(&question, "a", 1_000),
        Answer::Taken { .. }
    ));
    for _ in 0..5 {
        let refused = scene.take(&question, "a", 1_000);
        let Answer::Refused(SharedRefusal::Limit {
            subject,
            retry_after,
            ..
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((subject, retry_after), (1, Duration::from_mins(1)));
    }
    let ask = SharedAsk {
        limits: question.ask.limits[..1].to_vec(),
        ..question.ask.clone()
    };
    let wide = Question::new(ask, &scene.keys);
    let Answer::Taken { used, .. } = scene.take(&wide, "a", 1_000) else {
        panic!("the wide limit has room");
    };
    assert_eq!(used[0].requests, Some(2), "the refused took nothing of it");
    assert_eq!(used[0].tokens, None, "nobody asked for them");
}

#[test]
fn replicas_hear_of_each_other_and_of_cooldowns() {
    let scene = Scene::new();
    let keys = scene.keys.clone();
    let beat = |replica: &str, now: u64, told: &[(&str, u64)]| {
        let mut call = BEAT.prepare_invoke();
        call.key(keys.replicas()).key(keys.cooldowns());
        call.arg(now).arg(replica).arg(millis(LEASE));
        for (deployment, left) in told {
            call.arg(*deployment).arg(*left);
        }
        let heard = scene.runtime.block_on(
            call.invoke_async::<(Vec<String>, Vec<(String, u64)>)>(&mut scene.connection.clone()),
        );
        heard.unwrap()
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    // The server's own time decides what is over, so the times are near it.
    let now = UnixMs::now().0;
    assert_eq!(beat("a", now, &[("d", 5_000)]), (names(&["a"]), vec![]));
    let (replicas, cooling) = beat("b", now + 1_000, &[]);
    assert_eq!(replicas, names(&["a", "b"]));
    assert_eq!(cooling, [("d".to_owned(), 4_000)]);
    assert!(beat("b", now + 6_000, &[]).1.is_empty(), "it is over");
    let (replicas, _) = beat("b", now + millis(LEASE) + 1, &[]);
    assert_eq!(replicas, names(&["b"]));
}

#[test]
fn what_nobody_asks_for_any_more_is_forgotten() {
    let scene = Scene::new();
    let limits = Limits {
        rpm: Some(5),
        tpm: Some(5),
        tpd: None,
        max_parallel: Some(5),
    };
    let question = scene.limits("k", limits, 1);
    let budget = scene.budget("k", 100, 10);
    scene.raise(&window("k"), Usd::ZERO);
    let now = UnixMs::now().0;
    for question in [&question, &budget] {
        let taken = scene.take(question, "a", now);
        assert!(matches!(taken, Answer::Taken { .. }), "{taken:?}");
    }
    let keys = scene.server.command(&["KEYS", "*"]);
    let keys: Vec<&str> = keys.lines().filter(|line| line.contains("test")).collect();
    assert_eq!(keys.len(), 4, "rings, a window, and the lanes of each");
    for key in keys {
        let left = scene.server.command(&["PTTL", key.trim()]);
        let left: i64 = left.trim_start_matches(':').parse().expect("a number");
        assert!((1..=3_600_000).contains(&left), "{key}: {left}");
        assert!(key.contains("{test}:"), "one hash tag for all");
    }
}

#[test]
fn a_server_that_is_gone_is_no_connection_and_no_long_wait() {
    let mut redis = Redis::start();
    let settings = RedisSettings {
        url: Secret::new(redis.url()),
        place: RedisPlace::Address,
        tls: RedisTls::default(),
        shown: "redis://here".to_owned(),
        namespace: "test".to_owned(),
        deadline: Duration::from_millis(25),
    };
    let server = Server::new(&settings).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(server.own()).is_ok());
    redis.stop();
    assert!(runtime.block_on(server.own()).is_err());
    redis.resume();
    assert!(runtime.block_on(server.own()).is_ok());
}
