//! How values of the gateway lie in Postgres's columns: money as `numeric`, times as `bigint` unix milliseconds, days as
//! `date`, lists and maps as JSON; and what of a row no column takes.

use std::borrow::Cow;

use jiff::civil::Date;
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, Subject, TeamId, UserId,
};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, BudgetName, SpendRecord};

use crate::storage::books::{Day, integer};
use crate::storage::{StorageError, Terms};

/// A larger cost or limit, in USD, is nonsense. What a decimal can hold ends far behind any sum of these.
pub(super) const MOST_USD: u64 = 1_000_000_000_000;
/// Texts are in indexes, whose entries end at 2704 bytes; the longest key holds seven that others choose.
const MOST_NAME: usize = 360;

/// Whether the column takes the amount and sums of it can be read.
pub(super) fn fits(amount: &Usd) -> bool {
    amount.as_decimal().abs() <= Decimal::from(MOST_USD)
}

/// A limit in USD, which a user chose.
pub(super) fn limit(
    what: &'static str,
    amount: Option<Usd>,
) -> Result<Option<Decimal>, StorageError> {
    match amount {
        Some(amount) if !fits(&amount) => Err(StorageError::OutOfRange {
            what,
            most: "1000000000000 USD",
        }),
        amount => Ok(amount.map(|amount| Usd::rounded(amount.as_decimal()).as_decimal())),
    }
}

/// The date of a day counted from 1970-01-01. Days that no calendar has are its last one.
pub(super) fn date(day: i64) -> Date {
    Day(day).date()
}

/// Reads a number that is never negative.
pub(super) fn unsigned(row: &Row, column: &str) -> Result<Option<u64>, tokio_postgres::Error> {
    let stored: Option<i64> = row.try_get(column)?;
    Ok(stored.map(|value| u64::try_from(value).unwrap_or_default()))
}

/// Reads a time that must be there.
pub(super) fn time(row: &Row, column: &str) -> Result<UnixMs, tokio_postgres::Error> {
    Ok(UnixMs(unsigned(row, column)?.unwrap_or_default()))
}

/// Reads an amount.
pub(super) fn money(row: &Row, column: &str) -> Result<Option<Usd>, tokio_postgres::Error> {
    let stored: Option<Decimal> = row.try_get(column)?;
    Ok(stored.map(Usd::rounded))
}

/// Reads what somebody may spend, and how fast.
pub(super) fn terms(row: &Row) -> Result<Terms, tokio_postgres::Error> {
    let Json(rest): Json<Terms> = row.try_get("terms")?;
    Ok(Terms {
        max_budget: money(row, "max_budget")?,
        rpm_limit: unsigned(row, "rpm_limit")?,
        tpm_limit: unsigned(row, "tpm_limit")?,
        max_parallel_requests: unsigned(row, "max_parallel")?,
        ..rest
    })
}

/// A number for a column or parameter.
pub(super) fn whole(value: Option<u64>) -> Option<i64> {
    value.map(integer)
}

/// A text as the columns take it. Postgres has no NUL in texts and no long ones in indexes, and a row that cannot be
/// inserted would hold up every row behind it.
pub(super) fn name(text: &str) -> Cow<'_, str> {
    let text = text
        .get(..text.floor_char_boundary(MOST_NAME))
        .unwrap_or_default();
    if text.contains('\0') {
        // One byte for one byte, or it could become too long again.
        Cow::Owned(text.replace('\0', "?"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The row with texts that its columns take. Done before anything is grouped by them.
pub(super) fn storable(mut row: SpendRecord) -> SpendRecord {
    let optional = [
        &mut row.provider_request_id,
        &mut row.key_alias,
        &mut row.end_user,
        &mut row.api_base,
        &mut row.price_version,
        &mut row.error_code,
        &mut row.client_ip,
        &mut row.service_tier,
    ];
    let required = [&mut row.call_type, &mut row.model, &mut row.provider];
    for text in optional
        .into_iter()
        .flatten()
        .chain(required)
        .chain(&mut row.tags)
    {
        *text = name(text).into_owned();
    }
    row.key = row.key.map(|key| KeyId::new(name(key.as_str())));
    row.user = row.user.map(|user| UserId::new(name(user.as_str())));
    row.team = row.team.map(|team| TeamId::new(name(team.as_str())));
    row.organisation = row
        .organisation
        .map(|id| OrganisationId::new(name(id.as_str())));
    row.deployment = row
        .deployment
        .map(|id| DeploymentId::new(name(id.as_str())));
    row.model_group = ModelGroup::new(name(row.model_group.as_str()));
    for budget in &mut row.budgets {
        *budget = window(budget);
    }
    row
}

/// The window under the names that the books have for it.
pub(super) fn window(key: &BudgetKey) -> BudgetKey {
    BudgetKey {
        subject: subject(&key.subject),
        budget: BudgetName::new(name(key.budget.as_str())),
        ..*key
    }
}

/// The subject under the name that the books have for it.
pub(super) fn subject(subject: &Subject) -> Subject {
    Subject::new(subject.kind, name(&subject.id))
}

/// Windows as the arrays of a statement.
pub(super) struct Windows<'a> {
    kinds: Vec<&'static str>,
    ids: Vec<&'a str>,
    budgets: Vec<&'a str>,
    generations: Vec<i64>,
    starts: Vec<i64>,
}

// === impl Windows ===

impl<'a> Windows<'a> {
    pub(super) fn of(keys: impl Iterator<Item = &'a BudgetKey> + Clone) -> Self {
        Self {
            kinds: keys.clone().map(|key| key.subject.kind.as_str()).collect(),
            ids: keys.clone().map(|key| &*key.subject.id).collect(),
            budgets: keys.clone().map(|key| key.budget.as_str()).collect(),
            generations: keys.clone().map(|key| integer(key.generation)).collect(),
            starts: keys.map(|key| integer(key.window_start.0)).collect(),
        }
    }

    /// Kinds and ids of subjects, budgets, generations, and when the windows begin: as the tables have them.
    pub(super) fn args(&self) -> [&(dyn ToSql + Sync); 5] {
        [
            &self.kinds,
            &self.ids,
            &self.budgets,
            &self.generations,
            &self.starts,
        ]
    }
}
