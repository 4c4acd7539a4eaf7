//! Checks what somebody writes into terms, field by field: amounts, limits, periods, names. Used by the endpoints and by
//! `trunkline generate-key` alike.

use rust_decimal::Decimal;
use thiserror::Error;
use trunkline_actors::money::Usd;
use trunkline_actors::spend_ledger::Period;

use super::key_rules::{ALLOWED_IPS, ALLOWED_ROUTES, KEY_TYPE};

/// Longest name of a user, key or tenant, in characters.
const MAX_NAME: usize = 256;

/// What was written cannot be. Names the field.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TermsError {
    /// Not an amount that the books can hold.
    #[error("{field} must be a number of US dollars from 0 to 9 million, such as 10.0; got {got}")]
    Amount {
        /// Which field.
        field: &'static str,
        /// What was written.
        got: String,
    },
    /// Not `30s`, `30m`, …
    #[error(
        "{field} must be a number and a unit, such as 30s, 30m, 12h, 30d, 4w or 1mo; got {got}"
    )]
    Period {
        /// Which field.
        field: &'static str,
        /// What was written.
        got: String,
    },
    /// A limit that can never be met.
    #[error("{0} must be at least 1; leave it out for no limit")]
    ZeroLimit(&'static str),
    /// The name would not fit into a record of the books, or breaks lines of lists and logs.
    #[error("{0} must have at most {MAX_NAME} characters and no control characters")]
    Name(&'static str),
    /// Neither a path nor the name of a group of routes.
    #[error(
        "allowed_routes must hold paths, such as /v1/models or /key/*, or some of {groups}; got {got}"
    )]
    Routes {
        /// What was written.
        got: String,
        /// The names.
        groups: String,
    },
    /// No address and no network.
    #[error(
        "allowed_ips must hold addresses or networks, such as 192.0.2.7 or 10.0.0.0/8; got {0}"
    )]
    Addresses(String),
    /// No type of key.
    #[error("key_type must be default, llm_api, management or read_only; got {0}")]
    KeyType(String),
    /// Empty text.
    #[error("{0} must not be empty; leave it out instead")]
    Empty(&'static str),
}

// === impl TermsError ===

impl TermsError {
    /// The field at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Amount { field, .. }
            | Self::Period { field, .. }
            | Self::ZeroLimit(field)
            | Self::Name(field)
            | Self::Empty(field) => field,
            Self::Routes { .. } => ALLOWED_ROUTES,
            Self::Addresses(_) => ALLOWED_IPS,
            Self::KeyType(_) => KEY_TYPE,
        }
    }
}

/// An amount as written: `10.0`, `1e-6`. Every digit counts.
///
/// # Errors
/// [`TermsError::Amount`] for what is no number, is below zero, or is more than the books hold.
pub fn usd(field: &'static str, text: &str) -> Result<Usd, TermsError> {
    let wrong = || TermsError::Amount {
        field,
        got: shown(text),
    };
    let amount: Decimal = text
        .parse()
        .or_else(|_plain| Decimal::from_scientific(text))
        .map_err(|_neither| wrong())?;
    if amount.is_sign_negative() && !amount.is_zero() {
        return Err(wrong());
    }
    // The books count in 1e-12 USD, up to about nine million.
    let amount = Usd::rounded(amount);
    amount.to_pico().map(|_| amount).ok_or_else(wrong)
}

/// A limit of requests or tokens.
///
/// # Errors
/// [`TermsError::ZeroLimit`].
pub fn limit(field: &'static str, limit: u64) -> Result<u64, TermsError> {
    if limit == 0 {
        return Err(TermsError::ZeroLimit(field));
    }
    Ok(limit)
}

/// A period as written.
///
/// # Errors
/// [`TermsError::Period`].
pub fn period(field: &'static str, text: &str) -> Result<Period, TermsError> {
    text.parse().map_err(|_err| TermsError::Period {
        field,
        got: shown(text),
    })
}

/// A name or id.
///
/// # Errors
/// [`TermsError::Empty`] or [`TermsError::Name`].
pub fn name(field: &'static str, text: &str) -> Result<(), TermsError> {
    if text.is_empty() {
        return Err(TermsError::Empty(field));
    }
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(TermsError::Name(field));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_keeps_every_digit_as_written() {
        for (text, want) in [
            ("0.000000300001", Some("0.000000300001")),
            ("1e-6", Some("0.000001")),
            ("0", Some("0")),
            ("10", Some("10")),
            ("\"ten\"", None),
            ("-1", None),
            ("1e12", None),
            ("NaN", None),
        ] {
            let amount = usd("max_budget", text).map(|amount| amount.to_string());
            assert_eq!(amount.as_deref().ok(), want, "{text}");
        }
    }

    #[test]
    fn a_bad_field_is_named_with_what_to_write() {
        let err = limit("rpm_limit", 0).unwrap_err();
        assert_eq!(
            err.to_string(),
            "rpm_limit must be at least 1; leave it out for no limit"
        );
        assert_eq!(period("duration", "1y").unwrap_err().field(), "duration");
        for text in ["a\nb".to_owned(), "u".repeat(MAX_NAME + 1)] {
            assert_eq!(name("user_id", &text), Err(TermsError::Name("user_id")));
        }
        assert_eq!(name("user_id", ""), Err(TermsError::Empty("user_id")));
    }
}
