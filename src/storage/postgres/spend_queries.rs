//! Reads the books. Whole days come from the roll-ups; only the part of a day that a window begins in is summed from rows.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, Subject, SubjectKind, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey};

use super::Postgres;
use super::convert::{date, money, name, subject};
use super::import::openings;
use super::pool::WorkError;
use crate::storage::books::{
    DAY_MS, QUARTER_MS, Sum, day, first_id_at, in_details, integer, rows_of,
};
use crate::storage::{KeySpend, SlotTokens, SpendQueries, StorageError, UserSpend};

/// Rows with the tag that is the parameter.
const TAGGED: &str = "tags ? $1::text";

/// What sums are cut to, in USD, so that a decimal holds them: unreadable books would hold up the rows behind them.
const MOST_SUM: &str = "1000000000000000";

impl SpendQueries for Postgres {
    fn user_spend(&self, user: UserId) -> BoxFuture<'_, Result<UserSpend, StorageError>> {
        Box::pin(
            self.connections
                // Total and parts are of the same moment.
                .snapshot("read a user's spend", move |transaction| {
                    Box::pin(async move { user_spend(transaction, &user).await })
                }),
        )
    }

    fn key_spend(&self, key: KeyId) -> BoxFuture<'_, Result<Usd, StorageError>> {
        self.spend_of(Subject::from(&key), UnixMs(0))
    }

    fn total_spend(&self, since: Option<UnixMs>) -> BoxFuture<'_, Result<Usd, StorageError>> {
        self.spend_of(Subject::global(), since.unwrap_or_default())
    }

    fn tokens_between(
        &self,
        of: Subject,
        since: UnixMs,
        until: UnixMs,
    ) -> BoxFuture<'_, Result<Vec<SlotTokens>, StorageError>> {
        Box::pin(self.connections.read("sum tokens", move |client| {
            Box::pin(async move { tokens_between(client, &subject(&of), since, until).await })
        }))
    }
}

async fn tokens_between(
    client: &impl GenericClient,
    subject: &Subject,
    since: UnixMs,
    until: UnixMs,
) -> Result<Vec<SlotTokens>, WorkError> {
    let of = rows_of(subject.kind, "$1::text").unwrap_or_else(|| TAGGED.to_owned());
    let statement = client
        .prepare_cached(&format!(
            "SELECT max(started_at) AS last, sum(prompt_tokens - cache_read)::bigint AS input, \
             sum(completion_tokens)::bigint AS output FROM trunkline.spend_logs \
             WHERE {of} AND id >= $2::text AND id < $3::text AND day >= $4::text::date AND status <> 'adjustment' \
             GROUP BY started_at / {QUARTER_MS} ORDER BY 1"
        ))
        .await?;
    let first_day = date(day(since.0)).to_string();
    let (first, end) = (first_id_at(since.0), first_id_at(until.0));
    let rows = client
        .query(&statement, &[&&*subject.id, &first, &end, &first_day])
        .await?;
    let count = |row: &Row, name| {
        let number: i64 = row.try_get(name)?;
        Ok::<u64, tokio_postgres::Error>(u64::try_from(number).unwrap_or_default())
    };
    let slots = rows.iter().map(|row| {
        Ok(SlotTokens {
            last: UnixMs(count(row, "last")?),
            input: count(row, "input")?,
            output: count(row, "output")?,
        })
    });
    slots.collect()
}

impl Postgres {
    fn spend_of(&self, of: Subject, since: UnixMs) -> BoxFuture<'_, Result<Usd, StorageError>> {
        Box::pin(self.connections.read("sum spend", move |client| {
            Box::pin(
                async move { Ok(spend_since(client, &subject(&of), None, since).await?.spend) },
            )
        }))
    }
}

async fn user_spend(transaction: &Transaction<'_>, user: &UserId) -> Result<UserSpend, WorkError> {
    let user = name(user.as_str());
    let total = spend_since(
        transaction,
        &Subject::new(SubjectKind::User, &*user),
        None,
        UnixMs(0),
    )
    .await?;
    let statement = transaction
        .prepare_cached(&format!(
            "SELECT model_group, least(sum(spend), {MOST_SUM}) AS spend FROM trunkline.daily_spend \
             WHERE user_id = $1 GROUP BY model_group ORDER BY model_group"
        ))
        .await?;
    let models = transaction.query(&statement, &[&&*user]).await?;
    // A user's keys are those that the user owns and those that ever spent in the user's name.
    let statement = transaction
        .prepare_cached(&format!(
            "WITH spent AS (SELECT key_id, least(sum(spend), {MOST_SUM}) AS spend FROM trunkline.daily_spend \
                            WHERE user_id = $1 AND key_id <> '' GROUP BY key_id), \
                  ids AS (SELECT key_id AS id FROM spent \
                          UNION SELECT id FROM trunkline.virtual_keys WHERE user_id = $1) \
             SELECT ids.id, key_name, alias, coalesce(spend, 0) AS spend FROM ids \
             LEFT JOIN spent ON spent.key_id = ids.id LEFT JOIN trunkline.virtual_keys AS keys ON keys.id = ids.id \
             ORDER BY ids.id"
        ))
        .await?;
    let keys = transaction.query(&statement, &[&&*user]).await?;
    Ok(UserSpend {
        total: total.spend,
        unpriced_requests: u64::try_from(total.unpriced).unwrap_or_default(),
        models: models
            .iter()
            .map(|row| Ok((row.try_get("model_group")?, spend(row)?)))
            .collect::<Result<_, tokio_postgres::Error>>()?,
        keys: keys
            .iter()
            .map(|row| {
                Ok(KeySpend {
                    id: KeyId::from(row.try_get::<_, String>("id")?),
                    key_name: row.try_get("key_name")?,
                    alias: row.try_get("alias")?,
                    spend: spend(row)?,
                })
            })
            .collect::<Result<_, tokio_postgres::Error>>()?,
    })
}

/// What the books say a subject has spent on requests received at `since` or later; with a model group, on that one alone. In
/// one statement: no row that moves meanwhile is counted twice or not at all.
///
/// Precondition: `subject` is what [`subject`] answers with.
async fn spend_since(
    client: &impl GenericClient,
    subject: &Subject,
    model_group: Option<&str>,
    since: UnixMs,
) -> Result<Sum, WorkError> {
    let of = rows_of(subject.kind, "$1::text").unwrap_or_else(|| TAGGED.to_owned());
    let rows = format!(
        "SELECT cost AS spend, CASE WHEN cost IS NULL THEN 1 ELSE 0 END AS unpriced FROM trunkline.spend_logs \
         WHERE {of} AND id >= $2::text AND day >= $3::text::date \
         AND ($4::text IS NULL OR model_group = $4::text)"
    );
    let before = "AND day < $5::text::date UNION ALL SELECT spend, unpriced FROM";
    let books = match model_group {
        None => format!(
            "{rows} {before} trunkline.daily_subject_spend \
             WHERE kind = '{}' AND subject = $1::text AND day >= $5::text::date",
            subject.kind
        ),
        Some(_) if in_details(subject.kind) => format!(
            "{rows} {before} trunkline.daily_spend WHERE {of} AND day >= $5::text::date AND model_group = $4::text"
        ),
        // The combination of this kind of subject with a model is in the rows alone.
        Some(_) => format!("{rows} AND $5::text IS NOT NULL"),
    };
    let statement = client
        .prepare_cached(&format!(
            "SELECT least(coalesce(sum(spend), 0), {MOST_SUM}) AS spend, coalesce(sum(unpriced), 0)::bigint AS unpriced \
             FROM ({books}) AS books"
        ))
        .await?;
    let first_row = first_id_at(since.0);
    let first_day = date(day(since.0)).to_string();
    let whole_days = since.0.div_ceil(DAY_MS).saturating_mul(DAY_MS);
    let whole_days = date(day(whole_days)).to_string();
    let found = client
        .query_one(
            &statement,
            &[
                &&*subject.id,
                &first_row,
                &first_day,
                &model_group,
                &whole_days,
            ],
        )
        .await?;
    Ok(Sum {
        spend: spend(&found)?,
        unpriced: found.try_get("unpriced")?,
    })
}

/// What was spent in a window, or since it was reset, before its first charge came. A budget is often given to a key that has
/// spent already.
pub(super) async fn spent_before(
    client: &impl GenericClient,
    key: &BudgetKey,
) -> Result<Sum, WorkError> {
    let since = key.window_start.max(UnixMs(key.generation));
    spend_since(client, &key.subject, key.budget.model_group(), since).await
}

/// The same, with what was spent elsewhere.
async fn seed(client: &impl GenericClient, key: &BudgetKey) -> Result<Sum, WorkError> {
    let mut sum = spent_before(client, key).await?;
    let opened = openings(client, vec![key]).await?;
    sum.spend += opened.into_values().sum();
    Ok(sum)
}

/// What was charged to a window, with what it began with.
pub(super) async fn charged(
    client: &impl GenericClient,
    key: &BudgetKey,
) -> Result<Sum, WorkError> {
    match balance(client, key).await? {
        Some(sum) => Ok(sum),
        None => seed(client, key).await,
    }
}

async fn balance(client: &impl GenericClient, key: &BudgetKey) -> Result<Option<Sum>, WorkError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT least(charged + coalesce(carried, 0), {MOST_SUM}) AS spend, unpriced FROM trunkline.balances \
             WHERE subject_kind = $1 AND subject_id = $2 AND budget_id = $3 AND generation = $4 AND window_start = $5"
        ))
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
    let Some(row) = found else {
        return Ok(None);
    };
    Ok(Some(Sum {
        spend: spend(&row)?,
        unpriced: row.try_get("unpriced")?,
    }))
}

/// An amount that is always there.
fn spend(row: &Row) -> Result<Usd, tokio_postgres::Error> {
    Ok(money(row, "spend")?.unwrap_or_default())
}
