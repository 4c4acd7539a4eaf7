//! Writes the books: rows, roll-up and balances in one transaction, the latter two only from rows that were not there yet.
//!
//! That makes an insert safe to repeat, which is what the journal's shipping rests on. Several gateways insert at the same
//! time: everything is touched in one order (the seeds' lock, rows by id, lines of the roll-up by key, balances by key), so
//! that none waits for another that waits for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;

use deadpool_postgres::Transaction;
use serde::Serialize;
use tokio_postgres::types::Json;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey, Carry, SpendRecord, SpendStore, StoreError};

use super::Postgres;
use super::convert::{Windows, fits, storable, window};
use super::import::openings;
use super::pool::WorkError;
use super::spend_columns::{BalanceColumns, LineColumns, PriceColumns, RowColumns};
use super::spend_queries::{charged, spent_before};
use crate::storage::StorageError;
use crate::storage::books::{
    Additions, COUNTS, Counts, DETAIL_KEY, LABEL_KEY, SUBJECT_KEY, Sum, TEAM_KEY, cost_that_fits,
    day, failed, integer,
};
use crate::storage::reports::Aging;

/// Takes turns at making balances: "tl-seeds" in ASCII.
pub(super) const SEEDS_LOCK: i64 = 0x746c_2d73_6565_6473;

const ROW: &str = "day, id, request_id, call_type, status, key_id, key_alias, user_id, end_user, model_group, model, \
     deployment, provider, api_base, stream, started_at, first_content_at, ended_at, input_uncached, cache_read, \
     cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, audio_output, prompt_tokens, \
     completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, attempts, error_code, tags, \
     team_id, organization_id, client_ip, pieces, service_tier, price_id, adjusts, budgets";

const BALANCE: &str = "subject_kind, subject_id, budget_id, generation, window_start, charged, unpriced, seeded, seeded_unpriced";

const ADD_TO_BALANCE: &str = "ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) DO UPDATE SET \
     charged = old.charged + excluded.charged, unpriced = old.unpriced + excluded.unpriced";

const SET_CARRIED: &str = "UPDATE trunkline.balances SET carried = $6 \
     WHERE subject_kind = $1 AND subject_id = $2 AND budget_id = $3 AND generation = $4 AND window_start = $5 \
     AND carried IS NULL";

const MISSING: &str = "SELECT place - 1 FROM \
     unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) \
     WITH ORDINALITY AS wanted (kind, id, budget, generation, start, place) \
     WHERE NOT EXISTS (SELECT FROM trunkline.balances WHERE subject_kind = wanted.kind AND subject_id = wanted.id \
     AND budget_id = wanted.budget AND balances.generation = wanted.generation AND window_start = wanted.start)";

impl SpendStore for Postgres {
    fn insert(&self, rows: Vec<SpendRecord>) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let operation = "insert spend rows";
            self.insert_rows(operation, rows)
                .await
                .map_err(|err| failed(operation, err))
        })
    }

    fn charged(&self, key: BudgetKey) -> BoxFuture<'_, Result<Usd, StoreError>> {
        Box::pin(async move {
            let operation = "read a balance";
            let key = window(&key);
            let charged = self
                .connections
                .snapshot(operation, move |transaction| {
                    Box::pin(async move { Ok(charged(transaction, &key).await?.spend) })
                })
                .await;
            charged.map_err(|err| failed(operation, err))
        })
    }

    fn carry_over(&self, key: BudgetKey, carry: Carry) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let operation = "carry a budget over";
            let (key, previous) = (window(&key), window(&carry.previous));
            let carried = self
                .connections
                .write(operation, move |transaction| {
                    Box::pin(async move {
                        let before = charged(transaction, &previous).await?.spend;
                        let excess = (before - carry.limit).max(Usd::ZERO);
                        begin_with(transaction, &key, excess).await
                    })
                })
                .await;
            carried.map_err(|err| failed(operation, err))
        })
    }

    fn begin_with(&self, key: BudgetKey, spent: Usd) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let operation = "begin a budget window";
            let key = window(&key);
            let begun = self
                .connections
                .write(operation, move |transaction| {
                    Box::pin(async move { begin_with(transaction, &key, spent).await })
                })
                .await;
            begun.map_err(|err| failed(operation, err))
        })
    }
}

/// Lets a window begin with that much, unless it has begun with something already.
async fn begin_with(
    transaction: &Transaction<'_>,
    key: &BudgetKey,
    spent: Usd,
) -> Result<(), WorkError> {
    let seeds = seeds(transaction, BTreeSet::from([key])).await?;
    let seed = seeds.get(key).copied().unwrap_or_default();
    let line = BalanceColumns::of(key, Sum::default(), seed);
    add(transaction, "balances", BALANCE, ADD_TO_BALANCE, &[line]).await?;
    let statement = transaction.prepare_cached(SET_CARRIED).await?;
    transaction
        .execute(
            &statement,
            &[
                &key.subject.kind.as_str(),
                &&*key.subject.id,
                &key.budget.as_str(),
                &integer(key.generation),
                &integer(key.window_start.0),
                &spent.as_decimal(),
            ],
        )
        .await?;
    Ok(())
}

impl Postgres {
    async fn insert_rows(
        &self,
        operation: &'static str,
        rows: Vec<SpendRecord>,
    ) -> Result<u64, StorageError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut rows: Vec<SpendRecord> = rows.into_iter().map(storable).collect();
        // Of rows with the same id the first one counts: the sort is stable.
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        let days = rows.iter().map(|row| day(row.id.unix_ms())).collect();
        self.partitions
            .ensure(&self.connections, Aging::SpendRows, days)
            .await?;
        self.connections
            .write(operation, move |transaction| {
                Box::pin(async move { insert(transaction, &rows).await })
            })
            .await
    }
}

async fn insert(transaction: &Transaction<'_>, rows: &[SpendRecord]) -> Result<u64, WorkError> {
    let windows: BTreeSet<&BudgetKey> = rows.iter().flat_map(|row| &row.budgets).collect();
    let seeds = seeds(transaction, windows).await?;
    let costs: Vec<Option<Usd>> = rows.iter().map(|row| cost_that_fits(row, fits)).collect();
    let columns: Vec<RowColumns<'_>> = rows
        .iter()
        .zip(&costs)
        .map(|(row, cost)| RowColumns::of(row, *cost))
        .collect();
    let sql = insertion(
        "spend_logs",
        ROW,
        "ON CONFLICT (day, id) DO NOTHING RETURNING id",
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let new = transaction
        .query(&statement, &[&Json(&columns)])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<HashSet<String>, _>>()?;

    let mut added = Additions::default();
    for ((row, cost), columns) in rows.iter().zip(&costs).zip(&columns) {
        if new.contains(&columns.id) {
            added.add(row, *cost);
        }
    }
    let prices: BTreeSet<PriceColumns<'_>> = rows.iter().filter_map(PriceColumns::of).collect();
    let prices: Vec<PriceColumns<'_>> = prices.into_iter().collect();
    let known = "ON CONFLICT (id) DO NOTHING";
    add(transaction, "prices", "id, sheet", known, &prices).await?;
    let lines = added.lines();
    add_lines(
        transaction,
        "daily_subject_spend",
        SUBJECT_KEY,
        &lines.subjects,
    )
    .await?;
    add_lines(transaction, "daily_spend", DETAIL_KEY, &lines.details).await?;
    add_lines(transaction, "daily_team_spend", TEAM_KEY, &lines.teams).await?;
    add_lines(transaction, "daily_label_spend", LABEL_KEY, &lines.labels).await?;
    let balances: Vec<BalanceColumns<'_>> = added
        .charges
        .iter()
        .map(|(key, charge)| {
            let seed = seeds.get(key).copied().unwrap_or_default();
            BalanceColumns::of(key, *charge, seed)
        })
        .collect();
    add(transaction, "balances", BALANCE, ADD_TO_BALANCE, &balances).await?;
    Ok(u64::try_from(new.len()).unwrap_or(u64::MAX))
}

/// Adds lines to a roll-up.
async fn add_lines(
    transaction: &Transaction<'_>,
    table: &str,
    key: &[&str],
    lines: &BTreeMap<impl Serialize + Debug + Sync, Counts>,
) -> Result<(), WorkError> {
    let lines: Vec<_> = lines
        .iter()
        .map(|(key, counts)| LineColumns::of(key, counts))
        .collect();
    let columns: Vec<&str> = key.iter().chain(&COUNTS).copied().collect();
    let sums = COUNTS.map(|count| format!("{count} = old.{count} + excluded.{count}"));
    let known = format!(
        "ON CONFLICT ({}) DO UPDATE SET {}",
        key.join(", "),
        sums.join(", ")
    );
    add(transaction, table, &columns.join(", "), &known, &lines).await
}

/// Adds lines to a table, in their order.
async fn add(
    transaction: &Transaction<'_>,
    table: &str,
    columns: &str,
    known: &str,
    lines: &[impl Serialize + Debug + Sync],
) -> Result<(), WorkError> {
    if lines.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(&insertion(table, columns, known))
        .await?;
    transaction.execute(&statement, &[&Json(lines)]).await?;
    Ok(())
}

/// Inserts the objects of a JSON array, read by the types of the table: one statement and one round trip for a batch.
fn insertion(table: &str, columns: &str, known: &str) -> String {
    format!(
        "INSERT INTO trunkline.{table} AS old ({columns}) \
         SELECT {columns} FROM json_populate_recordset(NULL::trunkline.{table}, $1) {known}"
    )
}

/// What those of the windows begin with that have no balance yet. Read before rows are inserted, so that no row is in its
/// balance twice.
async fn seeds<'a>(
    transaction: &Transaction<'_>,
    windows: BTreeSet<&'a BudgetKey>,
) -> Result<BTreeMap<&'a BudgetKey, Sum>, WorkError> {
    let keys: Vec<&BudgetKey> = windows.into_iter().collect();
    let mut seeds = BTreeMap::new();
    if missing(transaction, &keys).await?.is_empty() {
        return Ok(seeds);
    }
    // Two gateways that make the same balance at once would each start it with the same sum. Who waited here looks again:
    // a statement sees what was committed before it began.
    transaction
        .batch_execute(&format!("SELECT pg_advisory_xact_lock({SEEDS_LOCK})"))
        .await?;
    let missing = missing(transaction, &keys).await?;
    // Asked once: others wait for the lock.
    let opened = openings(transaction, missing.clone()).await?;
    for key in missing {
        let mut sum = spent_before(transaction, key).await?;
        sum.spend += opened.get(key).copied().unwrap_or_default();
        seeds.insert(key, sum);
    }
    Ok(seeds)
}

/// Those of the balances that do not exist.
async fn missing<'a>(
    transaction: &Transaction<'_>,
    keys: &[&'a BudgetKey],
) -> Result<Vec<&'a BudgetKey>, WorkError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let statement = transaction.prepare_cached(MISSING).await?;
    let places = transaction
        .query(&statement, &Windows::of(keys.iter().copied()).args())
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<i64>, _>>()?;
    Ok(places
        .into_iter()
        .filter_map(|place| keys.get(usize::try_from(place).ok()?).copied())
        .collect())
}
