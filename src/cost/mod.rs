//! What a call costs: prices as data, and usage × price in decimals. Pure: no clock, no files, no network.

mod calculate;
mod price;
mod prices;

pub use calculate::{CostBreakdown, cost};
pub use price::{Price, parse_price};
pub use prices::{PriceBook, PricedModel};
