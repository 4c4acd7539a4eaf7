//! Takes what an import brings. What is done with a row is decided in [`crate::storage::import`].

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params, params_from_iter};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey};

use super::Sqlite;
use super::changes::write_lines;
use super::convert::{pico, window};
use super::pool::WorkError;
use super::{entries, keys, tenants};
use crate::storage::StorageError;
use crate::storage::import::{
    Arrivals, Changes, ImportStore, ImportedRow, Known, Outcome, by, settle,
};

impl ImportStore for Sqlite {
    fn take(&self, arrivals: Arrivals) -> BoxFuture<'_, Result<Vec<Outcome>, StorageError>> {
        Box::pin(
            self.connections
                .write("take imported rows", move |transaction| {
                    take(transaction, arrivals)
                }),
        )
    }
}

fn take(transaction: &Transaction<'_>, arrivals: Arrivals) -> Result<Vec<Outcome>, WorkError> {
    let dry_run = arrivals.dry_run;
    let known = known(transaction, &arrivals)?;
    let mut spent = BTreeMap::new();
    for key in arrivals.windows() {
        spent.insert(key.clone(), opening(transaction, key)?);
    }
    let (outcomes, changes) = settle(arrivals, &known, spent);
    if !dry_run {
        write(transaction, changes)?;
    }
    Ok(outcomes)
}

fn write(transaction: &Transaction<'_>, changes: Changes) -> Result<(), WorkError> {
    for row in &changes.rows {
        match row {
            ImportedRow::Key(row) => keys::put(transaction, row)?,
            ImportedRow::Tenant(row) => tenants::put(transaction, row)?,
            ImportedRow::Entry(row) => entries::put(transaction, row)?,
        }
    }
    write_lines(transaction, &by(), changes.lines)?;
    for ((kind, id), digest) in &changes.digests {
        transaction
            .prepare_cached(
                "INSERT INTO imported (kind, id, digest) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (kind, id) DO UPDATE SET digest = excluded.digest",
            )?
            .execute(params![kind, id, digest])?;
    }
    for (key, (spent, difference)) in &changes.openings {
        open(transaction, key, *spent, *difference)?;
    }
    Ok(())
}

fn known(connection: &Connection, arrivals: &Arrivals) -> Result<Known, WorkError> {
    let mut known = Known::default();
    for arrival in &arrivals.rows {
        let place = (arrival.row.kind(), arrival.row.id().to_owned());
        let stored = match &arrival.row {
            ImportedRow::Key(row) => {
                if let Some(alias) = &row.alias {
                    let owner = connection
                        .prepare_cached("SELECT id FROM virtual_keys WHERE alias = ?1")?
                        .query_row([alias], |row| row.get(0))
                        .optional()?;
                    known
                        .aliases
                        .extend(owner.map(|owner| (alias.clone(), owner)));
                }
                let stored = keys::by_id(connection, &row.id)?;
                stored.map(|row| ImportedRow::Key(Box::new(row)))
            }
            ImportedRow::Tenant(row) => {
                let stored = tenants::by_id(connection, row.kind, &row.id)?;
                stored.map(|row| ImportedRow::Tenant(Box::new(row)))
            }
            ImportedRow::Entry(row) => {
                let stored = entries::by_id(connection, row.kind, &row.id)?;
                stored.map(|row| ImportedRow::Entry(Box::new(row)))
            }
        };
        let digest = connection
            .prepare_cached("SELECT digest FROM imported WHERE kind = ?1 AND id = ?2")?
            .query_row(params![place.0, place.1], |row| row.get(0))
            .optional()?;
        known
            .digests
            .extend(digest.map(|digest| (place.clone(), digest)));
        known.rows.extend(stored.map(|row| (place, row)));
    }
    Ok(known)
}

/// What was spent elsewhere in a window.
pub(super) fn opening(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Usd> {
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT spent FROM openings WHERE subject_kind = ?1 AND subject_id = ?2 AND budget_id = ?3 \
             AND generation = ?4 AND window_start = ?5",
        )?
        .query_row(window(key), |row| row.get(0))
        .optional()?;
    Ok(found.map(Usd::from_pico).unwrap_or_default())
}

/// Keeps what was spent elsewhere. A balance that is there began with less, or more.
fn open(
    transaction: &Transaction<'_>,
    key: &BudgetKey,
    spent: Usd,
    difference: Usd,
) -> rusqlite::Result<()> {
    for (sql, amount) in [
        (
            "INSERT INTO openings (subject_kind, subject_id, budget_id, generation, window_start, spent) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) \
             DO UPDATE SET spent = excluded.spent",
            spent,
        ),
        (
            "UPDATE balances SET charged = charged + ?6, seeded = seeded + ?6 \
             WHERE subject_kind = ?1 AND subject_id = ?2 AND budget_id = ?3 AND generation = ?4 AND window_start = ?5",
            difference,
        ),
    ] {
        let values = window(key).into_iter().chain([pico(amount).into()]);
        let mut statement = transaction.prepare_cached(sql)?;
        statement.execute(params_from_iter(values))?;
    }
    Ok(())
}
