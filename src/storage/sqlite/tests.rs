//! What only SQLite's file can do: be something else, be newer, be shared. Everything else is in `storage::conformance`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use futures_util::future::join_all;
use proptest::prelude::*;
use rusqlite::types::Null;
use rusqlite::{Connection, params, params_from_iter};
use tempfile::TempDir;
use tokio::runtime::Builder;
use trunkline_actors::ids::{KeyId, RequestId};
use trunkline_actors::money::Usd;

use super::migrate::prepare_at;
use super::spend_insert::INSERT_ROW;
use super::spend_reports::values;
use super::tenants::MEMBERSHIPS;
use crate::storage::conformance::{NOON, batches, row};
use crate::storage::reports::statement::{Dialect, Statement};
use crate::storage::reports::{plans, sums};
use crate::storage::{StorageError, TenantKind, open_sqlite};

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("notes.txt");
    let text = "not a database, but longer than a page header is\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let err = open_sqlite(&path).await.unwrap_err();
    assert!(matches!(err, StorageError::NotADatabase { .. }), "{err:?}");
    assert!(err.to_string().contains("notes.txt"));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_path_that_cannot_be_a_database_is_refused_with_its_name() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below_a_file = open_sqlite(&file.join("trunkline.db")).await.unwrap_err();
    assert!(matches!(below_a_file, StorageError::Directory { .. }));
    let a_directory = open_sqlite(dir.path()).await.unwrap_err();
    assert!(matches!(a_directory, StorageError::Open { .. }));
}

#[tokio::test]
async fn a_row_of_the_books_is_inserted_without_a_table_of_its_own() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    drop(open_sqlite(&path).await.unwrap());
    let connection = Connection::open(&path).unwrap();
    let mut plan = connection
        .prepare(&format!("EXPLAIN {INSERT_ROW}"))
        .unwrap();
    let unbound = vec![Null; plan.parameter_count()];
    let steps: Vec<String> = plan
        .query_map(params_from_iter(unbound), |step| step.get("opcode"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(steps.iter().any(|step| step == "Insert"), "{steps:?}");
    assert!(
        !steps.iter().any(|step| step == "OpenEphemeral"),
        "a CHECK with a list of more than two values makes one for each row: {steps:?}"
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_numbers() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    drop(open_sqlite(&path).await.unwrap());
    Connection::open(&path)
        .unwrap()
        .execute(
            "INSERT INTO refinery_schema_history SELECT 9999, name, applied_on, checksum \
             FROM refinery_schema_history WHERE version = 1",
            [],
        )
        .unwrap();
    let err = open_sqlite(&path).await.unwrap_err();
    assert!(matches!(
        err,
        StorageError::NewerSchema { found: 9999, known, .. } if known >= 4
    ));
}

#[tokio::test]
async fn processes_that_open_a_new_file_at_once_migrate_it_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    let opened = join_all((0..8).map(|_| open_sqlite(&path))).await;
    for store in opened {
        store.unwrap();
    }
}

#[tokio::test]
async fn what_another_process_commits_is_seen_and_its_lock_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    let (serving, other) = (
        open_sqlite(&path).await.unwrap(),
        open_sqlite(&path).await.unwrap(),
    );
    // Two pools on one file are two processes as far as SQLite is concerned.
    let writes = (0..40_u64).map(|n| {
        let store = if n % 2 == 0 { &serving } else { &other };
        store.ledger.insert(vec![row(NOON, n, Some(1))])
    });
    for written in join_all(writes).await {
        assert_eq!(written.unwrap(), 1);
    }
    let key = KeyId::from("key-a");
    let spends = (
        serving.spend.key_spend(key.clone()).await.unwrap(),
        other.spend.key_spend(key).await.unwrap(),
    );
    assert_eq!(spends.0.to_pico(), Some(40));
    assert_eq!(spends.0, spends.1);
}

#[tokio::test]
async fn queries_by_key_user_and_time_use_an_index() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    drop(open_sqlite(&path).await.unwrap());
    let connection = Connection::open(&path).unwrap();
    let queries = [
        "SELECT sum(cost) FROM spend_logs WHERE key_id = 'a' AND id > 'a'",
        "SELECT sum(cost) FROM spend_logs WHERE user_id = 'a' AND id > 'a'",
        "SELECT * FROM spend_logs WHERE team_id = 'a' AND id < 'b' ORDER BY id DESC LIMIT 3",
        "SELECT * FROM spend_logs WHERE end_user = 'a' AND id < 'b' ORDER BY id DESC LIMIT 3",
        "SELECT sum(spend) FROM daily_subject_spend WHERE kind = 'tag' AND subject = 'a' AND day >= 1",
        "SELECT sum(spend) FROM daily_subject_spend WHERE kind = 'tag' AND day >= 1",
        "SELECT sum(cost) FROM spend_logs WHERE 'x' = 'x' AND id >= 'a' AND id < 'b'",
        "SELECT sum(spend) FROM daily_spend WHERE user_id = 'a'",
        "SELECT sum(spend) FROM daily_spend WHERE key_id = 'a' AND day >= 1",
        "SELECT sum(spend) FROM daily_spend WHERE day >= 1",
        "SELECT * FROM virtual_keys WHERE user_id = 'a' AND id > 'b' ORDER BY id LIMIT 3",
    ];
    let plan = |query: &str, args: &[&str]| -> String {
        let explain = format!("EXPLAIN QUERY PLAN {query}");
        connection
            .query_row(&explain, params_from_iter(args), |row| row.get(3))
            .unwrap()
    };
    for query in queries {
        let plan = plan(query, &[]);
        assert!(plan.starts_with("SEARCH"), "{query}: {plan}");
    }
    assert_eq!(
        plan(MEMBERSHIPS, &["team_member", "a", "1"]),
        "SEARCH tenants USING INDEX tenants_by_member (kind=? AND <expr>=?)"
    );
}

fn plan(connection: &Connection, statement: &Statement) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let mut explained = connection.prepare(&explain).unwrap();
    let args = params_from_iter(values(&statement.args));
    let steps = explained.query_map(args, |row| row.get(3)).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn the_dearest_subjects_of_some_days_are_found_in_an_index_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    drop(open_sqlite(&path).await.unwrap());
    let connection = Connection::open(&path).unwrap();
    let dearest = plans::dearest_customers();
    let statement = sums::statement(Dialect::Sqlite, &dearest).unwrap();
    let steps = plan(&connection, &statement);
    let first = "USING COVERING INDEX daily_subject_spend_by_day (kind=? AND day>? AND day<?)";
    assert!(steps[0].ends_with(first), "{steps:?}");
}

#[tokio::test]
async fn no_question_of_an_endpoint_reads_a_whole_table() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    drop(open_sqlite(&path).await.unwrap());
    let connection = Connection::open(&path).unwrap();
    for statement in plans::statements(Dialect::Sqlite) {
        let steps = plan(&connection, &statement);
        let whole = steps.iter().find(|step| {
            let table = step.strip_prefix("SCAN ").unwrap_or_default();
            // Along an index, as far as the page goes.
            let is_bounded =
                step.contains("USING") && step.contains("INDEX") && statement.sql.contains("LIMIT");
            (table.starts_with("spend_logs") || table.starts_with("daily_")) && !is_bounded
        });
        assert_eq!(whole, None, "{}: {steps:?}", statement.sql);
    }
}

#[tokio::test]
async fn the_books_of_the_first_schema_keep_their_rows_and_get_sums_that_agree() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trunkline.db");
    let old = prepare_at(&path, 4);
    old.execute(
        "INSERT INTO users VALUES ('alice', 'a@example.com', 'internal_user', 5000000000000, 1)",
        [],
    )
    .unwrap();
    for n in 0..6_u64 {
        let at = NOON + n * 40_000_000;
        let cost = (n != 3).then_some(100 + n.cast_signed());
        let (key, customer) = ((n > 0).then_some("k"), (n % 2 == 1).then_some("c"));
        let tags = ["[]", r#"["a","a","b"]"#][usize::from(n % 2 == 1)];
        old.execute(
            "INSERT INTO spend_logs VALUES (?1, NULL, 'acompletion', 'success', ?2, NULL, 'alice', ?3, 'g', 'm', 'd', 'openai', \
             NULL, 0, ?4, NULL, ?4 + 500, 1, 0, 0, 0, 0, 0, 2, 0, 0, 1, 2, 3, 0, ?5, NULL, 0, 1, NULL, ?6)",
            params![RequestId::generate(at, u128::from(n)).to_string(), key, customer, at.cast_signed(), cost, tags],
        )
        .unwrap();
    }
    drop(old);

    let store = open_sqlite(&path).await.unwrap();

    let audit = store.audit.sums(9).await.unwrap();
    assert_eq!((audit.roll_ups, audit.balances), (Vec::new(), Vec::new()));
    // 2.3 days from noon on.
    assert_eq!(audit.days, 3);
    let total = store.spend.total_spend(None).await.unwrap();
    assert_eq!(total.to_pico(), Some(100 + 101 + 102 + 104 + 105));
    let alice = store.tenants.by_id(TenantKind::User, "alice".to_owned());
    let alice = alice.await.unwrap().unwrap();
    assert_eq!(alice.terms.max_budget, Some(Usd::rounded(5.into())));
    assert_eq!(alice.email.as_deref(), Some("a@example.com"));
}

/// That both make the same tables is shown beside the Postgres tests.
#[test]
fn every_migration_has_its_counterpart_for_postgres() {
    let names = |dialect: &str| -> BTreeSet<String> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(dialect);
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_roll_up_and_balances_agree_after_any_batches(batches in batches()) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("trunkline.db");
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = open_sqlite(&path).await.unwrap();
            for batch in batches {
                store.ledger.insert(batch).await.unwrap();
            }
        });
        let connection = Connection::open(&path).unwrap();
        let sums = |sql: &str| -> (i64, i64) {
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let rows = sums("SELECT coalesce(sum(cost), 0), count(*) - count(cost) FROM spend_logs");
        let keys = sums("SELECT coalesce(sum(charged), 0), coalesce(sum(unpriced), 0) FROM balances \
                         WHERE subject_kind = 'api_key'");
        prop_assert_eq!(rows, keys);
        for roll_up in [
            "daily_spend",
            "daily_team_spend",
            "daily_label_spend WHERE kind = 'tag'",
            "daily_label_spend WHERE kind = 'end_user'",
            "daily_subject_spend WHERE kind = 'global'",
            "daily_subject_spend WHERE kind = 'team_member'",
            "daily_subject_spend WHERE kind = 'tag'",
        ] {
            let days = sums(&format!("SELECT coalesce(sum(spend), 0), coalesce(sum(unpriced), 0) FROM {roll_up}"));
            prop_assert_eq!(rows, days, "{}", roll_up);
        }
        let counted: (i64, i64) = sums("SELECT (SELECT count(*) FROM spend_logs), coalesce(sum(requests), 0) FROM daily_spend");
        prop_assert_eq!(counted.0, counted.1);
    }
}
