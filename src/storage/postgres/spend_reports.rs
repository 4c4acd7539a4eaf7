//! Answers questions for sums and names. The statements are in `reports::sums`.

use deadpool_postgres::GenericClient;
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use trunkline_actors::ids::{KeyId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::{date, name};
use super::pool::WorkError;
use super::spend_log_pages;
use crate::storage::StorageError;
use crate::storage::reports::statement::{Arg, Dialect, Statement};
use crate::storage::reports::{
    Facet, KeyName, LogPage, LogQuery, SpendReports, SumLine, Sums, Tally, sums,
};

const READ_SUMS: &str = "read sums of spend";

/// From one name to the next along the index, over the days of each.
const NAMES: &str = "WITH RECURSIVE names (name) AS ( \
         (SELECT subject FROM trunkline.daily_subject_spend WHERE kind = $1 ORDER BY subject LIMIT 1) \
         UNION ALL \
         SELECT (SELECT subject FROM trunkline.daily_subject_spend WHERE kind = $1 AND subject > name \
                 ORDER BY subject LIMIT 1) \
         FROM names WHERE name IS NOT NULL) \
     SELECT name FROM names WHERE name IS NOT NULL LIMIT $2";

impl SpendReports for Postgres {
    fn sums(&self, questions: Vec<Sums>) -> BoxFuture<'_, Result<Vec<Vec<SumLine>>, StorageError>> {
        Box::pin(self.connections.snapshot(READ_SUMS, move |transaction| {
            Box::pin(async move {
                let mut answers = Vec::with_capacity(questions.len());
                for question in &questions {
                    let statement = sums::statement(Dialect::Postgres, question).ok_or(
                        StorageError::NotKept {
                            operation: READ_SUMS,
                        },
                    )?;
                    let rows = rows(transaction, &statement).await?;
                    let lines = rows.iter().map(|row| line(question, row));
                    answers.push(lines.collect::<Result<_, _>>()?);
                }
                Ok(answers)
            })
        }))
    }

    fn log_page(&self, query: LogQuery) -> BoxFuture<'_, Result<LogPage, StorageError>> {
        Box::pin(
            self.connections
                .snapshot("read spend rows", move |transaction| {
                    Box::pin(async move { spend_log_pages::page(transaction, &query).await })
                }),
        )
    }

    fn key_names(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<KeyName>, StorageError>> {
        Box::pin(self.connections.read("read key names", move |client| {
            Box::pin(async move {
                let statement = client
                    .prepare_cached(
                        "SELECT id, key_name, alias, user_id FROM trunkline.virtual_keys \
                         WHERE id = ANY($1) ORDER BY id",
                    )
                    .await?;
                let ids: Vec<_> = ids.iter().map(|id| name(id)).collect();
                let found = client.query(&statement, &[&ids]).await?;
                let names = found.iter().map(|row| {
                    Ok(KeyName {
                        id: KeyId::from(row.try_get::<_, String>("id")?),
                        key_name: row.try_get("key_name")?,
                        alias: row.try_get("alias")?,
                        user: row
                            .try_get::<_, Option<String>>("user_id")?
                            .map(UserId::from),
                    })
                });
                Ok(names.collect::<Result<_, tokio_postgres::Error>>()?)
            })
        }))
    }

    fn names(&self, of: Facet, limit: u32) -> BoxFuture<'_, Result<Vec<String>, StorageError>> {
        Box::pin(self.connections.read("read names", move |client| {
            Box::pin(async move {
                let Some(kind) = of.subject() else {
                    return Err(StorageError::NotKept {
                        operation: "read names",
                    }
                    .into());
                };
                let statement = client.prepare_cached(NAMES).await?;
                let found = client
                    .query(&statement, &[&kind.as_str(), &i64::from(limit)])
                    .await?;
                let names = found.iter().map(|row| row.try_get(0));
                Ok(names.collect::<Result<_, _>>()?)
            })
        }))
    }
}

/// Runs a statement.
pub(super) async fn rows(
    client: &impl GenericClient,
    statement: &Statement,
) -> Result<Vec<Row>, WorkError> {
    let args = statement.args.iter().map(value).collect();
    rows_of(client, statement, args).await
}

/// Runs a statement on texts that are no names of the books: they are taken as they are.
pub(super) async fn rows_exactly(
    client: &impl GenericClient,
    statement: &Statement,
) -> Result<Vec<Row>, WorkError> {
    // Postgres has no NUL in texts, and nothing of that name.
    let exact = |arg: &Arg| -> Box<dyn ToSql + Sync + Send> {
        match arg {
            Arg::Text(text) => Box::new(text.replace('\0', "?")),
            Arg::Texts(texts) => {
                let texts = texts.iter().map(|text| text.replace('\0', "?"));
                Box::new(texts.collect::<Vec<String>>())
            }
            other => value(other),
        }
    };
    let args = statement.args.iter().map(exact).collect();
    rows_of(client, statement, args).await
}

async fn rows_of(
    client: &impl GenericClient,
    statement: &Statement,
    args: Vec<Box<dyn ToSql + Sync + Send>>,
) -> Result<Vec<Row>, WorkError> {
    let args: Vec<&(dyn ToSql + Sync)> = args
        .iter()
        .map(|arg| -> &(dyn ToSql + Sync) { &**arg })
        .collect();
    let prepared = client.prepare_cached(&statement.sql).await?;
    Ok(client.query(&prepared, &args).await?)
}

/// An argument as the driver takes it. Names are as the books have them.
fn value(arg: &Arg) -> Box<dyn ToSql + Sync + Send> {
    match arg {
        Arg::Text(text) => Box::new(name(text).into_owned()),
        Arg::Texts(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| name(text).into_owned()).collect();
            Box::new(texts)
        }
        Arg::Whole(whole) => Box::new(*whole),
        Arg::Day(day) => Box::new(date(*day).to_string()),
        Arg::Money(amount) => Box::new(amount.to_string()),
    }
}

fn line(question: &Sums, row: &Row) -> Result<SumLine, tokio_postgres::Error> {
    let mut at = 0;
    let mut next = || {
        at += 1;
        at - 1
    };
    let day = if question.by_day {
        Some(row.try_get(next())?)
    } else {
        None
    };
    let names = question
        .by
        .iter()
        .map(|_| row.try_get(next()))
        .collect::<Result<_, _>>()?;
    let mut count = || -> Result<u64, tokio_postgres::Error> {
        let stored: i64 = row.try_get(next())?;
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
    tally.spend = Usd::rounded(row.try_get::<_, Decimal>(next())?);
    Ok(SumLine { day, names, tally })
}
