//! The body of a management call, member by member. Values stay as written until somebody reads them: money never passes
//! through a float. An absent member leaves things as they are, `null` clears them (contract `endpoints` §8).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_actors::money::Usd;

use crate::auth::terms::{TermsError, usd};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;

/// The members of a JSON object, as written.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, Box<RawValue>>);

/// What a body says of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change<T> {
    /// Nothing: it stays.
    Keep,
    /// `null`.
    Clear,
    /// This.
    Set(T),
}

// === impl Fields ===

impl Fields {
    /// Reads the body of a call.
    pub(super) async fn read(call: &mut Call) -> Result<Self, ApiError> {
        Self::parse(&call.json_body().await?)
    }

    /// Reads an object; nothing at all is one without members.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = if body.is_empty() { b"{}" } else { body };
        serde_json::from_slice(text).map(Self).map_err(|err| {
            ApiError::new(Code::BadRequest, format!("Invalid JSON payload: {err}"))
                .param("request_body")
        })
    }

    /// Refuses what no caller acts on, by name: a limit that is not kept must not look set.
    pub(super) fn only(&self, known: &[&[&str]]) -> Result<(), ApiError> {
        let known = || known.iter().copied().flatten().copied();
        let unknown = self
            .0
            .iter()
            .find(|(name, value)| value.get() != "null" && known().all(|known| known != *name));
        match unknown {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::new(
                Code::BadRequest,
                format!(
                    "'{name}' is not acted on by this version, so nothing that relies on it is stored. Leave it out, or use one of {}.",
                    known().collect::<Vec<_>>().join(", ")
                ),
            )
            .param(name)),
        }
    }

    /// The first member that is none of `known`.
    pub(super) fn beyond(&self, known: &[&str]) -> Option<&str> {
        let names = self.0.keys().map(String::as_str);
        names.into_iter().find(|name| !known.contains(name))
    }

    /// A member as written.
    pub(super) fn raw(&self, name: &str) -> Change<&str> {
        match self.0.get(name).map(|raw| raw.get()) {
            None => Change::Keep,
            Some("null") => Change::Clear,
            Some(text) => Change::Set(text),
        }
    }

    /// A member of some type, which `wanted` describes.
    pub(super) fn get<'a, T: Deserialize<'a>>(
        &'a self,
        name: &'static str,
        wanted: &str,
    ) -> Result<Change<T>, ApiError> {
        self.raw(name).try_map(|text| {
            serde_json::from_str(text).map_err(|_wrong_type| {
                ApiError::new(Code::BadRequest, format!("'{name}' must be {wanted}.")).param(name)
            })
        })
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Result<Change<String>, ApiError> {
        self.get(name, "a string")
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<String, ApiError> {
        match self.text(name)? {
            Change::Set(text) if !text.is_empty() => Ok(text),
            _ => Err(ApiError::new(
                Code::BadRequest,
                format!("'{name}' is missing. Send it as a string."),
            )
            .param(name)),
        }
    }

    /// An amount of USD, from its text.
    pub(super) fn usd(&self, name: &'static str) -> Result<Change<Usd>, ApiError> {
        Ok(self.raw(name).try_map(|text| usd(name, text))?)
    }

    /// `reset_to`, the only member of such a call: what counts as spent from now on.
    pub(super) fn reset_to(&self) -> Result<Usd, ApiError> {
        let name = "reset_to";
        self.only(&[&[name]])?;
        Ok(self.usd(name)?.set().unwrap_or(Usd::ZERO))
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &'static str) -> Result<Change<Vec<String>>, ApiError> {
        self.get(name, "an array of strings")
    }
}

// === impl Change ===

impl<T> Change<T> {
    /// The value, if one is set.
    pub(super) fn set(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Changes what may be absent.
    pub(super) fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }

    /// Changes what always is something.
    pub(super) fn apply_or_default(self, to: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *to = T::default(),
            Self::Set(value) => *to = value,
        }
    }

    /// Another form of the value.
    pub(super) fn map<U>(self, form: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(form(value)),
        }
    }

    /// Reads the value.
    pub(super) fn try_map<U, E>(
        self,
        read: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(read(value)?),
        })
    }
}

impl Change<Value> {
    /// Changes a member of an object.
    pub(super) fn put(self, object: &mut Map<String, Value>, name: &str) {
        match self {
            Self::Keep => {}
            Self::Clear => {
                object.remove(name);
            }
            Self::Set(value) => {
                object.insert(name.to_owned(), value);
            }
        }
    }
}

impl From<TermsError> for ApiError {
    fn from(err: TermsError) -> Self {
        Self::new(Code::BadRequest, err.to_string()).param(err.field())
    }
}
