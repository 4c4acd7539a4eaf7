//! Limits of deployments of several replicas: what a provider grants is granted once, not to each of them.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::fleet::{Fleet, REPLICAS};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::chat_request;
use crate::support::reply::Reply;
use crate::support::servers::redis::Redis;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

const MINUTE: Duration = Duration::from_mins(1);

/// Replicas with one deployment of that many requests a minute.
fn fleet(upstream: &Upstream, rpm: usize) -> Fleet {
    let redis = Redis::start();
    let deployment = Deployment::of("m", upstream).param(&format!("rpm: {rpm}"));
    let config = ConfigText::new()
        .deployment(deployment)
        .router(&format!("redis_url: {}", redis.url()));
    Fleet::start_at(redis, config)
}

#[expect(clippy::disallowed_methods, reason = "a test's thread blocks nobody")]
fn pause(time: Duration) {
    thread::sleep(time);
}

#[test]
fn a_provider_is_asked_no_more_than_it_grants_by_all_replicas_together() {
    const LIMIT: usize = 20;
    const LOADED: Duration = Duration::from_secs(72);
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let upstream = Upstream::answering(move |_| {
        noted.lock().expect("nobody panics").push(Instant::now());
        Reply::chat("hi")
    });
    let fleet = fleet(&upstream, LIMIT);
    let request = chat_request("m").bearer(MASTER_KEY);

    // Thirty times what is granted.
    let began = Instant::now();
    let clients: Vec<_> = fleet
        .replicas
        .iter()
        .map(|gateway| {
            let (request, address) = (request.clone(), gateway.address());
            thread::spawn(move || {
                while began.elapsed() < LOADED {
                    let status = request.send(address).status;
                    assert!([200, 429].contains(&status), "{status}");
                    pause(Duration::from_millis(300));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("every request is answered");
    }

    let asked = asked.lock().expect("nobody panics").clone();
    for end in &asked {
        let within = |at: &&Instant| **at <= *end && **at + MINUTE > *end;
        let within = asked.iter().filter(within).count();
        assert!(within <= LIMIT, "{within} in a minute");
    }
    let first = asked.iter().filter(|at| **at < began + MINUTE).count();
    assert!(first >= LIMIT * 9 / 10, "{first} in the first minute");
    assert!(
        asked.len() >= 2 * LIMIT * 9 / 10,
        "{} in all: what was used comes back",
        asked.len()
    );
}

#[test]
fn what_one_replica_does_not_need_is_for_the_others() {
    const LIMIT: usize = 12;
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = fleet(&upstream, LIMIT);
    let request = chat_request("m").bearer(MASTER_KEY);

    eventually("one replica has used all of it", &LIMIT, || {
        fleet.replicas[1].send(&request);
        upstream.request_count()
    });
    for gateway in &fleet.replicas {
        gateway.send(&request).assert_status(429);
    }
}

#[test]
fn without_the_server_each_replica_has_a_share_of_a_deployment_and_one_request_at_least() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut fleet = fleet(&upstream, 1);
    let request = chat_request("m").bearer(MASTER_KEY);

    fleet.redis.stop();
    fleet.wait_for("weakened", REPLICAS);
    // Until the leases have ended, one of them has it.
    for gateway in &fleet.replicas {
        eventually("a replica has its share", &json!(200), || {
            json!(gateway.send(&request).status)
        });
        gateway.send(&request).assert_status(429);
    }
    assert_eq!(upstream.request_count(), REPLICAS);
}
