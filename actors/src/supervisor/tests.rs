//! The supervisor as an actor: applying, re-creating, signs of life. Choosing is tested in `plan_tests`.

use std::sync::Mutex;

use actix::{Arbiter, System};
use tokio::time::{advance, pause};

use super::plan_tests::{config, failure, plan};
use super::*;
use crate::board::BreakerState;
use crate::deployment::{Outcome, Rule};
use crate::ports::NoReplicas;
use crate::test_util::settle_down;

fn with_supervisor<F: Future<Output = ()>>(test: impl FnOnce(SupervisorHandle, Clock) -> F) {
    System::new().block_on(async {
        pause();
        let clock = Clock::start();
        let exchange = Arc::new(NoReplicas);
        let settings = SupervisorSettings::default();
        let supervisor = start(&Arbiter::current(), settings, exchange, clock);
        test(supervisor, clock).await;
    });
}

/// Another replica, and what it was told.
#[derive(Debug, Default)]
struct Replica {
    says: Mutex<Vec<(DeploymentId, Duration)>>,
    told: Mutex<Vec<(DeploymentId, Duration)>>,
}

impl CooldownExchange for Replica {
    fn raised(&self, deployment: &DeploymentId, left: Duration) {
        let told = (deployment.clone(), left);
        self.told.lock().unwrap().push(told);
    }

    fn raised_elsewhere(&self) -> Vec<(DeploymentId, Duration)> {
        mem::take(&mut self.says.lock().unwrap())
    }
}

#[test]
fn cooldowns_are_shared_once_each_and_never_sent_back() {
    System::new().block_on(async {
        pause();
        let clock = Clock::start();
        let replica = Arc::new(Replica::default());
        let settings = SupervisorSettings::default();
        let exchange: Arc<dyn CooldownExchange> = Arc::<Replica>::clone(&replica);
        let supervisor = start(&Arbiter::current(), settings, exchange, clock);
        let applied = supervisor.apply(config(&[("a", "g"), ("b", "g")])).await;
        applied.unwrap();
        let table = supervisor.routing().load();
        let (a, b) = (
            table.deployment("a").unwrap(),
            table.deployment("b").unwrap(),
        );
        a.report(Outcome::Failure(failure(401)), clock.now());
        let says = [
            ("b".into(), Duration::from_secs(9)),
            ("c".into(), Duration::ZERO),
        ];
        replica.says.lock().unwrap().extend(says);
        for _ in 0..3 {
            advance(Duration::from_secs(1)).await;
            settle_down().await;
        }
        let told = replica.told.lock().unwrap().clone();
        let ids: Vec<_> = told.iter().map(|(id, _left)| id.as_str()).collect();
        assert_eq!(ids, ["a"]);
        assert!(told[0].1 <= Duration::from_secs(5), "{told:?}");
        let why = b.row().why().unwrap();
        assert_eq!(why.rule, Rule::Elsewhere);
        assert_eq!(why.until.since(why.since), Duration::from_secs(9));
    });
}

#[test]
fn applying_a_config_again_keeps_rows_and_stops_what_is_gone() {
    with_supervisor(|supervisor, clock| async move {
        let applied = supervisor
            .apply(config(&[("a", "g"), ("b", "g")]))
            .await
            .unwrap();
        assert_eq!((applied.started, applied.kept, applied.stopped), (2, 0, 0));
        let a = supervisor.routing().load().deployment("a").unwrap();
        a.report(Outcome::Failure(failure(401)), clock.now());
        let applied = supervisor
            .apply(config(&[("a", "g"), ("c", "g")]))
            .await
            .unwrap();
        assert_eq!((applied.started, applied.kept, applied.stopped), (1, 1, 1));
        let again = supervisor.routing().load().deployment("a").unwrap();
        assert!(Arc::ptr_eq(a.row(), again.row()));
        assert!(matches!(
            again.row().state(clock.now()),
            BreakerState::Open { .. }
        ));
        assert!(supervisor.board().row(&"b".into()).is_none());
        assert!(supervisor.routing().load().deployment("b").is_none());
    });
}

#[test]
fn a_dead_deployment_is_re_created_and_its_waiting_outcomes_are_judged() {
    with_supervisor(|supervisor, clock| async move {
        supervisor
            .apply(config(&[("a", "g"), ("b", "g")]))
            .await
            .unwrap();
        let a = supervisor.routing().load().deployment("a").unwrap();
        let poisoned = supervisor
            .addr()
            .send(PoisonDeployment("a".into()))
            .await
            .unwrap();
        assert!(poisoned);
        settle_down().await;
        let health = supervisor.addr().send(HealthSnapshot).await.unwrap();
        assert_eq!(health.dead, ["a".into()]);
        for _ in 0..5 {
            a.report(Outcome::Failure(failure(500)), clock.now());
        }
        settle_down().await;
        assert_eq!(a.row().state(clock.now()), BreakerState::Closed);
        advance(Duration::from_millis(1_100)).await;
        settle_down().await;
        advance(Duration::from_millis(20)).await;
        settle_down().await;
        let health = supervisor.addr().send(HealthSnapshot).await.unwrap();
        assert_eq!(
            (health.running, health.dead.len(), health.restarts),
            (2, 0, 1)
        );
        assert!(matches!(
            a.row().state(clock.now()),
            BreakerState::Open { .. }
        ));
    });
}

#[test]
fn readiness_sees_a_supervisor_that_no_longer_ticks() {
    with_supervisor(|supervisor, clock| async move {
        settle_down().await;
        assert!(supervisor.is_live(clock.now()));
        let later = clock.now().after(Duration::from_secs(6));
        assert!(!supervisor.is_live(later), "no tick for six intervals");
        advance(Duration::from_secs(2)).await;
        settle_down().await;
        assert!(supervisor.is_live(clock.now()));
    });
}

#[test]
fn a_probe_that_succeeds_closes_the_breaker() {
    with_supervisor(|supervisor, clock| async move {
        supervisor.apply(config(&[("a", "g")])).await.unwrap();
        let table = supervisor.routing().load();
        let row = Arc::clone(table.deployment("a").unwrap().row());
        row.raise_cooldown(Millis(100), Millis::ZERO);
        advance(Duration::from_millis(100)).await;
        let Step::Try(mut attempt) = plan(&table, "g").next(clock.now()) else {
            panic!("no probe");
        };
        attempt.answered(Duration::from_millis(1), clock.now());
        settle_down().await;
        assert_eq!(row.state(clock.now()), BreakerState::Closed);
        assert_eq!(row.in_flight(), 1, "the call goes on");
        attempt.report(Outcome::Neutral, clock.now());
        assert_eq!(row.in_flight(), 0);
    });
}
