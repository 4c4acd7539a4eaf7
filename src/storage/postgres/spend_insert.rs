//! Writes the books: rows, roll-up and balances in one transaction, the latter two only from rows that were not there yet.
//!
//! That makes an insert safe to repeat, which is what the journal's shipping rests on. Several gateways insert at the same
//! time: everything is touched in one order (the seeds' lock, rows by id, lines of the roll-up by key, balances by key), so
//! that none waits for another that waits for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;

use deadpool_postgres::Transaction;
use jiff::civil::Date;
use serde::Serialize;
use tokio_postgres::types::Json;
use trunkline_actors::ids::{DeploymentId, KeyId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey, SpendRecord, SpendStore, StoreError};

use super::Postgres;
use super::convert::{date, fits, storable, subject};
use super::pool::WorkError;
use super::spend_queries::{balance, seed};
use crate::storage::StorageError;
use crate::storage::books::{
    Additions, DayCounts, DayKey, Sum, cost_that_fits, day, failed, integer, status, tokens,
};

/// Takes turns at making balances: "tl-seeds" in ASCII.
const SEEDS_LOCK: i64 = 0x746c_2d73_6565_6473;

const ROW: &str = "day, id, request_id, call_type, status, key_id, key_alias, user_id, end_user, model_group, model, \
     deployment, provider, api_base, stream, started_at, first_content_at, ended_at, input_uncached, cache_read, \
     cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, audio_output, prompt_tokens, \
     completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, attempts, error_code, tags";

const DAY: &str = "day, key_id, user_id, model_group, model, provider, requests, successful, failed, unpriced, \
     prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, spend";

const ADD_TO_DAY: &str = "ON CONFLICT (day, key_id, user_id, model_group, model, provider) DO UPDATE SET \
     requests = old.requests + excluded.requests, successful = old.successful + excluded.successful, \
     failed = old.failed + excluded.failed, unpriced = old.unpriced + excluded.unpriced, \
     prompt_tokens = old.prompt_tokens + excluded.prompt_tokens, \
     completion_tokens = old.completion_tokens + excluded.completion_tokens, \
     cache_read_tokens = old.cache_read_tokens + excluded.cache_read_tokens, \
     cache_write_tokens = old.cache_write_tokens + excluded.cache_write_tokens, \
     spend = old.spend + excluded.spend";

const BALANCE: &str =
    "subject_kind, subject_id, budget_id, generation, window_start, charged, unpriced";

const ADD_TO_BALANCE: &str = "ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) DO UPDATE SET \
     charged = old.charged + excluded.charged, unpriced = old.unpriced + excluded.unpriced";

const MISSING: &str = "SELECT place - 1 FROM \
     unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS wanted (kind, id, generation, start, place) \
     WHERE NOT EXISTS (SELECT FROM trunkline.balances WHERE subject_kind = wanted.kind AND subject_id = wanted.id \
     AND budget_id = '' AND balances.generation = wanted.generation AND window_start = wanted.start)";

/// One row of `spend_logs`, by column.
#[derive(Debug, Serialize)]
struct RowColumns<'a> {
    day: Date,
    id: String,
    request_id: Option<&'a str>,
    call_type: &'a str,
    status: &'static str,
    key_id: Option<&'a str>,
    key_alias: Option<&'a str>,
    user_id: Option<&'a str>,
    end_user: Option<&'a str>,
    model_group: &'a str,
    model: &'a str,
    deployment: Option<&'a str>,
    provider: &'a str,
    api_base: Option<&'a str>,
    stream: bool,
    started_at: i64,
    first_content_at: Option<i64>,
    ended_at: i64,
    input_uncached: i64,
    cache_read: i64,
    cache_write_5m: i64,
    cache_write_1h: i64,
    audio_input: i64,
    image_input: i64,
    output_text: i64,
    reasoning: i64,
    audio_output: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    total_tokens: i64,
    usage_estimated: bool,
    /// As text: exact.
    cost: Option<Usd>,
    price_version: Option<&'a str>,
    cache_hit: bool,
    attempts: u32,
    error_code: Option<&'a str>,
    tags: &'a [String],
}

/// One line of `daily_spend`, by column.
#[derive(Debug, Serialize)]
struct DayColumns<'a> {
    day: Date,
    key_id: &'a str,
    user_id: &'a str,
    model_group: &'a str,
    model: &'a str,
    provider: &'a str,
    requests: i64,
    successful: i64,
    failed: i64,
    unpriced: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    spend: Usd,
}

/// One line of `balances`, by column.
#[derive(Debug, Serialize)]
struct BalanceColumns<'a> {
    subject_kind: &'static str,
    subject_id: &'a str,
    budget_id: &'static str,
    generation: u32,
    window_start: i64,
    charged: Usd,
    unpriced: i64,
}

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
            let key = BudgetKey {
                subject: subject(&key.subject),
                ..key
            };
            let charged = self
                .connections
                .snapshot(operation, move |transaction| {
                    Box::pin(async move {
                        let sum = match balance(transaction, &key).await? {
                            Some(sum) => sum,
                            None => seed(transaction, &key).await?,
                        };
                        Ok(sum.spend)
                    })
                })
                .await;
            charged.map_err(|err| failed(operation, err))
        })
    }
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
        self.partitions.ensure(&self.connections, days).await?;
        self.connections
            .write(operation, move |transaction| {
                Box::pin(async move { insert(transaction, &rows).await })
            })
            .await
    }
}

async fn insert(transaction: &Transaction<'_>, rows: &[SpendRecord]) -> Result<u64, WorkError> {
    let seeds = seeds(transaction, rows).await?;
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
    let days: Vec<DayColumns<'_>> = added
        .days
        .iter()
        .map(|(key, counts)| DayColumns::of(key, counts))
        .collect();
    add(transaction, "daily_spend", DAY, ADD_TO_DAY, &days).await?;
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

/// What the balances of `rows` that do not exist yet start with. Read before the rows are inserted, so that no row is in
/// its balance twice.
async fn seeds<'a>(
    transaction: &Transaction<'_>,
    rows: &'a [SpendRecord],
) -> Result<BTreeMap<&'a BudgetKey, Sum>, WorkError> {
    let keys: BTreeSet<&BudgetKey> = rows.iter().flat_map(|row| &row.budgets).collect();
    let keys: Vec<&BudgetKey> = keys.into_iter().collect();
    let mut seeds = BTreeMap::new();
    if missing(transaction, &keys).await?.is_empty() {
        return Ok(seeds);
    }
    // Two gateways that make the same balance at once would each start it with the same sum. Who waited here looks again:
    // a statement sees what was committed before it began.
    transaction
        .batch_execute(&format!("SELECT pg_advisory_xact_lock({SEEDS_LOCK})"))
        .await?;
    for key in missing(transaction, &keys).await? {
        seeds.insert(key, seed(transaction, key).await?);
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
    let kinds: Vec<&str> = keys.iter().map(|key| key.subject.kind.as_str()).collect();
    let ids: Vec<&str> = keys.iter().map(|key| &*key.subject.id).collect();
    let generations: Vec<i64> = keys.iter().map(|key| key.generation.into()).collect();
    let starts: Vec<i64> = keys.iter().map(|key| integer(key.window_start.0)).collect();
    let statement = transaction.prepare_cached(MISSING).await?;
    let places = transaction
        .query(&statement, &[&kinds, &ids, &generations, &starts])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<i64>, _>>()?;
    Ok(places
        .into_iter()
        .filter_map(|place| keys.get(usize::try_from(place).ok()?).copied())
        .collect())
}

// === impl RowColumns ===

impl<'a> RowColumns<'a> {
    fn of(row: &'a SpendRecord, cost: Option<Usd>) -> Self {
        let usage = &row.usage;
        Self {
            day: date(day(row.id.unix_ms())),
            id: row.id.to_string(),
            request_id: row.provider_request_id.as_deref(),
            call_type: &row.call_type,
            status: status(row.status),
            key_id: row.key.as_ref().map(KeyId::as_str),
            key_alias: row.key_alias.as_deref(),
            user_id: row.user.as_ref().map(UserId::as_str),
            end_user: row.end_user.as_deref(),
            model_group: row.model_group.as_str(),
            model: &row.model,
            deployment: row.deployment.as_ref().map(DeploymentId::as_str),
            provider: &row.provider,
            api_base: row.api_base.as_deref(),
            stream: row.stream,
            started_at: integer(row.started_at.0),
            first_content_at: row.first_content_at.map(|at| integer(at.0)),
            ended_at: integer(row.ended_at.0),
            input_uncached: tokens(usage.input_uncached),
            cache_read: tokens(usage.cache_read),
            cache_write_5m: tokens(usage.cache_write_5m),
            cache_write_1h: tokens(usage.cache_write_1h),
            audio_input: tokens(usage.audio_input),
            image_input: tokens(usage.image_input),
            output_text: tokens(usage.output_text),
            reasoning: tokens(usage.reasoning),
            audio_output: tokens(usage.audio_output),
            prompt_tokens: tokens(usage.prompt_tokens),
            completion_tokens: tokens(usage.completion_tokens),
            total_tokens: tokens(usage.total_tokens),
            usage_estimated: row.usage_estimated,
            cost,
            price_version: row.price_version.as_deref(),
            cache_hit: row.cache_hit,
            attempts: row.attempts,
            error_code: row.error_code.as_deref(),
            tags: &row.tags,
        }
    }
}

// === impl DayColumns ===

impl<'a> DayColumns<'a> {
    fn of(key: &DayKey<'a>, counts: &DayCounts) -> Self {
        Self {
            day: date(key.day),
            key_id: key.key,
            user_id: key.user,
            model_group: key.model_group,
            model: key.model,
            provider: key.provider,
            requests: counts.requests,
            successful: counts.successful,
            failed: counts.failed,
            unpriced: counts.sum.unpriced,
            prompt_tokens: counts.prompt_tokens,
            completion_tokens: counts.completion_tokens,
            cache_read_tokens: counts.cache_read_tokens,
            cache_write_tokens: counts.cache_write_tokens,
            spend: counts.sum.spend,
        }
    }
}

// === impl BalanceColumns ===

impl<'a> BalanceColumns<'a> {
    fn of(key: &'a BudgetKey, charge: Sum, seed: Sum) -> Self {
        Self {
            subject_kind: key.subject.kind.as_str(),
            subject_id: &key.subject.id,
            budget_id: "",
            generation: key.generation,
            window_start: integer(key.window_start.0),
            charged: charge.spend + seed.spend,
            unpriced: charge.unpriced.saturating_add(seed.unpriced),
        }
    }
}
