//! Everything against everything: journal, rows, costs, roll-ups, balances.
//!
//! Sums are compared by the database at one moment of it. Rows are read a page at a time, in order of id: they never
//! change, so it does not matter that a gateway goes on writing. The journal is read before the rows that it is compared
//! with: what is shipped in between is found, what is not there yet is still to be shipped.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::mem::take;
use std::path::Path;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use trunkline_actors::ids::RequestId;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{SpendRecord, SpendStatus};

use super::recompute::{self, Verdict, at_price};
use super::sheets::{Found, Sheets};
use super::{LedgerError, PAGE};
use crate::journal::{Inspection, inspect};
use crate::storage::{Difference, LedgerAudit, RowSpan, SumsAudit};

/// Records of the journal that are compared at a time.
const BATCH: usize = 500;

/// One kind of agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was compared with what.
    pub name: &'static str,
    /// How much of it: `("rows", 1200)`.
    pub counts: Vec<(&'static str, u64)>,
    /// Where it does not agree: the first ones.
    pub differences: Vec<String>,
    /// How many more there are, where that was counted; at least one.
    pub more: u64,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

/// Compares the books with themselves and with the journal below `data_dir`. Names at most `most` differences of a kind.
///
/// # Errors
/// The database's and the file system's. What does not agree is no error but part of the report.
pub async fn verify(
    books: &dyn LedgerAudit,
    data_dir: &Path,
    most: usize,
) -> Result<Report, LedgerError> {
    let journal = journal(books, data_dir, most).await?;
    let sums = books.sums(most).await?;
    let costs = costs(books, most).await?;
    let [roll_ups, balances] = of_sums(sums, most);
    Ok(Report {
        checks: vec![journal, roll_ups, balances, costs],
    })
}

// === impl Report ===

impl Report {
    /// Whether everything agrees.
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(Check::is_clean)
    }
}

// === impl Check ===

impl Check {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            counts: Vec::new(),
            differences: Vec::new(),
            more: 0,
        }
    }

    /// Whether this agrees.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.more == 0
    }

    fn differs(&mut self, most: usize, difference: impl FnOnce() -> String) {
        if self.differences.len() < most {
            self.differences.push(difference());
        } else {
            self.more += 1;
        }
    }
}

fn of_sums(sums: SumsAudit, most: usize) -> [Check; 2] {
    let mut roll_ups = Check::new("roll-ups and rows");
    roll_ups.counts = vec![
        ("days", sums.days),
        ("lines", sums.lines),
        ("days without rows, not verifiable", sums.days_without_rows),
    ];
    let mut balances = Check::new("balances and rows");
    balances.counts = vec![
        ("windows", sums.windows),
        (
            "windows that began before the first row, not verifiable",
            sums.windows_without_rows,
        ),
    ];
    for (check, differences) in [
        (&mut roll_ups, sums.roll_ups),
        (&mut balances, sums.balances),
    ] {
        for difference in differences {
            check.differs(most, || shown(&difference));
        }
    }
    [roll_ups, balances]
}

fn shown(difference: &Difference) -> String {
    let columns: Vec<String> = difference
        .columns
        .iter()
        .map(|(column, more)| match more.strip_prefix('-') {
            Some(less) => format!("{column} is {less} more than the rows say"),
            None => format!("{column} is {more} less than the rows say"),
        })
        .collect();
    format!("{}: {}", difference.place, columns.join(", "))
}

// === rows ===

#[derive(Default)]
struct Tally {
    rows: u64,
    same: u64,
    nothing: u64,
    unknown_cost: u64,
    not_kept: u64,
    estimated: u64,
    unknown_outcome: u64,
    adjustments: u64,
}

async fn costs(books: &dyn LedgerAudit, most: usize) -> Result<Check, LedgerError> {
    let mut check = Check::new("costs and prices");
    let mut tally = Tally::default();
    let mut sheets = Sheets::default();
    let mut span = everything();
    loop {
        let page = books.page(span, PAGE).await?;
        let Some(last) = page.last() else { break };
        span.after = last.id;
        let mut adjusted = Vec::new();
        for row in &page {
            tally.rows += 1;
            tally.estimated += u64::from(row.usage_estimated);
            tally.unknown_outcome += u64::from(row.status == SpendStatus::Unknown);
            if row.status == SpendStatus::Adjustment {
                tally.adjustments += 1;
                match row.adjusts {
                    Some(of) => adjusted.push((of, row.id)),
                    None => check.differs(most, || format!("row {}: adjusts nothing", row.id)),
                }
                continue;
            }
            let sheet = match &row.price_id {
                Some(id) => Some(sheets.get(books, id).await?),
                None => None,
            };
            match recompute::recompute(row, sheet.as_ref()) {
                Verdict::Same => tally.same += 1,
                Verdict::Nothing => tally.nothing += 1,
                Verdict::Unknown => tally.unknown_cost += 1,
                Verdict::NotKept(_) => tally.not_kept += 1,
                Verdict::NoSheet(why) => check.differs(most, || format!("row {}: {why}", row.id)),
                Verdict::Other(again) => {
                    let text = |cost: Option<_>| {
                        cost.map_or_else(|| "unknown".to_owned(), |cost: Usd| cost.to_string())
                    };
                    check.differs(most, || {
                        format!(
                            "row {}: its cost is {}, and its price makes {} of it",
                            row.id,
                            text(row.cost),
                            text(again)
                        )
                    });
                }
            }
        }
        adjustments(books, &mut sheets, adjusted, most, &mut check).await?;
    }
    check.counts = vec![
        ("rows", tally.rows),
        ("worked out again", tally.same),
        ("that used nothing", tally.nothing),
        ("of unknown cost", tally.unknown_cost),
        ("without a kept price, not verifiable", tally.not_kept),
        ("estimated", tally.estimated),
        ("of unknown outcome", tally.unknown_outcome),
        ("adjustments", tally.adjustments),
    ];
    Ok(check)
}

/// A row and its adjustments together cost what the price of the last one makes of the row. `adjusted` are rows with an
/// adjustment each that was met; a row is looked at with the one that was made last.
async fn adjustments(
    books: &dyn LedgerAudit,
    sheets: &mut Sheets,
    adjusted: Vec<(RequestId, RequestId)>,
    most: usize,
    check: &mut Check,
) -> Result<(), LedgerError> {
    if adjusted.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<RequestId> = adjusted.iter().map(|(of, _)| *of).collect();
    ids.sort();
    ids.dedup();
    let originals: BTreeMap<RequestId, SpendRecord> = books
        .rows(ids.clone())
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let mut made: BTreeMap<RequestId, Vec<SpendRecord>> = BTreeMap::new();
    for one in books.adjustments(ids).await? {
        if let Some(of) = one.adjusts {
            made.entry(of).or_default().push(one);
        }
    }
    for (of, id) in adjusted {
        let made = made.get(&of).map(Vec::as_slice).unwrap_or_default();
        let Some(last) = made.last().filter(|last| last.id == id) else {
            continue;
        };
        let Some(original) = originals.get(&of) else {
            check.differs(most, || {
                format!("row {id}: adjusts {of}, which is not there")
            });
            continue;
        };
        let sheet = match &last.price_id {
            Some(id) => sheets.get(books, id).await?,
            None => Found::Missing,
        };
        let Found::Sheet(contents) = sheet else {
            check.differs(most, || format!("row {id}: its price is not on the books"));
            continue;
        };
        let wanted = at_price(original, &contents.price).map(|(bill, _)| bill.total);
        let costs = recompute::with_adjustments(original, made);
        if wanted != costs {
            check.differs(most, || {
                format!("row {of}: with its adjustments it costs {costs:?}, and the last price makes {wanted:?} of it")
            });
        }
    }
    Ok(())
}

/// From the first row to the last.
fn everything() -> RowSpan {
    RowSpan {
        after: RequestId::generate(0, 0),
        before: RequestId::generate((1 << 48) - 1, u128::MAX),
    }
}

// === journal ===

async fn journal(
    books: &dyn LedgerAudit,
    data_dir: &Path,
    most: usize,
) -> Result<Check, LedgerError> {
    let mut check = Check::new("journal and rows");
    let (batches, mut to_compare) = mpsc::channel::<Vec<SpendRecord>>(2);
    let data_dir = data_dir.to_owned();
    let reading = spawn_blocking(move || {
        let mut batch = Vec::with_capacity(BATCH);
        let found = inspect(&data_dir, |record| {
            batch.push(record);
            if batch.len() == BATCH {
                // Nobody compares any more: then nobody wants the result either.
                batches.blocking_send(take(&mut batch)).ok();
            }
        })?;
        batches.blocking_send(batch).ok();
        Ok::<Inspection, io::Error>(found)
    });
    // As many as the journal holds, which is bounded by its size on the disk.
    let mut seen: HashMap<RequestId, u64> = HashMap::new();
    let (mut shipped, mut waiting) = (0, 0);
    while let Some(batch) = to_compare.recv().await {
        let ids = batch.iter().map(|record| record.id).collect();
        let rows: HashMap<RequestId, SpendRecord> = books
            .rows(ids)
            .await?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        for record in batch {
            let id = record.id;
            let record = books.as_kept(record);
            let content = digest(&record);
            if seen
                .insert(id, content)
                .is_some_and(|before| before != content)
            {
                check.differs(most, || {
                    format!("row {id}: settled twice in the journal, and not the same")
                });
            }
            match rows.get(&id) {
                None => waiting += 1,
                Some(row) if *row == record => shipped += 1,
                Some(row) => check.differs(most, || {
                    format!(
                        "row {id}: the journal has another one: {}",
                        apart(row, &record)
                    )
                }),
            }
        }
    }
    let found = reading
        .await
        .map_err(|err| LedgerError::Journal(io::Error::other(err)))??;
    check.counts = vec![
        ("settled records", found.settled),
        ("on the books", shipped),
        ("not shipped yet", waiting),
        ("directories", found.directories),
        ("segments that are being written or torn", found.open_ends),
        ("records of another version", found.unknown),
    ];
    Ok(check)
}

fn digest(record: &SpendRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(record)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}

/// The members in which they differ.
fn apart(row: &SpendRecord, record: &SpendRecord) -> String {
    let members = |record| match serde_json::to_value(record) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (row, record) = (members(row), members(record));
    let mut names: Vec<&str> = row
        .keys()
        .chain(record.keys())
        .filter(|name| row.get(*name) != record.get(*name))
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
