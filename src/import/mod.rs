//! Copies what a LiteLLM database holds: keys, tenants, what they have spent in the windows that run, and the deployments
//! that were made through its API.
//!
//! The rows are those that the endpoints would have made. Nothing is silent: what cannot be had here, or is kept and not
//! acted on, is a remark of the report. LiteLLM's tables are only read, in one moment of them; what is written here is decided
//! by the store ([`crate::storage::ImportStore`]), so that an import can be repeated.
//!
//! | file | holds |
//! | --- | --- |
//! | `row` | a row of LiteLLM's, column by column |
//! | `terms` | budgets, limits, and what was spent |
//! | `tenants`, `keys` | rows as they are stored here |
//! | `entries` | deployments and credentials as they are stored here |
//! | `models` | the same as a piece of a config file |
//! | `report` | what was taken and what was not |

mod entries;
mod keys;
mod models;
mod report;
mod row;
mod tenants;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetKey;

use self::entries::EntryMapper;
pub use self::entries::EntryTarget;
pub use self::models::ModelFiles;
use self::models::Models;
pub use self::report::{KindReport, Report, Tally};
use self::row::SourceRow;
use crate::auth::BudgetRules;
use crate::auth::terms::TermsError;
use crate::config::Secret;
use crate::storage::{
    Arrival, Arrivals, EntryKind, ImportedRow, LitellmEvent, LitellmReader, LitellmTable, Outcome,
    StorageError, Store, Taken, TenantKind, Terms,
};

/// Rows that are written in one transaction: few enough that a distant server takes them in time.
const BATCH: usize = 250;

/// What is wanted.
#[derive(Debug)]
pub struct Import<'a> {
    /// Where to; `None` is a database that is not there yet, in a dry run.
    pub target: Option<&'a Store>,
    /// The windows of budgets.
    pub rules: &'a BudgetRules,
    /// Opens encrypted parameters.
    pub salt: Option<&'a Secret>,
    /// Deployments and credentials are stored; else they become a piece of a config file.
    pub entries: Option<EntryTarget<'a>>,
    /// What was changed here is overwritten.
    pub overwrite: bool,
    /// Nothing is written.
    pub dry_run: bool,
    /// The moment that windows are looked at.
    pub now: UnixMs,
}

/// What rows are read with.
#[derive(Debug)]
struct Context<'a> {
    rules: &'a BudgetRules,
    /// The terms of the shared budget that the config gives to each customer without one.
    customers_budget: Option<Terms>,
    now: UnixMs,
}

/// What earlier rows say about later ones.
struct SoFar<'a, 'b> {
    entries: Option<&'a mut EntryMapper<'b>>,
    customers_budget: &'a mut Option<Terms>,
}

/// Something about rows that were taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Remark {
    /// A column or member that is stored and changes nothing.
    Idle(&'static str),
    /// A column or member that has no place here.
    Lost(&'static str),
    /// A deployment that is stored and cannot be served as it is: why.
    Unserved(String),
    /// Something else.
    Note(&'static str),
}

/// Why a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refused {
    /// It cannot be had here.
    Because(String),
    /// It is LiteLLM's own and means nothing elsewhere.
    LeftOut(&'static str),
}

/// A row as it would be stored.
#[derive(Debug)]
struct Mapped {
    row: ImportedRow,
    openings: Vec<(BudgetKey, Usd)>,
    remarks: BTreeSet<Remark>,
}

/// Runs an import to its end.
///
/// # Errors
/// Either database's. What was written before stays, and is known to the next run.
pub async fn run(
    import: &Import<'_>,
    reader: &mut LitellmReader,
) -> Result<(Report, ModelFiles), StorageError> {
    let mut report = Report::new(import.entries.is_none());
    let mut models = Models::new(import.salt);
    let mut entries = import
        .entries
        .map(|target| EntryMapper::new(target, import.salt));
    let mut current = None;
    let mut customers_budget = import.customers_budget().await?;
    while let Some(event) = reader.next().await {
        match event? {
            LitellmEvent::Table {
                table,
                absent,
                missing,
            } => {
                current = Some(table);
                report.begin(table, absent, missing);
            }
            LitellmEvent::Rows(rows) => {
                let Some(table) = current else { continue };
                match (table, &mut entries) {
                    (LitellmTable::Credentials, None) => {
                        models.credentials(&rows, report.of(table));
                    }
                    (LitellmTable::Models, None) => models.models(&rows, report.of(table)),
                    (_, entries) => {
                        let so_far = SoFar {
                            entries: entries.as_mut(),
                            customers_budget: &mut customers_budget,
                        };
                        import.take(table, &rows, report.of(table), so_far).await?;
                    }
                }
            }
        }
    }
    Ok((report, models.files()))
}

// === impl Import ===

impl Import<'_> {
    /// What the target has of it already.
    async fn customers_budget(&self) -> Result<Option<Terms>, StorageError> {
        let (Some(store), Some(id)) = (self.target, self.rules.customers_budget_id()) else {
            return Ok(None);
        };
        let known = store.tenants.by_id(TenantKind::Budget, id.to_owned());
        Ok(known.await?.map(|budget| budget.terms))
    }

    /// Budgets come before whoever has them: `customers_budget` is known when customers are read.
    async fn take(
        &self,
        table: LitellmTable,
        rows: &[String],
        kind: &mut KindReport,
        so_far: SoFar<'_, '_>,
    ) -> Result<(), StorageError> {
        let SoFar {
            mut entries,
            customers_budget,
        } = so_far;
        let context = Context {
            rules: self.rules,
            customers_budget: customers_budget.clone(),
            now: self.now,
        };
        for batch in rows.chunks(BATCH) {
            let mut arrivals = Vec::with_capacity(batch.len());
            let mut told = Vec::with_capacity(batch.len());
            for text in batch {
                kind.found += 1;
                let row = match SourceRow::parse(text) {
                    Ok(row) => row,
                    Err(refused) => {
                        kind.refused(&refused, "?");
                        continue;
                    }
                };
                let mapped = match (table, &mut entries) {
                    (LitellmTable::Keys, _) => keys::map(&row, &context),
                    (LitellmTable::Credentials, Some(entries)) => {
                        entries.map(EntryKind::Credential, &row, self.now)
                    }
                    (LitellmTable::Models, Some(entries)) => {
                        entries.map(EntryKind::Model, &row, self.now)
                    }
                    _ => tenants::map(table, &row, &context),
                };
                match mapped {
                    Ok(mapped) => {
                        // What was changed here stays, unless it is to be overwritten.
                        if let ImportedRow::Tenant(row) = &mapped.row
                            && row.kind == TenantKind::Budget
                            && self.rules.customers_budget_id() == Some(&row.id)
                            && (self.overwrite || customers_budget.is_none())
                        {
                            *customers_budget = Some(row.terms.clone());
                        }
                        told.push((label(&mapped.row), mapped.remarks));
                        arrivals.push(Arrival {
                            row: mapped.row,
                            openings: mapped.openings,
                        });
                    }
                    Err(refused) => kind.refused(&refused, &refused_label(table, &row)),
                }
            }
            let outcomes = self.store(arrivals).await?;
            for (outcome, (label, remarks)) in outcomes.iter().zip(told) {
                kind.outcome(outcome, &remarks, &label);
            }
        }
        Ok(())
    }

    async fn store(&self, rows: Vec<Arrival>) -> Result<Vec<Outcome>, StorageError> {
        let Some(store) = self.target else {
            let new = |arrival: &Arrival| Outcome {
                taken: Taken::New,
                alias_lost: false,
                opened: arrival.openings.iter().map(|(_, spent)| *spent).sum(),
            };
            return Ok(rows.iter().map(new).collect());
        };
        let arrivals = Arrivals {
            rows,
            overwrite: self.overwrite,
            dry_run: self.dry_run,
        };
        store.imports.take(arrivals).await
    }
}

/// How a row is called in reports: a key by its name, which gives nothing away.
fn label(row: &ImportedRow) -> String {
    match row {
        ImportedRow::Key(key) => match &key.alias {
            Some(alias) => format!("{} ({alias})", key.key_name),
            None => key.key_name.clone(),
        },
        ImportedRow::Tenant(row) => row.id.clone(),
        ImportedRow::Entry(row) => match (row.kind, &row.name) {
            (EntryKind::Model, Some(name)) => name.clone(),
            _ => row.id.clone(),
        },
    }
}

/// The same for a row that could not be read as a whole.
fn refused_label(table: LitellmTable, row: &SourceRow<'_>) -> String {
    let text = |name| row.text(name).ok().flatten();
    let label = match table {
        LitellmTable::Keys => text("key_name").filter(|name| keys::is_shortened(name)),
        LitellmTable::OrganisationMembers => text("organization_id")
            .zip(text("user_id"))
            .map(|(organisation, user)| format!("{organisation}:{user}")),
        LitellmTable::Members => text("team_id")
            .zip(text("user_id"))
            .map(|(team, user)| format!("{team}:{user}")),
        LitellmTable::Budgets => text("budget_id"),
        LitellmTable::Organisations => text("organization_id"),
        LitellmTable::Teams => text("team_id"),
        LitellmTable::Tags => text("tag_name"),
        LitellmTable::Credentials => text("credential_name"),
        LitellmTable::Models => text("model_name"),
        _ => text("user_id"),
    };
    label.unwrap_or_else(|| "?".to_owned())
}

// === impl Refused ===

impl Refused {
    fn because(err: &TermsError) -> Self {
        Self::Because(err.to_string())
    }

    fn column(name: &str) -> Self {
        Self::Because(format!("{name} holds something that cannot be read"))
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(name) => write!(f, "{name} is kept and changes nothing in this version"),
            Self::Lost(name) => write!(f, "{name} has no counterpart and was left behind"),
            Self::Unserved(why) => write!(f, "is stored, and cannot be served as it is: {why}"),
            Self::Note(text) => f.write_str(text),
        }
    }
}
