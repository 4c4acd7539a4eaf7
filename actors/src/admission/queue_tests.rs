//! The waiting queue, on a clock that stands still.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep};

use super::queue::{Lines, Queue, QueueSettings};
use super::*;
use crate::ids::SubjectKind;
use crate::rate_limiter::Limits;

const SETTINGS: QueueSettings = QueueSettings {
    max_wait: Duration::from_secs(90),
    max_waiting: 8,
    max_waiting_per_subject: 6,
};

fn subject(name: &str) -> Subject {
    Subject::new(SubjectKind::Key, name)
}

fn bucket(name: &str, limits: Limits) -> Arc<Bucket> {
    Arc::new(Bucket::new(subject(name), limits))
}

fn rpm(limit: u64) -> Limits {
    Limits {
        rpm: Some(limit),
        ..Limits::default()
    }
}

const ASK: Ask = Ask {
    tokens: 10,
    hold: Usd::ZERO,
};

/// Takes `ask` of the buckets, or waits for it.
async fn take(
    queue: &Queue,
    buckets: &[Arc<Bucket>],
    ask: Ask,
    clock: Clock,
) -> Result<Permit<Reserved>, Refusal> {
    let subjects = buckets.iter().map(|bucket| bucket.subject());
    let attempt = async || admit(buckets, &[], ask, clock);
    queue.admit(subjects, attempt).await
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_minute_and_are_served_in_the_order_in_which_they_came() {
    let queue = Rc::new(Queue::new(SETTINGS));
    let clock = Clock::start();
    let buckets = [bucket("k", rpm(2))];
    let served = Rc::new(RefCell::new(Vec::new()));
    let began = Instant::now();
    let local = LocalSet::new();
    for number in 0..5 {
        let (queue, served, buckets) = (Rc::clone(&queue), Rc::clone(&served), buckets.clone());
        local.spawn_local(async move {
            sleep(Duration::from_millis(number)).await;
            let permit = take(&queue, &buckets, ASK, clock).await;
            let outcome = permit.map(|permit| drop(permit.in_flight())).is_ok();
            let after = began.elapsed().as_secs();
            served.borrow_mut().push((number, outcome, after));
        });
    }
    local.await;
    // The last would have to wait for two minutes, which is known when it is its turn.
    let expected = [
        (0, true, 0),
        (1, true, 0),
        (2, true, 60),
        (3, true, 60),
        (4, false, 60),
    ];
    assert_eq!(*served.borrow(), expected);
    assert_eq!(queue.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_in_vain_is_refused_at_once() {
    let queue = Queue::new(QueueSettings {
        max_wait: Duration::from_secs(59),
        ..SETTINGS
    });
    let clock = Clock::start();
    let buckets = [bucket("k", rpm(1))];
    let _first = take(&queue, &buckets, ASK, clock).await.unwrap();
    let began = Instant::now();
    let refusal = take(&queue, &buckets, ASK, clock).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Rate { limit: 1, .. }));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_limit_of_nothing() {
    let queue = Queue::new(SETTINGS);
    let clock = Clock::start();
    let (zero, none) = (Some(0), Limits::default());
    let all = [
        Limits { rpm: zero, ..none },
        Limits { tpm: zero, ..none },
        Limits { tpd: zero, ..none },
        Limits {
            max_parallel: Some(0),
            ..none
        },
    ];
    let began = Instant::now();
    for limits in all {
        let refused = take(&queue, &[bucket("k", limits)], ASK, clock).await;
        assert!(matches!(refused, Err(Refusal::Rate { limit: 0, .. })));
        assert_eq!(began.elapsed(), Duration::ZERO, "{limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_comes_back_is_seen_soon_and_a_deadline_is_kept() {
    let queue = Rc::new(Queue::new(QueueSettings {
        max_wait: Duration::from_secs(2),
        ..SETTINGS
    }));
    let clock = Clock::start();
    let limits = Limits {
        max_parallel: Some(1),
        ..Limits::default()
    };
    let buckets = [bucket("k", limits)];
    let running = take(&queue, &buckets, ASK, clock).await.unwrap();
    let local = LocalSet::new();
    let began = Instant::now();
    local
        .run_until(async {
            let waiting = {
                let (queue, buckets) = (Rc::clone(&queue), buckets.clone());
                spawn_local(async move { take(&queue, &buckets, ASK, clock).await })
            };
            sleep(Duration::from_millis(700)).await;
            assert_eq!(queue.waiting(), 1);
            drop(running.in_flight());
            let second = waiting.await.unwrap().unwrap();
            assert!(began.elapsed() < Duration::from_millis(760));
            let refusal = take(&queue, &buckets, ASK, clock).await.unwrap_err();
            assert!(matches!(
                refusal,
                Refusal::Rate {
                    limit_type: LimitType::MaxParallelRequests,
                    ..
                }
            ));
            let waited = began.elapsed();
            assert!(
                waited >= Duration::from_millis(2_700) && waited < Duration::from_millis(2_800)
            );
            drop(second);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_frees_its_place_and_the_next_one_goes_on() {
    let queue = Rc::new(Queue::new(SETTINGS));
    let clock = Clock::start();
    let limits = Limits {
        tpm: Some(100),
        ..Limits::default()
    };
    let buckets = [bucket("k", limits)];
    let ask = |tokens: u64| Ask {
        tokens,
        hold: Usd::ZERO,
    };
    let running = take(&queue, &buckets, ask(60), clock).await.unwrap();
    let local = LocalSet::new();
    local
        .run_until(async {
            let wait = |tokens: u64| {
                let (queue, buckets) = (Rc::clone(&queue), buckets.clone());
                spawn_local(async move { take(&queue, &buckets, ask(tokens), clock).await })
            };
            let large = wait(70);
            sleep(Duration::from_millis(1)).await;
            let small = wait(30);
            sleep(Duration::from_secs(1)).await;
            // It would fit, and does not overtake.
            assert!(!small.is_finished());
            assert_eq!(queue.waiting(), 2);
            large.abort();
            assert!(small.await.unwrap().is_ok());
            assert_eq!(queue.waiting(), 0);
            drop(running);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_line_and_the_queue_are_bounded_and_a_closed_one_refuses_all() {
    let queue = Rc::new(Queue::new(SETTINGS));
    let clock = Clock::start();
    let (one, other) = ([bucket("k", rpm(1))], [bucket("l", rpm(1))]);
    for buckets in [&one, &other] {
        drop(take(&queue, buckets, ASK, clock).await.unwrap().in_flight());
    }
    let local = LocalSet::new();
    local
        .run_until(async {
            let wait = |buckets: &[Arc<Bucket>; 1]| {
                let (queue, buckets) = (Rc::clone(&queue), buckets.clone());
                spawn_local(async move { take(&queue, &buckets, ASK, clock).await })
            };
            let waiting: Vec<_> = (0..7).map(|_| wait(&one)).collect();
            let more: Vec<_> = (0..3).map(|_| wait(&other)).collect();
            sleep(Duration::from_secs(1)).await;
            let refused =
                |waiting: &[JoinHandle<_>]| waiting.iter().filter(|one| one.is_finished()).count();
            // Six of one subject, eight of all.
            assert_eq!(
                (refused(&waiting), refused(&more), queue.waiting()),
                (1, 1, 8)
            );
            queue.close();
            for one in waiting.into_iter().chain(more) {
                assert!(one.await.unwrap().is_err());
            }
            assert!(take(&queue, &one, ASK, clock).await.is_err());
            assert_eq!(queue.waiting(), 0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_two_limits_waits_for_one_after_the_other() {
    let queue = Queue::new(SETTINGS);
    let clock = Clock::start();
    let slow = bucket("slow", rpm(1));
    let full = bucket("full", rpm(1));
    drop(
        take(&queue, &[Arc::clone(&slow)], ASK, clock)
            .await
            .unwrap()
            .in_flight(),
    );
    sleep(Duration::from_secs(20)).await;
    drop(
        take(&queue, &[Arc::clone(&full)], ASK, clock)
            .await
            .unwrap()
            .in_flight(),
    );
    let began = Instant::now();
    let both = [slow, full];
    let permit = take(&queue, &both, ASK, clock).await;
    assert!(permit.is_ok());
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[derive(Debug, Clone)]
enum Step {
    Join(u8),
    /// The one that came as such a one.
    Leave(usize),
}

proptest! {
    #[test]
    fn of_each_line_the_one_who_came_first_of_those_who_are_left_is_first(
        steps in prop::collection::vec(
            prop_oneof![(0_u8..3).prop_map(Step::Join), any::<usize>().prop_map(Step::Leave)], 1..80),
    ) {
        let mut lines: Lines<()> = Lines::default();
        let mut there: Vec<(Subject, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Join(line) => {
                    let whose = subject(&line.to_string());
                    let of_line = there.iter().filter(|(known, _)| *known == whose).count();
                    let joined = lines.join(&whose, None, (), &SETTINGS);
                    let has_room = there.len() < SETTINGS.max_waiting && of_line < SETTINGS.max_waiting_per_subject;
                    prop_assert_eq!(joined.is_ok(), has_room);
                    there.extend(joined.ok().map(|number| (whose, number)));
                }
                Step::Leave(which) if !there.is_empty() => {
                    let (whose, number) = there.remove(which % there.len());
                    let was_first = lines.is_first(&whose, number);
                    let next = lines.leave(&whose, number).is_some();
                    let is_left = there.iter().any(|(known, _)| *known == whose);
                    prop_assert_eq!(next, was_first && is_left);
                    prop_assert_eq!(lines.has(&whose), is_left);
                }
                Step::Leave(_) => {}
            }
            for (whose, number) in &there {
                let first = there.iter().find(|(known, _)| known == whose);
                prop_assert_eq!(lines.is_first(whose, *number), first.is_some_and(|(_, known)| known == number));
            }
        }
    }
}
