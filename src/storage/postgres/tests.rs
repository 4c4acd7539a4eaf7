//! What only a database server can do: be away, be shared, hold other tables. Everything else is in
//! `storage::conformance`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::Connection;
use rust_decimal::Decimal;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;
use trunkline_actors::ids::KeyId;

use super::convert::date;
use crate::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::storage::conformance::{EMPTY, NOON, batches, key, row};
use crate::storage::reports::plans;
use crate::storage::reports::statement::{Arg, Dialect};
use crate::storage::{
    Arrival, Arrivals, Change, ImportedRow, KeyRow, PoolSettings, StorageError, Store, Taken,
    open_postgres, open_sqlite, postgres_schema,
};

/// With time for a busy machine.
async fn open(url: &str) -> Result<Store, StorageError> {
    let settings = PoolSettings {
        connections: None,
        wait: Some(Duration::from_mins(1)),
    };
    open_postgres(url, "postgresql://shown", settings).await
}

const IMPATIENT: PoolSettings = PoolSettings {
    connections: Some(2),
    wait: Some(Duration::from_secs(1)),
};

#[tokio::test]
async fn the_schema_is_made_once_by_many_and_refused_when_it_is_newer() {
    let server = Postgres::start();
    let url = server.database("fresh");
    server.sql("fresh", "CREATE TABLE spend_logs (litellm int)");
    let version = || postgres_schema(&url, "postgresql://shown", PoolSettings::default());
    let before = version().await.unwrap();
    assert_eq!(before.found, None);

    for store in join_all((0..4).map(|_| open(&url))).await {
        store.unwrap();
    }

    assert_eq!(version().await.unwrap().found, Some(before.known));
    let outside = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(
        server.sql("fresh", outside),
        "1",
        "nothing in other schemas"
    );
    server.sql(
        "fresh",
        "INSERT INTO trunkline.refinery_schema_history SELECT 9999, name, applied_on, checksum \
         FROM trunkline.refinery_schema_history WHERE version = 1",
    );
    let err = open(&url).await.unwrap_err();
    assert!(
        matches!(err, StorageError::NewerSchema { found: 9999, .. }),
        "{err:?}"
    );
}

#[tokio::test]
async fn no_question_of_an_endpoint_reads_a_whole_table() {
    let server = Postgres::start();
    let store = open(&server.database("plans")).await.unwrap();
    let days = (0..3_u64).map(|n| row(NOON + n * 86_400_000, n, Some(1)));
    store.ledger.insert(days.collect()).await.unwrap();
    let literal = |arg: &Arg| match arg {
        Arg::Text(text) => format!("'{text}'"),
        Arg::Texts(texts) => format!("'{{{}}}'", texts.join(",")),
        Arg::Whole(whole) => format!("'{whole}'"),
        Arg::Day(day) => format!("'{}'", date(*day)),
        Arg::Money(amount) => format!("'{amount}'"),
    };
    // As many as fit into the arguments of a program.
    for statements in plans::statements(Dialect::Postgres).chunks(20) {
        // Small tables are read whole, unless an index is the only other way.
        let mut explains = String::from("SET enable_seqscan = off;");
        for statement in statements {
            let mut sql = statement.sql.clone();
            for (at, arg) in statement.args.iter().enumerate().rev() {
                sql = sql.replace(&format!("${}", at + 1), &literal(arg));
            }
            explains.push_str("SELECT 'question'; EXPLAIN ");
            explains.push_str(&sql);
            explains.push(';');
        }
        let plans = server.sql("plans", &explains);
        let plans: Vec<&str> = plans.split("question").skip(1).collect();
        assert_eq!(plans.len(), statements.len());
        for (plan, statement) in plans.iter().zip(statements) {
            assert!(!plan.contains("Seq Scan"), "{}: {plan}", statement.sql);
        }
    }
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let server = Postgres::start();
    let url = server.database("columns");
    drop(open(&url).await.unwrap());
    let postgres = server.sql(
        "columns",
        "SELECT table_name || '.' || column_name FROM information_schema.columns \
         WHERE table_schema = 'trunkline' AND table_name !~ '^(spend_logs|transcripts)_' \
         AND (table_name, column_name) NOT IN (('spend_logs', 'day'), ('transcripts', 'day'))",
    );
    let mut postgres: Vec<&str> = postgres.lines().collect();
    postgres.sort_unstable();

    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    drop(open_sqlite(&path).await.unwrap());
    let connection = Connection::open(&path).unwrap();
    let mut sqlite: Vec<String> = connection
        .prepare(
            "SELECT tables.name || '.' || columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns \
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    sqlite.sort_unstable();
    assert_eq!(sqlite, postgres);
}

#[tokio::test]
async fn rows_lie_in_the_partition_of_their_day_or_in_the_default_one() {
    const DAY: u64 = 86_400_000;
    let server = Postgres::start();
    let url = server.database("days");
    let store = open(&url).await.unwrap();

    // Far more days at once than partitions are made for.
    let days = (0..20_u64).map(|n| row(NOON + n * DAY, n, Some(1)));
    assert_eq!(store.ledger.insert(days.collect()).await.unwrap(), 20);

    let lies_in = "SELECT tableoid::regclass, count(*) FROM trunkline.spend_logs GROUP BY 1 ORDER BY 2 DESC, 1";
    let found = server.sql("days", lies_in);
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found[0], "trunkline.spend_logs_default|12");
    assert_eq!(found[1], "trunkline.spend_logs_20241004|1");
    assert_eq!(found.len(), 9);
    // A day that the default partition has rows of cannot be given one: its rows still count.
    for n in 100..102 {
        let late = vec![row(NOON + 19 * DAY, n, Some(1))];
        assert_eq!(store.ledger.insert(late).await.unwrap(), 1);
    }
    let total = store.spend.total_spend(None).await.unwrap();
    assert_eq!(total.to_pico(), Some(22));

    // A part of a day is read from that day alone, and through an index.
    for condition in [
        "id >= '01J9' AND id < '01JZ'",
        "key_id = 'key-a' AND id > '01J9'",
        "user_id = 'user-a' AND id > '01J9'",
        "team_id = 'team-a' AND id > '01J9'",
        "end_user = 'customer-a' AND id > '01J9'",
        "request_id = 'chatcmpl-1'",
    ] {
        let plan = server.sql(
            "days",
            &format!(
                "SET enable_seqscan = off; EXPLAIN SELECT cost FROM trunkline.spend_logs \
                 WHERE {condition} AND day >= '2024-10-04' AND day < '2024-10-05'"
            ),
        );
        assert!(plan.contains("Index Cond"), "{condition}: {plan}");
        assert!(plan.contains("spend_logs_20241004"), "{condition}: {plan}");
        assert_eq!(
            plan.matches(" on spend_logs").count(),
            1,
            "{condition}: {plan}"
        );
    }
}

#[tokio::test]
async fn two_gateways_insert_without_waiting_for_each_other_for_ever() {
    let server = Postgres::start();
    let url = server.database("shared");
    let (one, other) = (open(&url).await.unwrap(), open(&url).await.unwrap());

    let inserts = (0..40_u64).map(|n| {
        let store = if n % 2 == 0 { &one } else { &other };
        // The same lines in opposite orders: what deadlocks are made of.
        let mut rows: Vec<_> = (0..10)
            .map(|m| {
                let mut row = row(NOON, n * 10 + m, Some(1));
                row.key = Some(KeyId::from(format!("key-{m}")));
                row
            })
            .collect();
        if n % 2 == 0 {
            rows.reverse();
        }
        store.ledger.insert(rows)
    });
    for inserted in join_all(inserts).await {
        assert_eq!(inserted.unwrap(), 10);
    }

    let key = KeyId::from("key-3");
    let spends = (
        one.spend.key_spend(key.clone()).await.unwrap(),
        other.spend.key_spend(key).await.unwrap(),
    );
    assert_eq!(spends.0.to_pico(), Some(40));
    assert_eq!(spends.0, spends.1);
}

#[test]
fn rows_roll_up_and_balances_agree_after_any_batches_of_two_gateways() {
    const SUMS: &str = "SELECT \
        (SELECT coalesce(sum(cost), 0) FROM trunkline.spend_logs), \
        (SELECT coalesce(sum(spend), 0) FROM trunkline.daily_spend), \
        (SELECT coalesce(sum(charged), 0) FROM trunkline.balances WHERE subject_kind = 'api_key'), \
        (SELECT count(*) - count(cost) FROM trunkline.spend_logs), \
        (SELECT coalesce(sum(unpriced), 0) FROM trunkline.daily_spend), \
        (SELECT coalesce(sum(unpriced), 0) FROM trunkline.balances WHERE subject_kind = 'api_key'), \
        (SELECT count(*) FROM trunkline.spend_logs), \
        (SELECT coalesce(sum(requests), 0) FROM trunkline.daily_spend), \
        (SELECT count(DISTINCT id) FROM trunkline.spend_logs)";
    let server = Postgres::start();
    let url = server.database("books");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let stores = [
        runtime.block_on(open(&url)).unwrap(),
        runtime.block_on(open(&url)).unwrap(),
    ];
    let mut runner = TestRunner::new(ProptestConfig::with_cases(16));
    let held = runner.run(&batches(), |batches| {
        server.sql("books", EMPTY);
        // All batches at once, in turn by one gateway and the other.
        let inserts = batches
            .into_iter()
            .zip(stores.iter().cycle())
            .map(|(batch, store)| store.ledger.insert(batch));
        for inserted in runtime.block_on(join_all(inserts)) {
            inserted.unwrap();
        }
        let sums = server.sql("books", SUMS);
        let sums: Vec<Decimal> = sums.split('|').map(|sum| sum.parse().unwrap()).collect();
        for same in sums.chunks(3) {
            prop_assert!(same.iter().all(|sum| *sum == same[0]), "{sums:?}");
        }
        Ok(())
    });
    held.unwrap();
}

#[tokio::test]
async fn a_server_that_went_away_is_used_again_when_it_is_back() {
    let mut server = Postgres::start();
    let url = server.database("gone");
    let store = open(&url).await.unwrap();
    store
        .ledger
        .insert(vec![row(NOON, 1, Some(1))])
        .await
        .unwrap();

    server.stop();
    let ping = store.lifecycle.ping(Duration::from_secs(5)).await;
    assert!(ping.is_err());
    assert!(
        store
            .ledger
            .insert(vec![row(NOON, 2, Some(1))])
            .await
            .is_err()
    );
    let start = open_postgres(&url, "postgresql://shown", IMPATIENT).await;
    let Err(StorageError::Server { reason, .. }) = &start else {
        panic!("{start:?}")
    };
    assert_eq!(*reason, "no server can be reached there");

    server.resume();
    store.lifecycle.ping(Duration::from_secs(5)).await.unwrap();
    let again = vec![row(NOON, 1, Some(1)), row(NOON, 2, Some(1))];
    assert_eq!(store.ledger.insert(again).await.unwrap(), 1);

    // What keeps it from starting for good is said without waiting, and without the password.
    for (url, expected) in [
        (
            url.replace(DATABASE_PASSWORD, "wrong"),
            "the server refuses this user or its password",
        ),
        (
            server.url("nowhere"),
            "the server has no database of that name: create it",
        ),
    ] {
        let err = open(&url).await.unwrap_err();
        let StorageError::Server { reason, .. } = &err else {
            panic!("{err:?}")
        };
        assert_eq!(*reason, expected);
        assert!(!format!("{err:?}").contains(DATABASE_PASSWORD), "{err:?}");
    }
}

#[tokio::test]
async fn an_import_waits_for_a_change_and_leaves_it_as_it_was_made() {
    let server = Arc::new(Postgres::start());
    let store = open(&server.database("turns")).await.unwrap();
    let import = async |alias: &str| {
        let rows = vec![Arrival {
            row: ImportedRow::Key(Box::new(KeyRow {
                blocked: false,
                ..key("key-a", Some(alias))
            })),
            openings: Vec::new(),
        }];
        let arrivals = Arrivals {
            rows,
            ..Arrivals::default()
        };
        store.imports.take(arrivals).await.unwrap()[0].taken
    };
    assert_eq!(import("before").await, Taken::New);

    let changing = spawn_blocking({
        let server = Arc::clone(&server);
        move || {
            server.sql(
                "turns",
                "BEGIN; SELECT FROM trunkline.audit_head FOR UPDATE; SELECT pg_sleep(2); \
                 UPDATE trunkline.virtual_keys SET blocked = true WHERE id = 'key-a'; COMMIT",
            )
        }
    });
    let holders = "SELECT count(*) FROM pg_locks WHERE relation = 'trunkline.audit_head'::regclass AND mode = 'RowShareLock'";
    while server.sql("turns", holders) == "0" {
        yield_now().await;
    }
    assert_eq!(import("after").await, Taken::KeptChanged);
    changing.await.unwrap();

    let kept = store.keys.by_id(KeyId::from("key-a")).await.unwrap();
    let kept = kept.unwrap();
    assert_eq!(
        (kept.alias.as_deref(), kept.blocked),
        (Some("before"), true)
    );
}

#[tokio::test]
async fn more_changes_at_once_than_can_wait_are_survived_and_later_ones_heard() {
    let server = Postgres::start();
    let store = open(&server.database("bulk")).await.unwrap();
    let (tell, mut heard) = unbounded_channel();
    let feed = &store.feed;
    feed.follow(Box::new(move |change| tell.send(change).unwrap()));
    let mut wait_for = async |wanted: Change| {
        let hearing = async {
            while heard.recv().await.unwrap() != wanted {
                // Others come first.
            }
        };
        let within = timeout(Duration::from_mins(1), hearing).await;
        assert!(within.is_ok(), "{wanted:?} is never heard");
    };
    wait_for(Change::Unknown).await;

    // Meanwhile the follower waits to count, so that its answer lies behind all the notifications.
    server.sql(
        "bulk",
        "BEGIN; ALTER SEQUENCE trunkline.changes OWNER TO CURRENT_USER; \
         INSERT INTO trunkline.virtual_keys (id, key_name, created_at) \
         SELECT 'key-' || n, 'sk-...abcd', 0 FROM generate_series(1, 3000) AS n; \
         SELECT pg_sleep(3); COMMIT",
    );
    // For those that there was no room for.
    wait_for(Change::Unknown).await;

    server.sql(
        "bulk",
        "INSERT INTO trunkline.virtual_keys (id, key_name, created_at) VALUES ('late', 'sk-...abcd', 0)",
    );
    wait_for(Change::Key(KeyId::from("late"))).await;
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    let server = Postgres::start();
    let url = server.database("capped");
    let settings = PoolSettings {
        connections: Some(3),
        wait: Some(Duration::from_mins(1)),
    };
    let store = open_postgres(&url, "postgresql://shown", settings)
        .await
        .unwrap();

    let work = (0..50_u64).map(|n| store.ledger.insert(vec![row(NOON, n, Some(1))]));
    for inserted in join_all(work).await {
        assert_eq!(inserted.unwrap(), 1);
    }

    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'capped' AND application_name = 'trunkline'";
    assert_eq!(server.sql("capped", open), "3");
}

#[tokio::test]
async fn each_sslmode_checks_what_it_says() {
    const ENCRYPTED: &str = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'trunkline'";
    let server = Postgres::start();
    let by_address = server.database("tls");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/authority.pem");
    let authority = authority.display();
    let trusted = |mode: &str| format!("sslmode={mode}&sslrootcert={authority}");
    for (url, query, encrypted) in [
        (&by_address, "sslmode=disable".to_owned(), Some("f")),
        (&by_address, "sslmode=prefer".to_owned(), Some("t")),
        (&by_address, "sslmode=require".to_owned(), Some("t")),
        // Signed by somebody whom the machine does not know.
        (&by_name, "sslmode=verify-ca".to_owned(), None),
        (&by_name, "sslmode=verify-full".to_owned(), None),
        (
            &by_address,
            "sslmode=require&sslaccept=strict".to_owned(),
            None,
        ),
        // Signed by a trusted one, for `localhost`.
        (&by_address, trusted("require"), Some("t")),
        (&by_address, trusted("verify-ca"), Some("t")),
        (&by_address, trusted("verify-full"), None),
        (&by_name, trusted("verify-full"), Some("t")),
    ] {
        let opened = open(&format!("{url}&{query}")).await;
        let Some(encrypted) = encrypted else {
            let err = opened.unwrap_err();
            assert!(
                matches!(err, StorageError::Server { .. }),
                "{query}: {err:?}"
            );
            continue;
        };
        let store = opened.unwrap_or_else(|err| panic!("{query}: {err:?}"));
        store.lifecycle.ping(Duration::from_secs(5)).await.unwrap();
        assert_eq!(server.sql("tls", ENCRYPTED), encrypted, "{query}");
        store.lifecycle.close().await.unwrap();
        drop(store);
        // A connection ends a moment after it was closed.
        while !server.sql("tls", ENCRYPTED).is_empty() {
            yield_now().await;
        }
    }
}
