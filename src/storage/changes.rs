//! Changes of keys and tenants that people make: several at once or none of them, each with its line in the change log
//! ([`change_log`](super::change_log)), in one transaction.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::KeyId;
use trunkline_actors::ports::BoxFuture;

use super::{KeyRow, StorageError, TenantKind, TenantRow};

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedBy {
    /// The user, or whoever it says it acts for.
    pub user: Option<String>,
    /// The key that it showed, by id.
    pub key: Option<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A new key.
    InsertKey(Box<KeyRow>),
    /// A key over what was stored under its id, but for when and by whom it was made.
    UpdateKey(Box<KeyRow>),
    /// The same, and another secret.
    RotateKey {
        /// The key.
        row: Box<KeyRow>,
        /// SHA-256 of the new secret.
        secret: KeyId,
        /// How long the secret of the moment works beside it; `None`: not any more.
        until: Option<UnixMs>,
    },
    /// No such key any more.
    DeleteKey(KeyId),
    /// A new tenant.
    InsertTenant(Box<TenantRow>),
    /// A tenant, unless its id is known.
    EnsureTenant(Box<TenantRow>),
    /// A tenant over what was stored, but for when and by whom it was made.
    PutTenant(Box<TenantRow>),
    /// No such tenant any more. A shared budget must not be in use.
    DeleteTenant(TenantKind, String),
}

/// Makes changes.
pub trait ChangeStore: Send + Sync {
    /// Makes all of the changes, in order, or none.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] for a new one whose id or alias is taken, [`StorageError::Missing`] for a key that is
    /// not there to be changed, [`StorageError::InUse`] for a budget that somebody has; [`StorageError::OutOfRange`]; the
    /// database's.
    fn apply(&self, by: ChangedBy, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StorageError>>;
}

// === impl ChangedBy ===

impl ChangedBy {
    /// A part of the gateway, or a command.
    pub fn program(name: &str) -> Self {
        Self {
            user: Some(name.to_owned()),
            key: None,
        }
    }
}
