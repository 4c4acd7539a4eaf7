//! What every store must do. A case takes a fresh, empty [`Store`]; `suite!` runs all cases over one implementation.

mod balances;
mod changes;
mod entries;
mod rows;
mod settings;
mod tenants;
mod told;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, Subject, TeamId, UserId,
};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{
    BudgetKey, BudgetName, SpendRecord, SpendStatus, StartedRecord, UsageParts,
};

pub(super) use self::entries::entry;
use self::told::Told;
use super::import::conformance as imports;
use super::reports::conformance as reports;
use super::transcripts::conformance as transcripts;
use super::{
    AsRead, ChangedBy, KeyRow, ModelBudget, ModelLimits, Rotation, StorageError, Store,
    TemporaryIncrease, TenantKind, TenantRow, Terms, WindowBudget, Write,
};

/// Noon of a day: neither the start of a day nor near one.
pub(super) const NOON: u64 = 20_000 * 86_400_000 + 43_200_000;
const DAY: u64 = 86_400_000;

/// Leaves a Postgres database as it was made.
pub(super) const EMPTY: &str = "TRUNCATE trunkline.tenants, trunkline.virtual_keys, trunkline.spend_logs, \
    trunkline.daily_spend, trunkline.daily_subject_spend, trunkline.daily_team_spend, \
    trunkline.daily_label_spend, trunkline.prices, trunkline.balances, trunkline.transcripts, trunkline.imported, trunkline.openings, trunkline.replicas, trunkline.audit_log, trunkline.key_secrets, trunkline.entries, trunkline.settings; \
    UPDATE trunkline.audit_head SET seq = 0, hash = ''";

macro_rules! suite {
    ($store:path; $($module:ident { $($case:ident),* $(,)? })*) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let (_keep, store) = $store().await;
                super::$module::$case(&store).await;
            }
        )*)*
    };
}

/// Names the cases once, for every store, by the file they are in.
macro_rules! all_cases {
    ($run:ident!($($store:tt)*)) => {
        $run! {
            $($store)*;
            tenants {
                it_answers,
                a_key_comes_back_as_it_was_stored,
                a_taken_key_or_alias_is_refused,
                keys_are_listed_page_by_page,
                a_key_is_changed_but_for_its_beginning,
                a_tenant_comes_back_as_it_was_stored,
                a_tenant_is_made_once_and_changed_but_for_its_beginning,
                tenants_are_listed_page_by_page_and_deleted,
            }
            changes {
                memberships_are_found_by_user,
                lists_hold_what_fits_every_filter,
                changes_are_made_together_or_not_at_all,
                what_others_changed_meanwhile_is_not_undone,
                what_others_deleted_meanwhile_is_not_made_again,
                a_key_is_found_by_its_secrets_alone,
                a_budget_that_is_in_use_stays,
                who_is_named_must_be_there,
                every_change_is_in_the_log_in_order,
            }
            entries {
                an_entry_comes_back_as_it_was_stored,
                an_entry_is_made_once_and_changed_but_for_its_beginning,
                the_log_withholds_what_is_encrypted,
                changes_are_told_to_whoever_follows,
            }
            settings {
                a_setting_comes_back_as_it_was_stored_and_is_told_of,
                who_did_not_know_of_a_setting_does_not_undo_it,
            }
            rows {
                a_row_counts_once_however_often_it_is_inserted,
                overlapping_batches_at_once_count_each_row_once,
                spend_since_a_time_counts_from_that_millisecond,
                tokens_are_told_by_quarters_of_an_hour_and_by_whose_they_are,
                a_user_sees_spend_by_model_and_key,
                an_unknown_cost_is_counted_and_not_summed,
                an_adjustment_corrects_sums_and_balances_and_is_no_request,
                impossible_figures_do_not_hold_up_the_rows_behind_them,
                texts_that_no_index_takes_do_not_hold_up_the_rows_behind_them,
                a_row_is_read_back_as_it_was_kept,
                rows_are_read_page_by_page_in_order_of_id,
                sums_that_were_added_up_are_what_the_rows_say,
            }
            balances {
                a_window_is_charged_what_its_rows_cost,
                a_budget_given_late_counts_what_was_spent_before,
                a_reset_starts_from_zero,
                every_kind_of_subject_is_summed,
                budgets_of_one_subject_are_told_apart,
                a_window_takes_its_predecessors_excess_once,
                a_reset_window_counts_what_was_spent_since,
                a_new_generation_begins_with_what_it_is_told,
                balances_made_at_once_start_with_the_same_past,
            }
            reports {
                sums_agree_with_the_rows_however_they_are_asked_for,
                the_dearest_come_first,
                names_that_no_roll_up_has_together_are_an_error,
                rows_come_back_as_they_were_written,
                rows_are_read_page_by_page_the_newest_first,
                rows_are_found_by_each_filter,
                a_search_goes_on_behind_the_rows_it_walked_over,
                names_are_listed_once_in_order,
                old_rows_go_and_their_sums_stay,
            }
            imports {
                what_an_import_brings_counts_once,
                an_import_takes_all_kinds_of_a_batch,
                an_alias_that_another_key_has_is_left_to_it,
            }
            transcripts {
                a_transcript_comes_back_as_it_was_kept,
                old_transcripts_go_and_rows_of_the_books_stay,
            }
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
        ($server:ident, $store:ident; $($module:ident { $($case:ident),* $(,)? })*) => {
            $($(
                println!("{}", stringify!($case));
                super::$module::$case(&$store).await;
                $server.sql("books", super::EMPTY);
            )*)*
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
        rotation: Rotation {
            interval: Some("90d".to_owned()),
            due_at: Some(UnixMs(NOON + 5)),
            count: 3,
            last_at: Some(UnixMs(NOON - 5)),
        },
        blocked: true,
        metadata: json!({"team": {"n": 1}}).as_object().unwrap().clone(),
        settings: json!({"aliases": {"a": "b"}}).as_object().unwrap().clone(),
        created_at: UnixMs(NOON - 1),
        created_by: None,
        updated_at: UnixMs(NOON),
        as_read: AsRead::default(),
    }
}

fn terms() -> Terms {
    Terms {
        max_budget: Some("12.5".parse().map(Usd::rounded).unwrap()),
        rpm_limit: Some(60),
        tpm_limit: None,
        tpd_limit: Some(500_000),
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
