//! What the operator takes off a provider's list price, and what is put on top.

use rust_decimal::Decimal;

/// Discount first, margin on what is left, then the fixed amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Part taken off, 0 to 1: `0.05` for five percent.
    pub discount: Decimal,
    /// Part put on top: `0.1` for ten percent.
    pub margin: Decimal,
    /// USD put on top of each call.
    pub fixed: Decimal,
}

/// A list price and what becomes of it; exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) discount: Decimal,
    pub(super) margin: Decimal,
    pub(super) total: Decimal,
}

impl Terms {
    /// What a call costs that has this list price; `None` when it is beyond what a decimal holds.
    pub(super) fn apply(&self, list: Decimal) -> Option<Applied> {
        let discount = list.checked_mul(self.discount)?;
        let left = list.checked_sub(discount)?;
        let margin = left.checked_mul(self.margin)?.checked_add(self.fixed)?;
        Some(Applied {
            discount,
            margin,
            total: left.checked_add(margin)?,
        })
    }
}
