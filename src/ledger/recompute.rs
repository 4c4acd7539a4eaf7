//! A row's cost again, from what the row keeps: the vector, the pieces, the service tier and the price that it names.

use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{Pieces, SpendRecord, SpendStatus, UsageParts};
use trunkline_wire::usage::Usage;

use super::sheets::Found;
use crate::cost::{CostBreakdown, Line, Price, ServiceTier, Units, itemised};

/// Counts are cut to this when they are put on the books: no request has so many tokens.
const CUT_AT: u64 = 1_000_000_000_000;

/// What a row's cost turns out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It can be worked out again, and is what the row says, to the last digit.
    Same,
    /// It can be worked out again and is another one; `None` is unknown.
    Other(Option<Usd>),
    /// Nothing was used and nothing was charged.
    Nothing,
    /// The row says that its cost is unknown, and names no price that would say otherwise.
    Unknown,
    /// It cannot be worked out; why.
    NotKept(&'static str),
    /// The price that it names is not on the books, or not readable.
    NoSheet(String),
}

/// Whether the row's own cost is what its price makes of its usage. Adjustments have no usage; see
/// [`verify`](super::verify()).
///
/// `sheet` is what the books have under the row's `price_id`; `None` for a row that names no price.
pub fn recompute(row: &SpendRecord, sheet: Option<&Found>) -> Verdict {
    let Some(sheet) = sheet else {
        return without_price(row);
    };
    let contents = match sheet {
        Found::Sheet(contents) => contents,
        Found::Missing => {
            return Verdict::NoSheet("the price is not on the books".to_owned());
        }
        Found::Broken(why) => return Verdict::NoSheet(why.clone()),
    };
    if was_cut(&row.usage) {
        return Verdict::NotKept("its counts were beyond what the books hold");
    }
    let again = at_price(row, &contents.price).map(|(breakdown, _)| breakdown.total);
    match (again, row.cost) {
        (Some(again), Some(kept)) if again == kept => Verdict::Same,
        // A cost that no column takes is recorded as unknown.
        (Some(again), None) if again.to_pico().is_none() => {
            Verdict::NotKept("its cost was beyond what the books hold")
        }
        (again, _) => Verdict::Other(again),
    }
}

/// What the row's usage costs at `price`, and the lines of the bill; `None` where that is unknown.
pub(super) fn at_price(row: &SpendRecord, price: &Price) -> Option<(CostBreakdown, Vec<Line>)> {
    itemised(&usage(&row.usage), price, &units(row), tier(row))
}

/// The service tier that the row was billed by.
pub(super) fn tier(row: &SpendRecord) -> ServiceTier {
    ServiceTier::named(row.service_tier.as_deref().unwrap_or_default())
}

/// Whether the row's counts are those that were used.
pub(super) fn was_cut(usage: &UsageParts) -> bool {
    parts(usage).into_iter().any(|count| count >= CUT_AT)
}

fn without_price(row: &SpendRecord) -> Verdict {
    match row.cost {
        None => Verdict::Unknown,
        Some(cost) if cost.is_zero() => Verdict::Nothing,
        Some(_) if row.status == SpendStatus::Unknown => {
            Verdict::NotKept("its process died: it was charged what its input was held at")
        }
        Some(_) => Verdict::NotKept("it is from before prices were kept"),
    }
}

/// The row's vector as costs are made of it. Absent and zero cost the same.
fn usage(parts: &UsageParts) -> Usage {
    Usage {
        input_uncached: Some(parts.input_uncached),
        cache_read: Some(parts.cache_read),
        cache_write_5m: Some(parts.cache_write_5m),
        cache_write_1h: Some(parts.cache_write_1h),
        audio_input: Some(parts.audio_input),
        image_input: Some(parts.image_input),
        output_text: Some(parts.output_text),
        reasoning: Some(parts.reasoning),
        audio_output: Some(parts.audio_output),
        ..Usage::default()
    }
}

fn parts(usage: &UsageParts) -> [u64; 9] {
    [
        usage.input_uncached,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.audio_input,
        usage.image_input,
        usage.output_text,
        usage.reasoning,
        usage.audio_output,
    ]
}

fn units(row: &SpendRecord) -> Units {
    let Pieces {
        queries,
        images_in,
        images_out,
        image_output_tokens,
        pixels,
        characters_in,
        characters_out,
        seconds_in,
        seconds_out,
    } = row.pieces.unwrap_or_default();
    Units {
        queries,
        images_in,
        images_out,
        image_output_tokens,
        pixels,
        characters_in,
        characters_out,
        seconds_in,
        seconds_out,
    }
}

/// What the row costs now: its own cost and every adjustment; `None` while it is unknown.
pub(super) fn with_adjustments(row: &SpendRecord, adjustments: &[SpendRecord]) -> Option<Usd> {
    let corrected: Vec<Usd> = adjustments.iter().filter_map(|one| one.cost).collect();
    if row.cost.is_none() && corrected.is_empty() {
        return None;
    }
    let total: Decimal = corrected
        .into_iter()
        .chain(row.cost)
        .map(|cost| cost.as_decimal())
        .sum();
    Some(Usd::rounded(total))
}
