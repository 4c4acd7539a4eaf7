//! Rows under other prices: for each that would cost something else, one adjustment row with the difference.
//!
//! What was charged stays as it is; what it should have been is added, in the same day and to the same budgets. An
//! adjustment's id is made of what it does, so that doing it again does nothing, even from two places at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{SpendRecord, SpendStatus, SpendStore, UsageParts};

use super::recompute::{at_price, was_cut, with_adjustments};
use super::sheets::{Found, Sheets};
use super::{LedgerError, PAGE};
use crate::cost::{Price, PriceBook, Sheet, Terms};
use crate::storage::{LedgerAudit, RowSpan};

/// What is to be done.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Rows received at or after this.
    pub since: UnixMs,
    /// Rows received before this.
    pub until: UnixMs,
    /// The other prices.
    pub book: &'a PriceBook,
    /// What the list is called on the adjustments.
    pub version: &'a str,
    /// Write nothing.
    pub dry_run: bool,
}

/// What it did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repriced {
    /// Rows that were looked at, adjustments aside.
    pub rows: u64,
    /// Of those, rows whose model has no price there.
    pub without_price: u64,
    /// By provider and model.
    pub models: BTreeMap<(String, String), ModelChange>,
}

/// What changes for one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelChange {
    /// Rows that are adjusted.
    pub adjusted: u64,
    /// Of those, rows whose cost was unknown.
    pub were_unknown: u64,
    /// What they cost until now, as far as it is known.
    pub before: Usd,
    /// What they cost from now on.
    pub after: Usd,
}

/// Carries out the plan.
///
/// A row keeps the discount and the margin that it was billed under. A page is written at a time: a run that was broken
/// off is gone on with by another.
///
/// # Errors
/// The database's.
pub async fn reprice(
    books: &dyn LedgerAudit,
    ledger: &dyn SpendStore,
    plan: &Plan<'_>,
) -> Result<Repriced, LedgerError> {
    let mut done = Repriced::default();
    let mut sheets = Sheets::default();
    let mut prices = Prices::new(plan);
    let mut span = RowSpan {
        after: before(plan.since),
        before: RequestId::generate(plan.until.0, 0),
    };
    loop {
        let page = books.page(span, PAGE).await?;
        let Some(last) = page.last() else { break };
        span.after = last.id;
        let rows: Vec<SpendRecord> = page
            .into_iter()
            .filter(|row| row.status != SpendStatus::Adjustment)
            .collect();
        let ids = rows.iter().map(|row| row.id).collect();
        let mut made: HashMap<RequestId, Vec<SpendRecord>> = HashMap::new();
        for one in books.adjustments(ids).await? {
            if let Some(of) = one.adjusts {
                made.entry(of).or_default().push(one);
            }
        }
        let mut adjustments = Vec::new();
        for row in &rows {
            done.rows += 1;
            let terms = terms(books, &mut sheets, row).await?;
            let Some((price, sheet)) = prices.of(row, terms) else {
                done.without_price += 1;
                continue;
            };
            let made = made.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            if let Some(one) = adjustment(row, made, &price, &sheet, plan.version, &mut done) {
                adjustments.push(one);
            }
        }
        if !plan.dry_run && !adjustments.is_empty() {
            ledger.insert(adjustments).await?;
        }
    }
    Ok(done)
}

/// The discount and margin of the row; none where they were not kept.
async fn terms(
    books: &dyn LedgerAudit,
    sheets: &mut Sheets,
    row: &SpendRecord,
) -> Result<Option<Terms>, LedgerError> {
    let Some(id) = &row.price_id else {
        return Ok(None);
    };
    Ok(match sheets.get(books, id).await? {
        Found::Sheet(contents) => contents.price.terms().copied(),
        Found::Missing | Found::Broken(_) => None,
    })
}

fn adjustment(
    row: &SpendRecord,
    made: &[SpendRecord],
    price: &Price,
    sheet: &Sheet,
    version: &str,
    done: &mut Repriced,
) -> Option<SpendRecord> {
    // An answer from the cache costs nothing at any price.
    if row.cache_hit || was_cut(&row.usage) {
        return None;
    }
    let (bill, _) = at_price(row, price)?;
    let now = with_adjustments(row, made);
    let difference = bill.total - now.unwrap_or_default();
    if now.is_some() && difference.is_zero() {
        return None;
    }
    let change = done
        .models
        .entry((row.provider.clone(), row.model.clone()))
        .or_default();
    change.adjusted += 1;
    change.were_unknown += u64::from(now.is_none());
    change.before += now.unwrap_or_default();
    change.after += bill.total;
    Some(SpendRecord {
        id: id(row.id, &sheet.id, made.len()),
        status: SpendStatus::Adjustment,
        adjusts: Some(row.id),
        cost: Some(difference),
        price_id: Some(Arc::clone(&sheet.id)),
        price_sheet: Some(Arc::clone(&sheet.text)),
        price_version: Some(version.to_owned()),
        usage: UsageParts::default(),
        pieces: None,
        usage_estimated: false,
        provider_request_id: None,
        first_content_at: None,
        error_code: None,
        attempts: 0,
        ended_at: made.last().map_or_else(UnixMs::now, |last| {
            UnixMs(UnixMs::now().0.max(last.ended_at.0 + 1))
        }),
        ..row.clone()
    })
}

/// Of the time of the row, so that both are of the same day; the rest is what is done.
fn id(of: RequestId, price: &str, earlier: usize) -> RequestId {
    let digest = Sha256::digest(format!("{of} {price} {earlier}"));
    let random = digest
        .first_chunk::<16>()
        .map_or(0, |bytes| u128::from_be_bytes(*bytes));
    RequestId::generate(of.unix_ms(), random)
}

/// The last id there can be before that time.
fn before(time: UnixMs) -> RequestId {
    match time.0.checked_sub(1) {
        Some(last) => RequestId::generate(last, u128::MAX),
        None => RequestId::generate(0, 0),
    }
}

/// The other prices under the terms of rows, each worked out once.
struct Prices<'a> {
    plan: &'a Plan<'a>,
    known: HashMap<Asked, Option<(Arc<Price>, Sheet)>>,
}

/// Provider, model, and the terms as text.
type Asked = (String, String, Option<[String; 3]>);

/// More combinations than a gateway has; beyond that they are worked out again.
const MOST_PRICES: usize = 10_000;

impl<'a> Prices<'a> {
    fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, row: &SpendRecord, terms: Option<Terms>) -> Option<(Arc<Price>, Sheet)> {
        let said = terms.map(|terms| {
            [terms.discount, terms.margin, terms.fixed].map(|part| part.normalize().to_string())
        });
        let key = (row.provider.clone(), row.model.clone(), said);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let plan = self.plan;
        let found = plan.book.lookup(&row.provider, &row.model).map(|entry| {
            let price = Price::clone(&entry.price);
            let price = match &terms {
                Some(terms) => price.under(terms),
                None => price,
            };
            let sheet = Sheet::new(&price, plan.version);
            (Arc::new(price), sheet)
        });
        if self.known.len() >= MOST_PRICES {
            self.known.clear();
        }
        self.known.insert(key, found.clone());
        found
    }
}
