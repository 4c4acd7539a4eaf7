//! Whom a plan calls, in which order, and when it gives up: without any actor.

use std::collections::BTreeMap;
use std::mem;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::board::Row;
use crate::clock::Millis;
use crate::deployment::{Failure, FailureKind, Outcome, Rules};

pub(super) fn config(deployments: &[(&str, &str)]) -> RoutingConfig {
    RoutingConfig {
        deployments: deployments
            .iter()
            .map(|(id, group)| DeploymentSpec::new(*id, *group, "upstream"))
            .collect(),
        ..RoutingConfig::default()
    }
}

fn fallbacks(entries: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    entries
        .iter()
        .map(|(group, targets)| {
            let targets = targets.iter().map(ToString::to_string);
            ((*group).to_owned(), targets.collect())
        })
        .collect()
}

/// The table that the supervisor would publish, without any actor behind its handles.
pub(super) fn table(config: RoutingConfig) -> Arc<RoutingTable> {
    let handle = |(spec, rules): (&DeploymentSpec, Rules)| {
        let row = Arc::new(Row::default());
        (
            spec.id.clone(),
            DeploymentHandle::new(spec.id.clone(), row, rules),
        )
    };
    let specs = config.deployments.iter();
    let handles = specs.zip(config.rules()).map(handle).collect();
    Arc::new(RoutingTable::new(config, &handles))
}

/// A plan for that model and nothing special.
pub(super) fn plan(table: &Arc<RoutingTable>, model: &str) -> RoutePlan {
    plan_for(table, model, PlanAsk::default())
}

pub(super) fn plan_for(table: &Arc<RoutingTable>, model: &str, ask: PlanAsk) -> RoutePlan {
    let resolved = table.resolve_or_default(model).unwrap();
    table.plan_with(resolved, ask, SmallRng::seed_from_u64(7))
}

pub(super) fn failure(status: u16) -> Failure {
    let kind = match status {
        400 | 422 => FailureKind::BadRequest,
        401 => FailureKind::Auth,
        404 => FailureKind::NotFound,
        429 => FailureKind::RateLimited,
        _ => FailureKind::Server,
    };
    Failure {
        kind,
        status,
        retry_after: None,
    }
}

fn context_window() -> Failure {
    Failure {
        kind: FailureKind::ContextWindow,
        status: 400,
        retry_after: None,
    }
}

/// Calls whom the plan says, all failing alike, until it gives up. Answers whom it called, and the waits.
pub(super) fn fail_all(
    plan: &mut RoutePlan,
    failure: &Failure,
) -> (Vec<String>, Vec<Duration>, GiveUp) {
    let mut now = Millis(0);
    let (mut calls, mut waits) = (Vec::new(), Vec::new());
    let mut waited = Duration::ZERO;
    for _ in 0..1_000 {
        match plan.next(now) {
            Step::Wait(until) => {
                waited = until.since(now);
                now = until;
            }
            Step::Try(attempt) => {
                calls.push(attempt.deployment.id().to_string());
                waits.push(mem::take(&mut waited));
                attempt.report(Outcome::Failure(*failure), now);
                plan.failed(failure, now);
            }
            Step::GiveUp(why) => return (calls, waits, why),
        }
    }
    panic!("the plan does not end: {calls:?}");
}

fn calls(plan: &mut RoutePlan, failure: &Failure) -> Vec<String> {
    fail_all(plan, failure).0
}

#[test]
fn names_resolve_through_alias_id_group_and_longest_pattern() {
    let mut config = config(&[
        ("a", "gpt"),
        ("b", "openai/*"),
        ("c", "openai/gpt-*"),
        ("d", "*"),
    ]);
    config.aliases.push(("best".to_owned(), "gpt".to_owned()));
    for spec in &mut config.deployments {
        if spec.group.as_str().contains('*') {
            spec.upstream_model = "*".into();
        }
    }
    let table = table(config);
    let cases = [
        ("gpt", "gpt", "a", "upstream"),
        ("best", "gpt", "a", "upstream"),
        ("a", "gpt", "a", "upstream"),
        ("openai/gpt-4o", "openai/gpt-4o", "c", "4o"),
        ("openai/o3", "openai/o3", "b", "o3"),
        ("whatever", "whatever", "d", "whatever"),
    ];
    for (name, group, id, upstream) in cases {
        let resolved = table.resolve(name).unwrap();
        assert_eq!(resolved.group.as_str(), group, "{name}");
        let members: Vec<_> = resolved
            .deployments()
            .map(|(id, model)| (id.as_str(), model))
            .collect();
        assert_eq!(members, [(id, upstream)], "{name}");
    }
}

#[test]
fn an_unknown_model_is_an_error_or_the_default_fallbacks_business() {
    let mut config = config(&[("a", "gpt")]);
    assert!(table(config.clone()).resolve_or_default("nope").is_none());
    config.fallbacks = fallbacks(&[("*", &["gpt"])]);
    let table = table(config);
    assert_eq!(calls(&mut plan(&table, "nope"), &failure(400)), ["a"]);
}

#[test]
fn a_retry_goes_to_another_deployment_at_once_and_waits_when_there_is_none() {
    let table = table(config(&[("a", "g"), ("b", "g")]));
    let mut plan = plan(&table, "g");
    let (calls, waits, why) = fail_all(&mut plan, &failure(500));
    assert_eq!(calls.len(), 3);
    assert_ne!(calls[0], calls[1]);
    assert_eq!(waits[..2], [Duration::ZERO; 2]);
    assert!(waits[2] > Duration::ZERO && waits[2] <= Duration::from_secs(1));
    assert_eq!(why, GiveUp::Failed);
    assert_eq!((plan.attempted_retries(), plan.max_retries()), (2, 2));
}

#[test]
fn the_upstreams_retry_after_is_waited_for() {
    let table = table(config(&[("a", "g")]));
    let mut failure = failure(429);
    failure.retry_after = Some(Duration::from_secs(7));
    let (calls, waits, _) = fail_all(&mut plan(&table, "g"), &failure);
    assert_eq!(
        calls.len(),
        3,
        "an only deployment does not cool down for a 429"
    );
    assert_eq!(waits[1..], [Duration::from_secs(7); 2]);
}

#[test]
fn what_a_repetition_cannot_mend_is_not_repeated() {
    for status in [400, 404, 422] {
        let table = table(config(&[("a", "g"), ("b", "g")]));
        let mut plan = plan(&table, "g");
        assert_eq!(calls(&mut plan, &failure(status)).len(), 1, "{status}");
    }
}

#[test]
fn another_deployments_key_may_be_better() {
    let two = table(config(&[("a", "g"), ("b", "g")]));
    assert_eq!(calls(&mut plan(&two, "g"), &failure(401)).len(), 2);
    let one = table(config(&[("a", "g")]));
    assert_eq!(calls(&mut plan(&one, "g"), &failure(401)).len(), 1);
}

#[test]
fn retries_are_the_requests_then_the_deployments_then_the_routers_and_bounded() {
    let mut config = config(&[("a", "g")]);
    config.deployments[0].num_retries = Some(1);
    let table = table(config);
    assert_eq!(calls(&mut plan(&table, "g"), &failure(500)).len(), 2);
    for (asked, tries) in [(0, 1), (3, 4), (u32::MAX, 33)] {
        let ask = PlanAsk {
            num_retries: Some(asked),
            ..PlanAsk::default()
        };
        let mut plan = plan_for(&table, "g", ask);
        assert_eq!(calls(&mut plan, &failure(500)).len(), tries);
    }
}

#[test]
fn a_group_that_cools_down_is_not_called_and_says_until_when() {
    let table = table(config(&[("a", "g"), ("b", "g")]));
    for (id, until) in [("a", 9_000), ("b", 4_000)] {
        table
            .deployment(id)
            .unwrap()
            .row()
            .raise_cooldown(Millis(until), Millis::ZERO);
    }
    let (calls, _, why) = fail_all(&mut plan(&table, "g"), &failure(500));
    assert!(calls.is_empty());
    let expected = GiveUp::AllInCooldown {
        group: "g".into(),
        retry_after: Duration::from_secs(4),
    };
    assert_eq!(why, expected);
}

#[test]
fn at_the_deadline_exactly_one_request_gets_through() {
    let table = table(config(&[("a", "g")]));
    table
        .deployment("a")
        .unwrap()
        .row()
        .raise_cooldown(Millis(100), Millis::ZERO);
    let Step::Try(probe) = plan(&table, "g").next(Millis(100)) else {
        panic!("no probe");
    };
    assert!(probe.probe.is_some());
    let second = plan(&table, "g").next(Millis(100));
    assert!(
        matches!(second, Step::GiveUp(GiveUp::AllInCooldown { .. })),
        "{second:?}"
    );
    drop(probe);
    let third = plan(&table, "g").next(Millis(100));
    assert!(matches!(third, Step::Try(_)), "{third:?}");
}

/// What a failed check leaves behind, until 1000 ms.
fn fail_checks(table: &RoutingTable, ids: &[&str]) {
    for id in ids {
        let deployment = table.deployment(id).unwrap();
        deployment.row().publish_check(Some(Millis(1_000)));
    }
}

fn first_of(table: &Arc<RoutingTable>, now: u64) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for seed in 0..50 {
        let resolved = table.resolve("g").unwrap();
        let rng = SmallRng::seed_from_u64(seed);
        let mut plan = table.plan_with(resolved, PlanAsk::default(), rng);
        if let Step::Try(attempt) = plan.next(Millis(now)) {
            let id = attempt.deployment.id().to_string();
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}

#[test]
fn who_failed_a_health_check_is_passed_over_until_the_check_is_stale() {
    let table = table(config(&[("a", "g"), ("b", "g"), ("c", "g")]));
    fail_checks(&table, &["a", "c"]);
    assert_eq!(first_of(&table, 999), [("b".to_owned(), 50)].into());
    assert_eq!(first_of(&table, 1_000).len(), 3);
    fail_checks(&table, &["a", "c"]);
    table.deployment("a").unwrap().row().publish_check(None);
    assert_eq!(first_of(&table, 0).len(), 2, "a passed its next check");
}

#[test]
fn a_retry_does_not_go_to_who_failed_a_health_check() {
    let mut config = config(&[("a", "g"), ("b", "g")]);
    config.num_retries = 2;
    let table = table(config);
    fail_checks(&table, &["b"]);
    assert_eq!(
        calls(&mut plan(&table, "g"), &failure(408)),
        ["a", "a", "a"]
    );
}

#[test]
fn health_is_looked_at_before_cooldowns() {
    let table = table(config(&[("a", "g"), ("b", "g")]));
    fail_checks(&table, &["a"]);
    let well = table.deployment("b").unwrap();
    well.row().raise_cooldown(Millis(9_000), Millis::ZERO);
    let step = plan(&table, "g").next(Millis::ZERO);
    let retry_after = Duration::from_secs(9);
    let expected = GiveUp::AllInCooldown {
        group: "g".into(),
        retry_after,
    };
    assert!(
        matches!(&step, Step::GiveUp(why) if *why == expected),
        "{step:?}"
    );
}

#[test]
fn a_group_that_is_unhealthy_as_a_whole_is_tried_all_the_same() {
    let table = table(config(&[("a", "g"), ("b", "g"), ("c", "other")]));
    fail_checks(&table, &["a", "b"]);
    assert_eq!(first_of(&table, 0).len(), 2);
}

#[test]
fn a_failed_check_of_the_lowest_order_leads_to_the_next() {
    let mut config = config(&[("first", "g"), ("second", "g")]);
    config.deployments[0].order = Some(1);
    config.deployments[1].order = Some(2);
    let table = table(config);
    fail_checks(&table, &["first"]);
    assert_eq!(first_of(&table, 0), [("second".to_owned(), 50)].into());
}

#[test]
fn full_deployments_are_passed_over() {
    let mut config = config(&[("a", "g"), ("b", "g")]);
    for spec in &mut config.deployments {
        spec.max_parallel_requests = Some(1);
    }
    let table = table(config);
    let first = plan(&table, "g").next(Millis(0));
    let second = plan(&table, "g").next(Millis(0));
    let (Step::Try(first), Step::Try(second)) = (first, second) else {
        panic!("two slots");
    };
    assert_ne!(first.deployment.id(), second.deployment.id());
    let third = plan(&table, "g").next(Millis(0));
    assert!(
        matches!(third, Step::GiveUp(GiveUp::AllBusy { .. })),
        "{third:?}"
    );
}

#[test]
fn fallbacks_are_tried_in_order_with_their_own_and_cycles_end() {
    let mut config = config(&[("a", "ga"), ("b", "gb"), ("c", "gc"), ("d", "gd")]);
    config.num_retries = 0;
    config.fallbacks = fallbacks(&[
        ("ga", &["gb", "gd", "missing"]),
        ("gb", &["gc", "ga", "gb"]),
        ("gc", &["ga", "gb", "gd"]),
        ("gd", &["gc"]),
    ]);
    let table = table(config);
    let mut plan = plan(&table, "ga");
    assert!(plan.in_requested_group());
    let (calls, _, why) = fail_all(&mut plan, &failure(500));
    assert_eq!(calls, ["a", "b", "c", "d"]);
    assert_eq!(why, GiveUp::Failed);
    assert_eq!(plan.attempted_fallbacks(), 3);
    assert!(
        plan.trail()
            .contains(&Reason::Skipped("missing".to_owned()))
    );
}

#[test]
fn fallbacks_of_fallbacks_are_followed_to_a_depth() {
    let groups = ["g0", "g1", "g2", "g3"];
    let deployments: Vec<_> = groups.iter().map(|group| (*group, *group)).collect();
    let mut config = config(&deployments);
    for spec in &mut config.deployments {
        spec.id = format!("d-{}", spec.group).into();
    }
    config.num_retries = 0;
    config.max_fallbacks = 2;
    config.fallbacks = fallbacks(&[("g0", &["g1"]), ("g1", &["g2"]), ("g2", &["g3"])]);
    let table = table(config);
    let calls = calls(&mut plan(&table, "g0"), &failure(500));
    assert_eq!(calls, ["d-g0", "d-g1", "d-g2"]);
}

#[test]
fn special_fallbacks_are_final_where_they_are_configured() {
    let mut config = config(&[("a", "ga"), ("b", "gb"), ("long", "gl")]);
    config.fallbacks = fallbacks(&[("ga", &["gb"])]);
    let general = table(config.clone());
    assert_eq!(
        calls(&mut plan(&general, "ga"), &context_window()),
        ["a", "b"]
    );
    config.context_window_fallbacks = Some(fallbacks(&[("ga", &["gl"])]));
    let special = table(config.clone());
    assert_eq!(
        calls(&mut plan(&special, "ga"), &context_window()),
        ["a", "long"]
    );
    config.context_window_fallbacks = Some(Vec::new());
    let empty = table(config);
    assert_eq!(calls(&mut plan(&empty, "ga"), &context_window()), ["a"]);
    assert_eq!(calls(&mut plan(&empty, "ga"), &failure(400)), ["a", "b"]);
}

#[test]
fn a_request_may_bring_its_own_fallbacks_or_refuse_them() {
    let mut config = config(&[("a", "ga"), ("b", "gb"), ("c", "gc")]);
    config.fallbacks = fallbacks(&[("*", &["gb"])]);
    let table = table(config);
    let own = PlanAsk {
        fallbacks: Some(vec!["gc".to_owned()]),
        ..PlanAsk::default()
    };
    let mut own = plan_for(&table, "ga", own);
    assert_eq!(calls(&mut own, &failure(400)), ["a", "c"]);
    let none = PlanAsk {
        disable_fallbacks: true,
        ..PlanAsk::default()
    };
    let mut none = plan_for(&table, "ga", none);
    assert_eq!(calls(&mut none, &failure(400)), ["a"]);
}

#[test]
fn lower_orders_come_first_and_higher_ones_are_fallbacks() {
    let mut config = config(&[("last", "g"), ("first", "g"), ("second", "g")]);
    config.num_retries = 1;
    config.deployments[1].order = Some(1);
    config.deployments[2].order = Some(2);
    let table = table(config);
    let mut plan = plan(&table, "g");
    let calls = calls(&mut plan, &failure(500));
    assert_eq!(
        calls,
        ["first", "first", "second", "second", "last", "last"]
    );
    assert_eq!(plan.attempted_fallbacks(), 2);
}

#[test]
fn the_shuffle_is_weighted_by_the_first_measure_that_anybody_has() {
    let mut config = config(&[("a", "g"), ("b", "g"), ("c", "g")]);
    config.deployments[0].weight = Some(1.0);
    config.deployments[1].weight = Some(3.0);
    config.deployments[2].rpm = Some(1_000_000);
    let counts = shares(&table(config));
    assert!(
        !counts.contains_key("c"),
        "without a weight, never: {counts:?}"
    );
    assert!((1_850..2_150).contains(&counts["a"]), "{counts:?}");
}

#[test]
fn who_cools_down_leaves_the_others_their_shares_however_likely_it_was() {
    let mut config = config(&[("a", "g"), ("b", "g"), ("heavy", "g"), ("later", "g")]);
    for (place, weight) in [1.0, 3.0, 400.0, 5.0].into_iter().enumerate() {
        config.deployments[place].weight = Some(weight);
        config.deployments[place].order = Some(1 + u32::from(place == 3));
    }
    let table = table(config);
    let heavy = table.deployment("heavy").unwrap();
    heavy.report(Outcome::Failure(failure(429)), Millis(0));
    let counts = shares(&table);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"], "{counts:?}");
    assert!((1_850..2_150).contains(&counts["a"]), "{counts:?}");
}

/// Who answers how many of 8,000 requests for the group `g`.
fn shares(table: &Arc<RoutingTable>) -> BTreeMap<String, u32> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let rng = &mut SmallRng::seed_from_u64(1);
    for _ in 0..8_000 {
        let resolved = table.resolve("g").unwrap();
        let mut plan = table.plan_with(resolved, PlanAsk::default(), SmallRng::from_rng(rng));
        let Step::Try(attempt) = plan.next(Millis(0)) else {
            panic!("nobody");
        };
        *counts
            .entry(attempt.deployment.id().to_string())
            .or_default() += 1;
    }
    counts
}

#[test]
fn within_reach_is_every_group_that_fallbacks_of_any_kind_lead_to() {
    let mut config = config(&[
        ("1", "a"),
        ("2", "b"),
        ("3", "c"),
        ("4", "d"),
        ("5", "e"),
        ("6", "x/*"),
    ]);
    config.fallbacks = fallbacks(&[("a", &["b"]), ("b", &["a", "c"]), ("*", &["e"])]);
    config.context_window_fallbacks = Some(fallbacks(&[("a", &["d"])]));
    let table = table(config);
    let reach = |model: &str, own: Option<&[String]>| {
        let first = table.resolve_or_default(model).unwrap();
        let groups = table.within_reach(&first, own);
        let mut names: Vec<String> = groups.iter().map(|found| found.group.to_string()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(reach("a", None), ["b", "c", "d", "e"], "circles end");
    assert_eq!(
        reach("x/a", None),
        ["a", "b", "c", "d", "e"],
        "by the name without its provider"
    );
    assert_eq!(reach("c", None), ["e"]);
    let own = ["d".to_owned(), "unknown".to_owned()];
    assert_eq!(reach("a", Some(&own)), ["d"], "the request's own instead");
    let unknown = table.resolve_or_default("nobody").unwrap();
    assert_eq!(unknown.group.as_str(), "e");
}
