//! A row's breaker, its one probe, its slots.

use std::thread;

use super::*;

#[test]
fn a_cooldown_opens_until_its_deadline_and_then_lets_one_probe_through() {
    let row = Arc::new(Row::default());
    assert_eq!(row.state(Millis(0)), BreakerState::Closed);
    row.raise_cooldown(Millis(100), Millis::ZERO);
    assert_eq!(
        row.state(Millis(99)),
        BreakerState::Open { until: Millis(100) }
    );
    assert!(row.try_probe(Millis(99)).is_none());
    let probe = row.try_probe(Millis(100)).unwrap();
    assert!(row.try_probe(Millis(100)).is_none());
    assert_eq!(
        row.state(Millis(100)),
        BreakerState::HalfOpen { probing: true }
    );
    drop(probe);
    assert!(row.try_probe(Millis(100)).is_some());
}

#[test]
fn an_earlier_deadline_never_shortens_a_cooldown() {
    let row = Row::default();
    row.raise_cooldown(Millis(100), Millis::ZERO);
    assert!(!row.raise_cooldown(Millis(50), Millis::ZERO));
    assert_eq!(
        row.state(Millis(60)),
        BreakerState::Open { until: Millis(100) }
    );
}

#[test]
fn healing_does_not_undo_a_cooldown_raised_during_the_probe() {
    let row = Arc::new(Row::default());
    row.raise_cooldown(Millis(100), Millis::ZERO);
    let probe = row.try_probe(Millis(100)).unwrap();
    row.raise_cooldown(Millis(200), Millis::ZERO);
    row.heal(&probe);
    assert_eq!(
        row.state(Millis(150)),
        BreakerState::Open { until: Millis(200) }
    );
}

#[test]
fn of_many_threads_exactly_one_gets_the_probe() {
    for _ in 0..50 {
        let row = Arc::new(Row::default());
        row.raise_cooldown(Millis(1), Millis::ZERO);
        let probes: Vec<_> = thread::scope(|scope| {
            let tries: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| row.try_probe(Millis(1))))
                .collect();
            tries
                .into_iter()
                .filter_map(|t| t.join().unwrap())
                .collect()
        });
        assert_eq!(probes.len(), 1);
    }
}

#[test]
fn a_cooldown_that_a_failed_probe_begins_is_counted_as_another() {
    let board = Board::default();
    let row = board.open_row(&DeploymentId::new("d"));
    assert!(row.raise_cooldown(Millis(100), Millis::ZERO));
    assert!(
        row.raise_cooldown(Millis(110), Millis(10)),
        "a little later is later"
    );
    assert_eq!(row.cooldowns(), 1, "but the same cooldown");
    assert!(row.raise_cooldown(Millis(300), Millis(200)));
    assert_eq!(row.cooldowns(), 2);
}

#[test]
fn in_flight_counts_up_to_the_maximum_and_back() {
    let row = Arc::new(Row::default());
    let first = row.enter(Some(2)).unwrap();
    let second = row.enter(Some(2)).unwrap();
    assert!(row.enter(Some(2)).is_none());
    drop(first);
    assert!(row.enter(Some(2)).is_some());
    drop(second);
    assert_eq!(row.in_flight(), 0);
}
