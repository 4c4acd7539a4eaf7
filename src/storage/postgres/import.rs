//! Takes what an import brings. What is done with a row is decided in [`crate::storage::import`].

use std::collections::BTreeMap;

use deadpool_postgres::{GenericClient, Transaction};
use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey};

use super::Postgres;
use super::convert::window;
use super::pool::WorkError;
use super::spend_insert::SEEDS_LOCK;
use super::{keys, tenants};
use crate::storage::books::integer;
use crate::storage::import::{Arrivals, ImportStore, ImportedRow, Known, Outcome, steps};
use crate::storage::{StorageError, TenantKind};

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
    arrivals: Arrivals,
) -> Result<Vec<Outcome>, WorkError> {
    let dry_run = arrivals.dry_run;
    let opens = arrivals.rows.iter().any(|one| !one.openings.is_empty());
    if opens && !dry_run {
        // No gateway makes a balance meanwhile: it would begin without, and miss the difference too.
        transaction
            .batch_execute(&format!("SELECT pg_advisory_xact_lock({SEEDS_LOCK})"))
            .await?;
    }
    let known = known(transaction, &arrivals).await?;
    let places: Vec<(&str, String)> = arrivals
        .rows
        .iter()
        .map(|arrival| (arrival.row.kind(), arrival.row.id().to_owned()))
        .collect();
    let mut outcomes = Vec::with_capacity(arrivals.rows.len());
    for (step, (kind, id)) in steps(arrivals, &known).into_iter().zip(places) {
        let mut outcome = step.outcome;
        if !dry_run {
            match &step.row {
                Some(ImportedRow::Key(row)) => keys::put(transaction, row).await?,
                Some(ImportedRow::Tenant(row)) => tenants::put(transaction, row).await?,
                None => {}
            }
            if let Some(digest) = &step.digest
                && known.digests.get(&(kind, id.clone())) != Some(digest)
            {
                let statement = transaction
                    .prepare_cached(
                        "INSERT INTO trunkline.imported (kind, id, digest) VALUES ($1, $2, $3) \
                         ON CONFLICT (kind, id) DO UPDATE SET digest = excluded.digest",
                    )
                    .await?;
                transaction
                    .execute(&statement, &[&kind, &id, digest])
                    .await?;
            }
        }
        for (key, spent) in &step.openings {
            let key = window(key);
            let difference = *spent - opening(transaction, &key).await?;
            if difference.is_zero() {
                continue;
            }
            if !dry_run {
                open(transaction, &key, *spent, difference).await?;
            }
            outcome.opened += difference;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn known(transaction: &Transaction<'_>, arrivals: &Arrivals) -> Result<Known, WorkError> {
    let mut known = Known::default();
    let mut keys_asked: Vec<&str> = Vec::new();
    let mut aliases: Vec<&str> = Vec::new();
    let mut tenants_asked: BTreeMap<TenantKind, Vec<&str>> = BTreeMap::new();
    for arrival in &arrivals.rows {
        match &arrival.row {
            ImportedRow::Key(row) => {
                keys_asked.push(row.id.as_str());
                aliases.extend(row.alias.as_deref());
            }
            ImportedRow::Tenant(row) => tenants_asked.entry(row.kind).or_default().push(&row.id),
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

/// What was spent elsewhere in a window.
pub(super) async fn opening(
    client: &impl GenericClient,
    key: &BudgetKey,
) -> Result<Usd, tokio_postgres::Error> {
    let statement = client
        .prepare_cached(
            "SELECT spent FROM trunkline.openings WHERE subject_kind = $1 AND subject_id = $2 AND budget_id = $3 \
             AND generation = $4 AND window_start = $5",
        )
        .await?;
    let found = client
        .query_opt(
            &statement,
            &[
                &key.subject.kind.as_str(),
                &&*key.subject.id,
                &key.budget.as_str(),
                &integer(key.generation),
                &integer(key.window_start.0),
            ],
        )
        .await?;
    let spent: Option<Decimal> = found.map(|row| row.try_get(0)).transpose()?;
    Ok(spent.map(Usd::rounded).unwrap_or_default())
}

/// Keeps what was spent elsewhere. A balance that is there began with less, or more.
async fn open(
    transaction: &Transaction<'_>,
    key: &BudgetKey,
    spent: Usd,
    difference: Usd,
) -> Result<(), tokio_postgres::Error> {
    for (sql, amount) in [
        (
            "INSERT INTO trunkline.openings (subject_kind, subject_id, budget_id, generation, window_start, spent) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) \
             DO UPDATE SET spent = excluded.spent",
            spent,
        ),
        (
            "UPDATE trunkline.balances SET charged = charged + $6, seeded = seeded + $6 \
             WHERE subject_kind = $1 AND subject_id = $2 AND budget_id = $3 AND generation = $4 AND window_start = $5",
            difference,
        ),
    ] {
        let statement = transaction.prepare_cached(sql).await?;
        transaction
            .execute(
                &statement,
                &[
                    &key.subject.kind.as_str(),
                    &&*key.subject.id,
                    &key.budget.as_str(),
                    &integer(key.generation),
                    &integer(key.window_start.0),
                    &amount.as_decimal(),
                ],
            )
            .await?;
    }
    Ok(())
}
