//! Several replicas at a Redis server that others replace: by sentinels, and in a cluster. The master is killed or hands over; the
//! limits hold within the stated bound, and the fleet is back by itself within seconds.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fleet::{Fleet, REPLICAS, with};
use crate::keys::generate_key;
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Home};
use crate::support::reply::Reply;
use crate::support::servers::redis::REDIS_PASSWORD;
use crate::support::servers::redis_cluster::Cluster;
use crate::support::servers::redis_sentinels::{SENTINEL_PASSWORD, SERVICE, Sentinels};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

const LIMIT: usize = 90;
/// Each answer costs this many USD, and is estimated at no less.
const COST: f64 = 0.000_025;
const WORTH: usize = 30;

/// Servers of which another one takes over when the first one is gone.
trait Replaced {
    /// What others have, of which one will take over, is what the master has.
    fn wait_for_copies(&self);
    fn kill_master(&mut self);
}

impl Replaced for Sentinels {
    fn wait_for_copies(&self) {
        self.wait_for_followers();
    }

    fn kill_master(&mut self) {
        Sentinels::kill_master(self);
    }
}

impl Replaced for Cluster {
    fn wait_for_copies(&self) {
        self.wait_for_replica();
    }

    fn kill_master(&mut self) {
        self.kill_owner();
    }
}

/// The settings that lead to it.
fn by_sentinels(config: ConfigText, redis: &Sentinels) -> ConfigText {
    let nodes = redis.nodes();
    config.general(&format!(
        "coordination_redis: {{sentinel_nodes: {nodes}, service_name: {SERVICE}, sentinel_password: {SENTINEL_PASSWORD}, password: {REDIS_PASSWORD}}}"
    ))
}

fn in_cluster(config: ConfigText, nodes: &str) -> ConfigText {
    config
        .router(&format!("redis_startup_nodes: {nodes}"))
        .router(&format!("redis_password: {REDIS_PASSWORD}"))
}

/// The master is killed between two loads, each of which alone is more than the limit; while it is gone everybody goes on.
fn limits_outlive_the_master<R: Replaced>(mut fleet: Fleet<R>, upstream: &Upstream) {
    let limited = fleet.key(&json!({"rpm_limit": LIMIT}));
    let meanwhile = fleet.key(&json!({"rpm_limit": LIMIT}));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let poor = fleet.key(&json!({"max_budget": COST * WORTH as f64}));
    let spend = |fleet: &Fleet<R>, count: usize| {
        let statuses = (0..count).map(|round| {
            let gateway = &fleet.replicas[round % REPLICAS];
            gateway.send(&with(&poor)).status
        });
        statuses.filter(|status| *status == 200).count()
    };
    let before = fleet.load(&with(&limited), 2, 5).served();
    assert_eq!(before, 30);
    fleet.load(&with(&meanwhile), 1, 5);
    let mut paid = spend(&fleet, 9);
    assert_eq!(paid, 9);

    fleet.redis.wait_for_copies();
    fleet.redis.kill_master();
    let killed = Instant::now();
    fleet.wait_for("weakened", REPLICAS);
    // Nobody waits, and each has its share of what was left.
    let apart = 15 + fleet.load(&with(&meanwhile), 2, 30).served();
    assert!(apart <= LIMIT, "{apart}");
    fleet.wait_for("together", REPLICAS);
    let back = killed.elapsed();
    println!("the fleet is back after {back:?}");
    assert!(back < Duration::from_secs(20), "{back:?}");
    for gateway in &fleet.replicas {
        let other = fleet.key(&json!({"rpm_limit": 10_000}));
        eventually("each worker asks the new master", &true, || {
            let mut answers = (0..4).map(|_| gateway.send(&with(&other)));
            answers.all(|answer| answer.header("x-trunkline-weakened").is_none())
        });
    }

    // What had come to the new master counts on; what each let through alone is at most one limit more.
    let in_all = before + fleet.load(&with(&limited), 4, 20).served();
    assert!(in_all <= LIMIT && in_all * 100 >= LIMIT * 95, "{in_all}");
    let in_all = apart + fleet.load(&with(&meanwhile), 4, 20).served();
    assert!(in_all <= 2 * LIMIT, "{in_all}");
    paid += spend(&fleet, 60);
    for gateway in &fleet.replicas {
        eventually("the budget is spent", &422, || {
            let status = gateway.send(&with(&poor)).status;
            paid += usize::from(status == 200);
            status
        });
    }
    assert!((WORTH..=WORTH + REPLICAS).contains(&paid), "{paid}");
    drop(fleet);
    assert!(upstream.request_count() > 0);
}

#[test]
fn limits_outlive_a_master_that_sentinels_replace() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let redis = Sentinels::start();
    let config = by_sentinels(ConfigText::one("m", &upstream), &redis);
    limits_outlive_the_master(Fleet::start_at(redis, config), &upstream);
}

#[test]
fn limits_outlive_a_node_that_its_cluster_replaces() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let redis = Cluster::start();
    let config = in_cluster(ConfigText::one("m", &upstream), &redis.some_nodes());
    limits_outlive_the_master(Fleet::start_at(redis, config), &upstream);
}

/// A gateway with books of its own.
fn started(home: &Home) -> Gateway {
    let mut gateway = home.start();
    gateway.keeps_secret(REDIS_PASSWORD);
    gateway.keeps_secret(SENTINEL_PASSWORD);
    gateway
}

fn config(upstream: &Upstream) -> ConfigText {
    ConfigText::one("m", upstream)
        .with_master_key()
        .trunkline("workers: 1")
        .trunkline("fleet: {deadline_secs: 5}")
}

/// So many requests of a key of 5 a minute were served, by the word of all that count them together.
fn limit_goes_on(gateway: &Gateway, key: &str, statuses: &[u16]) {
    let other = generate_key(gateway, &json!({"tpm_limit": 1_000_000}));
    eventually("the server is asked", &true, || {
        let answer = gateway.send(&with(&other));
        answer.assert_status(200);
        answer.header("x-trunkline-weakened").is_none()
    });
    for status in statuses {
        let answer = gateway.send(&with(key));
        answer.assert_status(*status);
        assert_eq!(answer.header("x-trunkline-weakened"), None);
    }
}

#[test]
fn a_master_that_hands_over_by_its_sentinels_is_followed() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Sentinels::start());
    // As LiteLLM's variables have it.
    let home = Home::with(&config(&upstream))
        .variable("REDIS_SENTINEL_NODES", &redis.nodes())
        .variable("REDIS_SENTINEL_PASSWORD", SENTINEL_PASSWORD)
        .variable("REDIS_SERVICE_NAME", SERVICE)
        .variable("REDIS_PASSWORD", REDIS_PASSWORD);
    let gateway = started(&home);
    let key = generate_key(&gateway, &json!({"rpm_limit": 5}));
    limit_goes_on(&gateway, &key, &[200, 200]);

    redis.wait_for_followers();
    redis.hand_over();
    limit_goes_on(&gateway, &key, &[200, 200, 200, 429]);
}

#[test]
fn a_node_that_hands_over_is_followed_even_when_the_first_nodes_are_gone() {
    let (upstream, mut redis) = (Upstream::always(Reply::chat("hi")), Cluster::start());
    let home = Home::with(&config(&upstream))
        .variable("REDIS_CLUSTER_NODES", &redis.one_node())
        .variable("REDIS_PASSWORD", REDIS_PASSWORD);
    let gateway = started(&home);
    let key = generate_key(&gateway, &json!({"rpm_limit": 5}));
    limit_goes_on(&gateway, &key, &[200, 200]);

    redis.wait_for_replica();
    redis.kill_that_node();
    redis.hand_over();
    limit_goes_on(&gateway, &key, &[200, 200, 200, 429]);
}

#[test]
fn sentinels_that_do_not_help_are_said_to() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Sentinels::start());
    let nodes = redis.nodes();
    for (service, password, reason) in [
        ("another", SENTINEL_PASSWORD, "know no server of this name"),
        (SERVICE, "hush-wrong", "refuses user and password"),
    ] {
        let config = config(&upstream)
            .router(&format!("redis_sentinel_nodes: {nodes}"))
            .router(&format!("redis_service_name: {service}"))
            .router(&format!("redis_sentinel_password: {password}"))
            .router(&format!("redis_password: {REDIS_PASSWORD}"));
        let home = Home::with(&config);
        let mut gateway = started(&home);
        gateway.keeps_secret("hush-wrong");
        eventually("the reason is said", &true, || {
            let warnings = gateway.log_of_level("WARN");
            let said = |line: &Value| line["reason"].to_string().contains(reason);
            warnings.iter().any(said)
        });
        let key = generate_key(&gateway, &json!({"rpm_limit": 1}));
        for status in [200, 429] {
            gateway.send(&with(&key)).assert_status(status);
        }
    }
}
