//! The books in PostgreSQL: the same as in SQLite, shared by several gateways, and whole whatever happens to the server.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::spend::{COST_PICO, kill_under_load, pico, total, user_spend, whole_or_streamed};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, stream_request};
use crate::support::http::{BodyEnd, Request};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

fn config(upstream: &Upstream, url: &str) -> ConfigText {
    ConfigText::one("m", upstream)
        .with_master_key()
        .database(url)
}

fn start(home: &Home) -> Gateway {
    let mut gateway = home.start();
    gateway.keeps_secret(DATABASE_PASSWORD);
    gateway
}

/// A server with one empty database, `books`, and a gateway on it.
fn scene() -> (Postgres, Upstream, Home, Gateway) {
    let server = Postgres::start();
    let upstream = Upstream::answering(whole_or_streamed);
    let home = Home::with(&config(&upstream, &server.database("books")));
    let gateway = start(&home);
    (server, upstream, home, gateway)
}

/// How many rows the books have in all, and how many of them are completed requests. No id is there twice.
fn rows(server: &Postgres) -> (i64, i64) {
    let counts = numbers(
        server,
        "SELECT count(*), count(*) FILTER (WHERE status = 'success'), count(DISTINCT id) FROM trunkline.spend_logs",
    );
    assert_eq!(counts[0], counts[2], "an id is there twice");
    (counts[0], counts[1])
}

fn numbers(server: &Postgres, statement: &str) -> Vec<i64> {
    let answer = server.sql("books", statement);
    let numbers = answer.split('|').map(str::parse);
    numbers
        .collect::<Result<_, _>>()
        .unwrap_or_else(|err| panic!("{statement}: {answer}: {err}"))
}

/// Rows and roll-up say the same, to the last decimal.
#[track_caller]
fn assert_sums(server: &Postgres, expected: i64) {
    let sums = "SELECT (SELECT sum(cost) * 1e12 FROM trunkline.spend_logs)::bigint, \
        (SELECT sum(spend) * 1e12 FROM trunkline.daily_spend)::bigint, \
        (SELECT count(*) FROM trunkline.spend_logs), (SELECT sum(requests) FROM trunkline.daily_spend)";
    let found = numbers(server, sums);
    assert_eq!(found[..2], [expected, expected], "rows, roll-up");
    assert_eq!(found[2], found[3], "rows, requests of the roll-up");
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn keys_and_spend_are_in_the_database_and_outlive_a_restart() {
    let (server, _upstream, home, gateway) = scene();
    let ann = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 5}));
    let made = home.run(&[
        "generate-key",
        "--config",
        "config.yaml",
        "--user-id",
        "ben",
    ]);
    let ben = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(ben.starts_with("sk-"), "{}", stderr(&made));

    for key in [&ann, &ben] {
        gateway
            .send(&chat_request("m").bearer(key))
            .assert_status(200);
        gateway
            .send(&stream_request("m").bearer(key))
            .assert_status(200);
    }

    eventually("everything spent", &(4 * COST_PICO), || total(&gateway));
    let readiness = gateway.get("/health/readiness");
    readiness.assert_status(200);
    assert_eq!(readiness.json()["db"], "connected");
    gateway.stop();

    let gateway = start(&home);
    gateway
        .send(&chat_request("m").bearer(&ann))
        .assert_status(200);
    eventually("everything spent", &(5 * COST_PICO), || total(&gateway));
    let spend = user_spend(&gateway, &ann);
    assert_eq!(pico(&spend["total_spend"]), 3 * COST_PICO, "{spend}");
    assert_eq!(pico(&spend["models"]["m"]), 3 * COST_PICO, "{spend}");
    assert_eq!(pico(&spend["keys"][0]["spend"]), 3 * COST_PICO, "{spend}");
    assert_eq!(rows(&server), (5, 5));
    assert_sums(&server, 5 * COST_PICO);
    let charged =
        "SELECT (charged * 1e12)::bigint FROM trunkline.balances WHERE subject_kind = 'api_key'";
    assert_eq!(numbers(&server, charged), [3 * COST_PICO]);
    assert!(!home.path().join("trunkline.db").exists());
}

#[test]
fn a_server_that_is_away_for_a_while_costs_no_request_and_no_row() {
    const CLIENTS: usize = 3;
    let (mut server, upstream, _home, mut gateway) = scene();
    gateway.allow_errors();
    let key = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 5}));
    let done = Arc::new(AtomicI64::new(0));
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let request = chat_request("m").bearer(&key);
            let (address, done, enough) =
                (gateway.address(), Arc::clone(&done), Arc::clone(&enough));
            thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let live = request.open(address).expect("the gateway answers");
                    let (answer, end) = live.read_to_end();
                    assert_eq!((answer.status, end), (200, BodyEnd::Clean));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = |count: i64| {
        let goal = done.load(Ordering::Relaxed) + count;
        eventually("requests are served", &true, || {
            done.load(Ordering::Relaxed) >= goal
        });
    };

    more(30);
    server.stop();
    more(30);
    eventually("the ledger has noticed", &true, || {
        let warnings = gateway.log_of_level("WARN");
        warnings
            .iter()
            .any(|line| line.to_string().contains("spend is not shipped"))
    });
    let readiness = gateway.get("/health/readiness");
    readiness.assert_status(503);
    assert_eq!(readiness.json()["db"], "Not connected");
    server.resume();
    more(30);
    enough.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no request failed");
    }

    let count = done.load(Ordering::Relaxed);
    let reached = i64::try_from(upstream.request_count()).expect("a small number");
    assert_eq!(count, reached);
    eventually("every row is there", &true, || {
        let spend = gateway.send(&Request::get("/global/spend").bearer(MASTER_KEY));
        spend.status == 200 && pico(&spend.json()["spend"]) == count * COST_PICO
    });
    assert_eq!(rows(&server), (count, count));
    assert_sums(&server, count * COST_PICO);
    eventually("the gateway is ready again", &200, || {
        gateway.get("/health/readiness").status
    });
}

/// A gateway on the server whose keys are read again after 0.3 s.
fn with_quick_keys(server: &Postgres, stale_secs: &str) -> (Upstream, Home, Gateway) {
    let upstream = Upstream::answering(whole_or_streamed);
    let config = config(&upstream, &server.url("books"))
        .general("user_api_key_cache_ttl: 0.3")
        .trunkline(&format!("stale_keys_secs: {stale_secs}"));
    let home = Home::with(&config);
    let mut gateway = start(&home);
    gateway.allow_errors();
    (upstream, home, gateway)
}

fn weakened(gateway: &Gateway) -> usize {
    let warnings = gateway.log_of_level("WARN");
    let is_it = |line: &&Value| line.to_string().contains("keys are served from memory");
    warnings.iter().filter(is_it).count()
}

#[test]
fn known_keys_outlive_the_server_and_what_is_known_of_them_holds() {
    let mut server = Postgres::start();
    server.database("books");
    let (_upstream, _home, gateway) = with_quick_keys(&server, "3600");
    let status = |key: &str| gateway.send(&chat_request("m").bearer(key)).status;
    let well = generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 5}));
    let other = generate_key(&gateway, &json!({"models": ["other"]}));
    let blocked = generate_key(&gateway, &json!({}));
    let fleeting = generate_key(&gateway, &json!({"duration": "10s"}));
    server.sql(
        "books",
        &format!(
            "UPDATE trunkline.virtual_keys SET blocked = true WHERE id = encode(sha256('{blocked}'), 'hex')"
        ),
    );
    for (key, expected) in [(&well, 200), (&other, 403), (&fleeting, 200)] {
        assert_eq!(status(key), expected);
    }
    eventually("the key is blocked", &401, || status(&blocked));

    server.stop();
    eventually("keys are served from memory", &1, || {
        assert_eq!(status(&well), 200);
        weakened(&gateway)
    });

    assert_eq!(status(&other), 403);
    assert_eq!(status(&blocked), 401);
    assert_eq!(status("sk-nobody-knows-this-one-at-all"), 503);
    eventually("the key expires all the same", &401, || status(&fleeting));
    assert_eq!(status(&well), 200);
    assert_eq!(weakened(&gateway), 1, "said once");
    let readiness = gateway.get("/health/readiness");
    readiness.assert_status(503);
    assert_eq!(readiness.json()["keys"], "weakened");
    let metrics = gateway.get("/metrics").text();
    assert!(metrics.contains("trunkline_keys_weakened 1"), "{metrics}");

    server.resume();
    eventually("the gateway is ready again", &200, || {
        gateway.get("/health/readiness").status
    });
    let readiness = gateway.get("/health/readiness").json();
    assert_eq!(readiness["keys"], "confirmed");
    server.sql("books", "UPDATE trunkline.virtual_keys SET blocked = true");
    eventually("what changed is seen", &401, || status(&well));
    let metrics = gateway.get("/metrics").text();
    assert!(metrics.contains("trunkline_keys_weakened 0"), "{metrics}");
}

#[test]
fn a_customers_budget_holds_without_the_server_and_strangers_are_served() {
    let mut server = Postgres::start();
    server.database("books");
    let (_upstream, _home, gateway) = with_quick_keys(&server, "3600");
    let key = generate_key(&gateway, &json!({}));
    for (customer, budget) in [("poor", 0), ("rich", 5)] {
        let customer = json!({"user_id": customer, "max_budget": budget});
        let made = Request::post("/customer/new", &customer).bearer(MASTER_KEY);
        gateway.send(&made).assert_status(200);
    }
    let status = |customer: &str| {
        let request = chat_request("m").bearer(&key);
        gateway
            .send(&request.header("x-litellm-customer-id", customer))
            .status
    };
    assert_eq!((status("poor"), status("rich")), (422, 200));

    server.stop();

    assert_eq!(
        (status("poor"), status("rich"), status("stranger")),
        (422, 200, 200)
    );
    let readiness = gateway.get("/health/readiness").json();
    assert_eq!(readiness["budgets"], "weakened", "{readiness}");
    let metrics = gateway.get("/metrics").text();
    assert!(
        metrics.contains("trunkline_budgets_weakened 1"),
        "{metrics}"
    );

    server.resume();
    eventually("the gateway is ready again", &200, || {
        gateway.get("/health/readiness").status
    });
    assert_eq!(gateway.get("/health/readiness").json()["budgets"], "kept");
    assert_eq!((status("poor"), status("rich")), (422, 200));
}

#[test]
fn known_keys_outlive_the_server_no_longer_than_the_operator_says() {
    let mut server = Postgres::start();
    server.database("books");
    let never = with_quick_keys(&server, "0");
    let briefly = with_quick_keys(&server, "1.5");
    let keys = [&never, &briefly].map(|(_, _, gateway)| generate_key(gateway, &json!({})));
    let status = |(_, _, gateway): &(Upstream, Home, Gateway), key: &str| {
        gateway.send(&chat_request("m").bearer(key)).status
    };
    assert_eq!(status(&never, &keys[0]), 200);
    assert_eq!(status(&briefly, &keys[1]), 200);

    server.stop();

    eventually("the key is refused", &503, || status(&never, &keys[0]));
    eventually("the other key is refused", &503, || {
        status(&briefly, &keys[1])
    });
    assert_eq!(weakened(&never.2), 0);
    server.resume();
    for (scene, key) in [(&never, &keys[0]), (&briefly, &keys[1])] {
        eventually("the key works again", &200, || status(scene, key));
    }
}

#[test]
fn what_a_stopping_gateway_could_not_ship_is_shipped_by_the_next_start() {
    let (mut server, _upstream, home, mut gateway) = scene();
    gateway.allow_errors();
    let gateway = gateway.with_master_key();
    server.stop();
    for _ in 0..5 {
        gateway.chat("m").assert_status(200);
    }
    gateway.stop();

    server.resume();
    let gateway = start(&home);

    eventually("everything spent", &(5 * COST_PICO), || total(&gateway));
    assert_eq!(rows(&server), (5, 5));
    assert_sums(&server, 5 * COST_PICO);
}

#[test]
fn a_gateway_that_is_killed_under_load_has_each_request_on_the_books_once() {
    let (server, upstream, home, gateway) = scene();
    kill_under_load(&upstream, &home, gateway, || rows(&server));
}

#[test]
fn two_gateways_share_keys_and_books() {
    const EACH: i64 = 20;
    let server = Postgres::start();
    let upstream = Upstream::answering(whole_or_streamed);
    let url = server.database("books");
    // As in a cluster: one config file for all, the address of the database in the environment.
    let config = config(&upstream, "os.environ/DATABASE_URL");
    let homes = [0, 1].map(|_| Home::with(&config).variable("DATABASE_URL", &url));
    // Both find an empty database.
    let starting = homes.map(|home| {
        thread::spawn(move || {
            let gateway = start(&home);
            (home, gateway)
        })
    });
    let [(_one_home, one), (_other_home, other)] =
        starting.map(|thread| thread.join().expect("a gateway starts"));
    let key = generate_key(&one, &json!({"user_id": "ann", "max_budget": 5}));

    let clients = [&one, &other].map(|gateway| {
        let (address, request) = (gateway.address(), chat_request("m").bearer(&key));
        thread::spawn(move || {
            for _ in 0..EACH {
                request.send(address).assert_status(200);
            }
        })
    });
    for client in clients {
        client.join().expect("every request is served");
    }

    for gateway in [&one, &other] {
        eventually("everything spent", &(2 * EACH * COST_PICO), || {
            total(gateway)
        });
    }
    assert_eq!(rows(&server), (2 * EACH, 2 * EACH));
    assert_sums(&server, 2 * EACH * COST_PICO);
    let charged =
        "SELECT (charged * 1e12)::bigint FROM trunkline.balances WHERE subject_kind = 'api_key'";
    assert_eq!(numbers(&server, charged), [2 * EACH * COST_PICO]);
}

/// Tells everybody that they do not speak HTTP.
fn a_web_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            drop(client.read(&mut [0; 64]));
            drop(client.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    address
}

#[test]
fn a_database_that_cannot_be_used_is_said_in_a_sentence_without_its_secret() {
    let server = Postgres::start();
    let upstream = Upstream::answering(whole_or_streamed);
    let url = server.database("books");
    let (_, ours) = url.split_once('@').expect("a user");
    let ours = ours.split('/').next().expect("a host").to_owned();
    let web = a_web_server();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().expect("an address");
    for (url, said) in [
        (
            url.replace(DATABASE_PASSWORD, "hush-another-password"),
            "the server refuses this user or its password",
        ),
        (
            server.url("nowhere"),
            "the server has no database of that name: create it",
        ),
        (
            // Nobody listens on the discard port.
            format!("postgresql://u:{DATABASE_PASSWORD}@127.0.0.1:9/books"),
            "no server can be reached there",
        ),
        (
            format!("postgresql://u:{DATABASE_PASSWORD}@{web}/books"),
            "what answers there hangs up, and may not be PostgreSQL",
        ),
        (
            format!("postgresql://u:{DATABASE_PASSWORD}@{silent}/books"),
            "no answer came in time",
        ),
        (
            format!("{url}&sslmode=verify-full"),
            "or not with this sslmode",
        ),
        (
            format!("{url}&sslmode=sometimes"),
            "sslmode must be disable, prefer, require, verify-ca or verify-full",
        ),
    ] {
        let (_, shown) = url.split_once('@').expect("a user");
        let shown = shown.split('?').next().expect("a host");
        let mut config = config(&upstream, &url);
        if !shown.starts_with(&ours) {
            // Whoever may still come is waited for.
            config = config.general("database_connection_timeout: 1.5");
        }
        let home = Home::with(&config);

        let output = home.run(&["serve", "--config", "config.yaml", "--port", "0"]);

        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        let sentence = told
            .lines()
            .find(|line| line.starts_with("trunkline: "))
            .unwrap_or_else(|| panic!("no sentence in {told}"));
        assert!(
            sentence.contains(shown) && sentence.contains(said),
            "{said}: {told}"
        );
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn migrations_are_applied_on_request_and_only_looked_at_with_check() {
    let server = Postgres::start();
    let upstream = Upstream::answering(whole_or_streamed);
    let in_postgres = config(&upstream, &server.database("books"));
    let in_a_file = ConfigText::one("m", &upstream);
    for config in [in_postgres, in_a_file] {
        let home = Home::with(&config);
        let migrate = |more: &[&str]| {
            let output = home.run(&[&["migrate", "--config", "config.yaml"], more].concat());
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!told.contains("hush"), "{told}");
            (output.status.code(), told)
        };

        let (code, told) = migrate(&["--check"]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("has schema 0 of "), "{told}");
        assert!(!home.path().join("trunkline.db").exists());
        assert_eq!(migrate(&["--check"]).0, Some(1), "looking changes nothing");
        for more in [&[][..], &["--check"], &[]] {
            let (code, told) = migrate(more);
            assert_eq!(code, Some(0), "{told}");
            assert!(told.ends_with("is up to date\n"), "{told}");
        }
    }
}
