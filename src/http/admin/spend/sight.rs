//! Whose rows a caller may see. Nothing else decides that.
//!
//! An administrator sees everything. Everybody else sees what was spent in the name of the key's user, or, where the key
//! belongs to no user, with the key itself.

use crate::auth::{Identity, Role, key};
use crate::http::error::{ApiError, Code};
use crate::storage::reports::{Facet, LogFilter, Of};

/// What a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything.
    Everything,
    /// What this user's keys spent.
    User(String),
    /// What this key spent.
    Key(String),
    /// Nothing: the caller has neither.
    Nothing,
}

impl Sight {
    pub(super) fn of(identity: &Identity) -> Self {
        if identity.role() == Role::ProxyAdmin {
            return Self::Everything;
        }
        match (identity.user_id(), identity.key_id()) {
            (Some(user), _) => Self::User(user.as_str().to_owned()),
            (None, Some(key)) => Self::Key(key.as_str().to_owned()),
            (None, None) => Self::Nothing,
        }
    }

    /// What every question for sums is limited to.
    pub(super) fn limits(&self) -> Vec<Of> {
        match self {
            Self::Everything => Vec::new(),
            Self::User(user) => vec![Of::one(Facet::User, user)],
            Self::Key(key) => vec![Of::one(Facet::Key, key)],
            Self::Nothing => vec![Of::none(Facet::Key)],
        }
    }

    /// Limits a question for rows.
    pub(super) fn limit(&self, filter: &mut LogFilter) {
        match self {
            Self::Everything => {}
            Self::User(user) => filter.user = Some(user.clone()),
            // Also where another key was asked for: nothing of that one is this caller's.
            Self::Key(key) if filter.key.as_ref().is_none_or(|asked| asked == key) => {
                filter.key = Some(key.clone());
            }
            Self::Key(_) | Self::Nothing => filter.user = Some(NOBODY.to_owned()),
        }
    }

    /// The user asked for, if the caller may see that one's spend.
    pub(super) fn user(&self, asked: Option<String>) -> Result<Option<String>, ApiError> {
        match (self, asked) {
            (Self::Everything, asked) => Ok(asked),
            (Self::User(own), Some(asked)) if *own == asked => Ok(Some(asked)),
            (_, None) => Ok(None),
            (_, Some(_)) => Err(ApiError::new(
                Code::OthersData,
                "Not authorized to view spend for another user. Leave user_id out for your own, or ask as an administrator.",
            )
            .param("user_id")),
        }
    }

    /// The user to answer for: the one asked for, else the caller's own.
    pub(super) fn one_user(
        &self,
        identity: &Identity,
        asked: Option<String>,
    ) -> Result<String, ApiError> {
        let own = || identity.user_id().map(|user| user.as_str().to_owned());
        self.user(asked)?.or_else(own).ok_or_else(|| {
            ApiError::new(
                Code::BadRequest,
                "This key belongs to no user. Ask with a user's key, or as an administrator with ?user_id=.",
            )
            .param("user_id")
        })
    }
}

/// No user has this id: it is no text that a client can send.
const NOBODY: &str = "\u{1}";

/// The id of a key that is named by its text or by its id.
pub(super) fn key_id(named: String) -> String {
    if named.starts_with(key::PREFIX) {
        key::id_of(&named).as_str().to_owned()
    } else {
        named
    }
}
