//! Reads the books. Whole days come from the roll-ups; only the part of a day that a window begins in is summed from rows.

use rusqlite::{Connection, params};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, Subject, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use crate::storage::books::{DAY_MS, QUARTER_MS, Sum, day, first_id_at, in_details, rows_of};
use crate::storage::{KeySpend, SlotTokens, SpendQueries, StorageError, UserSpend};

/// Rows with the tag that is the parameter.
const TAGGED: &str = "EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?1)";

impl SpendQueries for Sqlite {
    fn user_spend(&self, user: UserId) -> BoxFuture<'_, Result<UserSpend, StorageError>> {
        Box::pin(
            self.connections
                .read("read a user's spend", move |connection| {
                    // One transaction: total and parts are of the same moment.
                    let snapshot = connection.transaction()?;
                    Ok(user_spend(&snapshot, &user)?)
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
        subject: Subject,
        since: UnixMs,
        until: UnixMs,
    ) -> BoxFuture<'_, Result<Vec<SlotTokens>, StorageError>> {
        Box::pin(self.connections.read("sum tokens", move |connection| {
            let of = rows_of(subject.kind, "?1").unwrap_or_else(|| TAGGED.to_owned());
            let sql = format!(
                "SELECT max(started_at), sum(prompt_tokens - cache_read), sum(completion_tokens) FROM spend_logs \
                 WHERE {of} AND id >= ?2 AND id < ?3 AND status <> 'adjustment' \
                 GROUP BY started_at / {QUARTER_MS} ORDER BY 1"
            );
            let count = |number: i64| u64::try_from(number).unwrap_or_default();
            let slots = connection
                .prepare_cached(&sql)?
                .query_map(
                    params![subject.id, first_id_at(since.0), first_id_at(until.0)],
                    |row| {
                        Ok(SlotTokens {
                            last: UnixMs(count(row.get(0)?)),
                            input: count(row.get(1)?),
                            output: count(row.get(2)?),
                        })
                    },
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok(slots)
        }))
    }
}

impl Sqlite {
    fn spend_of(
        &self,
        subject: Subject,
        since: UnixMs,
    ) -> BoxFuture<'_, Result<Usd, StorageError>> {
        Box::pin(self.connections.read("sum spend", move |connection| {
            let snapshot = connection.transaction()?;
            Ok(spend_since(&snapshot, &subject, None, since)?.spend)
        }))
    }
}

fn user_spend(connection: &Connection, user: &UserId) -> rusqlite::Result<UserSpend> {
    let sum = sum(
        connection,
        "SELECT coalesce(sum(spend), 0), coalesce(sum(unpriced), 0) FROM daily_subject_spend \
         WHERE kind = 'user' AND subject = ?1",
        [user.as_str()],
    )?;
    let models = connection
        .prepare_cached(
            "SELECT model_group, sum(spend) FROM daily_spend WHERE user_id = ?1 \
             GROUP BY model_group ORDER BY model_group",
        )?
        .query_map([user.as_str()], |row| {
            Ok((row.get(0)?, Usd::from_pico(row.get(1)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    // A user's keys are those that the user owns and those that ever spent in the user's name.
    let keys = connection
        .prepare_cached(
            "WITH spent AS (SELECT key_id, sum(spend) AS spend FROM daily_spend \
                            WHERE user_id = ?1 AND key_id <> '' GROUP BY key_id), \
                  ids AS (SELECT key_id AS id FROM spent UNION SELECT id FROM virtual_keys WHERE user_id = ?1) \
             SELECT ids.id, key_name, alias, coalesce(spend, 0) FROM ids \
             LEFT JOIN spent ON spent.key_id = ids.id LEFT JOIN virtual_keys ON virtual_keys.id = ids.id ORDER BY ids.id",
        )?
        .query_map([user.as_str()], |row| {
            Ok(KeySpend {
                id: KeyId::from(row.get::<_, String>(0)?),
                key_name: row.get(1)?,
                alias: row.get(2)?,
                spend: Usd::from_pico(row.get(3)?),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(UserSpend {
        total: sum.spend,
        unpriced_requests: u64::try_from(sum.unpriced).unwrap_or_default(),
        models,
        keys,
    })
}

/// What the books say a subject has spent on requests received at `since` or later; with a model group, on that one alone.
///
/// Precondition: `connection` is in a transaction, or rows may be counted twice or not at all.
pub(super) fn spend_since(
    connection: &Connection,
    subject: &Subject,
    model_group: Option<&str>,
    since: UnixMs,
) -> rusqlite::Result<Sum> {
    let of = rows_of(subject.kind, "?1").unwrap_or_else(|| TAGGED.to_owned());
    let rows = |until: Option<u64>| {
        let ids = [Some(since.0), until].map(|at| at.map(first_id_at));
        sum(
            connection,
            &format!(
                "SELECT coalesce(sum(cost), 0), count(*) - count(cost) FROM spend_logs \
                 WHERE {of} AND id >= ?2 AND (?3 IS NULL OR id < ?3) AND (?4 IS NULL OR model_group = ?4)"
            ),
            params![subject.id, ids[0], ids[1], model_group],
        )
    };
    let first_whole_day = since.0.div_ceil(DAY_MS).saturating_mul(DAY_MS);
    let days = match model_group {
        None => sum(
            connection,
            "SELECT coalesce(sum(spend), 0), coalesce(sum(unpriced), 0) FROM daily_subject_spend \
             WHERE kind = ?1 AND subject = ?2 AND day >= ?3",
            params![subject.kind.as_str(), subject.id, day(first_whole_day)],
        )?,
        // The combination of a subject with a model is in the details, for those that are a column there.
        Some(_) if !in_details(subject.kind) => return rows(None),
        Some(group) => sum(
            connection,
            &format!(
                "SELECT coalesce(sum(spend), 0), coalesce(sum(unpriced), 0) FROM daily_spend \
                 WHERE {of} AND day >= ?2 AND model_group = ?3"
            ),
            params![subject.id, day(first_whole_day), group],
        )?,
    };
    if first_whole_day == since.0 {
        return Ok(days);
    }
    let part = rows(Some(first_whole_day))?;
    Ok(Sum {
        spend: days.spend + part.spend,
        unpriced: days.unpriced.saturating_add(part.unpriced),
    })
}

fn sum(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Sum> {
    connection.prepare_cached(sql)?.query_row(params, |row| {
        Ok(Sum {
            spend: Usd::from_pico(row.get(0)?),
            unpriced: row.get(1)?,
        })
    })
}
