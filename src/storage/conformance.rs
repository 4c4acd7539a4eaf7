//! What every store must do. A case takes a fresh, empty [`Store`]; `suite!` runs all cases over one implementation.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, Subject, SubjectKind, TeamId,
    UserId,
};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{
    BudgetKey, BudgetName, Carry, Pieces, SpendRecord, SpendStatus, StartedRecord, UsageParts,
};

use super::change_conformance::{
    a_budget_that_is_in_use_stays, a_key_is_found_by_its_secrets_alone,
    changes_are_made_together_or_not_at_all, every_change_is_in_the_log_in_order,
    lists_hold_what_fits_every_filter, memberships_are_found_by_user, who_is_named_must_be_there,
};
use super::import::conformance::{
    an_alias_that_another_key_has_is_left_to_it, an_import_takes_all_kinds_of_a_batch,
    what_an_import_brings_counts_once,
};
use super::reports::conformance::{
    a_search_goes_on_behind_the_rows_it_walked_over, names_are_listed_once_in_order,
    names_that_no_roll_up_has_together_are_an_error, old_rows_go_and_their_sums_stay,
    rows_are_found_by_each_filter, rows_are_read_page_by_page_the_newest_first,
    rows_come_back_as_they_were_written, sums_agree_with_the_rows_however_they_are_asked_for,
    the_dearest_come_first,
};
use super::transcripts::conformance::{
    a_transcript_comes_back_as_it_was_kept, old_transcripts_go_and_rows_of_the_books_stay,
};
use super::{
    ChangedBy, KeyFilter, KeyPage, KeyRow, KeySpend, ModelBudget, ModelLimits, RowSpan,
    StorageError, Store, TemporaryIncrease, TenantFilter, TenantKind, TenantPage, TenantRow, Terms,
    WindowBudget, Write,
};

/// Noon of a day: neither the start of a day nor near one.
pub(super) const NOON: u64 = 20_000 * 86_400_000 + 43_200_000;
const DAY: u64 = 86_400_000;

/// Leaves a Postgres database as it was made.
pub(super) const EMPTY: &str = "TRUNCATE trunkline.tenants, trunkline.virtual_keys, trunkline.spend_logs, \
    trunkline.daily_spend, trunkline.daily_subject_spend, trunkline.daily_team_spend, \
    trunkline.daily_label_spend, trunkline.prices, trunkline.balances, trunkline.transcripts, trunkline.imported, trunkline.openings, trunkline.replicas, trunkline.audit_log, trunkline.key_secrets; \
    UPDATE trunkline.audit_head SET seq = 0, hash = ''";

macro_rules! suite {
    ($store:path; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (_keep, store) = $store().await;
                super::$case(&store).await;
            }
        )*
    };
}

/// Names the cases once, for every store.
macro_rules! all_cases {
    ($run:ident!($($store:tt)*)) => {
        $run! {
            $($store)*;
            it_answers,
            a_key_comes_back_as_it_was_stored,
            a_taken_key_or_alias_is_refused,
            keys_are_listed_page_by_page,
            a_key_is_changed_but_for_its_beginning,
            a_tenant_comes_back_as_it_was_stored,
            a_tenant_is_made_once_and_changed_but_for_its_beginning,
            tenants_are_listed_page_by_page_and_deleted,
            memberships_are_found_by_user,
            lists_hold_what_fits_every_filter,
            changes_are_made_together_or_not_at_all,
            a_key_is_found_by_its_secrets_alone,
            a_budget_that_is_in_use_stays,
            who_is_named_must_be_there,
            every_change_is_in_the_log_in_order,
            a_row_counts_once_however_often_it_is_inserted,
            overlapping_batches_at_once_count_each_row_once,
            spend_since_a_time_counts_from_that_millisecond,
            a_user_sees_spend_by_model_and_key,
            an_unknown_cost_is_counted_and_not_summed,
            a_window_is_charged_what_its_rows_cost,
            a_budget_given_late_counts_what_was_spent_before,
            a_reset_starts_from_zero,
            every_kind_of_subject_is_summed,
            budgets_of_one_subject_are_told_apart,
            a_window_takes_its_predecessors_excess_once,
            a_reset_window_counts_what_was_spent_since,
            a_new_generation_begins_with_what_it_is_told,
            an_adjustment_corrects_sums_and_balances_and_is_no_request,
            impossible_figures_do_not_hold_up_the_rows_behind_them,
            balances_made_at_once_start_with_the_same_past,
            texts_that_no_index_takes_do_not_hold_up_the_rows_behind_them,
            a_row_is_read_back_as_it_was_kept,
            rows_are_read_page_by_page_in_order_of_id,
            sums_that_were_added_up_are_what_the_rows_say,
            sums_agree_with_the_rows_however_they_are_asked_for,
            the_dearest_come_first,
            names_that_no_roll_up_has_together_are_an_error,
            rows_come_back_as_they_were_written,
            rows_are_read_page_by_page_the_newest_first,
            rows_are_found_by_each_filter,
            a_search_goes_on_behind_the_rows_it_walked_over,
            names_are_listed_once_in_order,
            old_rows_go_and_their_sums_stay,
            what_an_import_brings_counts_once,
            an_import_takes_all_kinds_of_a_batch,
            an_alias_that_another_key_has_is_left_to_it,
            a_transcript_comes_back_as_it_was_kept,
            old_transcripts_go_and_rows_of_the_books_stay,
        }
    };
}

mod on_sqlite {
    use tempfile::TempDir;

    use crate::storage::{Store, open_sqlite};

    async fn fresh() -> (TempDir, Store) {
        let dir = TempDir::new().unwrap();
        let store = open_sqlite(&dir.path().join("new/trunkline.db"))
            .await
            .unwrap();
        (dir, store)
    }

    all_cases!(suite!(fresh));
}

mod on_postgres {
    use std::time::Duration;

    use crate::servers::postgres::Postgres;
    use crate::storage::{PoolSettings, open_postgres};

    /// One test for all cases, on one database that is emptied in between: a server takes a second to make.
    macro_rules! one_by_one {
        ($server:ident, $store:ident; $($case:ident),* $(,)?) => {
            $(
                println!("{}", stringify!($case));
                super::$case(&$store).await;
                $server.sql("books", super::EMPTY);
            )*
        };
    }

    #[tokio::test]
    async fn postgres_does_what_every_store_must() {
        let server = Postgres::start();
        let url = server.database("books");
        // What an administrator may have chosen for other programs.
        server.sql(
            "postgres",
            "ALTER DATABASE books SET default_transaction_isolation = 'serializable'; \
             ALTER DATABASE books SET synchronous_commit = off; \
             ALTER DATABASE books SET datestyle = 'SQL, DMY'; \
             ALTER DATABASE books SET search_path = nowhere",
        );
        let settings = PoolSettings {
            connections: None,
            // The machine may be busy.
            wait: Some(Duration::from_mins(1)),
        };
        let store = open_postgres(&url, "postgresql://shown", settings)
            .await
            .unwrap();
        all_cases!(one_by_one!(server, store));
    }
}

pub(super) fn row(at: u64, n: u64, cost: Option<i64>) -> SpendRecord {
    let started = StartedRecord {
        key: Some(KeyId::from("key-a")),
        user: Some(UserId::from("user-a")),
        team: Some(TeamId::from("team-a")),
        organisation: Some(OrganisationId::from("org-a")),
        end_user: Some("customer-a".to_owned()),
        tags: vec!["batch".to_owned()],
        ..StartedRecord::new(
            RequestId::generate(at, u128::from(n)),
            ModelGroup::from("gpt"),
            "acompletion",
        )
    };
    SpendRecord {
        provider_request_id: Some("chatcmpl-1".to_owned()),
        status: SpendStatus::Success,
        model: "gpt-5-2025-08-07".to_owned(),
        provider: "openai".to_owned(),
        deployment: Some(DeploymentId::from("deployment-a")),
        ended_at: UnixMs(at + 5),
        usage: UsageParts {
            input_uncached: 10,
            output_text: 5,
            prompt_tokens: 10,
            completion_tokens: 5,
            total_tokens: 15,
            ..UsageParts::default()
        },
        cost: cost.map(Usd::from_pico),
        price_version: Some("2026-11-01".to_owned()),
        attempts: 1,
        ..SpendRecord::of(started)
    }
}

pub(super) fn window(subject: Subject, generation: u64, start: u64) -> BudgetKey {
    BudgetKey {
        subject,
        budget: BudgetName::default(),
        generation,
        window_start: UnixMs(start),
    }
}

/// Batches that repeat rows, with other figures too, over keys, days and windows: the first row with an id counts.
pub(super) fn batches() -> impl Strategy<Value = Vec<Vec<SpendRecord>>> {
    let cost = prop::option::weighted(0.8, 0..1_000_000_000_000_i64);
    // `n` alone makes the id.
    let row = (0..40_u64, 0..3_u64, 0..4_u8, cost).prop_map(|(n, generation, who, cost)| {
        let mut row = row(NOON + n * 20_000_000, n, cost);
        let key = KeyId::from(format!("key-{who}"));
        row.budgets = vec![
            window(Subject::from(&key), 0, 0),
            window(Subject::global(), generation, 0),
        ];
        row.key = Some(key);
        row
    });
    prop::collection::vec(prop::collection::vec(row, 0..15), 1..6)
}

fn key_subject() -> Subject {
    Subject::from(&KeyId::from("key-a"))
}

fn pico(amount: i64) -> Usd {
    Usd::from_pico(amount)
}

pub(super) fn key(id: &str, alias: Option<&str>) -> KeyRow {
    KeyRow {
        id: KeyId::from(id),
        key_name: "sk-...abcd".to_owned(),
        alias: alias.map(str::to_owned),
        user: Some(UserId::from("user-a")),
        models: vec!["gpt".to_owned(), "openai/*".to_owned()],
        team: Some(TeamId::from("team-a")),
        organisation: None,
        budget_id: Some("shared".to_owned()),
        terms: terms(),
        expires_at: Some(UnixMs(NOON)),
        blocked: true,
        metadata: json!({"team": {"n": 1}}).as_object().unwrap().clone(),
        settings: json!({"aliases": {"a": "b"}}).as_object().unwrap().clone(),
        created_at: UnixMs(NOON - 1),
        created_by: None,
        updated_at: UnixMs(NOON),
    }
}

fn terms() -> Terms {
    Terms {
        max_budget: Some("12.5".parse().map(Usd::rounded).unwrap()),
        rpm_limit: Some(60),
        tpm_limit: None,
        max_parallel_requests: Some(0),
        soft_budget: Some(pico(1)),
        budget_duration: Some("30d".to_owned()),
        budget_limits: vec![WindowBudget {
            budget_duration: "1d".to_owned(),
            max_budget: pico(3),
        }],
        model_max_budget: BTreeMap::from([(
            "gpt".to_owned(),
            ModelBudget {
                budget_limit: pico(2),
                time_period: None,
            },
        )]),
        model_limits: BTreeMap::from([(
            "gpt".to_owned(),
            ModelLimits {
                rpm_limit: Some(5),
                tpm_limit: None,
            },
        )]),
        increase: Some(TemporaryIncrease {
            amount: pico(4),
            until: UnixMs(NOON),
        }),
        reset_at: NOON,
        since: Some(UnixMs(NOON - 2)),
    }
}

pub(super) fn tenant(kind: TenantKind, id: &str) -> TenantRow {
    TenantRow {
        alias: Some("the alias".to_owned()),
        role: Some("internal_user".to_owned()),
        organisation: Some(OrganisationId::from("org-a")),
        models: vec!["gpt".to_owned()],
        terms: terms(),
        settings: json!({"members": ["x"]}).as_object().unwrap().clone(),
        created_by: Some("admin".to_owned()),
        ..TenantRow::new(kind, id, UnixMs(NOON))
    }
}

async fn apply(store: &Store, write: Write) -> Result<(), StorageError> {
    let by = ChangedBy::program("conformance");
    store.changes.apply(by, vec![write]).await
}

/// Whom rows of the suite name must be there.
async fn ensure_named(store: &Store) {
    for (kind, id) in [
        (TenantKind::Organisation, "org-a"),
        (TenantKind::Budget, "shared"),
        (TenantKind::Team, "team-a"),
    ] {
        let row = TenantRow::new(kind, id, UnixMs(NOON));
        let ensure = Write::EnsureTenant(Box::new(row));
        apply(store, ensure).await.unwrap();
    }
}

pub(super) async fn insert_key(store: &Store, row: KeyRow) -> Result<(), StorageError> {
    ensure_named(store).await;
    apply(store, Write::InsertKey(Box::new(row))).await
}

pub(super) async fn update_key(store: &Store, row: KeyRow) -> Result<(), StorageError> {
    apply(store, Write::UpdateKey(Box::new(row))).await
}

pub(super) async fn insert_tenant(store: &Store, row: TenantRow) -> Result<(), StorageError> {
    ensure_named(store).await;
    let kind = match row.kind {
        TenantKind::OrganisationMember => TenantKind::Organisation,
        _ => TenantKind::Team,
    };
    if let Some((group, _)) = row.id.split_once(':') {
        let group = TenantRow::new(kind, group, UnixMs(NOON));
        let ensure = Write::EnsureTenant(Box::new(group));
        apply(store, ensure).await.unwrap();
    }
    apply(store, Write::InsertTenant(Box::new(row))).await
}

pub(super) async fn delete_tenant(
    store: &Store,
    kind: TenantKind,
    id: &str,
) -> Result<(), StorageError> {
    apply(store, Write::DeleteTenant(kind, id.to_owned())).await
}

async fn it_answers(store: &Store) {
    store.lifecycle.ping(Duration::from_secs(5)).await.unwrap();
}

async fn a_key_comes_back_as_it_was_stored(store: &Store) {
    let row = key("key-a", Some("mine"));
    insert_key(store, row.clone()).await.unwrap();
    assert_eq!(store.keys.by_id(row.id.clone()).await.unwrap(), Some(row));
    let other = store.keys.by_id(KeyId::from("key-b")).await.unwrap();
    assert_eq!(other, None);
}

async fn a_taken_key_or_alias_is_refused(store: &Store) {
    insert_key(store, key("key-a", Some("mine"))).await.unwrap();
    insert_key(store, key("key-b", None)).await.unwrap();
    insert_key(store, key("key-c", None)).await.unwrap();
    let cases = [
        (key("key-a", None), "virtual key"),
        (key("key-d", Some("mine")), "key alias"),
    ];
    for (row, taken) in cases {
        match insert_key(store, row).await {
            Err(StorageError::AlreadyExists { what, .. }) => assert_eq!(what, taken),
            other => panic!("{taken}: {other:?}"),
        }
    }
}

async fn keys_are_listed_page_by_page(store: &Store) {
    for n in 0..5 {
        let mut row = key(&format!("key-{n}"), None);
        row.user = (n != 2).then(|| UserId::from("user-a"));
        insert_key(store, row).await.unwrap();
    }
    let cases = [
        (None, None, 3, vec!["key-0", "key-1", "key-2"]),
        (None, Some("key-2"), 3, vec!["key-3", "key-4"]),
        (Some("user-a"), Some("key-0"), 2, vec!["key-1", "key-3"]),
        (Some("user-b"), None, 2, vec![]),
    ];
    for (user, after, limit, expected) in cases {
        let filter = KeyFilter {
            user: user.map(UserId::from),
            ..KeyFilter::default()
        };
        let page = KeyPage {
            after: after.map(KeyId::from),
            ..KeyPage::of(filter, limit)
        };
        let listed = store.keys.list(page).await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, expected, "{user:?} {after:?}");
    }
}

async fn a_key_is_changed_but_for_its_beginning(store: &Store) {
    let before = key("key-a", Some("mine"));
    insert_key(store, before.clone()).await.unwrap();
    insert_key(store, key("key-b", Some("taken")))
        .await
        .unwrap();
    let changed = KeyRow {
        team: None,
        models: Vec::new(),
        terms: Terms::default(),
        blocked: false,
        created_at: UnixMs(1),
        updated_at: UnixMs(NOON + 1),
        ..before.clone()
    };
    update_key(store, changed.clone()).await.unwrap();
    let wanted = KeyRow {
        created_at: before.created_at,
        ..changed.clone()
    };
    let found = store.keys.by_id(before.id).await.unwrap();
    assert_eq!(found, Some(wanted));
    let taken = KeyRow {
        alias: Some("taken".to_owned()),
        ..changed.clone()
    };
    let refused = update_key(store, taken).await;
    assert!(matches!(refused, Err(StorageError::AlreadyExists { .. })));
    let unknown = KeyRow {
        id: KeyId::from("key-c"),
        ..changed
    };
    let missing = update_key(store, unknown).await;
    assert!(matches!(missing, Err(StorageError::Missing { .. })));
}

async fn a_tenant_comes_back_as_it_was_stored(store: &Store) {
    let row = tenant(TenantKind::Team, "a");
    insert_tenant(store, row.clone()).await.unwrap();
    let again = insert_tenant(store, row.clone()).await;
    assert!(matches!(
        again,
        Err(StorageError::AlreadyExists { what: "team", .. })
    ));
    let found = |kind, id: &str| store.tenants.by_id(kind, id.to_owned());
    assert_eq!(found(TenantKind::Team, "a").await.unwrap(), Some(row));
    assert_eq!(found(TenantKind::Tag, "a").await.unwrap(), None);
    assert!(store.tenants.any(TenantKind::Team).await.unwrap());
    assert!(!store.tenants.any(TenantKind::Tag).await.unwrap());
}

async fn a_tenant_is_made_once_and_changed_but_for_its_beginning(store: &Store) {
    let first = tenant(TenantKind::User, "user-a");
    let second = TenantRow {
        email: Some("a@example.com".to_owned()),
        terms: Terms::default(),
        created_at: UnixMs(NOON + DAY),
        created_by: None,
        updated_at: UnixMs(NOON + DAY),
        ..first.clone()
    };
    let stored = async || {
        let found = store.tenants.by_id(TenantKind::User, "user-a".to_owned());
        found.await.unwrap()
    };
    let ensure = |row: &TenantRow| Write::EnsureTenant(Box::new(row.clone()));
    apply(store, ensure(&first)).await.unwrap();
    apply(store, ensure(&second)).await.unwrap();
    assert_eq!(stored().await, Some(first.clone()));
    let put = Write::PutTenant(Box::new(second.clone()));
    apply(store, put).await.unwrap();
    let wanted = TenantRow {
        created_at: first.created_at,
        created_by: first.created_by,
        ..second
    };
    assert_eq!(stored().await, Some(wanted));
}

async fn tenants_are_listed_page_by_page_and_deleted(store: &Store) {
    for id in ["a", "a:1", "a:2", "ab:1", "b:1"] {
        let mut row = tenant(TenantKind::TeamMember, id);
        row.organisation = (id != "a:2").then(|| OrganisationId::from("org-a"));
        insert_tenant(store, row).await.unwrap();
    }
    let list = async |prefix: &str, after: Option<&str>, organisation: Option<&str>, limit| {
        let filter = TenantFilter {
            organisation: organisation.map(OrganisationId::from),
            prefix: prefix.to_owned(),
            ..TenantFilter::default()
        };
        let page = TenantPage {
            filter,
            after: after.map(str::to_owned),
            ..TenantPage::of(TenantKind::TeamMember, limit)
        };
        let rows = store.tenants.list(page).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, None, 3).await, ["a", "a:1", "a:2"]);
    assert_eq!(list("", Some("a:2"), None, 3).await, ["ab:1", "b:1"]);
    assert_eq!(list("a:", None, None, 9).await, ["a:1", "a:2"]);
    assert_eq!(list("a:", None, Some("org-a"), 9).await, ["a:1"]);
    for id in ["a:1", "nobody"] {
        let gone = Write::DeleteTenant(TenantKind::TeamMember, id.to_owned());
        apply(store, gone).await.unwrap();
    }
    assert_eq!(list("a:", None, None, 9).await, ["a:2"]);
}

async fn a_row_counts_once_however_often_it_is_inserted(store: &Store) {
    let rows = vec![
        row(NOON, 1, Some(3)),
        row(NOON, 1, Some(3)),
        row(NOON, 2, Some(4)),
    ];
    assert_eq!(store.ledger.insert(rows.clone()).await.unwrap(), 2);
    assert_eq!(store.ledger.insert(rows).await.unwrap(), 0);
    assert_eq!(store.ledger.insert(Vec::new()).await.unwrap(), 0);
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(7));
}

async fn overlapping_batches_at_once_count_each_row_once(store: &Store) {
    let batches = (0..20_u64).map(|batch| {
        let rows = (batch..batch + 10).map(|n| row(NOON + n, n, Some(1)));
        store.ledger.insert(rows.collect())
    });
    let inserted: u64 = join_all(batches)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(inserted, 29);
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(29));
}

async fn spend_since_a_time_counts_from_that_millisecond(store: &Store) {
    let rows = vec![
        row(NOON - DAY, 1, Some(1)),
        row(NOON - 1, 2, Some(10)),
        row(NOON, 3, Some(100)),
        row(NOON + DAY, 4, Some(1000)),
    ];
    store.ledger.insert(rows).await.unwrap();
    let cases = [
        (0, 1111),
        (NOON - DAY + 1, 1110),
        (NOON - DAY / 2, 1110),
        (NOON - 1, 1110),
        (NOON, 1100),
        (NOON + 1, 1000),
        (NOON + DAY / 2, 1000),
        (NOON + DAY + 1, 0),
        (u64::MAX >> 17, 0),
    ];
    for (since, expected) in cases {
        let spend = store.spend.total_spend(Some(UnixMs(since))).await.unwrap();
        assert_eq!(spend, pico(expected), "since {since}");
    }
}

async fn a_user_sees_spend_by_model_and_key(store: &Store) {
    insert_key(store, key("key-a", Some("mine"))).await.unwrap();
    insert_key(store, key("unused", None)).await.unwrap();
    let mut other_model = row(NOON, 2, Some(20));
    other_model.model_group = ModelGroup::from("claude");
    other_model.key = Some(KeyId::from("deleted"));
    let mut no_key = row(NOON, 3, Some(300));
    no_key.key = None;
    let mut other_user = row(NOON, 4, Some(4000));
    other_user.user = Some(UserId::from("user-b"));
    let rows = vec![row(NOON, 1, Some(1)), other_model, no_key, other_user];
    store.ledger.insert(rows).await.unwrap();

    let user = UserId::from("user-a");
    let spend = store.spend.user_spend(user).await.unwrap();
    assert_eq!(spend.total, pico(321));
    let models = [
        ("claude".to_owned(), pico(20)),
        ("gpt".to_owned(), pico(301)),
    ];
    assert_eq!(spend.models, models);
    let of = |id: &str, name: Option<&str>, alias: Option<&str>, spend| KeySpend {
        id: KeyId::from(id),
        key_name: name.map(str::to_owned),
        alias: alias.map(str::to_owned),
        spend: pico(spend),
    };
    let keys = [
        of("deleted", None, None, 20),
        of("key-a", Some("sk-...abcd"), Some("mine"), 1),
        of("unused", Some("sk-...abcd"), None, 0),
    ];
    assert_eq!(spend.keys, keys);
    let by_key = store.spend.key_spend(KeyId::from("key-a")).await.unwrap();
    assert_eq!(by_key, pico(4001));
    let nobody = store.spend.user_spend(UserId::from("nobody")).await;
    assert_eq!(nobody.unwrap().total, Usd::ZERO);
}

async fn an_unknown_cost_is_counted_and_not_summed(store: &Store) {
    let rows = vec![
        row(NOON, 1, None),
        row(NOON, 2, Some(0)),
        row(NOON, 3, Some(5)),
    ];
    store.ledger.insert(rows).await.unwrap();
    let user = UserId::from("user-a");
    let spend = store.spend.user_spend(user).await.unwrap();
    assert_eq!((spend.total, spend.unpriced_requests), (pico(5), 1));
}

async fn a_window_is_charged_what_its_rows_cost(store: &Store) {
    let (today, tomorrow) = (
        window(key_subject(), 0, NOON),
        window(key_subject(), 0, NOON + DAY),
    );
    assert_eq!(
        store.ledger.charged(today.clone()).await.unwrap(),
        Usd::ZERO
    );
    let mut rows = vec![row(NOON, 1, Some(1)), row(NOON + 1, 2, Some(10))];
    rows.push(row(NOON + DAY, 3, Some(100)));
    // Received in the first window, ended in the second: charged where its hold was.
    rows.push(row(NOON + DAY - 1, 4, Some(1000)));
    for (row, budget) in rows.iter_mut().zip([&today, &today, &tomorrow, &today]) {
        row.budgets = vec![budget.clone()];
    }
    store.ledger.insert(rows.clone()).await.unwrap();
    store.ledger.insert(rows).await.unwrap();
    assert_eq!(store.ledger.charged(today).await.unwrap(), pico(1011));
    assert_eq!(store.ledger.charged(tomorrow).await.unwrap(), pico(100));
}

async fn a_budget_given_late_counts_what_was_spent_before(store: &Store) {
    let lifetime = window(key_subject(), 0, 0);
    let first = vec![row(NOON, 1, Some(5)), row(NOON, 2, Some(6))];
    store.ledger.insert(first).await.unwrap();
    assert_eq!(
        store.ledger.charged(lifetime.clone()).await.unwrap(),
        pico(11)
    );
    // Repeated rows in the batch that makes the balance must not count twice either.
    let mut charged = row(NOON, 3, Some(100));
    charged.budgets = vec![lifetime.clone()];
    let mut repeated = row(NOON, 2, Some(6));
    repeated.budgets = vec![lifetime.clone()];
    store.ledger.insert(vec![repeated, charged]).await.unwrap();
    assert_eq!(store.ledger.charged(lifetime).await.unwrap(), pico(111));
}

async fn a_reset_starts_from_zero(store: &Store) {
    let mut before = row(NOON, 1, Some(5));
    before.budgets = vec![window(key_subject(), 0, 0)];
    store.ledger.insert(vec![before]).await.unwrap();
    let after_reset = window(key_subject(), NOON + 1, 0);
    assert_eq!(
        store.ledger.charged(after_reset.clone()).await.unwrap(),
        Usd::ZERO
    );
    let mut after = row(NOON + 1, 2, Some(7));
    after.budgets = vec![after_reset.clone()];
    store.ledger.insert(vec![after]).await.unwrap();
    assert_eq!(store.ledger.charged(after_reset).await.unwrap(), pico(7));
    let old = window(key_subject(), 0, 0);
    assert_eq!(store.ledger.charged(old).await.unwrap(), pico(5));
}

async fn every_kind_of_subject_is_summed(store: &Store) {
    let mut second = row(NOON + DAY, 2, Some(10));
    second.tags = vec!["batch".to_owned(), "batch".to_owned(), "night".to_owned()];
    let rows = vec![row(NOON, 1, Some(1)), second];
    store.ledger.insert(rows).await.unwrap();
    let team = TeamId::from("team-a");
    let cases = [
        (Subject::global(), 11),
        (Subject::new(SubjectKind::Organisation, "org-a"), 11),
        (Subject::from(&team), 11),
        (Subject::new(SubjectKind::Team, "team-b"), 0),
        (Subject::new(SubjectKind::User, "user-a"), 11),
        (Subject::team_member(&team, &UserId::from("user-a")), 11),
        (Subject::team_member(&team, &UserId::from("user-b")), 0),
        (Subject::new(SubjectKind::EndUser, "customer-a"), 11),
        (Subject::new(SubjectKind::EndUser, "customer-b"), 0),
        (Subject::new(SubjectKind::Key, "key-a"), 11),
        (Subject::new(SubjectKind::Tag, "batch"), 11),
        (Subject::new(SubjectKind::Tag, "night"), 10),
        (Subject::new(SubjectKind::Tag, "bat"), 0),
        (Subject::new(SubjectKind::Model, "gpt"), 11),
        (Subject::new(SubjectKind::Provider, "openai"), 11),
        (Subject::new(SubjectKind::Deployment, "deployment-a"), 11),
    ];
    for (subject, expected) in cases {
        let name = subject.to_string();
        let lifetime = store.ledger.charged(window(subject.clone(), 0, 0)).await;
        assert_eq!(lifetime.unwrap(), pico(expected), "{name}");
        // From the middle of a day, and from the beginning of one.
        for start in [NOON + 1, NOON + DAY / 2] {
            let later = store
                .ledger
                .charged(window(subject.clone(), 0, start))
                .await;
            assert_eq!(
                later.unwrap(),
                pico(expected.min(10)),
                "{name} since {start}"
            );
        }
        for (group, share) in [("gpt", expected), ("other", 0)] {
            let of_model = BudgetKey {
                budget: BudgetName::model(group),
                ..window(subject.clone(), 0, 0)
            };
            let charged = store.ledger.charged(of_model).await.unwrap();
            assert_eq!(charged, pico(share), "{name}, {group}");
        }
    }
}

async fn budgets_of_one_subject_are_told_apart(store: &Store) {
    let own = window(key_subject(), 0, NOON);
    let daily = BudgetKey {
        budget: BudgetName::window("1d"),
        ..own.clone()
    };
    let mut charged = row(NOON + 1, 1, Some(7));
    charged.budgets = vec![daily.clone()];
    store.ledger.insert(vec![charged]).await.unwrap();
    assert_eq!(store.ledger.charged(daily).await.unwrap(), pico(7));
    // Not charged itself, but its subject has spent that much since.
    assert_eq!(store.ledger.charged(own).await.unwrap(), pico(7));
}

async fn a_window_takes_its_predecessors_excess_once(store: &Store) {
    let first = window(key_subject(), 0, NOON);
    let second = window(key_subject(), 0, NOON + DAY);
    let mut spent = row(NOON + 1, 1, Some(130));
    spent.budgets = vec![first.clone()];
    store.ledger.insert(vec![spent]).await.unwrap();
    let carry = Carry {
        previous: first,
        limit: pico(100),
    };
    // A charge may be shipped before the window is said to begin with anything.
    let mut next = row(NOON + DAY + 1, 2, Some(5));
    next.budgets = vec![second.clone()];
    store.ledger.insert(vec![next.clone()]).await.unwrap();
    for _ in 0..2 {
        store
            .ledger
            .carry_over(second.clone(), carry.clone())
            .await
            .unwrap();
    }
    assert_eq!(
        store.ledger.charged(second.clone()).await.unwrap(),
        pico(35)
    );
    store.ledger.insert(vec![next]).await.unwrap();
    assert_eq!(
        store.ledger.charged(second.clone()).await.unwrap(),
        pico(35)
    );

    let third = window(key_subject(), 0, NOON + 2 * DAY);
    let nothing_left = Carry {
        previous: second,
        limit: pico(100),
    };
    store
        .ledger
        .carry_over(third.clone(), nothing_left)
        .await
        .unwrap();
    assert_eq!(store.ledger.charged(third).await.unwrap(), pico(0));
}

async fn a_reset_window_counts_what_was_spent_since(store: &Store) {
    let rows = vec![row(NOON, 1, Some(5)), row(NOON + 2, 2, Some(70))];
    store.ledger.insert(rows).await.unwrap();
    // Given a budget of another period after the reset: what lies between counts, what lies before does not.
    let reset = window(key_subject(), NOON + 1, 0);
    assert_eq!(store.ledger.charged(reset).await.unwrap(), pico(70));
    let later_window = window(key_subject(), NOON + 1, NOON + 3);
    assert_eq!(store.ledger.charged(later_window).await.unwrap(), pico(0));
}

async fn a_new_generation_begins_with_what_it_is_told(store: &Store) {
    let mut before = row(NOON, 1, Some(500));
    before.budgets = vec![window(key_subject(), 0, 0)];
    store.ledger.insert(vec![before]).await.unwrap();
    let next = window(key_subject(), NOON + 1, 0);
    for spent in [20, 30] {
        store
            .ledger
            .begin_with(next.clone(), pico(spent))
            .await
            .unwrap();
    }
    assert_eq!(store.ledger.charged(next.clone()).await.unwrap(), pico(20));
    let mut after = row(NOON + 1, 2, Some(7));
    after.budgets = vec![next.clone()];
    store.ledger.insert(vec![after]).await.unwrap();
    assert_eq!(store.ledger.charged(next).await.unwrap(), pico(27));
}

async fn an_adjustment_corrects_sums_and_balances_and_is_no_request(store: &Store) {
    let lifetime = window(key_subject(), 0, 0);
    let mut dear = row(NOON, 1, Some(100));
    dear.budgets = vec![lifetime.clone()];
    let mut less = row(NOON, 2, Some(-40));
    less.status = SpendStatus::Adjustment;
    less.adjusts = Some(dear.id);
    less.budgets = vec![lifetime.clone()];
    store.ledger.insert(vec![dear, less]).await.unwrap();
    assert_eq!(store.ledger.charged(lifetime).await.unwrap(), pico(60));
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(60));
}

async fn impossible_figures_do_not_hold_up_the_rows_behind_them(store: &Store) {
    let mut nonsense: Vec<SpendRecord> = (0..20).map(|n| row(NOON, n, Some(i64::MAX))).collect();
    for row in &mut nonsense {
        row.usage.prompt_tokens = u64::MAX;
        row.usage.cache_write_5m = u64::MAX;
        row.usage.cache_write_1h = u64::MAX;
        row.budgets = vec![window(key_subject(), 0, 0)];
    }
    nonsense[0].cost = Some(Usd::rounded(10_u64.pow(9).into()));
    for row in nonsense {
        assert_eq!(store.ledger.insert(vec![row]).await.unwrap(), 1);
    }
    let after = row(NOON + 1, 99, Some(1));
    assert_eq!(store.ledger.insert(vec![after]).await.unwrap(), 1);
}

async fn balances_made_at_once_start_with_the_same_past(store: &Store) {
    store
        .ledger
        .insert(vec![row(NOON, 1_000, Some(500))])
        .await
        .unwrap();
    let lifetime = window(key_subject(), 0, 0);
    let inserts = (0..8_u64).map(|n| {
        let mut row = row(NOON + n, n, Some(1));
        row.budgets = vec![lifetime.clone()];
        store.ledger.insert(vec![row])
    });
    for inserted in join_all(inserts).await {
        assert_eq!(inserted.unwrap(), 1);
    }
    assert_eq!(store.ledger.charged(lifetime).await.unwrap(), pico(508));
}

async fn texts_that_no_index_takes_do_not_hold_up_the_rows_behind_them(store: &Store) {
    // Random, or the database would store it in less.
    let long: String = (0..20_000_u64)
        .map(|n| char::from(b'a' + (n.wrapping_mul(6_364_136_223_846_793_005) >> 59) as u8 % 26))
        .collect();
    let mut strange = row(NOON, 1, Some(3));
    strange.key = Some(KeyId::from(long.as_str()));
    strange.user = Some(UserId::from(long.as_str()));
    strange.model = format!("a\0{long}");
    strange.model_group = ModelGroup::from(long.as_str());
    strange.provider.clone_from(&long);
    strange.end_user = Some("a\0b".to_owned());
    strange.provider_request_id = Some(long.clone());
    strange.tags = vec!["a\0b".to_owned(), long.clone()];
    let long_key = Subject::new(SubjectKind::Key, long.as_str());
    strange.budgets = vec![window(long_key.clone(), 0, 0)];
    // As far as the database is concerned the same line of the roll-up.
    let same = SpendRecord {
        id: row(NOON, 2, None).id,
        model: format!("a\0{long}b"),
        ..strange.clone()
    };
    let rows = vec![strange, same, row(NOON, 3, Some(5))];
    assert_eq!(store.ledger.insert(rows).await.unwrap(), 3);
    let user = UserId::from(long.as_str());
    let spend = store.spend.user_spend(user).await.unwrap();
    assert_eq!(spend.total, pico(6));
    let charged = store.ledger.charged(window(long_key, 0, 0)).await;
    assert_eq!(charged.unwrap(), pico(6));
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(11));
}

/// A row with something in every column.
fn full_row(n: u64) -> SpendRecord {
    let mut row = row(NOON, n, Some(123_456_789));
    row.key_alias = Some("alias".to_owned());
    row.client_ip = Some("192.0.2.1".to_owned());
    row.api_base = Some("https://api.example".to_owned());
    row.stream = true;
    row.first_content_at = Some(UnixMs(NOON + 3));
    row.usage = UsageParts {
        input_uncached: 1,
        cache_read: 2,
        cache_write_5m: 3,
        cache_write_1h: 4,
        audio_input: 5,
        image_input: 6,
        output_text: 7,
        reasoning: 8,
        audio_output: 9,
        prompt_tokens: 21,
        completion_tokens: 24,
        total_tokens: 45,
    };
    row.pieces = Some(Pieces {
        queries: 1,
        seconds_in: "1.5".parse().unwrap(),
        ..Pieces::default()
    });
    row.service_tier = Some("flex".to_owned());
    row.price_id = Some("0123456789abcdef".into());
    row.price_sheet = Some("trunkline-price 1\nlist \"x\"".into());
    row.error_code = Some("stream_broke_off".to_owned());
    row.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    row.budgets = vec![
        window(key_subject(), 3, NOON),
        BudgetKey {
            budget: BudgetName::model("gpt"),
            ..window(Subject::global(), 0, 0)
        },
    ];
    row
}

async fn a_row_is_read_back_as_it_was_kept(store: &Store) {
    let full = full_row(1);
    let mut bare = row(NOON, 2, None);
    bare.provider_request_id = None;
    bare.user = None;
    bare.tags.clear();
    let mut huge = row(NOON, 3, Some(1));
    huge.usage.prompt_tokens = u64::MAX;
    huge.end_user = Some("\0customer".repeat(500));
    let mut less = row(NOON, 4, Some(-5));
    less.status = SpendStatus::Adjustment;
    less.adjusts = Some(full.id);
    let mut later = less.clone();
    later.id = RequestId::generate(NOON, 0);
    later.ended_at = UnixMs(less.ended_at.0 + 1);
    let all = vec![full.clone(), bare, huge, less.clone(), later.clone()];
    store.ledger.insert(all.clone()).await.unwrap();

    for record in all {
        let found = store.audit.rows_named(record.id.to_string()).await.unwrap();
        assert_eq!(found, [store.audit.as_kept(record)]);
    }
    let lower = full.id.to_string().to_lowercase();
    assert_eq!(store.audit.rows_named(lower).await.unwrap().len(), 1);
    let by_provider = store.audit.rows_named("chatcmpl-1".to_owned());
    let ids: Vec<RequestId> = by_provider
        .await
        .unwrap()
        .iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted_by(|a, b| a > b), "the newest first");
    let none = store.audit.rows_named("nobody".to_owned()).await.unwrap();
    assert_eq!(none, []);

    let ids = vec![less.id, full.id, RequestId::generate(1, 1)];
    let some = store.audit.rows(ids).await.unwrap();
    assert_eq!(
        some,
        [full.clone(), less.clone()].map(|row| store.audit.as_kept(row))
    );
    let adjustments = store.audit.adjustments(vec![full.id]).await.unwrap();
    assert_eq!(
        adjustments,
        [less, later],
        "in the order in which they were made"
    );

    let id = full.price_id.unwrap().to_string();
    let sheet = store.audit.price(id).await.unwrap();
    assert_eq!(sheet.as_deref(), full.price_sheet.as_deref());
    assert_eq!(store.audit.price("x".to_owned()).await.unwrap(), None);
}

async fn rows_are_read_page_by_page_in_order_of_id(store: &Store) {
    let mut rows: Vec<SpendRecord> = (0..10)
        .map(|n| row(NOON + (n % 3) * DAY, n, Some(1)))
        .collect();
    store.ledger.insert(rows.clone()).await.unwrap();
    rows.sort_by_key(|row| row.id);
    let mut span = RowSpan {
        after: RequestId::generate(0, 0),
        before: RequestId::generate(NOON + 2 * DAY, 8),
    };
    let mut found = Vec::new();
    loop {
        let page = store.audit.page(span, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        span.after = last.id;
        found.extend(page);
    }
    rows.retain(|row| row.id < span.before);
    assert_eq!(found.len(), 9);
    assert_eq!(found, rows);
}

async fn sums_that_were_added_up_are_what_the_rows_say(store: &Store) {
    let empty = store.audit.sums(10).await.unwrap();
    assert_eq!((empty.days, empty.windows), (0, 0));

    // Rows from before a budget, so that its window has something to begin with.
    let early: Vec<SpendRecord> = [Some(7), None]
        .into_iter()
        .zip(900..)
        .map(|(cost, n)| SpendRecord {
            key: Some(KeyId::from("key-0")),
            ..row(NOON, n, cost)
        })
        .collect();
    store.ledger.insert(early).await.unwrap();
    let batches = batches()
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current();
    for batch in batches {
        store.ledger.insert(batch).await.unwrap();
    }
    let full = full_row(700);
    let mut odd = full_row(701);
    odd.end_user = Some(String::new());
    odd.tags = vec![String::new(), "\"quoted\"".to_owned(), String::new()];
    odd.key = None;
    odd.team = None;
    odd.deployment = None;
    odd.cache_hit = true;
    odd.ended_at = UnixMs(1);
    odd.usage.cache_write_1h = u64::MAX;
    let mut slow = full_row(702);
    slow.status = SpendStatus::Unknown;
    slow.ended_at = UnixMs(NOON + 3 * DAY);
    slow.cost = None;
    let mut less = full_row(703);
    less.status = SpendStatus::Adjustment;
    less.adjusts = Some(full.id);
    less.cost = Some(pico(-23_456_789));
    store
        .ledger
        .insert(vec![full, odd, slow, less])
        .await
        .unwrap();
    let reset = window(key_subject(), 9, 0);
    store.ledger.begin_with(reset, pico(5)).await.unwrap();

    let audit = store.audit.sums(10).await.unwrap();
    assert_eq!(audit.roll_ups, []);
    assert_eq!(audit.balances, []);
    assert!(audit.days > 3 && audit.lines > 20, "{audit:?}");
    assert!(audit.windows > 4, "{audit:?}");
    assert_eq!(audit.days_without_rows + audit.windows_without_rows, 0);
}
