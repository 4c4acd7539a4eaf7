//! How an answer writes a moment.

use jiff::Timestamp;
use trunkline_actors::clock::UnixMs;

/// RFC 3339, UTC, always with three digits of a second, so that the order of the texts is that of the moments:
/// `2026-11-23T09:02:10.630Z`. `None` for what no calendar holds.
pub(in crate::http) fn iso(at: UnixMs) -> Option<String> {
    let at = i64::try_from(at.0).ok()?;
    Some(format!("{:.3}", Timestamp::from_millisecond(at).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_the_moments_do() {
        let text = |ms| iso(UnixMs(ms)).expect("it is in the calendar");

        assert_eq!(text(1_763_888_530_630), "2025-11-23T09:02:10.630Z");
        assert!(text(1_763_888_530_630) < text(1_763_888_530_639));
        assert!(text(1_763_888_530_000) < text(1_763_888_530_001));
        assert_eq!(iso(UnixMs(u64::MAX)), None);
    }
}
