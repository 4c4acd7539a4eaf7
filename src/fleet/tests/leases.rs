//! Leases of a deployment's minute on a real server, by three replicas that report when they please.

use trunkline_actors::deployment::{Grant, LEASED, LeaseReport, Meter, Metered};
use trunkline_actors::ids::DeploymentId;

use super::*;
use crate::fleet::leases::{Reports, read};

const REPLICAS: usize = 3;
const MINUTE: u64 = 60_000;
/// A request of that many tokens by estimate.
const ESTIMATE: u64 = 10;

#[derive(Debug, Clone, Copy)]
enum Event {
    /// So many requests at once.
    Take(u64),
    /// The oldest request under way ends with so many tokens.
    End(u64),
    /// Reports, and hears the answer or not.
    Report(bool),
    /// A report that is late: it comes there after this many other events.
    Late(usize),
}

/// Three replicas with one deployment.
struct Replicas<'a> {
    scene: &'a Scene,
    deployment: DeploymentId,
    grant: Grant,
    meters: [Meter; REPLICAS],
    /// Under way, with their places in what was taken.
    running: [Vec<(Metered, usize)>; REPLICAS],
    /// When, and how many tokens it used.
    taken: Vec<(u64, u64)>,
}

impl Replicas<'_> {
    fn tell(&self, place: usize, report: LeaseReport, now: u64) -> Vec<u64> {
        let telling = Reports {
            keys: &self.scene.keys,
            replica: &format!("replica-{place}"),
            replicas: 3,
            lasts: LEASED,
        };
        let call = telling.call(&now.to_string(), &[(&self.deployment, report)]);
        let mut connection = self.scene.connection.clone();
        let answer = call.invoke_async::<Vec<Vec<u64>>>(&mut connection);
        self.scene.runtime.block_on(answer).unwrap().remove(0)
    }

    fn report(&self, place: usize, is_heard: bool, now: u64) {
        let report = self.meters[place].report(self.grant, 3, Millis(now));
        let answer = self.tell(place, report, now);
        if let Some((number, answer)) = read(&answer).filter(|_| is_heard) {
            self.meters[place].answered(number, answer, Millis(now));
        }
    }

    /// Of so many, those that are let through by the lease.
    fn take(&mut self, place: usize, count: u64, now: u64) {
        let meter = &self.meters[place];
        for _ in 0..count {
            if meter.is_leased(Millis(now))
                && let Ok(metered) = meter.take(self.grant, ESTIMATE, Millis(now))
            {
                self.running[place].push((metered, self.taken.len()));
                self.taken.push((now, ESTIMATE));
            }
        }
    }

    fn end(&mut self, place: usize, tokens: u64, now: u64) {
        if !self.running[place].is_empty() {
            let (metered, taken) = self.running[place].remove(0);
            self.taken[taken].1 = tokens;
            self.meters[place].settle(&metered, tokens, Millis(now));
        }
    }
}

fn replicas<'a>(scene: &'a Scene, name: &str, grant: Grant) -> Replicas<'a> {
    Replicas {
        scene,
        deployment: DeploymentId::new(name),
        grant,
        meters: Default::default(),
        running: Default::default(),
        taken: Vec::new(),
    }
}

fn events() -> impl Strategy<Value = Vec<(u64, usize, Event)>> {
    let event = prop_oneof![
        4 => (1_u64..12).prop_map(Event::Take),
        2 => (0_u64..=ESTIMATE).prop_map(Event::End),
        6 => prop::bool::weighted(0.9).prop_map(Event::Report),
        1 => (1_usize..8).prop_map(Event::Late),
    ];
    // Some leases end, and some minutes go by.
    let pause = prop_oneof![12 => 0_u64..600, 2 => 600_u64..5_000, 1 => 5_000_u64..70_000];
    prop::collection::vec((pause, 0..REPLICAS, event), 20..250)
}

/// The most that any 60 s saw.
fn busiest(taken: &[(u64, u64)]) -> u64 {
    let within = |end: u64| {
        let those = taken
            .iter()
            .filter(|(at, _)| *at <= end && at + MINUTE > end);
        those.map(|(_, units)| units).sum()
    };
    taken.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
}

#[test]
fn no_sixty_seconds_see_more_than_the_limit_whoever_reports_when() {
    let scene = Scene::new();
    let cases = (1_u64..40, prop::option::of(ESTIMATE..400), events());
    run_cases(&cases, |name, (rpm, tpm, events)| {
        let grant = Grant {
            rpm: Some(rpm),
            tpm,
        };
        let mut fleet = replicas(&scene, name, grant);
        let mut now = 1_764_000_000_123;
        let mut late: Vec<(usize, usize, LeaseReport)> = Vec::new();
        for (pause, place, event) in events {
            now += pause;
            match event {
                Event::Take(count) => fleet.take(place, count, now),
                Event::End(tokens) => fleet.end(place, tokens, now),
                Event::Report(is_heard) => fleet.report(place, is_heard, now),
                Event::Late(after) => {
                    let report = fleet.meters[place].report(grant, 3, Millis(now));
                    late.push((after, place, report));
                }
            }
            for (left, place, report) in &mut late {
                *left -= 1;
                if *left == 0 {
                    // Nobody waits for what it is answered.
                    fleet.tell(*place, *report, now);
                }
            }
            late.retain(|(left, _, _)| *left > 0);
        }
        let requests: Vec<_> = fleet.taken.iter().map(|(at, _)| (*at, 1)).collect();
        let requests = busiest(&requests);
        prop_assert!(requests <= rpm, "{} of {}", requests, rpm);
        let tokens = busiest(&fleet.taken);
        prop_assert!(
            tpm.is_none_or(|tpm| tokens <= tpm),
            "{} of {:?}",
            tokens,
            tpm
        );
        Ok(())
    });
}

#[test]
fn most_of_the_limit_is_there_for_whoever_wants_it() {
    let scene = Scene::new();
    for (name, limit, wanting) in [("all", 20, 3), ("one", 20, 1), ("last", 1, 1)] {
        let grant = Grant {
            rpm: Some(limit),
            tpm: None,
        };
        let mut fleet = replicas(&scene, name, grant);
        let mut now = 1_764_000_000_123;
        // Three minutes, each reporting twice a second; those that want any, much more than there is.
        for round in 0..360 {
            now += 500;
            for place in 0..REPLICAS {
                fleet.report(place, true, now + place as u64);
            }
            for place in REPLICAS - wanting..REPLICAS {
                if round > 1 {
                    fleet.take(place, 5, now + 100);
                }
            }
        }
        let taken: Vec<_> = fleet.taken.iter().map(|(at, _)| (*at, 1)).collect();
        let in_all = taken.len() as u64;
        assert!(busiest(&taken) <= limit, "{name}");
        // Three minutes begin in 180 s, but for what is late.
        assert!(in_all >= 2 * limit + limit * 3 / 4, "{name}: {in_all}");
    }
}

#[test]
fn a_request_of_more_tokens_than_the_limit_runs_when_nobody_else_has_any() {
    let scene = Scene::new();
    let grant = Grant {
        rpm: None,
        tpm: Some(ESTIMATE / 2),
    };
    let mut fleet = replicas(&scene, "small", grant);
    let mut now = 1_764_000_000_123;
    // Three minutes in which two of three want to send some.
    for _ in 0..360 {
        now += 500;
        for place in 0..REPLICAS {
            fleet.report(place, true, now + place as u64);
        }
        fleet.end(0, ESTIMATE, now);
        fleet.end(1, ESTIMATE, now);
        fleet.take(0, 1, now + 100);
        fleet.take(1, 1, now + 200);
    }
    assert_eq!(busiest(&fleet.taken), ESTIMATE, "{:?}", fleet.taken);
    assert!(fleet.taken.len() >= 2, "{:?}", fleet.taken);
}
