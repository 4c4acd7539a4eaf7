//! The statements for a page of rows. Ids sort by time, so the newest first is by id, and a page begins behind an id: the
//! hundredth costs as much as the first. What no index has is looked for among the newest [`MOST_WALKED`] rows behind that id.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;

use super::statement::{Arg, Dialect, Statement};
use super::{LogColumn, LogQuery, MOST_WALKED};
use crate::storage::booked;
use crate::storage::books::{DAY_MS, first_id_at, integer};

/// The statements of one page.
pub(in crate::storage) struct PageStatements {
    /// The rows.
    pub(in crate::storage) rows: Statement,
    /// The id of the last row walked over, if so many were: one row or none.
    pub(in crate::storage) walked: Option<Statement>,
    /// How many rows there are; `None` if nobody asks.
    pub(in crate::storage) count: Option<Statement>,
}

/// The statements for a page.
pub(in crate::storage) fn statements(dialect: Dialect, query: &LogQuery) -> PageStatements {
    let filtered = Filters::of(dialect, query).behind.is_some();
    PageStatements {
        rows: rows(dialect, query),
        walked: filtered.then(|| walked(dialect, query)),
        count: (query.count_to > 0).then(|| count(dialect, query)),
    }
}

fn rows(dialect: Dialect, query: &LogQuery) -> Statement {
    let Filters {
        mut out,
        table,
        indexed,
        behind,
        order,
    } = Filters::of(dialect, query);
    // Places are numbered as they are made, wherever they stand.
    let skip = out.place(Arg::Whole(query.skip.into()));
    let limit = out.place(Arg::Whole(query.limit.into()));
    let columns = booked::columns(match dialect {
        Dialect::Sqlite => "",
        Dialect::Postgres => "::text",
    });
    match behind {
        None => out.push(&format!(
            "SELECT {columns} FROM {table}{indexed} ORDER BY {order} LIMIT {limit} OFFSET {skip}"
        )),
        Some(behind) => {
            let most = out.place(Arg::Whole(MOST_WALKED.into()));
            out.push(&format!(
                "SELECT {columns} FROM (SELECT * FROM {table}{indexed} ORDER BY {order} LIMIT {most}) AS walked \
                 WHERE {behind} ORDER BY id DESC LIMIT {limit} OFFSET {skip}"
            ));
        }
    }
    out
}

fn walked(dialect: Dialect, query: &LogQuery) -> Statement {
    let Filters {
        mut out,
        table,
        indexed,
        order,
        ..
    } = Filters::indexed(dialect, query);
    let most = out.place(Arg::Whole(i64::from(MOST_WALKED) - 1));
    out.push(&format!(
        "SELECT id FROM {table}{indexed} ORDER BY {order} LIMIT 1 OFFSET {most}"
    ));
    out
}

fn count(dialect: Dialect, query: &LogQuery) -> Statement {
    // All of them, not those behind the page before.
    let query = LogQuery {
        after: None,
        ..query.clone()
    };
    let Filters {
        mut out,
        table,
        indexed,
        behind,
        order,
    } = Filters::of(dialect, &query);
    let most = out.place(Arg::Whole(query.count_to.into()));
    match behind {
        None => out.push(&format!(
            "SELECT count(*) FROM (SELECT 1 FROM {table}{indexed} LIMIT {most}) AS counted"
        )),
        Some(behind) => {
            let walk = out.place(Arg::Whole(MOST_WALKED.into()));
            out.push(&format!(
                "SELECT count(*) FROM (SELECT 1 FROM (SELECT * FROM {table}{indexed} ORDER BY {order} LIMIT {walk}) AS walked \
                 WHERE {behind} LIMIT {most}) AS counted"
            ));
        }
    }
    out
}

/// The conditions of a query.
struct Filters {
    out: Statement,
    table: String,
    /// What an index answers, with its `WHERE`.
    indexed: String,
    /// What is looked for row by row.
    behind: Option<String>,
    order: &'static str,
}

// === impl Filters ===

impl Filters {
    fn of(dialect: Dialect, query: &LogQuery) -> Self {
        let mut filters = Self::indexed(dialect, query);
        let out = &mut filters.out;
        let filter = &query.filter;
        let mut conditions = Vec::new();
        if let Some(successful) = filter.successful {
            conditions.push(
                if successful {
                    "status = 'success'"
                } else {
                    "status IN ('failure', 'unknown')"
                }
                .to_owned(),
            );
        }
        for (column, text) in &filter.with {
            let place = out.place(Arg::Text(text.clone()));
            conditions.push(format!("{} = {place}", column.name()));
        }
        if let Some(least) = filter.min_spend {
            let place = out.place(Arg::Money(least));
            conditions.push(format!("cost >= {place}"));
        }
        if let Some(most) = filter.max_spend {
            let place = out.place(Arg::Money(most));
            conditions.push(format!("cost <= {place}"));
        }
        if let Some(hit) = filter.cache_hit {
            conditions.push(if hit { "cache_hit" } else { "NOT cache_hit" }.to_owned());
        }
        filters.behind = (!conditions.is_empty()).then(|| conditions.join(" AND "));
        filters
    }

    /// What an index answers alone.
    fn indexed(dialect: Dialect, query: &LogQuery) -> Self {
        let mut out = Statement::new(dialect);
        let filter = &query.filter;
        let table = out.table("spend_logs");
        let mut conditions = Vec::new();
        let mut order = match dialect {
            Dialect::Sqlite => "id DESC",
            // As the primary key, whose first part only tells the partition.
            Dialect::Postgres => "day DESC, id DESC",
        };
        for (column, name) in [
            ("key_id", &filter.key),
            ("user_id", &filter.user),
            ("team_id", &filter.team),
            ("end_user", &filter.end_user),
        ] {
            if let Some(name) = name {
                let place = out.place(Arg::Text(name.clone()));
                conditions.push(format!("{column} = {place}"));
                order = "id DESC";
            }
        }
        if let Some(id) = &filter.request_id {
            let place = out.place(Arg::Text(id.clone()));
            let own = id.parse::<RequestId>();
            let column = if own.is_ok() { "id" } else { "request_id" };
            conditions.push(format!("{column} = {place}"));
            if let (Dialect::Postgres, Ok(own)) = (dialect, own) {
                let day = out.place(Arg::Day(integer(own.unix_ms() / DAY_MS)));
                conditions.push(format!("day = {day}"));
            }
            order = "id DESC";
        }
        let mut bound = |at: UnixMs, sign: &str| {
            let place = out.place(Arg::Text(first_id_at(at.0)));
            conditions.push(format!("id {sign} {place}"));
            if dialect == Dialect::Postgres {
                // For the planner: which partitions it can leave out.
                let sign = if sign == "<" { "<=" } else { sign };
                let day = out.place(Arg::Day(integer(at.0 / DAY_MS)));
                conditions.push(format!("day {sign} {day}"));
            }
        };
        if let Some(since) = filter.since {
            bound(since, ">=");
        }
        if let Some(until) = filter.until {
            bound(until, "<");
        }
        if let Some(after) = query.after {
            let place = out.place(Arg::Text(after.to_string()));
            conditions.push(format!("id < {place}"));
            if dialect == Dialect::Postgres {
                let day = out.place(Arg::Day(integer(after.unix_ms() / DAY_MS)));
                conditions.push(format!("day <= {day}"));
            }
        }
        let indexed = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        Self {
            out,
            table,
            indexed,
            behind: None,
            order,
        }
    }
}

// === impl LogColumn ===

impl LogColumn {
    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::ModelGroup => "model_group",
            Self::Deployment => "deployment",
            Self::Provider => "provider",
            Self::KeyAlias => "key_alias",
            Self::Organisation => "organization_id",
            Self::ErrorCode => "error_code",
        }
    }
}
