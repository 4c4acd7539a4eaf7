//! Settings that are changed while the gateway runs, by the names that they have in a config file. What a value means is said
//! by whoever reads it; none is secret.

use serde_json::Value;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ports::BoxFuture;

use super::{AsRead, StorageError};

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingRow {
    /// `router_settings.fallbacks`
    pub name: String,
    /// As JSON.
    pub value: Value,
    /// When it was last changed.
    pub updated_at: UnixMs,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// How it stood when it was read.
    pub as_read: AsRead,
}

/// Reads settings. They are changed by [`ChangeStore`](super::ChangeStore) alone.
pub trait SettingStore: Send + Sync {
    /// All of one moment, in order of name.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn all(&self) -> BoxFuture<'_, Result<Vec<SettingRow>, StorageError>>;
}
