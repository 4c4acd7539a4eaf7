//! The statement that answers [`Sums`]: which roll-up has the names asked for, and the text for it.

use trunkline_actors::ids::SubjectKind;

use super::statement::{Arg, Dialect, Statement};
use super::{Counting, Facet, Order, Sums, Which};
use crate::storage::books::COUNTS;

/// A roll-up, with the condition that picks the sort of its lines.
struct RollUp {
    table: &'static str,
    kind: Option<SubjectKind>,
    /// The column that a sort of name is in.
    column: fn(Facet) -> &'static str,
}

/// The statement for a question; `None` for names that no roll-up has together.
///
/// A row of its answer is the day (days since 1970-01-01), if asked for, then a name for each of [`Sums::by`], then
/// [`COUNTS`].
pub(in crate::storage) fn statement(dialect: Dialect, question: &Sums) -> Option<Statement> {
    let from = RollUp::for_question(question)?;
    let mut out = Statement::new(dialect);
    let day = match dialect {
        Dialect::Sqlite => "day",
        Dialect::Postgres => "(day - date '1970-01-01')::bigint",
    };
    let names: Vec<String> = question
        .by
        .iter()
        .enumerate()
        .map(|(at, _)| format!("name{at}"))
        .collect();
    let keys: Vec<&str> = question
        .by_day
        .then_some("on_day")
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();

    let mut columns: Vec<String> = Vec::new();
    let mut grouped: Vec<&str> = Vec::new();
    if question.by_day {
        columns.push(format!("{day} AS on_day"));
        grouped.push("day");
    }
    for (facet, name) in question.by.iter().zip(&names) {
        let column = (from.column)(*facet);
        columns.push(format!("{column} AS {name}"));
        grouped.push(column);
    }
    columns.extend(COUNTS.map(|count| question.counting.column(dialect, count)));

    let mut conditions = Vec::new();
    if let Some(kind) = from.kind {
        conditions.push(format!("kind = '{kind}'"));
    }
    let first = out.place(Arg::Day(question.days.first));
    let last = out.place(Arg::Day(question.days.last));
    conditions.push(format!("day >= {first} AND day <= {last}"));
    for of in &question.of {
        let column = (from.column)(of.facet);
        conditions.push(match &of.which {
            Which::Named => format!("{column} <> ''"),
            Which::OneOf(names) => out.one_of(column, names.clone()),
        });
    }
    let table = out.table(from.table);
    let group = if grouped.is_empty() {
        String::new()
    } else {
        format!(" GROUP BY {}", grouped.join(", "))
    };
    let sums = format!(
        "SELECT {} FROM {table} WHERE {}{group}",
        columns.join(", "),
        conditions.join(" AND ")
    );
    let ordered = |first: &str| {
        let all: Vec<&str> = [first]
            .into_iter()
            .filter(|first| !first.is_empty())
            .chain(keys.iter().copied())
            .collect();
        if all.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", all.join(", "))
        }
    };
    match question.order {
        Order::Name(limit) => {
            let limit = out.place(Arg::Whole(limit.into()));
            out.push(&format!("{sums}{} LIMIT {limit}", ordered("")));
        }
        Order::Spend(limit) => {
            let limit = out.place(Arg::Whole(limit.into()));
            out.push(&format!("{sums}{} LIMIT {limit}", ordered("spend DESC")));
        }
        Order::SpendOfEachDay(limit) => {
            let limit = out.place(Arg::Whole(limit.into()));
            let all: Vec<&str> = keys.iter().copied().chain(COUNTS).collect();
            let part = if question.by_day {
                "PARTITION BY on_day"
            } else {
                ""
            };
            out.push(&format!(
                "WITH sums AS ({sums}), \
                 ranked AS (SELECT *, row_number() OVER ({part}{}) AS place FROM sums) \
                 SELECT {} FROM ranked WHERE place <= {limit} ORDER BY {}place",
                ordered("spend DESC"),
                all.join(", "),
                if question.by_day { "on_day, " } else { "" },
            ));
        }
    }
    Some(out)
}

/// Sums that both databases can give back: what a broken provider counted is cut off.
fn sum(dialect: Dialect, count: &str) -> String {
    match (dialect, count) {
        (Dialect::Sqlite, _) => format!("coalesce(sum({count}), 0) AS {count}"),
        (Dialect::Postgres, "spend") => {
            "least(coalesce(sum(spend), 0), 1000000000000000) AS spend".to_owned()
        }
        (Dialect::Postgres, _) => {
            format!("least(coalesce(sum({count}), 0), 9000000000000000000)::bigint AS {count}")
        }
    }
}

/// In place of a sum that nobody asked for.
fn nothing(dialect: Dialect, count: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("0 AS {count}"),
        Dialect::Postgres => format!("0::bigint AS {count}"),
    }
}

// === impl Counting ===

impl Counting {
    fn column(self, dialect: Dialect, count: &str) -> String {
        if self.has(count) {
            sum(dialect, count)
        } else {
            nothing(dialect, count)
        }
    }

    fn has(self, count: &str) -> bool {
        match self {
            Self::Spend => matches!(count, "requests" | "spend"),
            Self::Tokens => {
                matches!(count, "prompt_tokens" | "completion_tokens") || Self::Spend.has(count)
            }
            Self::All => true,
        }
    }
}

// === impl RollUp ===

impl RollUp {
    /// The smallest that has every name which the question uses.
    fn for_question(question: &Sums) -> Option<Self> {
        use Facet::{CallType, EndUser, Key, Model, ModelGroup, Organisation, Provider, Tag, Team};
        let mut used: Vec<Facet> = question.by.clone();
        for of in &question.of {
            if !used.contains(&of.facet) {
                used.push(of.facet);
            }
        }
        let within = |has: &[Facet]| used.iter().all(|facet| has.contains(facet));
        let label = match (used.contains(&Tag), used.contains(&EndUser)) {
            (false, false) => None,
            (true, false) => Some(Tag),
            (false, true) => Some(EndUser),
            (true, true) => return None,
        };
        let subjects = |kind| Self {
            table: "daily_subject_spend",
            kind: Some(kind),
            column: |_| "subject",
        };
        let alone = match used.as_slice() {
            [] => Some(SubjectKind::Global),
            [one] => one.subject(),
            _ => None,
        };
        if let Some(kind) = alone {
            return Some(subjects(kind));
        }
        if let Some(label) = label {
            return within(&[label, Key, ModelGroup, Model, Provider, CallType]).then(|| Self {
                table: "daily_label_spend",
                kind: label.subject(),
                column: Facet::column,
            });
        }
        let teams = [Team, Organisation, ModelGroup, Model, Provider, CallType];
        Some(Self {
            table: if within(&teams) {
                "daily_team_spend"
            } else {
                "daily_spend"
            },
            kind: None,
            column: Facet::column,
        })
    }
}

// === impl Facet ===

impl Facet {
    /// The sort of subject that has a sum of its own for each day.
    pub(in crate::storage) fn subject(self) -> Option<SubjectKind> {
        match self {
            Self::Key => Some(SubjectKind::Key),
            Self::User => Some(SubjectKind::User),
            Self::Team => Some(SubjectKind::Team),
            Self::Organisation => Some(SubjectKind::Organisation),
            Self::ModelGroup => Some(SubjectKind::Model),
            Self::Provider => Some(SubjectKind::Provider),
            Self::Tag => Some(SubjectKind::Tag),
            Self::EndUser => Some(SubjectKind::EndUser),
            Self::Model | Self::CallType => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Key => "key_id",
            Self::User => "user_id",
            Self::Team => "team_id",
            Self::Organisation => "organization_id",
            Self::ModelGroup => "model_group",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::CallType => "call_type",
            Self::Tag | Self::EndUser => "label",
        }
    }
}
