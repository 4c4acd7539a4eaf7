//! Replicas whose Redis does not answer, or that have none: what they do instead, and what that costs.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fleet::{Fleet, REPLICAS, with};
use crate::keys::generate_key;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::servers::redis::{REDIS_PASSWORD, Redis};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

#[test]
fn without_the_server_each_replica_keeps_its_share_of_what_was_left() {
    const LIMIT: usize = 90;
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut fleet = Fleet::of(&upstream);
    let (key, fresh) = (
        fleet.key(&json!({"rpm_limit": LIMIT})),
        fleet.key(&json!({"rpm_limit": LIMIT})),
    );
    for gateway in &fleet.replicas {
        gateway.send(&with(&key)).assert_status(200);
        gateway.send(&with(&fresh)).assert_status(200);
    }

    fleet.redis.stop();
    fleet.wait_for("weakened", REPLICAS);
    let answer = fleet.replicas[0].send(&with(&key));
    answer.assert_status(200);
    assert_eq!(answer.header("x-trunkline-weakened"), Some("limits"));
    let metrics = fleet.replicas[0].get("/metrics").text();
    assert!(metrics.contains("trunkline_limits_weakened 1"), "{metrics}");
    fleet.load(&with(&key), 4, 40);

    // The other key's three are no part of it.
    let before = upstream.request_count() - REPLICAS;
    assert!(before <= LIMIT && before * 100 >= LIMIT * 95, "{before}");

    // It is back, and has forgotten everything.
    fleet.redis.resume();
    fleet.wait_for("together", REPLICAS);
    fleet.load(&with(&key), 4, 40);
    let in_all = upstream.request_count() - REPLICAS;
    assert!(
        in_all <= 2 * LIMIT,
        "one more limit for the switch: {in_all}"
    );
    let answer = fleet.replicas[0].send(&with(&fresh));
    answer.assert_status(200);
    assert_eq!(answer.header("x-trunkline-weakened"), None);
}

#[test]
fn a_budget_outlives_a_server_that_is_flushed_or_killed() {
    const COST: f64 = 0.000_025;
    const WORTH: usize = 30;
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut fleet = Fleet::of(&upstream);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let budget = COST * WORTH as f64;
    let key = fleet.key(&json!({"max_budget": budget}));
    let spend = |fleet: &Fleet, count: usize| {
        let mut served = 0;
        for round in 0..count {
            let status = fleet.replicas[round % REPLICAS].send(&with(&key)).status;
            served += usize::from(status == 200);
        }
        served
    };
    assert_eq!(spend(&fleet, 9), 9);

    assert_eq!(fleet.redis.command(&["FLUSHALL"]), "+OK");
    assert_eq!(spend(&fleet, 6), 6);
    fleet.redis.stop();
    fleet.wait_for("weakened", REPLICAS);
    // Each replica has a third of what is left, and a new third with every reading of the books, every two seconds while it is
    // apart: what others have charged meanwhile may not be there yet. And the one that crosses the line is served.
    let apart = spend(&fleet, 60);
    let admitted = upstream.request_count();
    assert!(
        apart <= WORTH - 15 + 3 * REPLICAS,
        "{apart} apart, {admitted} in all"
    );
    fleet.redis.resume();
    fleet.wait_for("together", REPLICAS);
    // Money may be held for a moment, and a lane may be without its connection for another.
    for gateway in &fleet.replicas {
        eventually("the budget is spent", &422, || {
            gateway.send(&with(&key)).status
        });
    }

    let admitted = upstream.request_count();
    assert!(
        (WORTH..=WORTH + 3 * REPLICAS).contains(&admitted),
        "{apart} apart, {admitted} in all"
    );
}

#[test]
fn a_dead_server_refuses_who_has_limits_where_the_operator_wants_it_so() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config =
        ConfigText::one("m", &upstream).general("fail_closed_rate_limit_enforcement: true");
    let mut fleet = Fleet::start(config);
    let (limited, free) = (fleet.key(&json!({"rpm_limit": 9})), fleet.key(&json!({})));
    fleet.redis.stop();
    fleet.wait_for("weakened", REPLICAS);

    let refused = fleet.replicas[1].send(&with(&limited));
    refused.assert_error(503, "service_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    fleet.replicas[1].send(&with(&free)).assert_status(200);
    fleet.redis.resume();
    eventually("the limits are kept together again", &200, || {
        fleet.replicas[1].send(&with(&limited)).status
    });
}

#[test]
fn replicas_without_redis_divide_limits_by_their_number() {
    const LIMIT: usize = 60;
    let database = Postgres::start();
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .database(&database.database("books"));
    let homes = [(); 2].map(|()| Home::with(&config));
    let [one, other] = homes.each_ref().map(|home| {
        let mut gateway = home.start();
        gateway.keeps_secret(DATABASE_PASSWORD);
        gateway
    });
    let readiness = |gateway: &Gateway| {
        let said = gateway.get("/health/readiness").json();
        (said["limits"].clone(), said["replicas"].clone())
    };
    for gateway in [&one, &other] {
        let divided = (json!("divided"), json!(2));
        eventually("the replicas are counted", &divided, || readiness(gateway));
    }
    let key = generate_key(&one, &json!({"rpm_limit": LIMIT, "max_budget": 5}));
    let served = |gateway: &Gateway| {
        let statuses = (0..LIMIT).map(|_| gateway.send(&with(&key)).status);
        statuses.filter(|status| *status == 200).count()
    };

    assert_eq!((served(&one), served(&other)), (LIMIT / 2, LIMIT / 2));
    // Whoever stops says so.
    other.stop();
    let alone = (json!("alone"), json!(1));
    eventually("one is left", &alone, || readiness(&one));
    let left = "SELECT count(*) FROM trunkline.replicas";
    assert_eq!(database.sql("books", left), "1");
}

/// A gateway of one worker, with its own books, on a Redis server.
fn one_gateway(redis: &Redis, upstream: &Upstream) -> (Home, Gateway) {
    let config = ConfigText::one("m", upstream)
        .with_master_key()
        .trunkline("workers: 1")
        .router(&format!("redis_url: {}", redis.url()));
    let home = Home::with(&config);
    let mut gateway = home.start();
    gateway.keeps_secret(REDIS_PASSWORD);
    (home, gateway)
}

/// How often the server ran a command since its figures were reset.
fn calls(redis: &Redis, command: &str) -> usize {
    let said = redis.command(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let calls = said.lines().find_map(|line| line.strip_prefix(&start));
    let calls = calls.and_then(|rest| rest.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[test]
fn who_has_no_limit_asks_nothing_and_who_has_asks_once() {
    const REQUESTS: usize = 40;
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::start());
    let (_home, gateway) = one_gateway(&redis, &upstream);
    let free = generate_key(&gateway, &json!({}));
    let wishes = json!({"rpm_limit": 1000, "tpm_limit": 100_000, "max_parallel_requests": 9, "max_budget": 5});
    let limited = generate_key(&gateway, &wishes);
    // Each question to a script reads the time, once; so do beats, which are two a second.
    let asked = |request: &Request| {
        redis.command(&["CONFIG", "RESETSTAT"]);
        let began = Instant::now();
        for _ in 0..REQUESTS {
            gateway.send(request).assert_status(200);
        }
        let beats = usize::try_from(began.elapsed().as_millis() / 500).expect("few") + 4;
        (calls(&redis, "time"), calls(&redis, "ping"), beats)
    };
    eventually("the server is asked", &true, || {
        let answer = gateway.send(&with(&limited));
        answer.header("x-trunkline-weakened").is_none()
    });

    let (questions, pings, beats) = asked(&with(&limited));
    // A question and at most one settlement each; no round trip beside them.
    assert!(
        questions >= REQUESTS && questions <= 2 * REQUESTS + 2 * beats,
        "{questions}"
    );
    assert!(pings <= 2 * beats, "{pings}");
    let master = chat_request("m").bearer(MASTER_KEY);
    for request in [with(&free), master] {
        let (questions, _, beats) = asked(&request);
        assert!(questions <= 2 * beats, "{questions}");
    }
}

#[test]
fn a_server_that_hangs_costs_three_requests_their_deadline_and_they_count_there() {
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::start());
    let (_home, gateway) = one_gateway(&redis, &upstream);
    let key = generate_key(&gateway, &json!({"rpm_limit": 20}));
    let other = generate_key(&gateway, &json!({"tpm_limit": 100_000}));
    let is_asked = || {
        let answer = gateway.send(&with(&other));
        answer.assert_status(200);
        answer.header("x-trunkline-weakened").is_none()
    };
    eventually("the server is asked", &true, is_asked);
    gateway.send(&with(&key)).assert_status(200);
    // Requests that the server has, of the one key that is limited by them.
    let taken = || -> usize {
        let keys = redis.command(&["KEYS", "{trunkline}:l:*"]);
        let keys = keys.lines().filter(|line| line.starts_with('{'));
        let kept = keys.map(|key| redis.command(&["HGET", key, "ru"]));
        kept.filter_map(|kept| kept.lines().last()?.parse::<usize>().ok())
            .sum()
    };
    assert_eq!(taken(), 1);

    // Over before a call is given up for good.
    redis.pause(Duration::from_millis(1500));
    let began = Instant::now();
    for _ in 0..10 {
        let answer = gateway.send(&with(&key));
        answer.assert_status(200);
        assert_eq!(answer.header("x-trunkline-weakened"), Some("limits"));
    }
    // Three waited, then nobody did.
    assert!(
        began.elapsed() < Duration::from_millis(1400),
        "{:?}",
        began.elapsed()
    );

    eventually("the server is asked again", &true, is_asked);
    // The first one, and the three that nobody waited for to the end.
    assert_eq!(taken(), 4);
}

#[test]
fn a_server_that_fails_every_question_costs_no_connection_for_each() {
    const REQUESTS: usize = 60;
    let (upstream, redis) = (Upstream::always(Reply::chat("hi")), Redis::start());
    let (_home, gateway) = one_gateway(&redis, &upstream);
    let key = generate_key(&gateway, &json!({"rpm_limit": 100_000}));
    let is_weakened = || {
        let answer = gateway.send(&with(&key));
        answer.assert_status(200);
        answer.header("x-trunkline-weakened").is_some()
    };
    eventually("the server is asked", &false, is_weakened);

    // Nothing can be written any more.
    assert_eq!(redis.command(&["CONFIG", "SET", "maxmemory", "1"]), "+OK");
    redis.command(&["CONFIG", "RESETSTAT"]);
    let began = Instant::now();
    for _ in 0..REQUESTS {
        assert!(is_weakened());
        // A client that takes its time: the lane may connect meanwhile.
        thread::park_timeout(Duration::from_millis(10));
    }
    let connections = usize::try_from(began.elapsed().as_millis() / 500).expect("few") + 2;
    let loaded = calls(&redis, "script|load");
    assert!((1..=3 * connections).contains(&loaded), "{loaded} scripts");

    assert_eq!(redis.command(&["CONFIG", "SET", "maxmemory", "0"]), "+OK");
    eventually("the server is asked again", &false, is_weakened);
}

#[test]
fn a_gateway_whose_server_is_not_there_starts_and_says_so() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut redis = Redis::start();
    redis.stop();
    let (_home, gateway) = one_gateway(&redis, &upstream);
    let key = generate_key(&gateway, &json!({"rpm_limit": 2}));

    for status in [200, 200, 429] {
        gateway.send(&with(&key)).assert_status(status);
    }
    eventually("it is said once", &1, || {
        let warnings = gateway.log_of_level("WARN");
        let said = |line: &&Value| line.to_string().contains("limits cannot be reached");
        warnings.iter().filter(said).count()
    });
    assert_eq!(
        gateway.get("/health/readiness").json()["limits"],
        "weakened"
    );
    redis.resume();
    eventually("the server is found", &json!("together"), || {
        gateway.get("/health/readiness").json()["limits"].clone()
    });
}
