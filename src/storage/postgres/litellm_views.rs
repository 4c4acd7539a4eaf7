//! LiteLLM's tables as views over ours, with its names and types, for dashboards that were made for them: in a schema of the
//! operator's choice, and on request only.
//!
//! `spend` of a key, user, … is what is charged to the newest window of its budget, without one all that it has spent.
//! What it had spent in LiteLLM before an import is in that, and in no day. `litellm_views.sql` has the statements.

use std::fmt::Write as _;

use tokio_postgres::Transaction;

use super::address::Address;
use super::litellm::quoted;
use super::migrate::connect;
use super::pool::WorkError;
use super::thread::StorageThread;
use crate::storage::{PoolSettings, StorageError};

const OPERATION: &str = "make LiteLLM's views";
/// How ours are told from other people's.
const MARK: &str = "made by trunkline litellm-views";

const STATEMENTS: &str = include_str!("litellm_views.sql");
const CREATE: &str = "CREATE VIEW {schema}.";

/// What somebody has spent: `{kind}` is the subject's, `{row}` its row.
const SPEND: &str = "coalesce((SELECT newest.spent FROM (\
     SELECT window_start, charged + coalesce(carried, 0) AS spent FROM trunkline.balances AS b \
     WHERE {of} AND ({row}.max_budget IS NOT NULL OR {row}.budget_id IS NOT NULL) UNION ALL \
     SELECT window_start, spent FROM trunkline.openings AS b WHERE {of} AND window_start > 0 \
     ) AS newest ORDER BY window_start DESC, spent DESC LIMIT 1), \
     (SELECT coalesce(sum(d.spend), 0) FROM trunkline.daily_subject_spend AS d WHERE d.kind = '{kind}' AND d.subject = {row}.id \
     AND d.day >= (to_timestamp({reset} / 1000.0) AT TIME ZONE 'UTC')::date) \
     + coalesce((SELECT spent FROM trunkline.openings AS b WHERE {of} AND window_start = 0), 0))::double precision";
const SPEND_OF: &str = "b.subject_kind = '{kind}' AND b.subject_id = {row}.id AND b.budget_id = '' AND b.generation = {reset}";
const RESET: &str = "coalesce(({row}.terms ->> 'reset_at')::bigint, 0)";

/// See [`litellm_views`](crate::storage::litellm_views).
pub(in crate::storage) async fn make(
    url: &str,
    shown: &str,
    settings: PoolSettings,
    schema: String,
    drop: bool,
) -> Result<Vec<String>, StorageError> {
    let address = Address::read(url, shown, settings)?;
    let thread = StorageThread::start()?;
    let work = async move {
        let mut client = connect(&address).await?;
        let work = async {
            let transaction = client.transaction().await?;
            let views = replace(&transaction, &schema, drop).await?;
            transaction.commit().await?;
            Ok(views)
        };
        work.await.map_err(|err: WorkError| err.at(OPERATION))
    };
    thread.run(OPERATION, work).await
}

/// Answers with the views that were made or dropped.
async fn replace(
    transaction: &Transaction<'_>,
    schema: &str,
    drop: bool,
) -> Result<Vec<String>, WorkError> {
    let names = names();
    let found = transaction
        .query(
            "SELECT relname::text, relkind = 'v' AND obj_description(pg_class.oid, 'pg_class') IS NOT DISTINCT FROM $3::text \
             FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
             WHERE nspname = $1 AND relname = ANY($2) ORDER BY relname",
            &[&schema, &names, &MARK],
        )
        .await?;
    let mut ours = Vec::new();
    for row in found {
        let (name, is_ours): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        if is_ours {
            ours.push(name);
        } else if !drop {
            return Err(WorkError::Storage(StorageError::AlreadyExists {
                what: "something that is no view of ours,",
                id: format!("{schema}.{name}"),
            }));
        }
    }
    let schema = quoted(schema);
    let mut sql = String::new();
    for name in &ours {
        // Writing to a string cannot fail.
        writeln!(sql, "DROP VIEW {schema}.{};", quoted(name)).ok();
    }
    if drop {
        transaction.batch_execute(&sql).await?;
        return Ok(ours);
    }
    // Not `IF NOT EXISTS`: that asks for the right to make schemas even where an administrator has made this one.
    let there: bool = transaction
        .query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema])
        .await?
        .try_get(0)?;
    if !there {
        writeln!(sql, "CREATE SCHEMA {schema};").ok();
    }
    sql.push_str(&statements(&schema));
    for name in &names {
        let name = quoted(name);
        writeln!(sql, "COMMENT ON VIEW {schema}.{name} IS '{MARK}';").ok();
    }
    transaction.batch_execute(&sql).await?;
    Ok(names)
}

/// The views' names, in their order.
fn names() -> Vec<String> {
    let lines = STATEMENTS.lines();
    let names = lines.filter_map(|line| line.strip_prefix(CREATE)?.split('"').nth(1));
    names.map(str::to_owned).collect()
}

/// The statements, in a schema whose name is quoted.
fn statements(schema: &str) -> String {
    let mut sql = String::new();
    let mut rest = STATEMENTS;
    // `{spend KIND of ROW}`
    while let Some((before, after)) = rest.split_once("{spend ") {
        let (wanted, behind) = after.split_once('}').unwrap_or((after, ""));
        let (kind, row) = wanted.split_once(" of ").unwrap_or((wanted, "t"));
        let spend = SPEND
            .replace("{of}", SPEND_OF)
            .replace("{reset}", RESET)
            .replace("{kind}", kind)
            .replace("{row}", row);
        sql.push_str(before);
        sql.push_str(&spend);
        rest = behind;
    }
    sql.push_str(rest);
    sql.replace("{schema}", schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_named_and_nothing_is_left_to_fill_in() {
        let names = names();
        assert_eq!(names.len(), 14, "{names:?}");
        assert_eq!(names[0], "LiteLLM_VerificationToken");
        let sql = statements("\"of \"\"mine\"");
        assert!(sql.contains("CREATE VIEW \"of \"\"mine\".\"LiteLLM_SpendLogs\""));
        for left in ["{schema}", "{spend", "{of}", "{row}", "{kind}", "{reset}"] {
            assert!(!sql.contains(left), "{left}");
        }
    }
}
