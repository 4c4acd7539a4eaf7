//! What a call costs: prices as data, and usage × price in decimals. Pure: no clock, no files, no network.

mod book_file;
mod calculate;
mod compare;
mod litellm;
mod part;
mod price;
mod prices;
mod sheet;
mod terms;
#[cfg(test)]
mod tests;
mod tier;
mod units;

pub use calculate::{CostBreakdown, Line, cost, expected, itemised};
pub use compare::{Comparison, Difference, compare};
pub use litellm::{MapError, figure_key, read_book, read_entry};
pub use part::{Part, Unit};
pub use price::{Figure, Price, parse_price};
pub use prices::{PriceBook, PricedModel, Region};
pub use sheet::{Sheet, SheetContents, SheetError};
pub use terms::Terms;
pub use tier::{ServiceTier, When};
pub use units::Units;
