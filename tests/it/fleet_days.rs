//! Limits of tokens a day of several replicas on one Redis server: a day outlives replicas, and what is known of it the server.

use serde_json::json;

use crate::fleet::{Fleet, REPLICAS};
use crate::support::gateway::chat_request_body;
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// What every answer reports, and what a request reserves at least.
const TOKENS: usize = 18;
const LIMIT: usize = 24 * TOKENS;

/// A request of a key with that limit.
fn limited(fleet: &Fleet) -> Request {
    let key = fleet.key(&json!({"tpd_limit": LIMIT}));
    let mut body = chat_request_body("m");
    body["max_tokens"] = json!(10);
    Request::post("/v1/chat/completions", &body).bearer(&key)
}

/// So many requests one after the other, at each replica in turn: how many are served.
fn served(fleet: &Fleet, request: &Request, count: usize) -> usize {
    let statuses = (0..count).map(|round| fleet.replicas[round % REPLICAS].send(request).status);
    statuses.filter(|status| *status == 200).count()
}

#[test]
fn no_day_holds_more_tokens_than_its_limit_whichever_replica_is_asked() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = Fleet::of(&upstream);
    let request = limited(&fleet);

    let at_once = fleet.load(&request, 6, 20);
    // What was reserved and not used has come back.
    let after = served(&fleet, &request, 4 * REPLICAS);

    let used = TOKENS * (at_once.served() + after);
    assert_eq!(TOKENS * upstream.request_count(), used);
    assert!(used <= LIMIT && used + 2 * TOKENS >= LIMIT, "{used}");
    for gateway in &fleet.replicas {
        let refused = gateway.send(&request);
        refused.assert_error(429, "throttling_error");
        assert_eq!(refused.header("rate_limit_type"), Some("tokens_per_day"));
    }
}

#[test]
fn a_replica_that_starts_anew_goes_on_with_the_day_of_all() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut fleet = Fleet::of(&upstream);
    let request = limited(&fleet);
    assert_eq!(served(&fleet, &request, 12), 12);

    fleet.restart(1);
    eventually(
        "it keeps limits with the others",
        &json!("together"),
        || fleet.replicas[1].get("/health/readiness").json()["limits"].clone(),
    );
    let answer = fleet.replicas[1].send(&request);
    answer.assert_status(200);
    assert_eq!(answer.header("x-trunkline-weakened"), None);
    let left = answer.header("x-ratelimit-api_key-remaining-tokens_per_day");
    let left: usize = left.and_then(|left| left.parse().ok()).expect("a number");
    // What this one has reserved, and what all have used.
    assert!(left < LIMIT - 12 * TOKENS, "{left}");
    served(&fleet, &request, 30);

    let used = TOKENS * upstream.request_count();
    assert!(used <= LIMIT && used + 2 * TOKENS >= LIMIT, "{used}");
}

/// Waits until the answers of all are on the books.
fn shipped(fleet: &Fleet, upstream: &Upstream) {
    let journals = "the answers of all are on the books";
    eventually(journals, &json!(upstream.request_count()), || {
        let rows = fleet.sql("SELECT count(*) FROM trunkline.spend_logs");
        json!(rows.parse::<usize>().expect("a number"))
    });
}

#[test]
fn a_server_that_forgets_the_day_is_told_it_by_the_books() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let fleet = Fleet::of(&upstream);
    let request = limited(&fleet);
    assert_eq!(served(&fleet, &request, 12), 12);
    shipped(&fleet, &upstream);

    assert_eq!(fleet.redis.command(&["FLUSHALL"]), "+OK");
    fleet.load(&request, 6, 20);
    // What was reserved and not used has come back.
    served(&fleet, &request, 4 * REPLICAS);

    let used = TOKENS * upstream.request_count();
    assert!(used <= LIMIT && used + 2 * TOKENS >= LIMIT, "{used}");
    // Once more, with nothing left.
    shipped(&fleet, &upstream);
    assert_eq!(fleet.redis.command(&["FLUSHALL"]), "+OK");
    for gateway in &fleet.replicas {
        let refused = gateway.send(&request);
        refused.assert_error(429, "throttling_error");
        assert_eq!(refused.header("rate_limit_type"), Some("tokens_per_day"));
    }
}

#[test]
fn without_the_server_the_day_is_kept_in_shares_and_one_that_comes_back_empty_is_told_it() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let mut fleet = Fleet::of(&upstream);
    let request = limited(&fleet);
    assert_eq!(served(&fleet, &request, 12), 12);

    fleet.redis.stop();
    fleet.wait_for("weakened", REPLICAS);
    let apart = served(&fleet, &request, 30);
    // Each has a third of what was left when it last knew of the others.
    let used = TOKENS * upstream.request_count();
    assert!(apart >= REPLICAS && used <= LIMIT, "{apart}: {used}");
    // Without the others, who starts anew knows the day by the books.
    shipped(&fleet, &upstream);
    fleet.restart(1);
    served(&fleet, &request, 30);
    let used = TOKENS * upstream.request_count();
    assert!(used <= LIMIT, "{used}");

    // It has forgotten everything, but the books have not.
    shipped(&fleet, &upstream);
    fleet.redis.resume();
    eventually("limits are kept together", &[true; REPLICAS], || {
        [0, 1, 2].map(|place| {
            let said = fleet.replicas[place].get("/health/readiness").json();
            said["limits"] == "together"
        })
    });
    fleet.load(&request, 4, 20);
    let used = TOKENS * upstream.request_count();
    assert!(used <= LIMIT, "{used}");
    for gateway in &fleet.replicas {
        gateway.send(&request).assert_status(429);
    }
}
