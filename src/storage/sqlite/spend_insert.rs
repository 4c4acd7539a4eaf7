//! Writes the books: rows, roll-up and balances in one transaction, the latter two only from rows that were not there yet.
//!
//! That makes an insert safe to repeat, which is what the journal's shipping rests on.

use std::collections::BTreeMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};
use trunkline_actors::ids::{DeploymentId, KeyId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey, SpendRecord, SpendStore, StoreError};

use super::Sqlite;
use super::convert::{json, pico};
use super::spend_queries::spend_since;
use crate::storage::books::{
    Additions, DayCounts, DayKey, Sum, cost_that_fits, failed, integer, status, tokens,
};

const INSERT_ROW: &str = "INSERT INTO spend_logs (id, request_id, call_type, status, key_id, key_alias, user_id, end_user, \
     model_group, model, deployment, provider, api_base, stream, started_at, first_content_at, ended_at, \
     input_uncached, cache_read, cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, \
     audio_output, prompt_tokens, completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, \
     attempts, error_code, tags) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
     ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36) ON CONFLICT (id) DO NOTHING";

// `min` below: roll-ups and balances stop at 9 million USD instead of overflowing, because a batch that fails each time
// it is tried would hold up everything behind it.
const ADD_TO_DAY: &str = "INSERT INTO daily_spend (day, key_id, user_id, model_group, model, provider, requests, successful, \
     failed, unpriced, prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, spend) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
     ON CONFLICT (day, key_id, user_id, model_group, model, provider) DO UPDATE SET \
     requests = requests + excluded.requests, successful = successful + excluded.successful, \
     failed = failed + excluded.failed, unpriced = unpriced + excluded.unpriced, \
     prompt_tokens = prompt_tokens + excluded.prompt_tokens, \
     completion_tokens = completion_tokens + excluded.completion_tokens, \
     cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens, \
     cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens, \
     spend = min(spend + excluded.spend, 9000000000000000000)";

const ADD_TO_BALANCE: &str = "INSERT INTO balances (subject_kind, subject_id, budget_id, generation, window_start, charged, unpriced) \
     VALUES (?1, ?2, '', ?3, ?4, ?5, ?6) \
     ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) DO UPDATE SET \
     charged = min(charged + excluded.charged, 9000000000000000000), unpriced = unpriced + excluded.unpriced";

const READ_BALANCE: &str = "SELECT charged, unpriced FROM balances \
     WHERE subject_kind = ?1 AND subject_id = ?2 AND budget_id = '' AND generation = ?3 AND window_start = ?4";

impl SpendStore for Sqlite {
    fn insert(&self, rows: Vec<SpendRecord>) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let inserted = self
                .connections
                .write("insert spend rows", move |transaction| {
                    Ok(insert(transaction, &rows)?)
                })
                .await;
            inserted.map_err(|err| failed("insert spend rows", err))
        })
    }

    fn charged(&self, key: BudgetKey) -> BoxFuture<'_, Result<Usd, StoreError>> {
        Box::pin(async move {
            let charged = self
                .connections
                .read("read a balance", move |connection| {
                    let snapshot = connection.transaction()?;
                    let sum = match balance(&snapshot, &key)? {
                        Some(sum) => sum,
                        None => seed(&snapshot, &key)?,
                    };
                    Ok(sum.spend)
                })
                .await;
            charged.map_err(|err| failed("read a balance", err))
        })
    }
}

fn insert(transaction: &Transaction<'_>, rows: &[SpendRecord]) -> rusqlite::Result<u64> {
    let seeds = seeds(transaction, rows)?;
    let mut added = Additions::default();
    let mut inserted = 0;
    let mut statement = transaction.prepare_cached(INSERT_ROW)?;
    for row in rows {
        let cost = cost_that_fits(row, |cost| cost.to_pico().is_some());
        if insert_row(&mut statement, row, cost)? {
            inserted += 1;
            added.add(row, cost);
        }
    }
    for (key, counts) in added.days {
        add_to_day(transaction, &key, &counts)?;
    }
    for (key, charge) in added.charges {
        let seed = seeds.get(key).copied().unwrap_or_default();
        transaction
            .prepare_cached(ADD_TO_BALANCE)?
            .execute(params![
                key.subject.kind.as_str(),
                key.subject.id,
                key.generation,
                integer(key.window_start.0),
                pico(charge.spend + seed.spend),
                charge.unpriced.saturating_add(seed.unpriced),
            ])?;
    }
    Ok(inserted)
}

/// Whether the row was not there yet.
fn insert_row(
    statement: &mut CachedStatement<'_>,
    row: &SpendRecord,
    cost: Option<Usd>,
) -> rusqlite::Result<bool> {
    let usage = &row.usage;
    let changed = statement.execute(params![
        row.id.to_string(),
        row.provider_request_id,
        row.call_type,
        status(row.status),
        row.key.as_ref().map(KeyId::as_str),
        row.key_alias,
        row.user.as_ref().map(UserId::as_str),
        row.end_user,
        row.model_group.as_str(),
        row.model,
        row.deployment.as_ref().map(DeploymentId::as_str),
        row.provider,
        row.api_base,
        row.stream,
        integer(row.started_at.0),
        row.first_content_at.map(|at| integer(at.0)),
        integer(row.ended_at.0),
        tokens(usage.input_uncached),
        tokens(usage.cache_read),
        tokens(usage.cache_write_5m),
        tokens(usage.cache_write_1h),
        tokens(usage.audio_input),
        tokens(usage.image_input),
        tokens(usage.output_text),
        tokens(usage.reasoning),
        tokens(usage.audio_output),
        tokens(usage.prompt_tokens),
        tokens(usage.completion_tokens),
        tokens(usage.total_tokens),
        row.usage_estimated,
        cost.map(pico),
        row.price_version,
        row.cache_hit,
        row.attempts,
        row.error_code,
        json(&row.tags),
    ])?;
    Ok(changed == 1)
}

fn add_to_day(
    transaction: &Transaction<'_>,
    key: &DayKey<'_>,
    counts: &DayCounts,
) -> rusqlite::Result<()> {
    transaction.prepare_cached(ADD_TO_DAY)?.execute(params![
        key.day,
        key.key,
        key.user,
        key.model_group,
        key.model,
        key.provider,
        counts.requests,
        counts.successful,
        counts.failed,
        counts.sum.unpriced,
        counts.prompt_tokens,
        counts.completion_tokens,
        counts.cache_read_tokens,
        counts.cache_write_tokens,
        pico(counts.sum.spend),
    ])?;
    Ok(())
}

/// What the balances of `rows` that do not exist yet start with. Read before the rows are inserted, so that no row is in
/// its balance twice.
fn seeds<'a>(
    transaction: &Transaction<'_>,
    rows: &'a [SpendRecord],
) -> rusqlite::Result<BTreeMap<&'a BudgetKey, Sum>> {
    let mut seeds = BTreeMap::new();
    for key in rows.iter().flat_map(|row| &row.budgets) {
        if !seeds.contains_key(key) {
            let start = match balance(transaction, key)? {
                Some(_) => Sum::default(),
                None => seed(transaction, key)?,
            };
            seeds.insert(key, start);
        }
    }
    Ok(seeds)
}

/// What was spent in a window before its first charge came. A budget is often given to a key that has spent already.
/// After a reset (`generation` above 0) nothing: the rows before it lie in the same window.
fn seed(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Sum> {
    if key.generation == 0 {
        spend_since(connection, &key.subject, key.window_start)
    } else {
        Ok(Sum::default())
    }
}

fn balance(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Option<Sum>> {
    connection
        .prepare_cached(READ_BALANCE)?
        .query_row(
            params![
                key.subject.kind.as_str(),
                key.subject.id,
                key.generation,
                integer(key.window_start.0),
            ],
            |row| {
                Ok(Sum {
                    spend: Usd::from_pico(row.get(0)?),
                    unpriced: row.get(1)?,
                })
            },
        )
        .optional()
}
