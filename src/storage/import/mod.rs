//! What an import brings: keys, tenants, deployments and credentials, each with what was spent in its windows elsewhere. It may be brought again and
//! again; what was changed here since is left alone, unless the operator says otherwise.
//!
//! A digest of each row as it was brought tells one that was changed here from one that changed there. What was spent
//! elsewhere is kept beside the balances and counts as if it were older than their first charge; bringing another sum changes
//! it by the difference. No SQL here.

#[cfg(test)]
pub(super) mod conformance;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, BudgetKey};

use super::change_log::Change;
use super::{ChangedBy, EntryRow, KeyRow, StorageError, TenantRow, Terms};

/// The word for keys in the column `kind`, where tenants have theirs.
const KEY: &str = "virtual_key";

/// What an import stores.
#[derive(Debug, Clone, PartialEq)]
pub enum ImportedRow {
    /// A key.
    Key(Box<KeyRow>),
    /// Anybody else that has terms.
    Tenant(Box<TenantRow>),
    /// A deployment or a credential.
    Entry(Box<EntryRow>),
}

/// A row that comes, with what was spent elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// As it would be stored.
    pub row: ImportedRow,
    /// By window.
    pub openings: Vec<(BudgetKey, Usd)>,
}

/// Rows that are taken in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrivals {
    /// The rows; none twice.
    pub rows: Vec<Arrival>,
    /// What was changed here is overwritten.
    pub overwrite: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was not there.
    New,
    /// It was there, and is as it came now.
    Updated,
    /// It was there as it came.
    Same,
    /// One of that name was there that no import has brought.
    KeptOwn,
    /// It was changed here.
    KeptChanged,
    /// It was deleted here.
    KeptDeleted,
}

/// What became of one arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The row.
    pub taken: Taken,
    /// Another key has its alias: it was taken without.
    pub alias_lost: bool,
    /// By how much the sums of its windows changed, added up.
    pub opened: Usd,
}

/// Takes rows from elsewhere.
pub trait ImportStore: Send + Sync {
    /// Takes rows, in one transaction, and answers what became of each, in their order.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`], or the database's: then nothing was written.
    fn take(&self, arrivals: Arrivals) -> BoxFuture<'_, Result<Vec<Outcome>, StorageError>>;
}

/// Kind and id.
pub(super) type Place = (&'static str, String);

/// What a store has under the ids of a batch.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Rows.
    pub(super) rows: HashMap<Place, ImportedRow>,
    /// Digests of what was brought before.
    pub(super) digests: HashMap<Place, String>,
    /// Whose the aliases are that the batch wants.
    pub(super) aliases: HashMap<String, String>,
}

/// What a batch changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Rows to be stored.
    pub(super) rows: Vec<ImportedRow>,
    /// Lines of the change log.
    pub(super) lines: Vec<Change>,
    /// Digests that are not known yet.
    pub(super) digests: BTreeMap<Place, String>,
    /// Sums of windows that are not known yet, and by how much they change.
    pub(super) openings: BTreeMap<BudgetKey, (Usd, Usd)>,
}

/// What is to be done with an arrival.
#[derive(Debug)]
struct Step {
    place: Place,
    /// To be stored; `None` leaves the row alone.
    row: Option<ImportedRow>,
    /// The digest to be kept.
    digest: Option<String>,
    /// Sums of windows to be kept.
    openings: Vec<(BudgetKey, Usd)>,
    /// The answer, without what was opened.
    outcome: Outcome,
}

/// The line of the change log for a row that is stored over another. Unlike a person's change it may name somebody who is not
/// there: LiteLLM's rows do.
fn change(row: &ImportedRow, before: Option<&ImportedRow>) -> Option<Change> {
    match (row, before) {
        (ImportedRow::Key(row), Some(ImportedRow::Key(before))) => {
            Change::of_key(Some(before), Some(row))
        }
        (ImportedRow::Key(row), _) => Change::of_key(None, Some(row)),
        (ImportedRow::Tenant(row), Some(ImportedRow::Tenant(before))) => {
            Change::of_tenant(Some(before), Some(row))
        }
        (ImportedRow::Tenant(row), _) => Change::of_tenant(None, Some(row)),
        (ImportedRow::Entry(row), Some(ImportedRow::Entry(before))) => {
            Change::of_entry(Some(before), Some(row))
        }
        (ImportedRow::Entry(row), _) => Change::of_entry(None, Some(row)),
    }
}

/// Who the change log says it was.
pub(super) fn by() -> ChangedBy {
    ChangedBy::program("import-litellm")
}

/// What becomes of each, and what is to be written for that. `spent` has the sums of windows that are known.
pub(super) fn settle(
    arrivals: Arrivals,
    known: &Known,
    mut spent: BTreeMap<BudgetKey, Usd>,
) -> (Vec<Outcome>, Changes) {
    let mut changes = Changes::default();
    let outcomes = steps(arrivals, known).into_iter().map(|step| {
        let mut outcome = step.outcome;
        if let Some(row) = step.row {
            let before = known.rows.get(&step.place);
            changes.lines.extend(change(&row, before));
            changes.rows.push(row);
        }
        if let Some(digest) = step.digest
            && known.digests.get(&step.place) != Some(&digest)
        {
            changes.digests.insert(step.place, digest);
        }
        for (key, amount) in step.openings {
            let before = spent.insert(key.clone(), amount).unwrap_or_default();
            let difference = amount - before;
            if !difference.is_zero() {
                outcome.opened += difference;
                let change = changes.openings.entry(key).or_default();
                *change = (amount, change.1 + difference);
            }
        }
        outcome
    });
    (outcomes.collect(), changes)
}

/// What is to be done with each.
fn steps(arrivals: Arrivals, known: &Known) -> Vec<Step> {
    let overwrite = arrivals.overwrite;
    let mut given: HashSet<String> = HashSet::new();
    let steps = arrivals.rows.into_iter().map(|arrival| {
        let Arrival { mut row, openings } = arrival;
        let alias_lost = match &mut row {
            ImportedRow::Key(key) => loses_alias(key, known, &mut given),
            ImportedRow::Tenant(_) | ImportedRow::Entry(_) => false,
        };
        let place = (row.kind(), row.id().to_owned());
        let stored = known.rows.get(&place);
        let brought = known.digests.get(&place);
        let digest = row.digest();
        let taken = match (stored, brought) {
            (None, None) => Taken::New,
            (None, Some(_)) if overwrite => Taken::New,
            (None, Some(_)) => Taken::KeptDeleted,
            (Some(stored), brought) => {
                let now = stored.digest();
                match brought {
                    _ if now == digest => Taken::Same,
                    _ if overwrite => Taken::Updated,
                    Some(brought) if *brought == now => Taken::Updated,
                    Some(_) => Taken::KeptChanged,
                    None => Taken::KeptOwn,
                }
            }
        };
        // A reset by hand is no change of the row, and stays.
        let terms = stored.and_then(ImportedRow::terms);
        let reset_at = terms.map_or(0, |terms| terms.reset_at);
        if let Some(terms) = row.terms_mut() {
            terms.reset_at = reset_at;
        }
        let is_taken = matches!(taken, Taken::New | Taken::Updated | Taken::Same);
        Step {
            place,
            digest: is_taken.then_some(digest),
            // What was spent before a reset does not count any more.
            openings: if is_taken && reset_at == 0 {
                openings
            } else {
                Vec::new()
            },
            row: matches!(taken, Taken::New | Taken::Updated).then_some(row),
            outcome: Outcome {
                taken,
                alias_lost: alias_lost && is_taken,
                opened: Usd::ZERO,
            },
        }
    });
    steps.collect()
}

/// Takes the alias away from a key if another one has it, or would have it in this batch.
fn loses_alias(key: &mut KeyRow, known: &Known, given: &mut HashSet<String>) -> bool {
    let Some(alias) = &key.alias else {
        return false;
    };
    let others = known
        .aliases
        .get(alias)
        .is_some_and(|owner| owner != key.id.as_str());
    if others || !given.insert(alias.clone()) {
        key.alias = None;
        return true;
    }
    false
}

// === impl Arrivals ===

impl Arrivals {
    /// The windows that they open.
    pub(super) fn windows(&self) -> BTreeSet<&BudgetKey> {
        let openings = self.rows.iter().flat_map(|arrival| &arrival.openings);
        openings.map(|(key, _)| key).collect()
    }
}

// === impl ImportedRow ===

impl ImportedRow {
    /// What it is, in the column `kind`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => KEY,
            Self::Tenant(row) => row.kind.as_str(),
            Self::Entry(row) => row.kind.as_str(),
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Key(row) => row.id.as_str(),
            Self::Tenant(row) => &row.id,
            Self::Entry(row) => &row.id,
        }
    }

    fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Key(row) => Some(&row.terms),
            Self::Tenant(row) => Some(&row.terms),
            Self::Entry(_) => None,
        }
    }

    fn terms_mut(&mut self) -> Option<&mut Terms> {
        match self {
            Self::Key(row) => Some(&mut row.terms),
            Self::Tenant(row) => Some(&mut row.terms),
            Self::Entry(_) => None,
        }
    }

    /// A digest of all that an operator sets: not of who made it and when, nor of resets.
    fn digest(&self) -> String {
        let terms = self.terms().map(|terms| {
            let rest = Terms {
                reset_at: 0,
                ..terms.clone()
            };
            json!([
                rest,
                terms.max_budget,
                terms.rpm_limit,
                terms.tpm_limit,
                terms.max_parallel_requests,
            ])
        });
        let row = match self {
            Self::Key(row) => json!([
                row.key_name,
                row.alias,
                row.user.as_ref().map(UserId::as_str),
                row.team.as_ref().map(TeamId::as_str),
                row.organisation.as_ref().map(OrganisationId::as_str),
                row.budget_id,
                row.models,
                row.expires_at.map(|UnixMs(at)| at),
                row.blocked,
                row.metadata,
                row.settings,
            ]),
            Self::Tenant(row) => json!([
                row.alias,
                row.email,
                row.role,
                row.organisation.as_ref().map(OrganisationId::as_str),
                row.budget_id,
                row.models,
                row.blocked,
                row.settings,
            ]),
            Self::Entry(row) => {
                // The databases keep members in orders of their own.
                let mut row = json!([row.name, row.params, row.info, row.blocked]);
                row.sort_all_objects();
                row
            }
        };
        let text = json!([self.kind(), self.id(), row, terms]).to_string();
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}
