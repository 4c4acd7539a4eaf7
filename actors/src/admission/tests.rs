//! Admission as properties: nothing is taken by a refusal, everything taken comes back, concurrency overshoots nothing.

use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};
use std::thread;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::clock::UnixMs;
use crate::ids::SubjectKind;
use crate::ports::{BudgetKey, BudgetName};
use crate::rate_limiter::Limits;

fn bucket(id: &str, limits: Limits) -> Arc<Bucket> {
    Arc::new(Bucket::new(Subject::new(SubjectKind::Key, id), limits))
}

fn balance(id: &str, limit: i64) -> Arc<Balance> {
    let key = BudgetKey {
        subject: Subject::new(SubjectKind::Key, id),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(0),
    };
    let limit = Usd::from_pico(limit);
    Arc::new(Balance::new(key, limit, Usd::ZERO, Millis::ZERO))
}

fn ask(tokens: u64, hold: i64) -> Ask {
    Ask {
        tokens,
        hold: Usd::from_pico(hold),
    }
}

fn actual(tokens: u64, cost: i64) -> Actual {
    Actual {
        tokens,
        cost: Some(Usd::from_pico(cost)),
    }
}

const ALL: Limits = Limits {
    rpm: Some(10),
    tpm: Some(1000),
    tpd: None,
    max_parallel: Some(5),
};

/// Requests, tokens, slots left.
fn left(bucket: &Bucket, clock: Clock) -> (u64, u64, u32) {
    let left = bucket.remaining(clock.now());
    (
        left.requests.unwrap(),
        left.tokens.unwrap(),
        left.parallel.unwrap(),
    )
}

#[test]
fn a_dropped_reservation_gives_everything_back() {
    let clock = Clock::start();
    let (bucket, balance) = (bucket("k", ALL), balance("k", 100));
    let permit = admit(
        &[Arc::clone(&bucket)],
        &[Arc::clone(&balance)],
        ask(300, 60),
        clock,
    )
    .unwrap();
    assert_eq!(left(&bucket, clock), (9, 700, 4));
    assert_eq!(permit.remaining().len(), 1);
    assert_eq!(balance.snapshot().held, Usd::from_pico(60));
    drop(permit);
    assert_eq!(left(&bucket, clock), (10, 1000, 5));
    let snapshot = balance.snapshot();
    assert_eq!((snapshot.held, snapshot.spent), (Usd::ZERO, Usd::ZERO));
}

#[test]
fn settling_corrects_tokens_frees_the_slot_and_charges_the_cost() {
    let clock = Clock::start();
    let (bucket, balance) = (bucket("k", ALL), balance("k", 100));
    let permit = admit(
        &[Arc::clone(&bucket)],
        &[Arc::clone(&balance)],
        ask(300, 60),
        clock,
    )
    .unwrap();
    permit.in_flight().settle(actual(120, 7));
    assert_eq!(left(&bucket, clock), (9, 880, 5));
    let snapshot = balance.snapshot();
    assert_eq!(
        (snapshot.held, snapshot.spent),
        (Usd::ZERO, Usd::from_pico(7))
    );
}

#[test]
fn a_permit_that_is_dropped_in_flight_costs_the_estimate() {
    let clock = Clock::start();
    let (bucket, balance) = (bucket("k", ALL), balance("k", 100));
    let permit = admit(
        &[Arc::clone(&bucket)],
        &[Arc::clone(&balance)],
        ask(300, 60),
        clock,
    )
    .unwrap();
    drop(permit.in_flight());
    assert_eq!(left(&bucket, clock), (9, 700, 5));
    assert_eq!(balance.snapshot().spent, Usd::from_pico(60));
}

#[test]
fn a_refusal_takes_nothing_from_anybody() {
    let clock = Clock::start();
    let roomy = bucket("a", ALL);
    let full = bucket(
        "b",
        Limits {
            max_parallel: Some(0),
            ..ALL
        },
    );
    let refused = admit(&[Arc::clone(&roomy), full], &[], ask(1, 0), clock).unwrap_err();
    let Refusal::Rate {
        subject,
        limit_type,
        ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(&*subject.id, "b");
    assert_eq!(limit_type, LimitType::MaxParallelRequests);
    assert_eq!(left(&roomy, clock), (10, 1000, 5));
}

#[test]
fn the_first_failing_one_is_reported_budgets_before_limits() {
    let clock = Clock::start();
    let empty = Limits {
        rpm: Some(0),
        ..Limits::default()
    };
    let buckets = [bucket("z", empty), bucket("a", empty)];
    let Err(Refusal::Rate { subject, .. }) = admit(&buckets, &[], ask(1, 0), clock) else {
        panic!("not refused");
    };
    assert_eq!(&*subject.id, "z", "the caller's order, not the locks'");
    let spent = balance("m", 0);
    let refused = admit(&buckets, &[spent], ask(1, 0), clock).unwrap_err();
    assert!(
        matches!(refused, Refusal::BudgetExceeded { .. }),
        "{refused:?}"
    );
}

#[test]
fn the_same_bucket_twice_is_taken_from_once() {
    let clock = Clock::start();
    let bucket = bucket("k", ALL);
    let twice = [Arc::clone(&bucket), Arc::clone(&bucket)];
    let _permit = admit(&twice, &[], ask(1, 0), clock).unwrap();
    assert_eq!(left(&bucket, clock), (9, 999, 4));
}

#[tokio::test(start_paused = true)]
async fn a_rate_refusal_says_when_to_come_back() {
    let clock = Clock::start();
    let bucket = bucket(
        "k",
        Limits {
            rpm: Some(1),
            ..Limits::default()
        },
    );
    let one = [Arc::clone(&bucket)];
    admit(&one, &[], ask(1, 0), clock)
        .unwrap()
        .in_flight()
        .settle(actual(1, 0));
    advance(Duration::from_secs(20)).await;
    let Err(Refusal::Rate {
        retry_after,
        limit,
        remaining,
        ..
    }) = admit(&one, &[], ask(1, 0), clock)
    else {
        panic!("not refused");
    };
    assert_eq!(
        (retry_after, limit, remaining),
        (Duration::from_secs(40), 1, 0)
    );
    advance(retry_after).await;
    assert!(admit(&one, &[], ask(1, 0), clock).is_ok());
}

#[test]
fn sequential_use_gets_its_whole_budget_and_holds_of_others_only_delay() {
    let clock = Clock::start();
    let balance = balance("k", 100);
    let one = [Arc::clone(&balance)];
    let first = admit(&[], &one, ask(0, 500), clock).expect("nobody else holds anything");
    let refused = admit(&[], &one, ask(0, 1), clock).unwrap_err();
    assert!(matches!(refused, Refusal::BudgetHeld { .. }), "{refused:?}");
    first.in_flight().settle(actual(0, 99));
    admit(&[], &one, ask(0, 500), clock)
        .unwrap()
        .in_flight()
        .settle(actual(0, 5));
    let refused = admit(&[], &one, ask(0, 1), clock).unwrap_err();
    assert!(
        matches!(refused, Refusal::BudgetExceeded { .. }),
        "{refused:?}"
    );
}

#[test]
fn concurrent_use_overshoots_a_budget_by_at_most_one_request() {
    const LIMIT: i64 = 1_000;
    const ESTIMATE: i64 = 37;
    let clock = Clock::start();
    for _ in 0..20 {
        let balance = balance("k", LIMIT);
        let delivered = AtomicU64::new(0);
        thread::scope(|scope| {
            for worker in 0..8_u32 {
                let (balance, delivered) = (&balance, &delivered);
                scope.spawn(move || {
                    for round in 0..40 {
                        let cost = ESTIMATE - i64::from((worker + round) % 9);
                        let Ok(permit) =
                            admit(&[], &[Arc::clone(balance)], ask(0, ESTIMATE), clock)
                        else {
                            continue;
                        };
                        let permit = permit.in_flight();
                        thread::yield_now();
                        permit.settle(actual(0, cost));
                        delivered.fetch_add(u64::try_from(cost).unwrap(), AtomicOrdering::Relaxed);
                    }
                });
            }
        });
        let spent = balance.snapshot().spent.to_pico().unwrap();
        assert_eq!(u64::try_from(spent).unwrap(), delivered.into_inner());
        assert!(spent < LIMIT + ESTIMATE, "{spent}");
    }
}

#[test]
fn many_threads_never_exceed_a_rate_limit_and_do_not_deadlock() {
    let clock = Clock::start();
    let (first, second) = (
        bucket(
            "a",
            Limits {
                rpm: Some(50),
                ..Limits::default()
            },
        ),
        bucket("b", ALL),
    );
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..8 {
            let (first, second, admitted) = (&first, &second, &admitted);
            scope.spawn(move || {
                let mut both = [Arc::clone(first), Arc::clone(second)];
                if worker % 2 == 0 {
                    both.reverse();
                }
                for _ in 0..50 {
                    if let Ok(permit) = admit(&both, &[], ask(1, 0), clock) {
                        admitted.fetch_add(1, AtomicOrdering::Relaxed);
                        permit.in_flight().settle(actual(1, 0));
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 10, "the smaller limit, exactly");
}

#[derive(Debug, Clone, Copy)]
enum End {
    GivenBack,
    HungUp,
    Settled(u64, i64),
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::GivenBack),
        Just(End::HungUp),
        (0_u64..500, 0_i64..500).prop_map(|(tokens, cost)| End::Settled(tokens, cost)),
    ]
}

proptest! {
    #[test]
    fn permits_conserve_what_they_take(
        requests in prop::collection::vec((0_u64..300, 0_i64..300, ends()), 1..60),
    ) {
        let clock = Clock::start();
        let wide = Limits { rpm: Some(1_000), tpm: Some(1_000_000), tpd: Some(2_000_000), max_parallel: Some(1_000) };
        let (bucket, balance) = (bucket("k", wide), balance("k", 1_000_000));
        let (mut count, mut tokens, mut spent) = (0, 0, 0);
        let mut permits = Vec::new();
        for (estimate, hold, end) in requests {
            let permit = admit(&[Arc::clone(&bucket)], &[Arc::clone(&balance)], ask(estimate, hold), clock);
            permits.push((permit.unwrap(), estimate, hold, end));
        }
        for (permit, estimate, hold, end) in permits {
            match end {
                End::GivenBack => drop(permit),
                End::HungUp => {
                    drop(permit.in_flight());
                    (count, tokens, spent) = (count + 1, tokens + estimate, spent + hold);
                }
                End::Settled(used, cost) => {
                    permit.in_flight().settle(actual(used, cost));
                    (count, tokens, spent) = (count + 1, tokens + used, spent + cost);
                }
            }
        }
        prop_assert_eq!(left(&bucket, clock), (1_000 - count, 1_000_000 - tokens, 1_000));
        prop_assert_eq!(bucket.remaining(clock.now()).day_tokens, Some(2_000_000 - tokens));
        let snapshot = balance.snapshot();
        prop_assert_eq!((snapshot.held, snapshot.live_holds), (Usd::ZERO, 0));
        prop_assert_eq!(snapshot.spent, Usd::from_pico(spent));
    }
}
