//! A virtual key in the making: from what was asked for to a row and a secret that is shown once. Used by the endpoint and
//! by `trunkline generate-key` alike.

use rust_decimal::Decimal;
use serde_json::{Map, Value};
use thiserror::Error;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::UserId;
use trunkline_actors::money::Usd;

use super::key;
use crate::config::Secret;
use crate::storage::{KeyRow, StorageError, Store, TenantRow, Terms};

/// Longest name of a user or key, in characters.
const MAX_NAME: usize = 256;

/// What was asked for. Absent means unlimited.
#[derive(Debug, Default)]
pub struct NewKey {
    /// A name for people; unique.
    pub alias: Option<String>,
    /// The internal user it belongs to; made if unknown.
    pub user_id: Option<String>,
    /// Models it may use; empty means all.
    pub models: Vec<String>,
    /// USD, as written.
    pub max_budget: Option<String>,
    /// Requests a minute.
    pub rpm_limit: Option<u64>,
    /// Tokens a minute.
    pub tpm_limit: Option<u64>,
    /// Requests at the same time.
    pub max_parallel_requests: Option<u64>,
    /// Life, such as `30d`.
    pub duration: Option<String>,
    /// Kept and shown.
    pub metadata: Map<String, Value>,
    /// Who asked.
    pub created_by: Option<String>,
}

/// A key that can be stored and shown.
#[derive(Debug)]
pub struct MadeKey {
    /// To be shown once.
    pub secret: Secret,
    /// To be stored.
    pub row: KeyRow,
}

/// What was asked for cannot be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NewKeyError {
    /// Not an amount that the books can hold.
    #[error("max_budget must be a number of US dollars from 0 to 9 million, such as 10.0; got {0}")]
    Budget(String),
    /// Not `30s`, `30m`, …
    #[error("duration must be a number and a unit, such as 30s, 30m, 12h, 30d, 4w or 1mo; got {0}")]
    Duration(String),
    /// A limit that can never be met.
    #[error("{0} must be at least 1; leave it out for no limit")]
    ZeroLimit(&'static str),
    /// The name would not fit into a record of the books, or breaks lines of lists and logs.
    #[error("{0} must have at most {MAX_NAME} characters and no control characters")]
    Name(&'static str),
    /// Empty text.
    #[error("{0} must not be empty; leave it out instead")]
    Empty(&'static str),
}

// === impl NewKeyError ===

impl NewKeyError {
    /// The field at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Budget(_) => "max_budget",
            Self::Duration(_) => "duration",
            Self::ZeroLimit(field) | Self::Empty(field) | Self::Name(field) => field,
        }
    }
}

// === impl NewKey ===

impl NewKey {
    /// Checks the fields and draws the secret.
    ///
    /// # Errors
    /// [`NewKeyError`] names the field and what to write.
    pub fn make(self, now: UnixMs) -> Result<MadeKey, NewKeyError> {
        for (field, limit) in [
            ("rpm_limit", self.rpm_limit),
            ("tpm_limit", self.tpm_limit),
            ("max_parallel_requests", self.max_parallel_requests),
        ] {
            if limit == Some(0) {
                return Err(NewKeyError::ZeroLimit(field));
            }
        }
        for (field, text) in [("user_id", &self.user_id), ("key_alias", &self.alias)] {
            let Some(text) = text else { continue };
            if text.is_empty() {
                return Err(NewKeyError::Empty(field));
            }
            if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
                return Err(NewKeyError::Name(field));
            }
        }
        let max_budget = self.max_budget.as_deref().map(budget).transpose()?;
        let expires_at = self
            .duration
            .as_deref()
            .map(|text| {
                seconds(text)
                    .map(|secs| UnixMs(now.0.saturating_add(secs.saturating_mul(1000))))
                    .ok_or_else(|| NewKeyError::Duration(text.to_owned()))
            })
            .transpose()?;
        let secret = key::generate();
        let row = KeyRow {
            id: key::id_of(secret.expose()),
            key_name: key::short_name(secret.expose()),
            alias: self.alias,
            user: self.user_id.map(UserId::new),
            team: None,
            organisation: None,
            budget_id: None,
            models: self.models,
            terms: Terms {
                max_budget,
                rpm_limit: self.rpm_limit,
                tpm_limit: self.tpm_limit,
                max_parallel_requests: self.max_parallel_requests,
                since: Some(now),
                ..Terms::default()
            },
            expires_at,
            blocked: false,
            metadata: self.metadata,
            settings: Map::new(),
            created_at: now,
            created_by: self.created_by,
            updated_at: now,
        };
        Ok(MadeKey { secret, row })
    }
}

// === impl MadeKey ===

impl MadeKey {
    /// Stores the key, and its user if that one is new.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] when the alias is taken.
    pub async fn store(&self, store: &Store) -> Result<(), StorageError> {
        if let Some(user) = &self.row.user {
            let user = TenantRow::user(user, self.row.created_at);
            store.tenants.ensure(user).await?;
        }
        store.keys.insert(self.row.clone()).await
    }
}

fn budget(text: &str) -> Result<Usd, NewKeyError> {
    let wrong = || NewKeyError::Budget(text.chars().take(40).collect());
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

/// Plain length of `30s`, `30m`, `12h`, `30d`, `4w`, `1mo` (30 days); a key's life needs no calendar.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" => 30 * 86_400,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
        .filter(|secs| *secs > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_plain_lengths() {
        for (text, want) in [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("30d", Some(2_592_000)),
            ("1mo", Some(2_592_000)),
            ("0d", None),
            ("30", None),
            ("d", None),
            ("-1d", None),
            ("1y", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
    }

    #[test]
    fn a_bad_field_is_named_with_what_to_write() {
        let err = |new: NewKey| new.make(UnixMs(0)).unwrap_err();
        let budget = |text: &str| NewKey {
            max_budget: Some(text.to_owned()),
            ..NewKey::default()
        };
        assert_eq!(err(budget("\"ten\"")).field(), "max_budget");
        assert_eq!(err(budget("-1")).field(), "max_budget");
        assert_eq!(err(budget("1e12")).field(), "max_budget");
        for name in ["a\nb".to_owned(), "u".repeat(MAX_NAME + 1)] {
            let named = NewKey {
                user_id: Some(name),
                ..NewKey::default()
            };
            assert_eq!(err(named), NewKeyError::Name("user_id"));
        }
        let zero = NewKey {
            rpm_limit: Some(0),
            ..NewKey::default()
        };
        assert_eq!(
            err(zero).to_string(),
            "rpm_limit must be at least 1; leave it out for no limit"
        );
    }

    #[test]
    fn a_budget_keeps_every_digit_as_written() {
        let made = NewKey {
            max_budget: Some("0.000000300001".to_owned()),
            ..NewKey::default()
        };
        let row = made.make(UnixMs(0)).unwrap().row;
        assert_eq!(row.terms.max_budget.unwrap().to_string(), "0.000000300001");
        let tiny = NewKey {
            max_budget: Some("1e-6".to_owned()),
            ..NewKey::default()
        };
        assert_eq!(
            tiny.make(UnixMs(0))
                .unwrap()
                .row
                .terms
                .max_budget
                .unwrap()
                .to_string(),
            "0.000001"
        );
    }
}
