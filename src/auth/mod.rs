//! Who calls, and what they may do: key extraction, hashing, the in-process key table, model access, permissions.
//!
//! Knows no SQL and no request body. The extractor that handlers take is [`crate::http::extract::Caller`]; it asks
//! [`KeyTable::identify`] and then [`Identity::authorise`].

mod access;
mod attempts;
mod budgets;
mod credential;
mod days;
mod error;
mod freshness;
mod identity;
mod jwt;
pub mod key;
pub mod key_rules;
mod labels;
mod new_key;
mod outage;
mod payer;
mod role;
mod session;
mod table;
pub mod terms;

pub use access::{Layer, ModelList, may_use_model};
pub use attempts::Attempts;
pub use budgets::BudgetRules;
pub use credential::{Credential, present};
pub use days::Days;
pub use error::AuthError;
pub use identity::{DEFAULT_USER, Identity, KeyEntry, Token};
pub use jwt::{KeySet, SigningKeys, TokenFault, claim_texts, is_of};
pub use key_rules::{KeyRules, Route, check_address};
pub use labels::{Asked, LabelTable};
pub use new_key::{MadeKey, NewKey, expiry};
pub use payer::{
    BudgetState, Charges, Dynamic, PRIORITY, PayerReader, RPM_LIMIT_TYPE, TPM_LIMIT_TYPE,
};
pub use role::{Permission, Role};
pub use session::Sessions;
pub use table::{KeyTable, KeyTerms};
