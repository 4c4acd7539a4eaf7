//! Takes what an import brings. What is done with a row is decided in [`crate::storage::import`].

use std::collections::BTreeMap;

use deadpool_postgres::{GenericClient, Transaction};
use futures_util::future::try_join_all;
use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey};

use super::Postgres;
use super::changes::{lock_head, write_lines};
use super::convert::{Windows, window};
use super::pool::WorkError;
use super::spend_insert::SEEDS_LOCK;
use super::{entries, keys, tenants};
use crate::storage::change_log::ChangeHead;
use crate::storage::import::{
    Arrivals, Changes, ImportStore, ImportedRow, Known, Outcome, by, settle,
};
use crate::storage::{EntryKind, StorageError, TenantKind};

impl ImportStore for Postgres {
    fn take(&self, arrivals: Arrivals) -> BoxFuture<'_, Result<Vec<Outcome>, StorageError>> {
        Box::pin(
            self.connections
                .write("take imported rows", move |transaction| {
                    Box::pin(async move { take(transaction, arrivals).await })
                }),
        )
    }
}

async fn take(
    transaction: &Transaction<'_>,
    mut arrivals: Arrivals,
) -> Result<Vec<Outcome>, WorkError> {
    let dry_run = arrivals.dry_run;
    // Whoever changes a row meanwhile waits: what is written below rests on what is read first.
    let head = if dry_run {
        None
    } else {
        Some(lock_head(transaction).await?)
    };
    for (key, _) in arrivals.rows.iter_mut().flat_map(|one| &mut one.openings) {
        *key = window(key);
    }
    let windows = arrivals.windows();
    if !windows.is_empty() && !dry_run {
        // No gateway makes a balance meanwhile: it would begin without, and miss the difference too.
        transaction
            .batch_execute(&format!("SELECT pg_advisory_xact_lock({SEEDS_LOCK})"))
            .await?;
    }
    let known = known(transaction, &arrivals).await?;
    let spent = openings(transaction, windows.into_iter().collect()).await?;
    let (outcomes, changes) = settle(arrivals, &known, spent);
    if let Some(head) = head {
        write(transaction, head, changes).await?;
    }
    Ok(outcomes)
}

/// As few questions as can be: a distant server is not asked once for each row.
async fn write(
    transaction: &Transaction<'_>,
    head: ChangeHead,
    changes: Changes,
) -> Result<(), WorkError> {
    // The first prepares the statement; the others go out without waiting for each other.
    if let Some((first, rest)) = changes.rows.split_first() {
        put(transaction, first).await?;
        try_join_all(rest.iter().map(|row| put(transaction, row))).await?;
    }
    write_lines(transaction, head, &by(), changes.lines).await?;
    if !changes.digests.is_empty() {
        let kinds: Vec<&str> = changes.digests.keys().map(|(kind, _)| *kind).collect();
        let ids: Vec<&str> = changes.digests.keys().map(|(_, id)| id.as_str()).collect();
        let digests: Vec<&str> = changes.digests.values().map(String::as_str).collect();
        let statement = transaction
            .prepare_cached(
                "INSERT INTO trunkline.imported (kind, id, digest) \
                     SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) \
                     ON CONFLICT (kind, id) DO UPDATE SET digest = excluded.digest",
            )
            .await?;
        transaction
            .execute(&statement, &[&kinds, &ids, &digests])
            .await?;
    }
    if changes.openings.is_empty() {
        return Ok(());
    }
    let windows = Windows::of(changes.openings.keys());
    let spent: Vec<Decimal> = changes
        .openings
        .values()
        .map(|one| one.0.as_decimal())
        .collect();
    let differences: Vec<Decimal> = changes
        .openings
        .values()
        .map(|one| one.1.as_decimal())
        .collect();
    let [kinds, ids, budgets, generations, starts] = windows.args();
    // A balance that is there began with less, or more.
    for (sql, amounts) in [(KEEP_OPENINGS, spent), (CORRECT_BALANCES, differences)] {
        let statement = transaction.prepare_cached(sql).await?;
        let args = [kinds, ids, budgets, generations, starts, &amounts];
        transaction.execute(&statement, &args).await?;
    }
    Ok(())
}

async fn put(transaction: &Transaction<'_>, row: &ImportedRow) -> Result<(), WorkError> {
    match row {
        ImportedRow::Key(row) => keys::put(transaction, row).await,
        ImportedRow::Tenant(row) => tenants::put(transaction, row).await,
        ImportedRow::Entry(row) => entries::put(transaction, row).await,
    }
}

async fn known(transaction: &Transaction<'_>, arrivals: &Arrivals) -> Result<Known, WorkError> {
    let mut known = Known::default();
    let mut keys_asked: Vec<&str> = Vec::new();
    let mut aliases: Vec<&str> = Vec::new();
    let mut tenants_asked: BTreeMap<TenantKind, Vec<&str>> = BTreeMap::new();
    let mut entries_asked: BTreeMap<EntryKind, Vec<&str>> = BTreeMap::new();
    for arrival in &arrivals.rows {
        match &arrival.row {
            ImportedRow::Key(row) => {
                keys_asked.push(row.id.as_str());
                aliases.extend(row.alias.as_deref());
            }
            ImportedRow::Tenant(row) => tenants_asked.entry(row.kind).or_default().push(&row.id),
            ImportedRow::Entry(row) => entries_asked.entry(row.kind).or_default().push(&row.id),
        }
    }
    if !keys_asked.is_empty() {
        for row in keys::by_ids(transaction, &keys_asked).await? {
            let row = ImportedRow::Key(Box::new(row));
            known.rows.insert((row.kind(), row.id().to_owned()), row);
        }
        let statement = transaction
            .prepare_cached("SELECT alias, id FROM trunkline.virtual_keys WHERE alias = ANY($1)")
            .await?;
        for row in transaction.query(&statement, &[&aliases]).await? {
            known.aliases.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    for (kind, ids) in &tenants_asked {
        for row in tenants::by_ids(transaction, *kind, ids).await? {
            let row = ImportedRow::Tenant(Box::new(row));
            known.rows.insert((row.kind(), row.id().to_owned()), row);
        }
    }
    for (kind, ids) in &entries_asked {
        for row in entries::by_ids(transaction, *kind, ids).await? {
            let row = ImportedRow::Entry(Box::new(row));
            known.rows.insert((row.kind(), row.id().to_owned()), row);
        }
    }
    let kinds: Vec<&str> = arrivals.rows.iter().map(|one| one.row.kind()).collect();
    let ids: Vec<&str> = arrivals.rows.iter().map(|one| one.row.id()).collect();
    let statement = transaction
        .prepare_cached(
            "SELECT imported.id, digest, place FROM unnest($1::text[], $2::text[]) WITH ORDINALITY \
             AS asked (kind, id, place) JOIN trunkline.imported USING (kind, id)",
        )
        .await?;
    for row in transaction.query(&statement, &[&kinds, &ids]).await? {
        let place: i64 = row.try_get("place")?;
        let place = usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(kind) = kinds.get(place) {
            let id: String = row.try_get("id")?;
            known.digests.insert((*kind, id), row.try_get("digest")?);
        }
    }
    Ok(known)
}

/// What was spent elsewhere in windows; nothing in those that are not in the answer.
pub(super) async fn openings(
    client: &impl GenericClient,
    keys: Vec<&BudgetKey>,
) -> Result<BTreeMap<BudgetKey, Usd>, tokio_postgres::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let windows = Windows::of(keys.iter().copied());
    let statement = client.prepare_cached(READ_OPENINGS).await?;
    let found = client.query(&statement, &windows.args()).await?;
    let mut openings = BTreeMap::new();
    for row in found {
        let place: i64 = row.try_get("place")?;
        let place = usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(key) = keys.get(place) {
            let spent: Decimal = row.try_get("spent")?;
            openings.insert((*key).clone(), Usd::rounded(spent));
        }
    }
    Ok(openings)
}

const READ_OPENINGS: &str = "SELECT asked.place, found.spent \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) WITH ORDINALITY \
     AS asked (subject_kind, subject_id, budget_id, generation, window_start, place) \
     JOIN trunkline.openings AS found USING (subject_kind, subject_id, budget_id, generation, window_start)";

const KEEP_OPENINGS: &str = "INSERT INTO trunkline.openings (subject_kind, subject_id, budget_id, generation, window_start, spent) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::numeric[]) \
     ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) DO UPDATE SET spent = excluded.spent";

const CORRECT_BALANCES: &str = "UPDATE trunkline.balances AS old SET charged = old.charged + new.spent, seeded = old.seeded + new.spent \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::numeric[]) \
     AS new (subject_kind, subject_id, budget_id, generation, window_start, spent) \
     WHERE old.subject_kind = new.subject_kind AND old.subject_id = new.subject_id AND old.budget_id = new.budget_id \
     AND old.generation = new.generation AND old.window_start = new.window_start";
