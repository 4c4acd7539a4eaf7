//! Admission with others, on a clock that stands still and with answers that are given.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::clock::{Clock, UnixMs};
use crate::fleet::{FleetHandle, Standing, Touched};
use crate::ids::SubjectKind;
use crate::ports::{
    BoxFuture, BudgetKey, SharedAnswer, SharedAsk, SharedLimits, SharedReceipt, SharedRefusal,
    SharedTake, SharedUse,
};
use crate::rate_limiter::Limits;

/// Gives the answers it was made with, then none.
#[derive(Debug, Default)]
struct Others {
    answers: Mutex<VecDeque<SharedAnswer>>,
    asked: Mutex<Vec<SharedAsk>>,
}

#[derive(Debug, Default)]
struct Receipt {
    settled: Arc<AtomicU64>,
    given_back: Arc<AtomicU64>,
}

impl SharedReceipt for Receipt {
    fn settle(self: Box<Self>, tokens: u64, _cost: Usd) {
        self.settled.fetch_add(tokens, Ordering::Relaxed);
    }

    fn give_back(self: Box<Self>) {
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }
}

impl SharedLimits for Others {
    fn take(&self, ask: SharedAsk) -> BoxFuture<'_, SharedAnswer> {
        self.asked.lock().unwrap().push(ask);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.unwrap_or(SharedAnswer::Unknown) })
    }
}

fn key(name: &str) -> BudgetKey {
    BudgetKey {
        subject: Subject::new(SubjectKind::Key, name),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(0),
    }
}

fn usd(pico: i64) -> Usd {
    Usd::from_pico(pico)
}

fn balance(limit: i64) -> Arc<Balance> {
    Arc::new(Balance::new(key("k"), usd(limit), Usd::ZERO, Millis::ZERO))
}

fn bucket(limits: Limits) -> Arc<Bucket> {
    Arc::new(Bucket::new(Subject::new(SubjectKind::Key, "k"), limits))
}

fn fleet(limits: Option<Arc<dyn SharedLimits>>, replicas: usize, place: usize) -> FleetHandle {
    let id = |place: usize| format!("replica-{place:03}");
    let standing = Standing::new(id(place), limits.is_some());
    standing.saw((0..replicas).map(id).collect());
    FleetHandle {
        standing: Arc::new(standing),
        touched: Arc::new(Touched::default()),
        limits,
        fails_closed: false,
    }
}

const ASK: Ask = Ask {
    tokens: 10,
    hold: Usd::ZERO,
};

fn rpm(limit: u64) -> Limits {
    Limits {
        rpm: Some(limit),
        ..Limits::default()
    }
}

/// How many of `count` requests a replica lets through that decides by its share, none of which ends.
async fn admitted(
    buckets: &[Arc<Bucket>],
    balances: &[Arc<Balance>],
    ask: Ask,
    fleet: &FleetHandle,
    count: usize,
) -> usize {
    let clock = Clock::start();
    let mut permits = Vec::new();
    for _ in 0..count {
        if let Ok(permit) = admit_together(buckets, balances, ask, clock, fleet).await {
            permits.push(permit.in_flight());
        }
    }
    permits.len()
}

#[tokio::test(start_paused = true)]
async fn the_shares_of_replicas_that_do_not_hear_of_each_other_are_the_limit() {
    for (limit, replicas) in [(100, 3), (2, 3), (3, 3), (7, 4), (1, 9)] {
        let mut all = 0;
        for place in 0..replicas {
            let buckets = [bucket(rpm(limit))];
            let fleet = fleet(None, replicas, place);
            all += admitted(&buckets, &[], ASK, &fleet, 200).await;
        }
        assert_eq!(
            all,
            usize::try_from(limit).unwrap(),
            "{limit} of {replicas}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_all_had_taken_is_left_out_for_a_minute() {
    let used = SharedUse {
        requests: Some(80),
        ..SharedUse::default()
    };
    let others = Arc::new(Others::default());
    others
        .answers
        .lock()
        .unwrap()
        .push_back(SharedAnswer::Taken(SharedTake {
            receipt: Box::new(Receipt::default()),
            spent: vec![],
            used: vec![used],
        }));
    let buckets = [bucket(rpm(100))];
    let fleet = fleet(Some(others), 2, 0);

    // The first is told that 80 are taken, so 20 are left, and 10 of them are this replica's.
    assert_eq!(admitted(&buckets, &[], ASK, &fleet, 100).await, 1 + 10);
}

#[tokio::test(start_paused = true)]
async fn what_all_had_taken_of_a_day_is_left_out_for_a_day() {
    let limits = Limits {
        tpd: Some(100),
        ..Limits::default()
    };
    let used = SharedUse {
        day_tokens: Some(60),
        ..SharedUse::default()
    };
    let others = Arc::new(Others::default());
    let take = SharedTake {
        receipt: Box::new(Receipt::default()),
        spent: vec![],
        used: vec![used],
    };
    let answer = SharedAnswer::Taken(take);
    others.answers.lock().unwrap().push_back(answer);
    let buckets = [bucket(limits)];
    let fleet = fleet(Some(others), 2, 0);
    let clock = Clock::start();
    let first = admit_together(&buckets, &[], ASK, clock, &fleet).await;
    first.unwrap().in_flight().settle(Actual {
        tokens: 10,
        cost: None,
    });
    assert_eq!(buckets[0].remaining(clock.now()).day_tokens, Some(40));

    // An hour later 40 are left, and 20 of them are this replica's.
    advance(Duration::from_hours(1)).await;
    let mut served = 0;
    for _ in 0..9 {
        let permit = admit_together(&buckets, &[], ASK, clock, &fleet).await;
        served += usize::from(permit.map(|permit| drop(permit.in_flight())).is_ok());
    }
    assert_eq!(served, 2);
    // Of a day that is over nothing is known: half of the limit is this replica's.
    advance(Duration::from_hours(25)).await;
    assert_eq!(buckets[0].remaining(clock.now()).day_tokens, Some(100));
    let mut served = 0;
    for _ in 0..9 {
        let permit = admit_together(&buckets, &[], ASK, clock, &fleet).await;
        served += usize::from(permit.map(|permit| drop(permit.in_flight())).is_ok());
    }
    assert_eq!(served, 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_a_share_is_served_by_one_replica() {
    let limits = Limits {
        tpm: Some(1_000),
        ..Limits::default()
    };
    let ask = Ask {
        tokens: 900,
        hold: Usd::ZERO,
    };
    let mut served = Vec::new();
    for place in 0..3 {
        let buckets = [bucket(limits)];
        served.push(admitted(&buckets, &[], ask, &fleet(None, 3, place), 5).await);
    }
    assert_eq!(served, [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn money_is_divided_and_never_more_than_there_is() {
    let ask = Ask {
        tokens: 1,
        hold: usd(10),
    };
    let mut all = 0;
    for place in 0..3 {
        let balances = [balance(100)];
        all += admitted(&[], &balances, ask, &fleet(None, 3, place), 50).await;
    }
    assert_eq!(all, 9, "three times three of ten");
    // Less than a request: one replica serves one.
    let mut served = Vec::new();
    for place in 0..3 {
        let balances = [balance(20)];
        served.push(admitted(&[], &balances, ask, &fleet(None, 3, place), 5).await);
    }
    assert_eq!(served, [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_all_gives_back_what_was_taken_here() {
    let others = Arc::new(Others::default());
    for answer in [
        SharedRefusal::Limit {
            subject: 0,
            limit_type: LimitType::Requests,
            used: 5,
            retry_after: Duration::from_secs(7),
        },
        SharedRefusal::Held { budget: 0 },
        SharedRefusal::Exceeded {
            budget: 0,
            spent: usd(100),
        },
    ] {
        let answer = SharedAnswer::Refused(answer);
        others.answers.lock().unwrap().push_back(answer);
    }
    let (buckets, balances) = ([bucket(rpm(5))], [balance(100)]);
    let fleet = fleet(Some(Arc::clone(&others) as _), 2, 0);
    let clock = Clock::start();
    let mut said = Vec::new();
    for _ in 0..4 {
        let refusal = admit_together(&buckets, &balances, ASK, clock, &fleet).await;
        said.push(refusal.err().map(|refusal| refusal.to_string()));
    }
    assert_eq!(
        said.iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        [
            "rate limit of api_key: k: 5 requests, 0 remaining",
            "budget of api_key: k is held by requests under way",
            "budget of api_key: k is exceeded: 0.0000000001 of 0.0000000001 USD",
            // What the others said is known now: they are not asked.
            "budget of api_key: k is exceeded: 0.0000000001 of 0.0000000001 USD",
        ]
    );
    assert_eq!(others.asked.lock().unwrap().len(), 3);
    let now = clock.now();
    // The others have taken all of it, this one nothing.
    assert_eq!(buckets[0].remaining(now).requests, Some(0));
    let later = now.after(Duration::from_secs(61));
    assert_eq!(buckets[0].remaining(later).requests, Some(5));
    assert_eq!(balances[0].snapshot().live_holds, 0);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_settled_or_given_back_with_the_permit() {
    let others = Arc::new(Others::default());
    let (settled, given_back) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    for _ in 0..3 {
        let take = SharedTake {
            receipt: Box::new(Receipt {
                settled: Arc::clone(&settled),
                given_back: Arc::clone(&given_back),
            }),
            spent: vec![],
            used: vec![SharedUse::default()],
        };
        others
            .answers
            .lock()
            .unwrap()
            .push_back(SharedAnswer::Taken(take));
    }
    let buckets = [bucket(rpm(5))];
    let fleet = fleet(Some(others), 2, 0);
    let clock = Clock::start();
    let mut permits = Vec::new();
    for _ in 0..3 {
        let permit = admit_together(&buckets, &[], ASK, clock, &fleet).await;
        permits.push(permit.unwrap());
    }
    drop(permits.pop());
    drop(permits.pop().map(Permit::in_flight));
    let settle = Actual {
        tokens: 3,
        cost: None,
    };
    permits.pop().unwrap().in_flight().settle(settle);

    assert_eq!(given_back.load(Ordering::Relaxed), 1);
    // Dropped in flight: as estimated.
    assert_eq!(settled.load(Ordering::Relaxed), 10 + 3);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_requests_are_weakened_or_refused() {
    let mut fleet = fleet(Some(Arc::new(Others::default())), 2, 0);
    let buckets = [bucket(rpm(4))];
    let clock = Clock::start();
    let permit = admit_together(&buckets, &[], ASK, clock, &fleet).await;
    assert!(permit.unwrap().is_weakened());

    fleet.fails_closed = true;
    let refusal = admit_together(&buckets, &[], ASK, clock, &fleet).await;
    assert!(matches!(refusal, Err(Refusal::Unreachable { .. })));
    // Who has no limit asks nobody.
    let permit = admit_together(&[], &[], ASK, clock, &fleet).await;
    assert!(!permit.unwrap().is_weakened());
}
