//! Reads the books in order to check, explain and correct them.

use std::pin::pin;

use deadpool_postgres::{GenericClient, Transaction};
use futures_util::TryStreamExt as _;
use jiff::civil::Date;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::{BoxFuture, SpendRecord};

use super::Postgres;
use super::booked::record;
use super::convert::{date, fits, storable};
use super::pool::WorkError;
use crate::storage::StorageError;
use crate::storage::audit::{Difference, LedgerAudit, RowSpan, SumsAudit};
use crate::storage::booked;
use crate::storage::books::{COUNTS, DAY_MS, day, integer};
use crate::storage::ledger_sums::{ROLL_UPS, RollUp, WINDOW_KEY, Words, differing_windows};

const WORDS: Words = Words {
    schema: "trunkline.",
    row_of_day: "spend_logs.day = $1::text::date",
    line_of_day: "day = $1::text::date",
    tags: " CROSS JOIN LATERAL (SELECT DISTINCT tag.name COLLATE \"C\" AS label \
           FROM jsonb_array_elements_text(spend_logs.tags) AS tag(name)) AS labels",
    label: "labels.label",
    least: "least",
    windows: "w -> 'subject' ->> 'kind' AS kind, (w -> 'subject' ->> 'id') COLLATE \"C\" AS id, \
              coalesce(w ->> 'budget', '') AS budget, (w ->> 'generation')::bigint AS generation, \
              (w ->> 'window_start')::bigint AS start",
    row_windows: "FROM trunkline.spend_logs CROSS JOIN LATERAL json_array_elements(budgets) AS w",
    collate: " COLLATE \"C\"",
    text: "text",
};

impl LedgerAudit for Postgres {
    fn rows_named(&self, name: String) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        let sql = format!(
            "SELECT {} FROM trunkline.spend_logs WHERE (day = $1::text::date AND id = $2) OR request_id = $3 \
             ORDER BY id DESC LIMIT 20",
            booked::columns("::text")
        );
        Box::pin(self.connections.read("find rows", move |client| {
            Box::pin(async move {
                let id = name.parse::<RequestId>().ok();
                let of = id.map_or(0, |id| day(id.unix_ms()));
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                records(client, &sql, &[&date(of).to_string(), &id, &name]).await
            })
        }))
    }

    fn rows(&self, ids: Vec<RequestId>) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        Box::pin(self.connections.read("read rows", move |client| {
            Box::pin(async move { by_ids(client, "id", &ids, "id").await })
        }))
    }

    fn page(
        &self,
        span: RowSpan,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        let sql = format!(
            "SELECT {} FROM trunkline.spend_logs WHERE day >= $1::text::date AND id > $2 \
             AND day <= $3::text::date AND id < $4 ORDER BY day, id LIMIT $5",
            booked::columns("::text")
        );
        Box::pin(self.connections.read("read rows", move |client| {
            Box::pin(async move {
                let of = |id: RequestId| date(day(id.unix_ms())).to_string();
                let (after, before) = (span.after.to_string(), span.before.to_string());
                let limit = i64::from(limit);
                let params: [&(dyn ToSql + Sync); 5] =
                    [&of(span.after), &after, &of(span.before), &before, &limit];
                records(client, &sql, &params).await
            })
        }))
    }

    fn adjustments(
        &self,
        ids: Vec<RequestId>,
    ) -> BoxFuture<'_, Result<Vec<SpendRecord>, StorageError>> {
        Box::pin(self.connections.read("read adjustments", move |client| {
            Box::pin(async move { by_ids(client, "adjusts", &ids, "ended_at, id").await })
        }))
    }

    fn price(&self, id: String) -> BoxFuture<'_, Result<Option<String>, StorageError>> {
        Box::pin(self.connections.read("read a price", move |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached("SELECT sheet FROM trunkline.prices WHERE id = $1")
                    .await?;
                let found = client.query_opt(&statement, &[&id]).await?;
                Ok(found.map(|row| row.try_get(0)).transpose()?)
            })
        }))
    }

    fn as_kept(&self, record: SpendRecord) -> SpendRecord {
        booked::as_kept(storable(record), fits)
    }

    fn sums(&self, most: usize) -> BoxFuture<'_, Result<SumsAudit, StorageError>> {
        Box::pin(
            self.connections
                .long_snapshot("compare sums", move |transaction| {
                    Box::pin(async move { sums(transaction, most).await })
                }),
        )
    }
}

async fn records(
    client: &impl GenericClient,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<SpendRecord>, WorkError> {
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, params).await?;
    rows.iter().map(record).collect()
}

/// An adjustment has the time of what it corrects, so both are of the same day.
async fn by_ids(
    client: &impl GenericClient,
    column: &str,
    ids: &[RequestId],
    order: &str,
) -> Result<Vec<SpendRecord>, WorkError> {
    let days: Vec<String> = ids
        .iter()
        .map(|id| date(day(id.unix_ms())).to_string())
        .collect();
    let ids: Vec<String> = ids.iter().map(RequestId::to_string).collect();
    let sql = format!(
        "SELECT {} FROM trunkline.spend_logs WHERE day = ANY($1::text[]::date[]) AND {column} = ANY($2) ORDER BY {order}",
        booked::columns("::text")
    );
    records(client, &sql, &[&days, &ids]).await
}

async fn sums(transaction: &Transaction<'_>, most: usize) -> Result<SumsAudit, WorkError> {
    let mut audit = SumsAudit::default();
    let mut row_day = next_day(transaction, NEXT_ROW, None).await?;
    let first_day = row_day;
    let mut line_day = next_day(transaction, NEXT_LINE, None).await?;
    // The days of rows and those of lines, in order and each once.
    while let Some(at) = [row_day, line_day].into_iter().flatten().min() {
        if row_day == Some(at) {
            row_day = next_day(transaction, NEXT_ROW, Some(at)).await?;
        }
        if line_day == Some(at) {
            line_day = next_day(transaction, NEXT_LINE, Some(at)).await?;
        }
        if first_day.is_none_or(|first| at < first) {
            audit.days_without_rows += 1;
            continue;
        }
        audit.days += 1;
        compare_day(transaction, at, most, &mut audit).await?;
    }
    let horizon = (audit.days_without_rows > 0).then(|| first_day.map_or(i64::MAX, start_ms));
    compare_windows(transaction, horizon, most, &mut audit).await?;
    Ok(audit)
}

/// The first day behind a day of which there are rows.
const NEXT_ROW: &str = "SELECT to_char(min(day), 'YYYY-MM-DD') FROM trunkline.spend_logs WHERE $1::text IS NULL OR day > $1::text::date";
/// The same of lines of a roll-up.
const NEXT_LINE: &str = "SELECT to_char(min(day), 'YYYY-MM-DD') FROM (\
     SELECT min(day) AS day FROM trunkline.daily_spend WHERE $1::text IS NULL OR day > $1::text::date \
     UNION ALL SELECT min(day) FROM trunkline.daily_subject_spend WHERE kind = 'global' AND ($1::text IS NULL OR day > $1::text::date) \
     UNION ALL SELECT min(day) FROM trunkline.daily_team_spend WHERE $1::text IS NULL OR day > $1::text::date \
     UNION ALL SELECT min(day) FROM trunkline.daily_label_spend WHERE $1::text IS NULL OR day > $1::text::date) AS days";

async fn next_day(
    transaction: &Transaction<'_>,
    sql: &str,
    behind: Option<Date>,
) -> Result<Option<Date>, WorkError> {
    let behind = behind.map(|day| day.to_string());
    let statement = transaction.prepare_cached(sql).await?;
    let found = transaction.query_one(&statement, &[&behind]).await?;
    let day: Option<String> = found.try_get(0)?;
    Ok(day.and_then(|day| day.parse().ok()))
}

fn start_ms(day: Date) -> i64 {
    let days = (day - Date::constant(1970, 1, 1)).get_days();
    i64::from(days).saturating_mul(integer(DAY_MS))
}

async fn compare_day(
    transaction: &Transaction<'_>,
    at: Date,
    most: usize,
    audit: &mut SumsAudit,
) -> Result<(), WorkError> {
    let day = at.to_string();
    for roll_up in ROLL_UPS {
        let table = roll_up.table;
        let lines: i64 = transaction
            .query_one(
                &format!("SELECT count(*) FROM trunkline.{table} WHERE day = $1::text::date"),
                &[&day],
            )
            .await?
            .try_get(0)?;
        audit.lines += u64::try_from(lines).unwrap_or_default();
        let left = most.saturating_sub(audit.roll_ups.len());
        let sql = roll_up.differing(&WORDS, left);
        for line in transaction.query(&sql, &[&day]).await? {
            if audit.roll_ups.len() <= most {
                audit.roll_ups.push(line_difference(roll_up, at, &line)?);
            }
        }
    }
    Ok(())
}

fn line_difference(
    roll_up: RollUp,
    at: Date,
    line: &Row,
) -> Result<Difference, tokio_postgres::Error> {
    let key: Vec<String> = roll_up
        .columns()
        .map(|column| line.try_get(column))
        .collect::<Result<_, _>>()?;
    let counts = COUNTS
        .iter()
        .map(|count| Ok(plain(line.try_get(*count)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    Ok(Difference::of_line(roll_up, at, &key, counts))
}

async fn compare_windows(
    transaction: &Transaction<'_>,
    horizon: Option<i64>,
    most: usize,
    audit: &mut SumsAudit,
) -> Result<(), WorkError> {
    let windows: i64 = transaction
        .query_one("SELECT count(*) FROM trunkline.balances", &[])
        .await?
        .try_get(0)?;
    audit.windows = u64::try_from(windows).unwrap_or_default();
    // A stream: there may be as many as windows.
    let sql = differing_windows(&WORDS);
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut lines = pin!(transaction.query_raw(&sql, none).await?);
    while let Some(line) = lines.try_next().await? {
        let start: i64 = line.try_get("start")?;
        let generation: String = line.try_get("generation")?;
        // A window that was reset counts from then on.
        let began = start.max(generation.parse().unwrap_or_default());
        if horizon.is_some_and(|horizon| began < horizon) {
            audit.windows_without_rows += 1;
        } else if audit.balances.len() <= most {
            let key: Vec<String> = WINDOW_KEY
                .iter()
                .map(|column| match *column {
                    "start" => Ok(start.to_string()),
                    column => line.try_get(column),
                })
                .collect::<Result<_, _>>()?;
            let spend = plain(line.try_get("spend")?);
            let unpriced = plain(line.try_get("unpriced")?);
            let difference = Difference::of_window(&key, spend, unpriced);
            audit.balances.push(difference);
        }
    }
    Ok(())
}

/// Without the zeros that `numeric` puts at the end.
fn plain(text: String) -> String {
    match text.parse::<rust_decimal::Decimal>() {
        Ok(number) => number.normalize().to_string(),
        Err(_too_long) => text,
    }
}
