//! What a batch of rows does to the books, whichever database keeps them: its daily sums and what its budgets are charged.
//! No SQL here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use trunkline_actors::ids::{
    DeploymentId, KeyId, OrganisationId, RequestId, SubjectKind, TeamId, UserId,
};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, SpendRecord, SpendStatus, StoreError};

use super::StorageError;

/// Milliseconds of a quarter of an hour, which limits of a day are counted by.
pub(super) const QUARTER_MS: u64 = 900_000;
/// Milliseconds of one day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// No request uses this many tokens. Larger counts, a broken provider's, are cut to it: they would overflow the sums, and
/// a row that cannot be inserted would hold up every row behind it.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// A sum over some of the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// The known costs.
    pub(super) spend: Usd,
    /// Requests whose cost is unknown.
    pub(super) unpriced: i64,
}

/// What the rows that were new add to the books.
#[derive(Debug, Default)]
pub(super) struct Additions<'a> {
    /// Of rows alike, added up: most rows of a batch are like others, and each counts in some ten lines.
    alike: BTreeMap<Alike<'a>, Counts>,
    /// Balances.
    pub(super) charges: BTreeMap<&'a BudgetKey, Sum>,
}

/// Everything that says which lines a row counts in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alike<'a> {
    detail: DetailDay<'a>,
    deployment: &'a str,
    end_user: Option<&'a str>,
    tags: &'a [String],
}

/// The lines of the roll-ups that rows count in, each roll-up in the order of its primary key.
#[derive(Debug, Default)]
pub(super) struct Lines<'a> {
    /// By subject.
    pub(super) subjects: BTreeMap<SubjectDay<'a>, Counts>,
    /// By every combination of who and what.
    pub(super) details: BTreeMap<DetailDay<'a>, Counts>,
    /// By every combination of team and what.
    pub(super) teams: BTreeMap<TeamDay<'a>, Counts>,
    /// By the labels that clients put on requests.
    pub(super) labels: BTreeMap<LabelDay<'a>, Counts>,
}

/// Key of a line of `daily_subject_spend`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct SubjectDay<'a> {
    pub(super) kind: &'static str,
    pub(super) subject: Cow<'a, str>,
    pub(super) day: Day,
}

/// Key of a line of `daily_spend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct DetailDay<'a> {
    pub(super) day: Day,
    #[serde(rename = "key_id")]
    pub(super) key: &'a str,
    #[serde(rename = "user_id")]
    pub(super) user: &'a str,
    #[serde(rename = "team_id")]
    pub(super) team: &'a str,
    #[serde(rename = "organization_id")]
    pub(super) organisation: &'a str,
    pub(super) model_group: &'a str,
    pub(super) model: &'a str,
    pub(super) provider: &'a str,
    pub(super) call_type: &'a str,
}

/// Key of a line of `daily_team_spend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct TeamDay<'a> {
    pub(super) day: Day,
    #[serde(rename = "team_id")]
    pub(super) team: &'a str,
    #[serde(rename = "organization_id")]
    pub(super) organisation: &'a str,
    pub(super) model_group: &'a str,
    pub(super) model: &'a str,
    pub(super) provider: &'a str,
    pub(super) call_type: &'a str,
}

/// Key of a line of `daily_label_spend`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct LabelDay<'a> {
    pub(super) kind: &'static str,
    pub(super) label: &'a str,
    pub(super) day: Day,
    #[serde(rename = "key_id")]
    pub(super) key: &'a str,
    pub(super) model_group: &'a str,
    pub(super) model: &'a str,
    pub(super) provider: &'a str,
    pub(super) call_type: &'a str,
}

/// Days since 1970-01-01 UTC; the date, where it is serialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) i64);

/// The columns of a roll-up that are no key, in the order of [`COUNTS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: i64,
    pub(super) successful: i64,
    pub(super) failed: i64,
    pub(super) cache_hits: i64,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) cache_read_tokens: i64,
    pub(super) cache_write_tokens: i64,
    pub(super) duration_ms: i64,
    pub(super) sum: Sum,
}

/// The columns of [`Counts`].
pub(super) const COUNTS: [&str; 11] = [
    "requests",
    "successful",
    "failed",
    "unpriced",
    "cache_hits",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "duration_ms",
    "spend",
];

/// The key columns of `daily_subject_spend`.
pub(super) const SUBJECT_KEY: &[&str] = &["kind", "subject", "day"];
/// The key columns of `daily_spend`.
pub(super) const DETAIL_KEY: &[&str] = &[
    "day",
    "key_id",
    "user_id",
    "team_id",
    "organization_id",
    "model_group",
    "model",
    "provider",
    "call_type",
];
/// The key columns of `daily_team_spend`.
pub(super) const TEAM_KEY: &[&str] = &[
    "day",
    "team_id",
    "organization_id",
    "model_group",
    "model",
    "provider",
    "call_type",
];
/// The key columns of `daily_label_spend`.
pub(super) const LABEL_KEY: &[&str] = &[
    "kind",
    "label",
    "day",
    "key_id",
    "model_group",
    "model",
    "provider",
    "call_type",
];

/// The condition that picks the rows of a subject whose id is the parameter `id`: `?1` or `$1::text`. `None` where it
/// depends on the database: tags are a list.
pub(super) fn rows_of(kind: SubjectKind, id: &str) -> Option<String> {
    let column = match kind {
        // Every row; the parameter is there all the same.
        SubjectKind::Global => id,
        SubjectKind::Organisation => "organization_id",
        SubjectKind::Team => "team_id",
        SubjectKind::User => "user_id",
        SubjectKind::TeamMember => "team_id || ':' || user_id",
        SubjectKind::EndUser => "end_user",
        SubjectKind::Key => "key_id",
        SubjectKind::Tag => return None,
        SubjectKind::Model => "model_group",
        SubjectKind::Provider => "provider",
        SubjectKind::Deployment => "deployment",
    };
    Some(format!("{column} = {id}"))
}

/// Whether `daily_spend` has a column that names the subjects of that kind.
pub(super) fn in_details(kind: SubjectKind) -> bool {
    !matches!(
        kind,
        SubjectKind::EndUser | SubjectKind::Tag | SubjectKind::Deployment
    )
}

// === impl Additions ===

impl<'a> Additions<'a> {
    /// Adds a row that was not there yet, with the cost that its column holds.
    pub(super) fn add(&mut self, row: &'a SpendRecord, cost: Option<Usd>) {
        let alike = Alike {
            detail: DetailDay::of(row, Day(day(row.id.unix_ms()))),
            deployment: row.deployment.as_ref().map_or("", DeploymentId::as_str),
            end_user: row.end_user.as_deref(),
            tags: &row.tags,
        };
        let counts = Counts::of(row, cost);
        self.alike.entry(alike).or_default().add(&counts);
        for budget in &row.budgets {
            self.charges.entry(budget).or_default().add(cost);
        }
    }

    /// What it comes to, line by line.
    pub(super) fn lines(&self) -> Lines<'a> {
        let mut lines = Lines::default();
        for (alike, counts) in &self.alike {
            lines.add(alike, counts);
        }
        lines
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    fn add(&mut self, rows: &Alike<'a>, counts: &Counts) {
        let detail = rows.detail;
        let day = detail.day;
        self.details.entry(detail).or_default().add(counts);
        let team = TeamDay::from(detail);
        self.teams.entry(team).or_default().add(counts);

        let tags: BTreeSet<&str> = rows.tags.iter().map(String::as_str).collect();
        let tags = tags.into_iter().map(|tag| (SubjectKind::Tag, tag));
        let end_user = rows.end_user.map(|label| (SubjectKind::EndUser, label));
        let labels: Vec<(SubjectKind, &str)> = end_user.into_iter().chain(tags).collect();
        for (kind, label) in &labels {
            let line = LabelDay {
                kind: kind.as_str(),
                label,
                day,
                key: detail.key,
                model_group: detail.model_group,
                model: detail.model,
                provider: detail.provider,
                call_type: detail.call_type,
            };
            self.labels.entry(line).or_default().add(counts);
        }

        let member = match (detail.team, detail.user) {
            ("", _) | (_, "") => Cow::Borrowed(""),
            (team, user) => Cow::Owned(format!("{team}:{user}")),
        };
        let named = [
            (SubjectKind::Organisation, detail.organisation),
            (SubjectKind::Team, detail.team),
            (SubjectKind::User, detail.user),
            (SubjectKind::Key, detail.key),
            (SubjectKind::Model, detail.model_group),
            (SubjectKind::Provider, detail.provider),
            (SubjectKind::Deployment, rows.deployment),
        ];
        let named = named
            .into_iter()
            .chain(labels)
            .map(|(kind, id)| (kind, Cow::Borrowed(id)))
            .chain([(SubjectKind::TeamMember, member)])
            .filter(|(_, id)| !id.is_empty())
            .chain([(SubjectKind::Global, Cow::Borrowed(""))]);
        for (kind, subject) in named {
            let line = SubjectDay {
                kind: kind.as_str(),
                subject,
                day,
            };
            self.subjects.entry(line).or_default().add(counts);
        }
    }
}

// === impl DetailDay ===

impl<'a> DetailDay<'a> {
    fn of(row: &'a SpendRecord, day: Day) -> Self {
        Self {
            day,
            key: row.key.as_ref().map_or("", KeyId::as_str),
            user: row.user.as_ref().map_or("", UserId::as_str),
            team: row.team.as_ref().map_or("", TeamId::as_str),
            organisation: row.organisation.as_ref().map_or("", OrganisationId::as_str),
            model_group: row.model_group.as_str(),
            model: &row.model,
            provider: &row.provider,
            call_type: &row.call_type,
        }
    }
}

// === impl TeamDay ===

impl<'a> From<DetailDay<'a>> for TeamDay<'a> {
    fn from(detail: DetailDay<'a>) -> Self {
        Self {
            day: detail.day,
            team: detail.team,
            organisation: detail.organisation,
            model_group: detail.model_group,
            model: detail.model,
            provider: detail.provider,
            call_type: detail.call_type,
        }
    }
}

// === impl Day ===

impl Day {
    /// The date; of days that no calendar has, its last one.
    pub(super) fn date(self) -> Date {
        let epoch = Date::constant(1970, 1, 1);
        i32::try_from(self.0)
            .ok()
            .and_then(|day| epoch.checked_add(day.days()).ok())
            .unwrap_or(Date::MAX)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.date().serialize(serializer)
    }
}

// === impl Counts ===

impl Counts {
    fn of(row: &SpendRecord, cost: Option<Usd>) -> Self {
        let mut sum = Sum::default();
        sum.add(cost);
        if row.status == SpendStatus::Adjustment {
            return Self {
                sum,
                ..Self::default()
            };
        }
        let usage = &row.usage;
        let cache_write = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
        let successful = i64::from(row.status == SpendStatus::Success);
        let duration = row.ended_at.0.saturating_sub(row.started_at.0);
        Self {
            requests: 1,
            successful,
            failed: 1 - successful,
            cache_hits: row.cache_hit.into(),
            prompt_tokens: tokens(usage.prompt_tokens),
            completion_tokens: tokens(usage.completion_tokens),
            cache_read_tokens: tokens(usage.cache_read),
            cache_write_tokens: tokens(cache_write),
            duration_ms: integer(duration.min(DAY_MS)),
            sum,
        }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.successful += other.successful;
        self.failed += other.failed;
        self.cache_hits += other.cache_hits;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.duration_ms += other.duration_ms;
        self.sum.spend += other.sum.spend;
        self.sum.unpriced += other.sum.unpriced;
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, cost: Option<Usd>) {
        match cost {
            Some(cost) => self.spend += cost,
            None => self.unpriced += 1,
        }
    }
}

/// A time, limit or other number that never comes near the end of the range.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A token count.
pub(super) fn tokens(count: u64) -> i64 {
    integer(count.min(MOST_TOKENS))
}

/// The day on which a time lies, in days since 1970-01-01 UTC.
pub(super) fn day(unix_ms: u64) -> i64 {
    integer(unix_ms / DAY_MS)
}

/// The smallest id of that time: ids sort by time, so an index on ids is also one on time.
pub(super) fn first_id_at(unix_ms: u64) -> String {
    RequestId::generate(unix_ms, 0).to_string()
}

/// The word in the column.
pub(super) fn status(status: SpendStatus) -> &'static str {
    match status {
        SpendStatus::Success => "success",
        SpendStatus::Failure => "failure",
        SpendStatus::Unknown => "unknown",
        SpendStatus::Adjustment => "adjustment",
    }
}

/// The cost that goes on the books: `None` for an unknown one, and for one that no column holds, which is said.
pub(super) fn cost_that_fits(row: &SpendRecord, fits: impl FnOnce(&Usd) -> bool) -> Option<Usd> {
    let cost = Usd::rounded(row.cost?.as_decimal());
    if fits(&cost) {
        return Some(cost);
    }
    log::error!(
        request_id:% = row.id, cost_usd:% = cost;
        "a cost is beyond what the books can hold and is recorded as unknown"
    );
    None
}

/// A failure as the spend ledger sees it, which logs the error and one cause: the driver's words, where there are any.
pub(super) fn failed(operation: &'static str, err: StorageError) -> StoreError {
    let source = match err {
        StorageError::Backend { source, .. } => source,
        err => err.into(),
    };
    StoreError::Failed { operation, source }
}
