//! Reads what queries say: texts, numbers, lists. What is wrong is said by name, with what to write; a parameter without a text
//! is as good as none. Days and moments are read in `spend/range`.

use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;

/// Rows that a page may leave out: each is read.
const MOST_SKIPPED: u32 = 100_000;

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// Which, from 1 on.
    pub(super) number: u32,
    /// Rows on it.
    pub(super) size: u32,
    /// Rows before it.
    pub(super) skip: u32,
}

/// How long the pages of a list are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The parameter that says it.
    pub(super) name: &'static str,
    /// Unless it does.
    pub(super) usual: u32,
    /// At most.
    pub(super) largest: u32,
}

/// A 400 that names the parameter, or the member of the body.
pub(super) fn wrong(param: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadRequest, message).param(param)
}

/// A text that is not empty.
pub(super) fn text(call: &Call, name: &str) -> Option<String> {
    call.query(name).filter(|text| !text.is_empty())
}

/// A switch, which is off unless it is there.
pub(super) fn flag(call: &Call, name: &'static str) -> Result<bool, ApiError> {
    match text(call, name).as_deref() {
        None | Some("false" | "False" | "0") => Ok(false),
        Some("true" | "True" | "1") => Ok(true),
        Some(_) => Err(wrong(name, format!("'{name}' must be true or false."))),
    }
}

/// A whole number from 1 to `most`.
pub(super) fn count(
    call: &Call,
    name: &'static str,
    default: u32,
    most: u32,
) -> Result<u32, ApiError> {
    let Some(text) = text(call, name) else {
        return Ok(default);
    };
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| {
            wrong(
                name,
                format!("'{name}' must be a whole number from 1 to {most}."),
            )
        })
}

/// `page`, and how long it is. `further` says how to get at what no page holds.
///
/// # Errors
/// 400 for a page that is too far down: it would be another one that was answered, or one that reads everything before it.
pub(super) fn page(call: &Call, sizes: Sizes, further: &str) -> Result<Page, ApiError> {
    let number = count(call, "page", 1, u32::MAX)?;
    let size = count(call, sizes.name, sizes.usual, sizes.largest)?;
    let skip = (number - 1).saturating_mul(size);
    if skip > MOST_SKIPPED {
        return Err(wrong(
            "page",
            format!("Pages end at row {MOST_SKIPPED}. {further}"),
        ));
    }
    Ok(Page { number, size, skip })
}

/// A list in one parameter, parted by commas; `None` if it is not there.
pub(super) fn list(call: &Call, name: &'static str) -> Result<Option<Vec<String>>, ApiError> {
    const MOST_NAMES: usize = 1_000;
    let Some(text) = text(call, name) else {
        return Ok(None);
    };
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > MOST_NAMES {
        return Err(wrong(
            name,
            format!("'{name}' lists more than {MOST_NAMES} names; ask for fewer at once."),
        ));
    }
    Ok(Some(names))
}
