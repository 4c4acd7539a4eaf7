//! The statements by which roll-ups and balances are compared with the rows, in the words that both databases share.
//!
//! What the rows say and, negated, what a table says are summed together by key: what is left is a difference. The sums
//! are made by other means than those that wrote the tables (`books`), or a mistake there would check itself.

use std::fmt::Display;

use trunkline_actors::ids::SubjectKind;

use super::audit::Difference;
use super::books::{COUNTS, DETAIL_KEY, LABEL_KEY, SUBJECT_KEY, TEAM_KEY};

/// Where the databases differ. Parameters are the database's own words.
pub(super) struct Words {
    /// What stands before a table's name.
    pub(super) schema: &'static str,
    /// Picks the rows of a day.
    pub(super) row_of_day: &'static str,
    /// Picks the lines of a day.
    pub(super) line_of_day: &'static str,
    /// Joins a row with its tags, each once.
    pub(super) tags: &'static str,
    /// Such a tag.
    pub(super) label: &'static str,
    /// The lesser of two numbers, negative ones cut to 0.
    pub(super) least: &'static str,
    /// The windows of a row: `kind`, `id`, `budget`, `generation`, `start`.
    pub(super) windows: &'static str,
    /// Where they come from.
    pub(super) row_windows: &'static str,
    /// Behind a text by which is grouped: tables may have it in different orders.
    pub(super) collate: &'static str,
    /// The type in which differences are read.
    pub(super) text: &'static str,
}

/// A roll-up: its name, and the columns by which its lines of one day are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct RollUp {
    pub(super) table: &'static str,
    pub(super) key: &'static [&'static str],
}

/// Every roll-up.
pub(super) const ROLL_UPS: [RollUp; 4] = [
    RollUp {
        table: "daily_spend",
        key: DETAIL_KEY,
    },
    RollUp {
        table: "daily_team_spend",
        key: TEAM_KEY,
    },
    RollUp {
        table: "daily_subject_spend",
        key: SUBJECT_KEY,
    },
    RollUp {
        table: "daily_label_spend",
        key: LABEL_KEY,
    },
];

/// The columns of a window that says something else than its rows.
pub(super) const WINDOW_KEY: [&str; 5] = ["kind", "id", "budget", "generation", "start"];

impl RollUp {
    /// The key without the day.
    pub(super) fn columns(self) -> impl Iterator<Item = &'static str> {
        self.key.iter().copied().filter(|column| *column != "day")
    }

    /// Asks for the lines of one day that differ: the key's columns, then those of [`COUNTS`], all as text.
    pub(super) fn differing(self, words: &Words, most: usize) -> String {
        let Words {
            schema,
            line_of_day,
            collate,
            text,
            ..
        } = words;
        let key: Vec<&str> = self.columns().collect();
        let places: Vec<String> = (1..=key.len()).map(|place| place.to_string()).collect();
        let places = places.join(", ");
        let collated: Vec<String> = key
            .iter()
            .map(|column| format!("{column}{collate} AS {column}"))
            .collect();
        let collated = collated.join(", ");
        let key = key.join(", ");
        let negated = COUNTS.map(|count| format!("-{count}")).join(", ");
        let expected = self.expected(words);
        let sums = COUNTS
            .map(|count| format!("CAST(sum({count}) AS {text}) AS {count}"))
            .join(", ");
        let differs = COUNTS
            .map(|count| format!("sum({count}) <> 0"))
            .join(" OR ");
        format!(
            "SELECT {collated}, {sums} FROM ({expected} UNION ALL \
             SELECT {key}, {negated} FROM {schema}{} WHERE {line_of_day}) AS both_sides \
             GROUP BY {places} HAVING {differs} ORDER BY {places} LIMIT {}",
            self.table,
            most.saturating_add(1),
        )
    }

    fn expected(self, words: &Words) -> String {
        let Words {
            schema,
            row_of_day,
            tags,
            label,
            ..
        } = words;
        let rows = format!("{schema}spend_logs AS spend_logs");
        let counts = counts(words);
        match self.table {
            "daily_spend" => format!(
                "SELECT coalesce(key_id, '') AS key_id, coalesce(user_id, '') AS user_id, \
                 coalesce(team_id, '') AS team_id, coalesce(organization_id, '') AS organization_id, model_group, \
                 model, provider, call_type, {counts} FROM {rows} WHERE {row_of_day} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
            ),
            "daily_team_spend" => format!(
                "SELECT coalesce(team_id, '') AS team_id, coalesce(organization_id, '') AS organization_id, model_group, \
                 model, provider, call_type, {counts} FROM {rows} WHERE {row_of_day} GROUP BY 1, 2, 3, 4, 5, 6"
            ),
            "daily_label_spend" => {
                let of = |kind: SubjectKind, label: &str, from: &str, filter: &str| {
                    format!(
                        "SELECT '{kind}' AS kind, {label} AS label, coalesce(key_id, '') AS key_id, model_group, model, \
                         provider, call_type, {counts} FROM {rows}{from} WHERE {row_of_day}{filter} \
                         GROUP BY 1, 2, 3, 4, 5, 6, 7"
                    )
                };
                let customers = of(
                    SubjectKind::EndUser,
                    "end_user",
                    "",
                    " AND end_user IS NOT NULL",
                );
                let tagged = of(SubjectKind::Tag, label, tags, "");
                format!("{customers} UNION ALL {tagged}")
            }
            _ => {
                let of = |kind: SubjectKind, subject: &str, from: &str| {
                    let filter = match kind {
                        SubjectKind::Global => String::new(),
                        _ => format!(" AND {subject} <> ''"),
                    };
                    format!(
                        "SELECT '{kind}' AS kind, {subject} AS subject, {counts} FROM {rows}{from} \
                         WHERE {row_of_day}{filter} GROUP BY 1, 2"
                    )
                };
                [
                    of(SubjectKind::Global, "''", ""),
                    of(SubjectKind::Organisation, "organization_id", ""),
                    of(SubjectKind::Team, "team_id", ""),
                    of(SubjectKind::User, "user_id", ""),
                    of(SubjectKind::TeamMember, "team_id || ':' || user_id", ""),
                    of(SubjectKind::EndUser, "end_user", ""),
                    of(SubjectKind::Key, "key_id", ""),
                    of(SubjectKind::Tag, label, tags),
                    of(SubjectKind::Model, "model_group", ""),
                    of(SubjectKind::Provider, "provider", ""),
                    of(SubjectKind::Deployment, "deployment", ""),
                ]
                .join(" UNION ALL ")
            }
        }
    }
}

/// What rows add to a line, in the order of [`COUNTS`]. An adjustment is no request.
fn counts(words: &Words) -> String {
    let requests = "FILTER (WHERE status <> 'adjustment')";
    let sum = |what: &str| format!("coalesce(sum({what}) {requests}, 0)");
    let least = words.least;
    let written =
        format!("{least}(cache_write_5m + cache_write_1h, CAST(1000000000000 AS bigint))");
    // A clock that went backwards took no time.
    let took = format!(
        "{least}(CASE WHEN ended_at > started_at THEN ended_at - started_at ELSE 0 END, CAST(86400000 AS bigint))"
    );
    [
        format!("count(*) {requests} AS requests"),
        "count(*) FILTER (WHERE status = 'success') AS successful".to_owned(),
        "count(*) FILTER (WHERE status NOT IN ('success', 'adjustment')) AS failed".to_owned(),
        "count(*) - count(cost) AS unpriced".to_owned(),
        "count(*) FILTER (WHERE cache_hit AND status <> 'adjustment') AS cache_hits".to_owned(),
        format!("{} AS prompt_tokens", sum("prompt_tokens")),
        format!("{} AS completion_tokens", sum("completion_tokens")),
        format!("{} AS cache_read_tokens", sum("cache_read")),
        format!("{} AS cache_write_tokens", sum(&written)),
        format!("{} AS duration_ms", sum(&took)),
        "coalesce(sum(cost), 0) AS spend".to_owned(),
    ]
    .join(", ")
}

/// Asks for the windows that differ: those of [`WINDOW_KEY`], then `spend` and `unpriced`, all as text but `start`.
pub(super) fn differing_windows(words: &Words) -> String {
    let Words {
        schema,
        windows,
        row_windows,
        collate,
        text,
        ..
    } = words;
    format!(
        "SELECT kind{collate} AS kind, id{collate} AS id, budget{collate} AS budget, CAST(generation AS {text}) AS generation, start, \
         CAST(sum(spend) AS {text}) AS spend, CAST(sum(unpriced) AS {text}) AS unpriced FROM (\
         SELECT {windows}, coalesce(cost, 0) AS spend, CASE WHEN cost IS NULL THEN 1 ELSE 0 END AS unpriced, 1 AS counted {row_windows} \
         UNION ALL \
         SELECT subject_kind, subject_id, budget_id, generation, window_start, seeded - charged, \
         coalesce(seeded_unpriced, 0) - unpriced, \
         CASE WHEN seeded_unpriced IS NULL THEN 0 ELSE 1 END FROM {schema}balances) AS both_sides \
         GROUP BY 1, 2, 3, 4, 5 \
         HAVING sum(spend) <> 0 OR (min(counted) = 1 AND sum(unpriced) <> 0) ORDER BY 1, 2, 3, 4, 5"
    )
}

/// The window that a difference speaks of.
pub(super) fn window_place(key: &[String]) -> String {
    let named: Vec<String> = WINDOW_KEY
        .iter()
        .zip(key)
        .filter(|(_, value)| !value.is_empty())
        .map(|(column, value)| format!("{column}={value}"))
        .collect();
    format!("balances {}", named.join(" "))
}

impl Difference {
    /// A line of a roll-up; `counts` are in the order of [`COUNTS`], and those that are 0 do not differ.
    pub(super) fn of_line(
        roll_up: RollUp,
        day: impl Display,
        key: &[String],
        counts: Vec<String>,
    ) -> Self {
        let named: Vec<String> = roll_up
            .columns()
            .zip(key)
            .filter(|(_, value)| !value.is_empty())
            .map(|(column, value)| format!("{column}={value}"))
            .collect();
        Self {
            place: format!("{} {day} {}", roll_up.table, named.join(" ")),
            columns: differing_columns(COUNTS.into_iter().zip(counts)),
        }
    }

    /// A window.
    pub(super) fn of_window(key: &[String], spend: String, unpriced: String) -> Self {
        Self {
            place: window_place(key),
            columns: differing_columns([("charged", spend), ("unpriced", unpriced)]),
        }
    }
}

fn differing_columns(
    columns: impl IntoIterator<Item = (&'static str, String)>,
) -> Vec<(&'static str, String)> {
    let is_zero = |value: &str| value.chars().all(|digit| matches!(digit, '0' | '.' | '-'));
    columns
        .into_iter()
        .filter(|(_, value)| !is_zero(value))
        .collect()
}
