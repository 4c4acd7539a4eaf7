//! The elements of a JSON array with their places in the source.

use std::ops::Range;

use super::Raw;

use super::span_within;

/// The elements of the array `source`, or nothing when it is not an array.
pub(super) fn elements(source: &str) -> Option<Vec<(&str, Range<usize>)>> {
    if !source.trim_start().starts_with('[') {
        return None;
    }
    let values: Vec<Raw<'_>> = serde_json::from_str(source).ok()?;
    values
        .into_iter()
        .map(|value| Some((value.get(), span_within(source, value.get())?)))
        .collect()
}
