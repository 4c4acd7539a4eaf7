//! Deployments and credentials that are stored, not configured. Whatever may be secret in their parameters is encrypted by
//! whoever stores them: here it is a text like others.

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ports::BoxFuture;

use super::{AsRead, StorageError};

/// What storing an entry that is stored already changes: all but who made it, and when. Both dialects say it alike.
pub(super) const REPLACE: &str = "UPDATE SET name = excluded.name, params = excluded.params, info = excluded.info, \
     blocked = excluded.blocked, updated_at = excluded.updated_at, updated_by = excluded.updated_by";

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A deployment, as an entry of `model_list` is one.
    Model,
    /// Parameters with a name, as an entry of `credential_list` has them.
    Credential,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryRow {
    /// What it is.
    pub kind: EntryKind,
    /// The deployment's id; the credential's name. Unique for its kind.
    pub id: String,
    /// The model group; what a credential is shown as.
    pub name: Option<String>,
    /// `litellm_params`, `credential_values`.
    pub params: Map<String, Value>,
    /// `model_info` but for its id, `credential_info`.
    pub info: Map<String, Value>,
    /// The deployment pauses.
    pub blocked: bool,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub updated_at: UnixMs,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// How it stood when it was read.
    pub as_read: AsRead,
}

/// Reads entries. They are changed by [`ChangeStore`](super::ChangeStore) alone.
pub trait EntryStore: Send + Sync {
    /// That one.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn by_id(
        &self,
        kind: EntryKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<EntryRow>, StorageError>>;

    /// All of one moment, the oldest first.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn all(&self) -> BoxFuture<'_, Result<Vec<EntryRow>, StorageError>>;
}

// === impl EntryRow ===

impl EntryRow {
    /// Members of a deployment's `model_info` that the row says itself: they are not stored in `info`, and who sends an answer
    /// back does not change them.
    pub const OWN_INFO: &[&str] = &[
        "id",
        "db_model",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
    ];
}

// === impl EntryKind ===

impl EntryKind {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Credential => "credential",
        }
    }

    pub(super) fn read(text: &str) -> Self {
        match text {
            "credential" => Self::Credential,
            _ => Self::Model,
        }
    }
}
