//! Waits, deadlines, policies, tags, capacity and mocks of a plan.

use std::collections::{HashMap, HashSet};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::plan_tests::{config, fail_all, failure, plan, plan_for, table};
use super::*;
use crate::deployment::{ByClass, Failure, FailureKind, Outcome};

pub(super) fn with(kind: FailureKind, status: u16) -> Failure {
    Failure {
        kind,
        status,
        retry_after: None,
    }
}

/// The ids that so many plans would call first.
fn firsts(table: &Arc<RoutingTable>, model: &str, ask: &PlanAsk) -> HashSet<String> {
    let resolved = table.resolve(model).unwrap();
    let first = |_| match table.plan(resolved.clone(), ask.clone()).next(Millis(0)) {
        Step::Try(attempt) => Some(attempt.deployment.id().to_string()),
        Step::Wait(_) | Step::GiveUp(_) => None,
    };
    (0..64).filter_map(first).collect()
}

#[test]
fn a_wait_takes_neither_slot_nor_probe() {
    let mut config = config(&[("a", "g")]);
    config.deployments[0].max_parallel_requests = Some(1);
    let table = table(config);
    let row = Arc::clone(table.deployment("a").unwrap().row());
    let mut waiting = plan(&table, "g");
    let Step::Try(attempt) = waiting.next(Millis(0)) else {
        panic!("nobody");
    };
    let mut limited = failure(429);
    limited.retry_after = Some(Duration::from_secs(7));
    attempt.report(Outcome::Failure(limited), Millis(0));
    waiting.failed(&limited, Millis(0));
    let Step::Wait(until) = waiting.next(Millis(0)) else {
        panic!("no wait");
    };
    assert_eq!(until, Millis(7_000));
    assert_eq!(row.in_flight(), 0);
    // Somebody else gets the only slot meanwhile, and keeps it.
    let Step::Try(other) = plan(&table, "g").next(Millis(1_000)) else {
        panic!("the slot is taken");
    };
    assert!(matches!(waiting.next(Millis(6_999)), Step::Wait(_)));
    let too_late = waiting.next(until);
    assert!(
        matches!(too_late, Step::GiveUp(GiveUp::Failed)),
        "{too_late:?}"
    );
    drop(other);
    assert_eq!(row.in_flight(), 0);
}

#[test]
fn no_retry_is_begun_that_cannot_end_in_time() {
    let table = table(config(&[("a", "g")]));
    let mut limited = failure(429);
    limited.retry_after = Some(Duration::from_secs(7));
    for (deadline, calls) in [(7_000, 1), (7_001, 2), (14_001, 3)] {
        let ask = PlanAsk {
            deadline: Some(Millis(deadline)),
            ..PlanAsk::default()
        };
        let mut plan = plan_for(&table, "g", ask);
        assert_eq!(fail_all(&mut plan, &limited).0.len(), calls, "{deadline}");
    }
}

#[test]
fn a_retry_waits_for_the_first_that_is_due_if_the_backoff_reaches_so_far() {
    // First retry: up to 500 ms.
    for (cooldown, calls) in [(499, 2), (501, 1)] {
        for seed in 0..20 {
            let mut config = config(&[("a", "g"), ("b", "g")]);
            config.num_retries = 1;
            config.cooldown_time = Duration::from_millis(cooldown);
            let table = table(config);
            let b = table.deployment("b").unwrap();
            b.report(Outcome::Failure(failure(429)), Millis(0));
            let resolved = table.resolve("g").unwrap();
            let rng = SmallRng::seed_from_u64(seed);
            let mut plan = table.plan_with(resolved, PlanAsk::default(), rng);
            let made = fail_all(&mut plan, &failure(429)).0;
            assert_eq!(made.len(), calls, "{cooldown} ms, seed {seed}");
        }
    }
}

#[test]
fn after_the_deadline_no_fallback_begins_but_a_first_try_does() {
    let mut config = config(&[("a", "ga"), ("b", "gb")]);
    config.fallbacks = vec![("ga".to_owned(), vec!["gb".to_owned()])];
    let table = table(config);
    let ask = PlanAsk {
        deadline: Some(Millis(100)),
        ..PlanAsk::default()
    };
    let mut plan = plan_for(&table, "ga", ask);
    let Step::Try(attempt) = plan.next(Millis(500)) else {
        panic!("not tried at all");
    };
    drop(attempt);
    plan.failed(&failure(400), Millis(500));
    assert!(matches!(
        plan.next(Millis(500)),
        Step::GiveUp(GiveUp::Failed)
    ));
}

#[test]
fn retries_follow_the_groups_policy_then_the_routers_then_the_plain_number() {
    let mut config = config(&[("a", "g"), ("b", "h")]);
    config.num_retries = 1;
    config.retry_policy = ByClass {
        timeout: Some(4),
        bad_request: Some(2),
        ..ByClass::default()
    };
    let own = ByClass {
        timeout: Some(0),
        rate_limit: Some(3),
        ..ByClass::default()
    };
    config.group_retry_policy = HashMap::from([("h".into(), own)]);
    let table = table(config);
    // Kind, status, calls in `g`, calls in `h`.
    for (kind, status, g, h) in [
        (FailureKind::Timeout, 408, 5, 1),
        (FailureKind::RateLimited, 429, 2, 4),
        (FailureKind::BadRequest, 400, 3, 3),
        (FailureKind::ContentPolicy, 400, 1, 1),
        (FailureKind::Server, 500, 2, 2),
        (FailureKind::NotFound, 404, 1, 1),
    ] {
        for (group, calls) in [("g", g), ("h", h)] {
            let made = fail_all(&mut plan(&table, group), &with(kind, status)).0;
            assert_eq!(made.len(), calls, "{kind} in {group}");
            for id in ["a", "b"] {
                // A 404 has opened the breaker; each case is on its own.
                let row = Arc::clone(table.deployment(id).unwrap().row());
                if let Some(probe) = row.deadline().and_then(|at| row.try_probe(at)) {
                    row.heal(&probe);
                }
            }
        }
    }
    let none = PlanAsk {
        num_retries: Some(0),
        ..PlanAsk::default()
    };
    let mut plan = plan_for(&table, "g", none);
    let made = fail_all(&mut plan, &with(FailureKind::Timeout, 408)).0;
    assert_eq!(made.len(), 1, "a request that wants none gets none");
}

#[test]
fn a_failure_that_trips_by_itself_is_seen_by_the_very_next_request() {
    for status in [401, 404, 429] {
        let table = table(config(&[("a", "g"), ("b", "g")]));
        let a = table.deployment("a").unwrap();
        a.report(Outcome::Failure(failure(status)), Millis(0));
        let firsts = firsts(&table, "g", &PlanAsk::default());
        assert_eq!(firsts, HashSet::from(["b".to_owned()]), "{status}");
    }
}

#[test]
fn a_deployment_gets_no_more_requests_in_a_minute_than_it_grants() {
    let mut config = config(&[("a", "g"), ("b", "g")]);
    config.deployments[0].rpm = Some(2);
    config.deployments[1].rpm = Some(3);
    let table = table(config);
    let mut served = 0;
    let refused = loop {
        match plan(&table, "g").next(Millis(served * 10)) {
            Step::Try(_) => served += 1,
            Step::Wait(_) => panic!("a first try waits"),
            Step::GiveUp(why) => break why,
        }
    };
    assert_eq!(served, 5);
    let GiveUp::AllBusy { retry_after, .. } = refused else {
        panic!("{refused:?}");
    };
    assert!(retry_after > Duration::from_secs(59), "{retry_after:?}");
    assert!(matches!(
        plan(&table, "g").next(Millis(61_000)),
        Step::Try(_)
    ));
}

#[test]
fn a_request_that_would_exceed_tpm_goes_elsewhere_and_counts_what_it_used() {
    let mut config = config(&[("a", "g"), ("b", "g")]);
    config.deployments[0].tpm = Some(100);
    config.deployments[0].weight = Some(1.0);
    let table = table(config);
    let ask = PlanAsk {
        tokens: 90,
        ..PlanAsk::default()
    };
    let call = || match plan_for(&table, "g", ask.clone()).next(Millis(0)) {
        Step::Try(attempt) => attempt,
        other => panic!("{other:?}"),
    };
    let first = call();
    assert_eq!(
        first.deployment.id().as_str(),
        "a",
        "the only one with a weight"
    );
    assert_eq!(call().deployment.id().as_str(), "b", "no room at the first");
    let answer = Outcome::Success {
        total: Duration::from_secs(1),
        first_content: None,
        completion_tokens: 5,
        total_tokens: 10,
    };
    first.report(answer, Millis(0));
    assert_eq!(call().deployment.id().as_str(), "a", "it used 10 only");
}

#[test]
fn tags_choose_and_default_deployments_take_the_rest() {
    let mut config = config(&[("free", "g"), ("paid", "g"), ("rest", "g"), ("only", "h")]);
    let tags = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    config.deployments[0].tags = tags(&["free", "eu"]);
    config.deployments[1].tags = tags(&["paid"]);
    config.deployments[2].tags = tags(&["default"]);
    config.deployments[3].tags = tags(&["paid"]);
    config.tags.enabled = true;
    let any = table(config.clone());
    config.tags.match_any = false;
    let all = table(config.clone());
    config.tags.enabled = false;
    let off = table(config);
    let cases: [(&Arc<RoutingTable>, &[&str], &[&str]); 11] = [
        (&any, &["free"], &["free"]),
        (&any, &["free", "other"], &["free"]),
        (&all, &["free", "other"], &["rest"]),
        (&all, &["free", "eu"], &["free"]),
        (&any, &["unknown"], &["rest"]),
        (&any, &[], &["rest"]),
        (&any, &["!free"], &["paid", "rest"]),
        (&any, &["&eu"], &["free"]),
        (&any, &["paid", "&eu"], &["rest"]),
        (&any, &["unknown", "!default"], &[]),
        (&off, &["free"], &["free", "paid", "rest"]),
    ];
    for (table, asked, expected) in cases {
        let ask = PlanAsk {
            tags: tags(asked),
            ..PlanAsk::default()
        };
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(firsts(table, "g", &ask), expected, "{asked:?}");
    }
    let ask = PlanAsk {
        tags: tags(&["free"]),
        ..PlanAsk::default()
    };
    let denied = plan_for(&any, "h", ask).next(Millis(0));
    let Step::GiveUp(why) = denied else {
        panic!("{denied:?}");
    };
    assert_eq!(why, GiveUp::TagsDenied { group: "h".into() });
    let untagged = firsts(&any, "h", &PlanAsk::default());
    assert_eq!(untagged.len(), 1, "no default here: all of them");
}

#[test]
fn who_is_blocked_is_not_asked_and_fallbacks_stand_in_where_all_are() {
    let mut config = config(&[("a", "g"), ("b", "g"), ("c", "h")]);
    config.deployments[0].blocked = true;
    let one_left = firsts(&table(config.clone()), "g", &PlanAsk::default());
    assert_eq!(one_left, HashSet::from(["b".to_owned()]));

    config.deployments[1].blocked = true;
    let none = table(config.clone());
    for name in ["g", "a"] {
        let step = plan_for(&none, name, PlanAsk::default()).next(Millis(0));
        let Step::GiveUp(why) = step else {
            panic!("{step:?}");
        };
        assert_eq!(why, GiveUp::Blocked { group: "g".into() }, "{name}");
    }
    config.fallbacks = vec![("g".to_owned(), vec!["h".to_owned()])];
    let elsewhere = firsts(&table(config), "g", &PlanAsk::default());
    assert_eq!(elsewhere, HashSet::from(["c".to_owned()]));
}

#[test]
fn what_goes_with_a_table_is_found_by_its_type_alone() {
    let mut config = config(&[("a", "g")]);
    config.beside = Beside::new(Arc::new(7_u8));
    assert_eq!(config, config.clone());
    assert_ne!(config.beside, Beside::new(Arc::new(7_u8)));
    let table = table(config);
    assert_eq!(table.beside::<u8>().as_deref(), Some(&7));
    assert_eq!(table.beside::<String>(), None);
}

pub(super) fn too_long(deployment: &str, upstream_model: &str, window: u64) -> TooLong {
    TooLong {
        deployment: deployment.into(),
        upstream_model: upstream_model.into(),
        window,
        prompt_tokens: 17,
    }
}

#[test]
fn a_prompt_goes_only_where_it_fits_and_its_own_fallbacks_answer_where_it_fits_nowhere() {
    let mut config = config(&[("a", "g"), ("b", "g"), ("c", "h"), ("d", "i")]);
    let to = |target: &str| Some(vec![("g".to_owned(), vec![target.to_owned()])]);
    config.fallbacks = to("h").unwrap();
    let general = table(config.clone());
    config.context_window_fallbacks = to("i");
    let special = table(config.clone());
    config.context_window_fallbacks = Some(Vec::new());
    let none = table(config);
    let first = |table: &Arc<RoutingTable>, small: &[(&str, u64)]| {
        let ask = PlanAsk {
            too_long: small
                .iter()
                .map(|(id, window)| too_long(id, "upstream", *window))
                .collect(),
            ..PlanAsk::default()
        };
        match plan_for(table, "g", ask).next(Millis(0)) {
            Step::Try(attempt) => Ok(attempt.deployment.id().to_string()),
            Step::GiveUp(why) => Err(why),
            Step::Wait(_) => panic!("a wait"),
        }
    };
    let refused = |window| {
        Err(GiveUp::TooLong {
            group: "g".into(),
            window,
            prompt_tokens: 17,
        })
    };
    assert_eq!(first(&special, &[("a", 5)]).as_deref(), Ok("b"));
    let both = [("a", 5), ("b", 9)];
    assert_eq!(first(&general, &both).as_deref(), Ok("c"));
    assert_eq!(first(&special, &both).as_deref(), Ok("d"));
    assert_eq!(first(&none, &both), refused(9));
    // The fallback has a window too, and the client is told of the group that it asked for.
    let all = [("a", 5), ("b", 9), ("d", 16)];
    assert_eq!(first(&special, &all), refused(9));
}

#[test]
fn each_model_behind_a_wildcard_has_a_window_of_its_own() {
    let mut config = config(&[("w", "openai/*")]);
    config.deployments[0].upstream_model = "*".into();
    let table = table(config);
    let is_tried = |model: &str| {
        let ask = PlanAsk {
            too_long: vec![too_long("w", "small", 5)],
            ..PlanAsk::default()
        };
        matches!(plan_for(&table, model, ask).next(Millis(0)), Step::Try(_))
    };
    assert!(!is_tried("openai/small"));
    assert!(is_tried("openai/large"));
}

#[test]
fn who_has_spent_its_budget_is_left_out_and_fallbacks_answer() {
    let mut config = config(&[("a", "g"), ("b", "g"), ("c", "h")]);
    config.fallbacks = vec![("g".to_owned(), vec!["h".to_owned()])];
    let table = table(config);
    let first = |model: &str, spent: &[&str], disable_fallbacks| {
        let ask = PlanAsk {
            over_budget: spent.iter().map(|id| DeploymentId::new(*id)).collect(),
            disable_fallbacks,
            ..PlanAsk::default()
        };
        match plan_for(&table, model, ask).next(Millis(0)) {
            Step::Try(attempt) => Ok(attempt.deployment.id().to_string()),
            Step::GiveUp(why) => Err(why),
            Step::Wait(_) => panic!("a wait"),
        }
    };
    assert_eq!(first("g", &["a"], false).as_deref(), Ok("b"));
    assert_eq!(first("g", &["a", "b"], false).as_deref(), Ok("c"));
    let why = GiveUp::OverBudget { group: "g".into() };
    assert_eq!(first("g", &["a", "b"], true), Err(why));
}

#[test]
fn a_mocked_failure_goes_to_the_fallbacks_without_a_call() {
    let mut config = config(&[("a", "ga"), ("b", "gb"), ("long", "gl")]);
    config.fallbacks = vec![("ga".to_owned(), vec!["gb".to_owned()])];
    config.context_window_fallbacks = Some(vec![("ga".to_owned(), vec!["gl".to_owned()])]);
    let table = table(config);
    let call = |kind, model| {
        let ask = PlanAsk {
            mock: Some(kind),
            ..PlanAsk::default()
        };
        match plan_for(&table, model, ask).next(Millis(0)) {
            Step::Try(attempt) => Ok(attempt.deployment.id().to_string()),
            Step::GiveUp(why) => Err(why),
            Step::Wait(_) => panic!("a wait"),
        }
    };
    assert_eq!(call(FailureKind::Server, "ga").as_deref(), Ok("b"));
    assert_eq!(
        call(FailureKind::ContextWindow, "ga").as_deref(),
        Ok("long")
    );
    assert_eq!(
        call(FailureKind::RateLimited, "ga").as_deref(),
        Ok("a"),
        "retried"
    );
    let why = GiveUp::Mocked {
        group: "gb".into(),
        kind: FailureKind::Server,
    };
    assert_eq!(call(FailureKind::Server, "gb"), Err(why));
}

#[test]
fn strategies_choose_over_the_board() {
    let mut config = config(&[("a", "g"), ("b", "g")]);
    config.strategy = Strategy::LeastBusy;
    let busy = table(config.clone());
    let Step::Try(first) = plan(&busy, "g").next(Millis(0)) else {
        panic!("nobody");
    };
    let Step::Try(second) = plan(&busy, "g").next(Millis(0)) else {
        panic!("nobody");
    };
    assert_ne!(first.deployment.id(), second.deployment.id());

    config.strategy = Strategy::UsageBased;
    let usage = table(config);
    let ask = PlanAsk {
        tokens: 100,
        ..PlanAsk::default()
    };
    let mut calls = Vec::new();
    for _ in 0..4 {
        if let Step::Try(attempt) = plan_for(&usage, "g", ask.clone()).next(Millis(0)) {
            calls.push(attempt.deployment.id().to_string());
        }
    }
    assert_eq!(
        calls,
        ["a", "b", "a", "b"],
        "by tokens, the first of several"
    );
}
