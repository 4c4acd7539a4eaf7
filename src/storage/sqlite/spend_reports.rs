//! Answers questions for sums and names. The statements are in `reports::sums`.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use trunkline_actors::ids::{KeyId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use super::convert::{json, pico};
use crate::storage::reports::statement::{Arg, Dialect, Statement};
use crate::storage::reports::{
    Facet, KeyName, LogPage, LogQuery, SpendReports, SumLine, Sums, Tally, sums,
};
use crate::storage::{StorageError, sqlite::spend_log_pages};

const READ_SUMS: &str = "read sums of spend";

impl SpendReports for Sqlite {
    fn sums(&self, questions: Vec<Sums>) -> BoxFuture<'_, Result<Vec<Vec<SumLine>>, StorageError>> {
        Box::pin(self.connections.read(READ_SUMS, move |connection| {
            let snapshot = connection.transaction()?;
            questions
                .iter()
                .map(|question| {
                    let statement = sums::statement(Dialect::Sqlite, question).ok_or(
                        StorageError::NotKept {
                            operation: READ_SUMS,
                        },
                    )?;
                    Ok(answer(&snapshot, question, &statement)?)
                })
                .collect()
        }))
    }

    fn log_page(&self, query: LogQuery) -> BoxFuture<'_, Result<LogPage, StorageError>> {
        Box::pin(self.connections.read("read spend rows", move |connection| {
            let snapshot = connection.transaction()?;
            spend_log_pages::page(&snapshot, &query)
        }))
    }

    fn key_names(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<KeyName>, StorageError>> {
        Box::pin(self.connections.read("read key names", move |connection| {
            let names = connection
                .prepare_cached(
                    "SELECT id, key_name, alias, user_id FROM virtual_keys \
                     WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id",
                )?
                .query_map([json(&ids)], |row| {
                    Ok(KeyName {
                        id: KeyId::from(row.get::<_, String>(0)?),
                        key_name: row.get(1)?,
                        alias: row.get(2)?,
                        user: row.get::<_, Option<String>>(3)?.map(UserId::from),
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(names)
        }))
    }

    fn names(&self, of: Facet, limit: u32) -> BoxFuture<'_, Result<Vec<String>, StorageError>> {
        Box::pin(self.connections.read("read names", move |connection| {
            let Some(kind) = of.subject() else {
                return Err(StorageError::NotKept {
                    operation: "read names",
                }
                .into());
            };
            // From one name to the next along the index, over the days of each.
            let names = connection
                .prepare_cached(
                    "WITH RECURSIVE names (name) AS ( \
                         SELECT min(subject) FROM daily_subject_spend WHERE kind = ?1 \
                         UNION ALL \
                         SELECT (SELECT min(subject) FROM daily_subject_spend WHERE kind = ?1 AND subject > name) \
                         FROM names WHERE name IS NOT NULL) \
                     SELECT name FROM names WHERE name IS NOT NULL LIMIT ?2",
                )?
                .query_map(params![kind.as_str(), limit], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(names)
        }))
    }
}

fn answer(
    connection: &Connection,
    question: &Sums,
    statement: &Statement,
) -> rusqlite::Result<Vec<SumLine>> {
    connection
        .prepare_cached(&statement.sql)?
        .query_map(params_from_iter(values(&statement.args)), |row| {
            line(question, row)
        })?
        .collect()
}

fn line(question: &Sums, row: &Row<'_>) -> rusqlite::Result<SumLine> {
    let mut at = 0;
    let mut next = || {
        at += 1;
        at - 1
    };
    let day = if question.by_day {
        Some(row.get(next())?)
    } else {
        None
    };
    let names = question
        .by
        .iter()
        .map(|_| row.get(next()))
        .collect::<rusqlite::Result<_>>()?;
    let mut count = || -> rusqlite::Result<u64> {
        let stored: i64 = row.get(next())?;
        Ok(u64::try_from(stored).unwrap_or_default())
    };
    let mut tally = Tally {
        requests: count()?,
        successful: count()?,
        failed: count()?,
        unpriced: count()?,
        cache_hits: count()?,
        prompt_tokens: count()?,
        completion_tokens: count()?,
        cache_read_tokens: count()?,
        cache_write_tokens: count()?,
        duration_ms: count()?,
        spend: Usd::ZERO,
    };
    tally.spend = Usd::from_pico(row.get(next())?);
    Ok(SumLine { day, names, tally })
}

/// The arguments as the driver takes them.
pub(super) fn values(args: &[Arg]) -> impl Iterator<Item = Value> + '_ {
    args.iter().map(|arg| match arg {
        Arg::Text(text) => Value::Text(text.clone()),
        Arg::Texts(texts) => Value::Text(json(texts)),
        Arg::Whole(whole) | Arg::Day(whole) => Value::Integer(*whole),
        Arg::Money(amount) => Value::Integer(pico(*amount)),
    })
}
