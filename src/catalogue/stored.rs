//! From stored rows to deployments.

use std::fmt;

use serde_json::{Map, Value};

use super::Catalogue;
use crate::config::{DeploymentConfig, NamedValues};
use crate::sealed::Locked;
use crate::storage::{EntryKind, EntryRow};

/// Said of what cannot be decrypted.
const OTHER_KEY: &str = "cannot be decrypted: LITELLM_SALT_KEY (or the master key, where that is not set) is not the key that it was stored with";

/// Stored credentials in the clear, by name. Not to be shown.
#[derive(Default)]
pub struct Credentials(Vec<(String, Map<String, Value>)>);

/// An entry that is left out, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) kind: EntryKind,
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) why: String,
}

// === impl Credentials ===

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those among the rows, and which of them cannot be opened.
    pub(super) fn of(
        rows: &[EntryRow],
        open: impl Fn(&EntryRow) -> Result<Map<String, Value>, Locked>,
    ) -> (Self, Vec<LeftOut>) {
        let (mut known, mut left_out) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| row.kind == EntryKind::Credential) {
            match open(row) {
                Ok(values) => known.push((row.id.clone(), values)),
                Err(Locked) => left_out.push(LeftOut::of(row, OTHER_KEY.to_owned())),
            }
        }
        (Self(known), left_out)
    }

    pub(super) fn named(&self) -> Vec<NamedValues<'_>> {
        let named = |(name, values)| NamedValues { name, values };
        let pairs = self.0.iter().map(|(name, values)| (name.as_str(), values));
        pairs.map(named).collect()
    }
}

// === impl LeftOut ===

impl LeftOut {
    pub(super) fn of(row: &EntryRow, why: String) -> Self {
        Self {
            kind: row.kind,
            id: row.id.clone(),
            name: row.name.clone(),
            why,
        }
    }
}

// === impl Catalogue ===

impl Catalogue {
    /// The stored deployments, and what is left out.
    pub(super) fn deployments(&self, rows: &[EntryRow]) -> (Vec<DeploymentConfig>, Vec<LeftOut>) {
        let (credentials, mut left_out) = Credentials::of(rows, |row| self.opened(row));
        let mut found = Vec::new();
        for row in rows.iter().filter(|row| row.kind == EntryKind::Model) {
            match self.deployment(row, &credentials) {
                Ok(read) => found.extend(read),
                Err(why) => left_out.push(LeftOut::of(row, why)),
            }
        }
        (found, left_out)
    }

    fn deployment(
        &self,
        row: &EntryRow,
        credentials: &Credentials,
    ) -> Result<Vec<DeploymentConfig>, String> {
        if self.is_configured(&row.id) {
            return Err("the config has a deployment of this id, which goes first".to_owned());
        }
        let params = self.opened(row).map_err(|Locked| OTHER_KEY.to_owned())?;
        let name = row.name.as_deref().unwrap_or_default();
        let read = self.read(&row.id, name, &params, &row.info, credentials);
        let mut deployments = read.map_err(|err| err.to_string())?.deployments;
        for deployment in &mut deployments {
            deployment.stored_as = Some(row.id.clone());
            deployment.blocked |= row.blocked;
        }
        Ok(deployments)
    }
}
