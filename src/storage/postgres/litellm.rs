//! Reads LiteLLM's tables: in one read-only transaction over one moment, a page at a time, whatever columns there are.
//!
//! Each row comes as JSON made by the server, which writes a float as the shortest decimal that means it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tokio::spawn;
use tokio::sync::mpsc::{Sender, channel};
use tokio_postgres::{IsolationLevel, Transaction};
use url::Url;

use super::address::Address;
use super::migrate::connect;
use super::pool::said;
use super::thread::StorageThread;
use crate::storage::litellm::{LitellmEvent, LitellmReader, LitellmTable};
use crate::storage::{PoolSettings, StorageError};

/// Rows that are in memory at a time.
const PAGE: i32 = 1_000;
const OPERATION: &str = "read LiteLLM's tables";
const WINDOWS: &str = "LiteLLM_BudgetWindowSpend";

/// However long it takes; and floats in full with servers before version 12.
const SETTINGS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
     SET LOCAL extra_float_digits = 3; SET LOCAL timezone = 'UTC'";

/// Which tables have which columns.
type Columns = BTreeMap<String, BTreeSet<String>>;

type Events = Sender<Result<LitellmEvent, StorageError>>;

/// See [`read_litellm`](crate::storage::read_litellm).
pub(in crate::storage) async fn read(
    url: &str,
    shown: &str,
) -> Result<LitellmReader, StorageError> {
    let address = Address::read(url, shown, PoolSettings::default())?;
    let schema = schema_of(url);
    let thread = StorageThread::start()?;
    let (sender, events) = channel(1);
    let reading = sender.clone();
    let mut client = thread
        .run(OPERATION, async move { connect(&address).await })
        .await?;
    spawn(async move {
        let done = thread.run(OPERATION, async move {
            let read = async {
                let transaction = client
                    .build_transaction()
                    .isolation_level(IsolationLevel::RepeatableRead)
                    .read_only(true)
                    .start()
                    .await?;
                transaction.batch_execute(SETTINGS).await?;
                read_all(&transaction, &schema, &reading).await?;
                transaction.commit().await
            };
            read.await.map_err(|err| StorageError::Backend {
                operation: OPERATION,
                source: said(err),
            })
        });
        if let Err(err) = done.await {
            // Nobody who waits for it is left.
            sender.send(Err(err)).await.ok();
        }
    });
    Ok(LitellmReader { events })
}

/// The schema that the URL names in the way of LiteLLM's database client.
fn schema_of(url: &str) -> String {
    let named = Url::parse(url.trim()).ok().and_then(|url| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(name, value)| name == "schema" && !value.is_empty());
        found.map(|(_, value)| value.into_owned())
    });
    named.unwrap_or_else(|| "public".to_owned())
}

async fn read_all(
    transaction: &Transaction<'_>,
    schema: &str,
    events: &Events,
) -> Result<(), tokio_postgres::Error> {
    let columns = columns(transaction, schema).await?;
    for table in LitellmTable::ALL {
        let query = Query {
            schema,
            columns: &columns,
            table,
        };
        let sql = query.sql();
        let begun = LitellmEvent::Table {
            table,
            absent: sql.is_none(),
            missing: query.missing(),
        };
        if events.send(Ok(begun)).await.is_err() {
            return Ok(());
        }
        let Some(sql) = sql else { continue };
        let statement = transaction.prepare(&sql).await?;
        let portal = transaction.bind(&statement, &[]).await?;
        loop {
            let page = transaction.query_portal(&portal, PAGE).await?;
            if page.is_empty() {
                break;
            }
            let rows = page.iter().map(|row| row.try_get(0));
            let rows = rows.collect::<Result<Vec<String>, _>>()?;
            if events.send(Ok(LitellmEvent::Rows(rows))).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn columns(
    transaction: &Transaction<'_>,
    schema: &str,
) -> Result<Columns, tokio_postgres::Error> {
    let mut columns = Columns::new();
    let rows = transaction
        .query(
            "SELECT table_name::text, column_name::text FROM information_schema.columns \
             WHERE table_schema = $1 AND table_name LIKE 'LiteLLM\\_%'",
            &[&schema],
        )
        .await?;
    for row in rows {
        let table: String = row.try_get(0)?;
        columns.entry(table).or_default().insert(row.try_get(1)?);
    }
    Ok(columns)
}

/// How one table is read.
#[derive(Clone, Copy)]
struct Query<'a> {
    schema: &'a str,
    columns: &'a Columns,
    table: LitellmTable,
}

// === impl Query ===

impl Query<'_> {
    fn has(&self, table: &str, columns: &[&str]) -> bool {
        let there = self.columns.get(table);
        there.is_some_and(|there| columns.iter().all(|&column| there.contains(column)))
    }

    /// Columns that are looked for and are not there.
    fn missing(&self) -> Vec<String> {
        let table = self.table.table();
        let wanted = self.table.columns();
        let missing = wanted.filter(|column| !self.has(table, &[column]));
        missing.map(str::to_owned).collect()
    }

    /// `None`: there is nothing to read.
    fn sql(&self) -> Option<String> {
        if self.table == LitellmTable::Members {
            return self.members();
        }
        let table = self.table.table();
        let key = self.table.columns().next()?;
        if !self.has(table, &[key]) {
            return None;
        }
        let wanted = self.table.columns();
        let mut selected = list("t", wanted.filter(|column| self.has(table, &[column])));
        if self.has(table, &["budget_id"]) && self.table != LitellmTable::Budgets {
            selected.push_str(&self.budget());
        }
        match self.table {
            LitellmTable::Teams => selected.push_str(&self.windows("Team", key)),
            LitellmTable::Keys => selected.push_str(&self.windows("Key", key)),
            _ => {}
        }
        let table = self.name(table);
        Some(format!(
            "SELECT row_to_json(found)::text FROM (SELECT {selected} FROM {table} AS t ORDER BY t.{}) AS found",
            quoted(key)
        ))
    }

    /// Memberships, and those that the teams list without one.
    fn members(&self) -> Option<String> {
        let (table, teams) = (self.table.table(), LitellmTable::Teams.table());
        let in_table = self.has(table, &["team_id", "user_id"]);
        let in_lists = self.has(teams, &["team_id", "members_with_roles"]);
        let memberships = if in_table {
            format!("SELECT * FROM {}", self.name(table))
        } else {
            "SELECT NULL::text AS team_id, NULL::text AS user_id WHERE false".to_owned()
        };
        // A team may name the budget of members who have none of their own.
        let named = self.has(teams, &["team_id", "metadata"]).then(|| {
            format!(
                "(SELECT metadata::jsonb ->> 'team_member_budget_id' FROM {} AS team WHERE team.team_id = m.team_id)",
                self.name(teams)
            )
        });
        let own = (in_table && self.has(table, &["budget_id"])).then(|| "m.budget_id".to_owned());
        let budgets: Vec<String> = own.into_iter().chain(named).collect();
        let budget_id = if budgets.is_empty() {
            "NULL::text".to_owned()
        } else {
            format!("coalesce({})", budgets.join(", "))
        };
        let spend = if in_table && self.has(table, &["spend"]) {
            "m.spend"
        } else {
            "0"
        };
        let budget = self.budget();
        let roles = if in_lists {
            format!(
                "SELECT DISTINCT ON (team_id, user_id) team_id, member ->> 'user_id' AS user_id, member ->> 'role' AS role \
                 FROM {} CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(members_with_roles::jsonb) \
                 WHEN 'array' THEN members_with_roles::jsonb ELSE '[]' END) AS member \
                 WHERE jsonb_typeof(member) = 'object' AND member ->> 'user_id' <> ''",
                self.name(teams)
            )
        } else {
            "SELECT NULL::text AS team_id, NULL::text AS user_id, NULL::text AS role WHERE false"
                .to_owned()
        };
        (in_table || in_lists).then(|| {
            format!(
                "SELECT row_to_json(found)::text FROM (SELECT t.*{budget} FROM \
                 (SELECT m.team_id, m.user_id, m.role, {spend} AS spend, {budget_id} AS budget_id \
                  FROM (({memberships}) AS memberships FULL JOIN ({roles}) AS roles USING (team_id, user_id)) AS m) AS t \
                 ORDER BY t.team_id, t.user_id) AS found"
            )
        })
    }

    /// What the budget that a row names says of its windows, and of the models of a member.
    fn budget(&self) -> String {
        let budgets = LitellmTable::Budgets.table();
        if !self.has(budgets, &["budget_id"]) {
            return String::new();
        }
        let wanted = [
            "max_budget",
            "budget_duration",
            "budget_reset_at",
            "created_at",
            "allowed_models",
        ];
        let there = wanted
            .into_iter()
            .filter(|column| self.has(budgets, &[column]));
        format!(
            ", (SELECT row_to_json(named) FROM (SELECT {} FROM {} AS t2 WHERE t2.budget_id = t.budget_id) AS named) AS budget",
            list("t2", there),
            self.name(budgets)
        )
    }

    /// What was spent in the windows beside the own budget's.
    fn windows(&self, kind: &str, key: &str) -> String {
        let wanted = [
            "entity_type",
            "entity_id",
            "window_duration",
            "window_start",
            "spend",
        ];
        if !self.has(WINDOWS, &wanted) {
            return String::new();
        }
        format!(
            ", (SELECT json_agg(json_build_object('duration', window_duration, 'start', window_start, 'spend', spend) \
             ORDER BY window_duration) FROM {} WHERE entity_type = '{kind}' AND entity_id = t.{}) AS windows",
            self.name(WINDOWS),
            quoted(key)
        )
    }

    fn name(&self, table: &str) -> String {
        format!("{}.{}", quoted(self.schema), quoted(table))
    }
}

/// Columns of a table that goes by another name.
fn list<'a>(alias: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for column in columns {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        write!(text, "{comma}{alias}.{}", quoted(column)).ok();
    }
    text
}

/// A name as it stands in statements.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_what_litellms_client_takes_it_from() {
        for (url, want) in [
            ("postgresql://u:p@h/d", "public"),
            ("postgresql://u:p@h/d?connection_limit=3&schema=llm", "llm"),
            ("postgresql://u:p@h/d?schema=", "public"),
        ] {
            assert_eq!(schema_of(url), want, "{url}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
    }

    #[test]
    fn only_columns_that_are_there_are_asked_for() {
        let columns = Columns::from([(
            "LiteLLM_VerificationToken".to_owned(),
            BTreeSet::from(["token".to_owned(), "spend".to_owned()]),
        )]);
        let query = |table| Query {
            schema: "public",
            columns: &columns,
            table,
        };
        let keys = query(LitellmTable::Keys);
        assert_eq!(
            keys.sql().unwrap(),
            "SELECT row_to_json(found)::text FROM (SELECT t.\"token\", t.\"spend\" \
             FROM \"public\".\"LiteLLM_VerificationToken\" AS t ORDER BY t.\"token\") AS found"
        );
        assert!(keys.missing().contains(&"budget_limits".to_owned()));
        assert_eq!(query(LitellmTable::Teams).sql(), None);
        assert_eq!(query(LitellmTable::Members).sql(), None);
    }
}
