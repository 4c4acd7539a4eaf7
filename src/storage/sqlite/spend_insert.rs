//! Writes the books: rows, roll-up and balances in one transaction, the latter two only from rows that were not there yet.
//!
//! That makes an insert safe to repeat, which is what the journal's shipping rests on.

use std::collections::BTreeMap;

use rusqlite::{
    CachedStatement, Connection, OptionalExtension, ToSql, Transaction, params, params_from_iter,
};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{DeploymentId, KeyId, OrganisationId, TeamId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey, Carry, SpendRecord, SpendStore, StoreError};

use super::Sqlite;
use super::convert::{json, pico, window};
use super::import::opening;
use super::spend_queries::spend_since;
use crate::storage::books::{
    Additions, COUNTS, Counts, DETAIL_KEY, DetailDay, LABEL_KEY, LabelDay, SUBJECT_KEY, SubjectDay,
    Sum, TEAM_KEY, TeamDay, cost_that_fits, failed, integer, status, tokens,
};

pub(super) const INSERT_ROW: &str = "INSERT INTO spend_logs (id, request_id, call_type, status, key_id, key_alias, user_id, end_user, \
     model_group, model, deployment, provider, api_base, stream, started_at, first_content_at, ended_at, \
     input_uncached, cache_read, cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, \
     audio_output, prompt_tokens, completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, \
     attempts, error_code, tags, team_id, organization_id, client_ip, pieces, service_tier, price_id, adjusts, budgets) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
     ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44) \
     ON CONFLICT (id) DO NOTHING";

const ADD_TO_BALANCE: &str = "INSERT INTO balances (subject_kind, subject_id, budget_id, generation, window_start, charged, unpriced, seeded, \
     seeded_unpriced) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
     ON CONFLICT (subject_kind, subject_id, budget_id, generation, window_start) DO UPDATE SET \
     charged = min(charged + excluded.charged, 9000000000000000000), unpriced = unpriced + excluded.unpriced";

const SET_CARRIED: &str = "UPDATE balances SET carried = ?6 \
     WHERE subject_kind = ?1 AND subject_id = ?2 AND budget_id = ?3 AND generation = ?4 AND window_start = ?5 \
     AND carried IS NULL";

const READ_BALANCE: &str = "SELECT min(charged, 9000000000000000000) + coalesce(carried, 0), unpriced FROM balances \
     WHERE subject_kind = ?1 AND subject_id = ?2 AND budget_id = ?3 AND generation = ?4 AND window_start = ?5";

const KEEP_PRICE: &str =
    "INSERT INTO prices (id, sheet) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";

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
                    Ok(charged(&snapshot, &key)?.spend)
                })
                .await;
            charged.map_err(|err| failed("read a balance", err))
        })
    }

    fn carry_over(&self, key: BudgetKey, carry: Carry) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let operation = "carry a budget over";
            let carried = self.connections.write(operation, move |transaction| {
                let before = charged(transaction, &carry.previous)?.spend;
                let excess = (before - carry.limit).max(Usd::ZERO);
                Ok(begin_with(transaction, &key, excess)?)
            });
            carried.await.map_err(|err| failed(operation, err))
        })
    }

    fn begin_with(&self, key: BudgetKey, spent: Usd) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let operation = "begin a budget window";
            let begun = self.connections.write(operation, move |transaction| {
                Ok(begin_with(transaction, &key, spent)?)
            });
            begun.await.map_err(|err| failed(operation, err))
        })
    }
}

/// Lets a window begin with that much, unless it has begun with something already.
fn begin_with(transaction: &Transaction<'_>, key: &BudgetKey, spent: Usd) -> rusqlite::Result<()> {
    let seed = match balance(transaction, key)? {
        Some(_) => Sum::default(),
        None => seed(transaction, key)?,
    };
    add_to_balance(transaction, key, Sum::default(), seed)?;
    let values = window(key).into_iter().chain([pico(spent).into()]);
    let mut statement = transaction.prepare_cached(SET_CARRIED)?;
    statement.execute(params_from_iter(values))?;
    Ok(())
}

fn insert(transaction: &Transaction<'_>, rows: &[SpendRecord]) -> rusqlite::Result<u64> {
    let seeds = seeds(transaction, rows)?;
    let mut added = Additions::default();
    let mut inserted = 0;
    keep_prices(transaction, rows)?;
    let mut statement = transaction.prepare_cached(INSERT_ROW)?;
    for row in rows {
        let cost = cost_that_fits(row, |cost| cost.to_pico().is_some());
        if insert_row(&mut statement, row, cost)? {
            inserted += 1;
            added.add(row, cost);
        }
    }
    let lines = added.lines();
    add_lines(
        transaction,
        "daily_subject_spend",
        SUBJECT_KEY,
        &lines.subjects,
    )?;
    add_lines(transaction, "daily_spend", DETAIL_KEY, &lines.details)?;
    add_lines(transaction, "daily_team_spend", TEAM_KEY, &lines.teams)?;
    add_lines(transaction, "daily_label_spend", LABEL_KEY, &lines.labels)?;
    for (key, charge) in added.charges {
        let seed = seeds.get(key).copied().unwrap_or_default();
        add_to_balance(transaction, key, charge, seed)?;
    }
    Ok(inserted)
}

/// Keeps the prices that rows were charged by, each once: a batch knows few.
fn keep_prices(transaction: &Transaction<'_>, rows: &[SpendRecord]) -> rusqlite::Result<()> {
    let sheets: BTreeMap<_, _> = rows
        .iter()
        .filter_map(|row| row.price_id.as_ref().zip(row.price_sheet.as_ref()))
        .collect();
    let mut keep = transaction.prepare_cached(KEEP_PRICE)?;
    for (id, sheet) in sheets {
        keep.execute(params![id, sheet])?;
    }
    Ok(())
}

/// Adds to a window's balance; `seed` is what it begins with, and zero if it is there.
fn add_to_balance(
    transaction: &Transaction<'_>,
    key: &BudgetKey,
    charge: Sum,
    seed: Sum,
) -> rusqlite::Result<()> {
    let values = window(key).into_iter().chain([
        pico(charge.spend + seed.spend).into(),
        charge.unpriced.saturating_add(seed.unpriced).into(),
        pico(seed.spend).into(),
        seed.unpriced.into(),
    ]);
    let mut statement = transaction.prepare_cached(ADD_TO_BALANCE)?;
    statement.execute(params_from_iter(values))?;
    Ok(())
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
        row.team.as_ref().map(TeamId::as_str),
        row.organisation.as_ref().map(OrganisationId::as_str),
        row.client_ip,
        row.pieces.as_ref().map(json),
        row.service_tier,
        row.price_id,
        row.adjusts.map(|id| id.to_string()),
        json(&row.budgets),
    ])?;
    Ok(changed == 1)
}

/// A key of a roll-up, as values of its columns.
trait LineKey {
    fn values(&self) -> Vec<&dyn ToSql>;
}

impl LineKey for SubjectDay<'_> {
    fn values(&self) -> Vec<&dyn ToSql> {
        vec![&self.kind, &self.subject, &self.day.0]
    }
}

impl LineKey for DetailDay<'_> {
    fn values(&self) -> Vec<&dyn ToSql> {
        vec![
            &self.day.0,
            &self.key,
            &self.user,
            &self.team,
            &self.organisation,
            &self.model_group,
            &self.model,
            &self.provider,
            &self.call_type,
        ]
    }
}

impl LineKey for TeamDay<'_> {
    fn values(&self) -> Vec<&dyn ToSql> {
        vec![
            &self.day.0,
            &self.team,
            &self.organisation,
            &self.model_group,
            &self.model,
            &self.provider,
            &self.call_type,
        ]
    }
}

impl LineKey for LabelDay<'_> {
    fn values(&self) -> Vec<&dyn ToSql> {
        vec![
            &self.kind,
            &self.label,
            &self.day.0,
            &self.key,
            &self.model_group,
            &self.model,
            &self.provider,
            &self.call_type,
        ]
    }
}

/// Adds lines to a roll-up. Sums of money stop at 9 million USD, as balances do, instead of overflowing: a batch that fails
/// each time it is tried would hold up everything behind it.
fn add_lines(
    transaction: &Transaction<'_>,
    table: &str,
    key: &[&str],
    lines: &BTreeMap<impl LineKey, Counts>,
) -> rusqlite::Result<()> {
    let columns: Vec<&str> = key.iter().chain(&COUNTS).copied().collect();
    let places: Vec<String> = (1..=columns.len()).map(|at| format!("?{at}")).collect();
    let sums: Vec<String> = COUNTS
        .iter()
        .map(|count| match *count {
            "spend" => "spend = min(spend + excluded.spend, 9000000000000000000)".to_owned(),
            count => format!("{count} = {count} + excluded.{count}"),
        })
        .collect();
    let mut statement = transaction.prepare_cached(&format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        columns.join(", "),
        places.join(", "),
        key.join(", "),
        sums.join(", "),
    ))?;
    for (key, counts) in lines {
        let spend = pico(counts.sum.spend);
        let mut values = key.values();
        let counts: [&dyn ToSql; COUNTS.len()] = [
            &counts.requests,
            &counts.successful,
            &counts.failed,
            &counts.sum.unpriced,
            &counts.cache_hits,
            &counts.prompt_tokens,
            &counts.completion_tokens,
            &counts.cache_read_tokens,
            &counts.cache_write_tokens,
            &counts.duration_ms,
            &spend,
        ];
        values.extend(counts);
        statement.execute(params_from_iter(values))?;
    }
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

/// What was spent in a window, or since it was reset, before its first charge came: here and elsewhere. A budget is often
/// given to a key that has spent already.
fn seed(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Sum> {
    let since = key.window_start.max(UnixMs(key.generation));
    let mut sum = spend_since(connection, &key.subject, key.budget.model_group(), since)?;
    sum.spend += opening(connection, key)?;
    Ok(sum)
}

/// What was charged to a window, with what it began with.
fn charged(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Sum> {
    match balance(connection, key)? {
        Some(sum) => Ok(sum),
        None => seed(connection, key),
    }
}

fn balance(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Option<Sum>> {
    connection
        .prepare_cached(READ_BALANCE)?
        .query_row(window(key), |row| {
            Ok(Sum {
                spend: Usd::from_pico(row.get(0)?),
                unpriced: row.get(1)?,
            })
        })
        .optional()
}
