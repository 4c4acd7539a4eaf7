//! Looking at a single value as it is spelled.

use super::Raw;

/// The text of a string.
pub(crate) fn string(value: Raw<'_>) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether a value is there and says something: not null, false, or an empty string, array or object.
pub(crate) fn filled(value: Raw<'_>) -> bool {
    !matches!(value.get(), "null" | "false" | "\"\"" | "[]" | "{}")
}

/// The length of a value, without the quotes when it is a string.
pub(crate) fn spelled_bytes(value: Raw<'_>) -> usize {
    let text = value.get();
    if text.starts_with('"') {
        text.len().saturating_sub(2)
    } else {
        text.len()
    }
}
