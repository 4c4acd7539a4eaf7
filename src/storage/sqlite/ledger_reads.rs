//! Reads the books in order to check, explain and correct them.

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use trunkline_actors::ids::RequestId;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, SpendRecord};

use super::Sqlite;
use super::booked::record;
use super::pool::WorkError;
use crate::storage::StorageError;
use crate::storage::audit::{Difference, LedgerAudit, RowSpan, SumsAudit};
use crate::storage::booked;
use crate::storage::books::{COUNTS, DAY_MS, Day, day, first_id_at, integer};
use crate::storage::ledger_sums::{ROLL_UPS, RollUp, WINDOW_KEY, Words, differing_windows};

/// Ids asked for at once: SQLite takes so many parameters in any case.
const AT_ONCE: usize = 500;

const WORDS: Words = Words {
    schema: "",
    row_of_day: "spend_logs.id >= ?1 AND spend_logs.id < ?2",
    line_of_day: "day = ?3",
    // A row's labels once each, although the list may repeat one: rows that name it again are left out.
    tags: " JOIN json_each(spend_logs.tags) AS tag ON NOT EXISTS (SELECT 1 FROM json_each(spend_logs.tags) AS before \
           WHERE before.value = tag.value AND before.key < tag.key)",
    label: "tag.value",
    least: "min",
    windows: "w.value ->> '$.subject.kind' AS kind, w.value ->> '$.subject.id' AS id, \
              coalesce(w.value ->> '$.budget', '') AS budget, w.value ->> '$.generation' AS generation, \
              w.value ->> '$.window_start' AS start",
    row_windows: "FROM spend_logs JOIN json_each(spend_logs.budgets) AS w",
    collate: "",
    text: "TEXT",
};

impl LedgerAudit for Sqlite {
    fn rows_named(&self, name: String) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        let sql = format!(
            "SELECT {} FROM spend_logs WHERE id = ?1 UNION SELECT {} FROM spend_logs WHERE request_id = ?2 \
             ORDER BY id DESC LIMIT 20",
            booked::columns(""),
            booked::columns("")
        );
        Box::pin(self.connections.read("find rows", move |connection| {
            // Ids are written in capitals, and typed as one likes.
            let id = name.parse::<RequestId>().map(|id| id.to_string());
            let id = id.unwrap_or_default();
            records(connection, &sql, params![id, name])
        }))
    }

    fn rows(&self, ids: Vec<RequestId>) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        Box::pin(self.connections.read("read rows", move |connection| {
            by_ids(connection, "id", &ids, "id")
        }))
    }

    fn page(
        &self,
        span: RowSpan,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        let sql = format!(
            "SELECT {} FROM spend_logs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
            booked::columns("")
        );
        Box::pin(self.connections.read("read rows", move |connection| {
            let (after, before) = (span.after.to_string(), span.before.to_string());
            records(connection, &sql, params![after, before, limit])
        }))
    }

    fn adjustments(
        &self,
        ids: Vec<RequestId>,
    ) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        Box::pin(
            self.connections
                .read("read adjustments", move |connection| {
                    by_ids(connection, "adjusts", &ids, "ended_at, id")
                }),
        )
    }

    fn price(&self, id: String) -> BoxFuture<'_, Result<Option<String>, StorageError>> {
        Box::pin(self.connections.read("read a price", move |connection| {
            let sheet = connection
                .prepare_cached("SELECT sheet FROM prices WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            Ok(sheet)
        }))
    }

    fn as_kept(&self, record: SpendRecord) -> SpendRecord {
        booked::as_kept(record, |cost| cost.to_pico().is_some())
    }

    fn sums(&self, most: usize) -> BoxFuture<'_, Result<SumsAudit, StorageError>> {
        Box::pin(self.connections.read("compare sums", move |connection| {
            // One transaction: rows, roll-ups and balances of the same moment.
            let snapshot = connection.transaction()?;
            Ok(sums(&snapshot, most)?)
        }))
    }
}

fn records(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<SpendRecord>, WorkError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

fn by_ids(
    connection: &Connection,
    column: &str,
    ids: &[RequestId],
    order: &str,
) -> Result<Vec<SpendRecord>, WorkError> {
    let mut found = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let places = vec!["?"; ids.len()].join(", ");
        let sql = format!(
            "SELECT {} FROM spend_logs WHERE {column} IN ({places}) ORDER BY {order}",
            booked::columns("")
        );
        let ids = ids.iter().map(RequestId::to_string);
        found.extend(records(connection, &sql, params_from_iter(ids))?);
    }
    Ok(found)
}

fn sums(connection: &Connection, most: usize) -> rusqlite::Result<SumsAudit> {
    let mut audit = SumsAudit::default();
    let first_row = next_row(connection, "")?;
    let first_day = first_row.as_deref().and_then(day_of);
    let mut row_day = first_day;
    let mut line_day = next_line(connection, i64::MIN)?;
    // The days of rows and those of lines, in order and each once.
    while let Some(at) = [row_day, line_day].into_iter().flatten().min() {
        if row_day == Some(at) {
            let end = first_id_at(day_start(at.saturating_add(1)));
            row_day = next_row(connection, &end)?.as_deref().and_then(day_of);
        }
        if line_day == Some(at) {
            line_day = next_line(connection, at)?;
        }
        if first_day.is_none_or(|first| at < first) {
            audit.days_without_rows += 1;
            continue;
        }
        audit.days += 1;
        compare_day(connection, at, most, &mut audit)?;
    }
    let horizon = (audit.days_without_rows > 0)
        .then(|| first_day.map_or(i64::MAX, |day| integer(day_start(day))));
    compare_windows(connection, horizon, most, &mut audit)?;
    Ok(audit)
}

/// The id of the first row at or behind `from`.
fn next_row(connection: &Connection, from: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT id FROM spend_logs WHERE id >= ?1 ORDER BY id LIMIT 1")?
        .query_row([from], |row| row.get(0))
        .optional()
}

/// The first day behind `day` of which a roll-up has a line.
fn next_line(connection: &Connection, day: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT min(day) FROM (SELECT min(day) AS day FROM daily_spend WHERE day > ?1 \
             UNION ALL SELECT min(day) FROM daily_subject_spend WHERE day > ?1 AND kind = 'global' \
             UNION ALL SELECT min(day) FROM daily_team_spend WHERE day > ?1 \
             UNION ALL SELECT min(day) FROM daily_label_spend WHERE day > ?1)",
        )?
        .query_row([day], |row| row.get(0))
}

fn day_of(id: &str) -> Option<i64> {
    let id: RequestId = id.parse().ok()?;
    Some(day(id.unix_ms()))
}

fn day_start(day: i64) -> u64 {
    u64::try_from(day)
        .unwrap_or_default()
        .saturating_mul(DAY_MS)
}

fn compare_day(
    connection: &Connection,
    at: i64,
    most: usize,
    audit: &mut SumsAudit,
) -> rusqlite::Result<()> {
    let (first, end) = (first_id_at(day_start(at)), first_id_at(day_start(at + 1)));
    for roll_up in ROLL_UPS {
        audit.lines += connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM {} WHERE day = ?1",
                roll_up.table
            ))?
            .query_row([at], |row| row.get(0).map(whole))?;
        let left = most.saturating_sub(audit.roll_ups.len());
        let mut statement = connection.prepare_cached(&roll_up.differing(&WORDS, left))?;
        let mut lines = statement.query(params![first, end, at])?;
        while let Some(line) = lines.next()? {
            if audit.roll_ups.len() <= most {
                audit.roll_ups.push(line_difference(roll_up, at, line)?);
            }
        }
    }
    Ok(())
}

fn line_difference(roll_up: RollUp, at: i64, line: &Row<'_>) -> rusqlite::Result<Difference> {
    let key: Vec<String> = roll_up
        .columns()
        .map(|column| line.get(column))
        .collect::<rusqlite::Result<_>>()?;
    let counts = COUNTS
        .iter()
        .map(|count| {
            let text: String = line.get(*count)?;
            Ok(if *count == "spend" { usd(&text) } else { text })
        })
        .collect::<rusqlite::Result<_>>()?;
    Ok(Difference::of_line(roll_up, Day(at).date(), &key, counts))
}

fn compare_windows(
    connection: &Connection,
    horizon: Option<i64>,
    most: usize,
    audit: &mut SumsAudit,
) -> rusqlite::Result<()> {
    let count = "SELECT count(*) FROM balances";
    audit.windows = connection.query_row(count, [], |row| row.get(0).map(whole))?;
    let mut statement = connection.prepare(&differing_windows(&WORDS))?;
    let mut lines = statement.query([])?;
    while let Some(line) = lines.next()? {
        let start: i64 = line.get("start")?;
        let generation: String = line.get("generation")?;
        // A window that was reset counts from then on.
        let began = start.max(generation.parse().unwrap_or_default());
        if horizon.is_some_and(|horizon| began < horizon) {
            audit.windows_without_rows += 1;
        } else if audit.balances.len() <= most {
            let key: Vec<String> = WINDOW_KEY
                .iter()
                .map(|column| match *column {
                    "start" => Ok(start.to_string()),
                    column => line.get(column),
                })
                .collect::<rusqlite::Result<_>>()?;
            let spend: String = line.get("spend")?;
            let unpriced: String = line.get("unpriced")?;
            audit
                .balances
                .push(Difference::of_window(&key, usd(&spend), unpriced));
        }
    }
    Ok(())
}

/// A count.
fn whole(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// Pico-USD as USD.
fn usd(pico: &str) -> String {
    match pico.parse() {
        Ok(pico) => Usd::from_pico(pico).to_string(),
        Err(_no_integer) => pico.to_owned(),
    }
}
