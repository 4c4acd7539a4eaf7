//! Worked examples, the built-in list against its source, and what always holds.

mod examples;
mod laws;
mod list;
mod sheets;

use trunkline_wire::usage::Usage;

use super::{CostBreakdown, Price, PriceBook, ServiceTier, Units, cost};

const STANDARD: ServiceTier = ServiceTier::Standard;

/// The list price of a model.
fn price(provider: &str, model: &str) -> Price {
    let book = PriceBook::built_in();
    let entry = book.lookup(provider, model).expect(model);
    Price::clone(&entry.price)
}

/// The known cost of a call that is billed by tokens alone.
fn of(usage: &Usage, price: &Price, service: ServiceTier) -> CostBreakdown {
    cost(usage, price, &Units::default(), service).expect("a known cost")
}
