//! What holds for every plan, whoever fails and how.

use std::collections::HashSet;

use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy as Draw;

use super::plan_tests::{config, failure, plan_for, table};
use super::policy_tests::{too_long, with};
use super::*;
use crate::deployment::{FailureKind, Outcome};

/// A small world: groups of deployments with orders, fallbacks in any direction, and how calls fail.
#[derive(Debug, Clone)]
struct World {
    orders: Vec<Vec<Option<u32>>>,
    fallbacks: Vec<(usize, Vec<usize>)>,
    num_retries: u32,
    deadline: u64,
    failures: Vec<(usize, u64)>,
}

const GROUPS: usize = 4;

fn worlds() -> impl Draw<Value = World> {
    let order = prop::option::of(1_u32..3);
    let members = prop::collection::vec(order, 1..4);
    let edge = (0..GROUPS, prop::collection::vec(0..GROUPS, 0..4));
    (
        prop::collection::vec(members, GROUPS),
        prop::collection::vec(edge, 0..6),
        0_u32..5,
        0_u64..60_000,
        prop::collection::vec((0..FailureKind::ALL.len(), 0_u64..4_000), 1..20),
    )
        .prop_map(
            |(orders, fallbacks, num_retries, deadline, failures)| World {
                orders,
                fallbacks,
                num_retries,
                deadline,
                failures,
            },
        )
}

impl World {
    fn config(&self) -> RoutingConfig {
        let name = |group: &usize| format!("g{group}");
        let mut config = RoutingConfig {
            num_retries: self.num_retries,
            ..RoutingConfig::default()
        };
        for (group, orders) in self.orders.iter().enumerate() {
            for (place, order) in orders.iter().enumerate() {
                let id = format!("d{group}-{place}");
                let mut spec = DeploymentSpec::new(id, name(&group), "upstream");
                spec.order = *order;
                config.deployments.push(spec);
            }
        }
        let fallbacks = self.fallbacks.iter();
        config.fallbacks = fallbacks
            .map(|(group, targets)| (name(group), targets.iter().map(name).collect()))
            .collect();
        config
    }
}

proptest! {
    #[test]
    fn every_plan_ends_in_time_asks_no_group_twice_and_nobody_whose_window_is_too_small(
        world in worlds(),
        is_small in prop::collection::vec(prop::bool::ANY, 1..8),
    ) {
        let config = world.config();
        let ids = config.deployments.iter().map(|spec| spec.id.to_string());
        let small: HashSet<String> = ids
            .zip(is_small.iter().cycle())
            .filter_map(|(id, is_small)| is_small.then_some(id))
            .collect();
        let table = table(config);
        let ask = PlanAsk {
            too_long: small.iter().map(|id| too_long(id, "upstream", 5)).collect(),
            deadline: Some(Millis(world.deadline)),
            ..PlanAsk::default()
        };
        let mut plan = plan_for(&table, "g0", ask);
        // Each order of each group is begun at most once, with its retries.
        let levels = 3 * GROUPS;
        let most = levels * (1 + world.num_retries as usize);
        let mut failures = world.failures.iter().cycle();
        let (mut now, mut calls) = (Millis(0), 0_usize);
        loop {
            match plan.next(now) {
                Step::Wait(until) => {
                    prop_assert!(until > now, "a wait for the past");
                    prop_assert!(until.0 < world.deadline, "a wait beyond the deadline");
                    now = until;
                }
                Step::Try(attempt) => {
                    calls += 1;
                    prop_assert!(!small.contains(attempt.deployment.id().as_str()));
                    prop_assert!(calls <= most, "{calls} calls");
                    prop_assert!(calls == 1 || now.0 < world.deadline, "a call after the deadline");
                    let (kind, took) = failures.next().unwrap();
                    now.0 += took;
                    let failure = with(FailureKind::ALL[*kind], 500);
                    attempt.report(Outcome::Failure(failure), now);
                    plan.failed(&failure, now);
                }
                Step::GiveUp(GiveUp::TooLong { .. }) => {
                    let mut own = table.group("g0").into_iter();
                    prop_assert!(own.all(|handle| small.contains(handle.id().as_str())));
                    break;
                }
                Step::GiveUp(_) => break,
            }
        }
        let mut begun = HashSet::from(["g0".to_owned()]);
        for reason in plan.trail() {
            if let Reason::FellBack(group) = reason {
                prop_assert!(begun.insert(group.to_string()), "{group} twice");
            }
        }
        for handle in table.deployments() {
            prop_assert_eq!(handle.row().in_flight(), 0);
        }
    }

    #[test]
    fn a_cooldown_is_never_cut_short(
        raises in prop::collection::vec((0_u64..10_000, 0_u64..10_000), 1..50),
    ) {
        let table = table(config(&[("a", "g"), ("b", "g")]));
        let a = table.deployment("a").unwrap();
        let mut latest = 0;
        let mut now = Millis(0);
        for (wait, millis) in raises {
            now.0 += wait;
            let mut limited = failure(429);
            limited.retry_after = Some(Duration::from_millis(millis));
            a.report(Outcome::Failure(limited), now);
            let deadline = a.row().deadline().unwrap().0;
            prop_assert!(deadline >= latest, "{deadline} after {latest}");
            prop_assert_eq!(a.row().why().map(|why| why.until.0), Some(deadline));
            latest = deadline;
        }
    }
}
