use std::sync::Arc;

use actix::System;
use proptest::prelude::*;
use tokio::time::{advance, pause};

use super::*;
use crate::board::{BreakerState, Row};
use crate::clock::Millis;
use crate::ids::DeploymentId;
use crate::test_util::settle_down;

fn rules() -> Rules {
    Rules {
        disabled: false,
        allowed_fails: None,
        allowed_fails_policy: ByClass::default(),
        own_cooldown: None,
        cooldown: Duration::from_secs(5),
        has_siblings: true,
        wildcard: false,
    }
}

fn failure(kind: FailureKind, status: u16) -> Failure {
    Failure {
        kind,
        status,
        retry_after: None,
    }
}

/// For how long the failure cools a deployment down by itself.
fn alone_for(rules: Rules, failure: &Failure) -> Option<Duration> {
    let tripped = rules.trips_alone(failure, false);
    tripped.map(|(_rule, duration)| duration)
}

fn open_until(verdict: Verdict) -> Option<Millis> {
    match verdict {
        Verdict::Open(cooldown) => Some(cooldown.until),
        Verdict::Nothing | Verdict::Close => None,
    }
}

fn server_error() -> Outcome {
    Outcome::Failure(failure(FailureKind::Server, 500))
}

fn success() -> Outcome {
    Outcome::Success {
        total: Duration::from_millis(80),
        first_content: None,
        completion_tokens: 3,
        total_tokens: 5,
    }
}

#[test]
fn single_failures_trip_by_the_contracts_table() {
    use FailureKind::{
        Auth, BadRequest, NotFound, PaymentRequired, Permission, RateLimited, Server, Timeout,
    };
    let five = Some(Duration::from_secs(5));
    // kind, status, in a group of several, alone
    let cases = [
        (RateLimited, 429, five, None),
        (Auth, 401, five, five),
        (PaymentRequired, 402, five, five),
        (NotFound, 404, five, five),
        (Timeout, 408, None, None),
        (Permission, 403, None, None),
        (BadRequest, 400, None, None),
        (Server, 500, None, None),
    ];
    for (kind, status, several, alone) in cases {
        let failure = failure(kind, status);
        assert_eq!(alone_for(rules(), &failure), several, "{kind:?} of several");
        let only = Rules {
            has_siblings: false,
            ..rules()
        };
        assert_eq!(alone_for(only, &failure), alone, "{kind:?} alone");
    }
}

#[test]
fn a_cooldown_lasts_as_the_deployment_the_upstream_or_the_router_says() {
    let mut failure = failure(FailureKind::RateLimited, 429);
    failure.retry_after = Some(Duration::from_secs(7));
    let own = Rules {
        own_cooldown: Some(Duration::from_secs(2)),
        ..rules()
    };
    assert_eq!(alone_for(own, &failure), Some(Duration::from_secs(2)));
    assert_eq!(alone_for(rules(), &failure), Some(Duration::from_secs(7)));
    failure.retry_after = Some(Duration::from_secs(1_000_000));
    assert_eq!(alone_for(rules(), &failure), Some(Duration::from_hours(1)));
    let none = Rules {
        own_cooldown: Some(Duration::ZERO),
        ..rules()
    };
    assert_eq!(alone_for(none, &failure), None);
}

#[test]
fn an_unknown_name_does_not_cool_a_wildcard_down() {
    let wildcard = Rules {
        wildcard: true,
        ..rules()
    };
    let failure = failure(FailureKind::NotFound, 404);
    assert_eq!(alone_for(wildcard, &failure), None);
}

#[test]
fn more_than_half_of_five_requests_failing_opens() {
    let mut breaker = Breaker::new(rules());
    let outcomes = [success(), success(), server_error(), server_error()];
    for outcome in &outcomes {
        assert_eq!(breaker.outcome(outcome, false, Millis(0)), Verdict::Nothing);
    }
    let verdict = breaker.outcome(&server_error(), false, Millis(10));
    assert_eq!(open_until(verdict), Some(Millis(5_010)));
}

#[test]
fn an_only_deployment_opens_after_a_thousand_failures_of_a_minute() {
    let mut breaker = Breaker::new(Rules {
        has_siblings: false,
        ..rules()
    });
    for _ in 0..999 {
        assert_eq!(
            breaker.outcome(&server_error(), false, Millis(0)),
            Verdict::Nothing
        );
    }
    let verdict = breaker.outcome(&server_error(), false, Millis(0));
    assert_eq!(open_until(verdict), Some(Millis(5_000)));
}

#[test]
fn failures_of_the_last_minute_are_forgotten() {
    let mut breaker = Breaker::new(rules());
    let outcomes = [server_error(), server_error(), server_error(), success()];
    for outcome in &outcomes {
        breaker.outcome(outcome, false, Millis(59_000));
    }
    let verdict = breaker.outcome(&server_error(), false, Millis(60_000));
    assert_eq!(verdict, Verdict::Nothing);
}

#[test]
fn the_counting_rule_opens_beyond_the_allowed_failures_within_a_cooldown_time() {
    let mut breaker = Breaker::new(Rules {
        allowed_fails: Some(1),
        has_siblings: false,
        ..rules()
    });
    assert_eq!(
        breaker.outcome(&server_error(), false, Millis(0)),
        Verdict::Nothing
    );
    assert_eq!(
        breaker.outcome(&server_error(), false, Millis(5_000)),
        Verdict::Nothing
    );
    let verdict = breaker.outcome(&server_error(), false, Millis(6_000));
    assert_eq!(open_until(verdict), Some(Millis(11_000)));
}

#[test]
fn five_failures_in_a_row_open_whatever_came_before_in_the_minute() {
    let mut breaker = Breaker::new(rules());
    for _ in 0..100 {
        breaker.outcome(&success(), false, Millis(0));
    }
    for _ in 0..4 {
        assert_eq!(
            breaker.outcome(&server_error(), false, Millis(0)),
            Verdict::Nothing
        );
    }
    let Verdict::Open(cooldown) = breaker.outcome(&server_error(), false, Millis(0)) else {
        panic!("still closed");
    };
    assert_eq!(cooldown.rule, Rule::InARow);
    assert_eq!((cooldown.requests, cooldown.failures), (105, 5));
    let next = breaker.outcome(&server_error(), false, Millis(0));
    assert_eq!(next, Verdict::Nothing, "it counts anew");
}

#[test]
fn an_only_deployment_does_not_open_for_failures_in_a_row() {
    let mut breaker = Breaker::new(Rules {
        has_siblings: false,
        ..rules()
    });
    for _ in 0..20 {
        let verdict = breaker.outcome(&server_error(), false, Millis(0));
        assert_eq!(verdict, Verdict::Nothing);
    }
}

#[test]
fn a_policy_allows_failures_by_class_and_may_name_what_else_never_counts() {
    let policy = ByClass {
        rate_limit: Some(1),
        bad_request: Some(0),
        ..ByClass::default()
    };
    let rules = Rules {
        allowed_fails_policy: policy,
        has_siblings: false,
        ..rules()
    };
    let limited = Outcome::Failure(failure(FailureKind::RateLimited, 429));
    let mut breaker = Breaker::new(rules);
    assert_eq!(
        breaker.outcome(&limited, false, Millis(0)),
        Verdict::Nothing
    );
    let verdict = breaker.outcome(&limited, false, Millis(0));
    assert_eq!(open_until(verdict), Some(Millis(5_000)));
    let bad = failure(FailureKind::BadRequest, 400);
    assert_eq!(
        rules.trips_alone(&bad, false),
        Some((Rule::AllowedFails, Duration::from_secs(5)))
    );
    // What it does not name is counted by `allowed_fails`, which is 3 where it is not set.
    let mut breaker = Breaker::new(rules);
    for _ in 0..3 {
        let verdict = breaker.outcome(&server_error(), false, Millis(0));
        assert_eq!(verdict, Verdict::Nothing);
    }
    let verdict = breaker.outcome(&server_error(), false, Millis(0));
    assert!(open_until(verdict).is_some());
}

#[test]
fn a_cooldown_explains_itself_until_it_is_healed() {
    let handle = handle();
    assert_eq!(handle.row().why(), None);
    let limited = failure(FailureKind::RateLimited, 429);
    handle.report(Outcome::Failure(limited), Millis(100));
    handle.report(Outcome::Failure(limited), Millis(300));
    let why = handle.row().why().unwrap();
    assert_eq!(
        (why.rule, why.kind),
        (Rule::RateLimited, Some(limited.kind))
    );
    assert_eq!((why.status, why.since), (429, Millis(100)), "it began once");
    assert_eq!(why.until, Millis(5_300));
    let probe = handle.row().try_probe(Millis(5_300)).unwrap();
    handle.row().heal(&probe);
    assert_eq!(handle.row().why(), None);
}

#[test]
fn a_probe_closes_on_any_answer_and_opens_on_any_real_failure() {
    let mut breaker = Breaker::new(rules());
    assert_eq!(breaker.outcome(&success(), true, Millis(0)), Verdict::Close);
    let bad_request = Outcome::Failure(failure(FailureKind::BadRequest, 400));
    assert_eq!(
        breaker.outcome(&bad_request, true, Millis(0)),
        Verdict::Close
    );
    let verdict = breaker.outcome(&server_error(), true, Millis(0));
    assert_eq!(open_until(verdict), Some(Millis(5_000)));
}

fn handle() -> DeploymentHandle {
    DeploymentHandle::new(DeploymentId::from("d"), Arc::new(Row::default()), rules())
}

#[test]
fn a_tripping_failure_is_on_the_board_before_any_actor_hears_of_it() {
    let handle = handle();
    let failure = failure(FailureKind::RateLimited, 429);
    handle.report(Outcome::Failure(failure), Millis(100));
    let until = Millis(5_100);
    assert_eq!(
        handle.row().state(Millis(100)),
        BreakerState::Open { until }
    );
    assert_eq!((handle.row().requests(), handle.row().failures()), (1, 1));
}

#[test]
fn an_answered_probe_heals_before_any_actor_hears_of_it() {
    let handle = handle();
    let row = Arc::clone(handle.row());
    row.raise_cooldown(Millis(10), Millis(0));
    let probe = row.try_probe(Millis(10)).unwrap();

    handle.report_attempt(success(), Some(probe), SizeClass::Short, Millis(11));

    assert_eq!(row.state(Millis(11)), BreakerState::Closed);
}

#[test]
fn outcomes_wait_in_a_bounded_outbox_while_there_is_no_actor() {
    let handle = handle();
    for _ in 0..1_100 {
        handle.report(success(), Millis(0));
    }
    assert_eq!(handle.outbox().take().len(), 1_024);
    assert_eq!(handle.dropped_outcomes(), 76);
    assert_eq!(handle.row().requests(), 1_100, "the counters have them all");
}

#[test]
fn batched_outcomes_reach_the_breaker_within_milliseconds() {
    System::new().block_on(async {
        pause();
        let handle = handle();
        let _addr = Deployment::open(handle.clone(), 16);
        for _ in 0..5 {
            handle.report(server_error(), Millis(0));
        }
        assert_eq!(handle.row().state(Millis(0)), BreakerState::Closed);
        advance(Duration::from_millis(12)).await;
        settle_down().await;
        let until = Millis(5_000);
        assert_eq!(handle.row().state(Millis(0)), BreakerState::Open { until });
    });
}

#[test]
fn a_full_mailbox_loses_no_outcome_and_no_probe() {
    System::new().block_on(async {
        pause();
        let handle = handle();
        let addr = Deployment::open(handle.clone(), 1);
        settle_down().await;
        // Nothing is handled before the next await: the mailbox fills up.
        while addr.try_send(OutcomesWaiting).is_ok() {}
        handle.row().raise_cooldown(Millis(10), Millis::ZERO);
        let probe = handle.row().try_probe(Millis(10));
        handle.report_attempt(success(), probe, SizeClass::Short, Millis(10));
        assert!(handle.row().latency().is_none(), "the outcome is under way");
        advance(Duration::from_millis(12)).await;
        settle_down().await;
        assert_eq!(handle.row().state(Millis(10)), BreakerState::Closed);
        assert!(handle.row().latency().is_some());
    });
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Wait(u64),
    Try,
    End(bool),
    Forget,
}

proptest! {
    #[test]
    fn a_breaker_never_lets_more_than_its_probe_through(
        events in prop::collection::vec(
            prop_oneof![
                (1_u64..8_000).prop_map(Event::Wait),
                Just(Event::Try),
                any::<bool>().prop_map(Event::End),
                Just(Event::Forget),
            ],
            1..200,
        ),
    ) {
        let handle = handle();
        let mut breaker = Breaker::new(rules());
        handle.row().raise_cooldown(Millis(5_000), Millis::ZERO);
        let mut now = Millis(0);
        let mut probes = Vec::new();
        for event in events {
            match event {
                Event::Wait(ms) => now.0 += ms,
                Event::Try => {
                    let state = handle.row().state(now);
                    if let Some(probe) = handle.row().try_probe(now) {
                        prop_assert_eq!(state, BreakerState::HalfOpen { probing: false });
                        probes.push(probe);
                    }
                }
                Event::End(well) => {
                    let Some(probe) = probes.pop() else { continue };
                    let outcome = if well { success() } else { server_error() };
                    handle.report_attempt(outcome, Some(probe), SizeClass::Short, now);
                    // As the actor does.
                    for report in handle.outbox().take() {
                        match breaker.outcome(&report.outcome, report.probe.is_some(), report.at) {
                            Verdict::Nothing => {}
                            Verdict::Open(cooldown) => drop(handle.row().raise(&cooldown)),
                            Verdict::Close => handle.row().heal(report.probe.as_ref().unwrap()),
                        }
                    }
                    let closed = handle.row().state(now) == BreakerState::Closed;
                    prop_assert_eq!(closed, well);
                    if well {
                        handle.row().raise_cooldown(now.after(Duration::from_secs(5)), now);
                    }
                }
                Event::Forget => drop(probes.pop()),
            }
            prop_assert!(probes.len() <= 1);
        }
    }
}
