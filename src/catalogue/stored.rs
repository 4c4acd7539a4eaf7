//! From stored rows to deployments.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value, json};

use super::Catalogue;
use crate::config::{DeploymentConfig, NamedValues, Origin};
use crate::sealed::Locked;
use crate::storage::{EntryKind, EntryRow, StorageError};

/// Said of what cannot be decrypted.
const OTHER_KEY: &str = "cannot be decrypted: LITELLM_SALT_KEY (or the master key, where that is not set) is not the key that it was stored with";

/// Stored credentials in the clear, by name. Not to be shown.
#[derive(Clone, Default)]
pub struct Credentials(HashMap<String, Map<String, Value>>);

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
        let (mut known, mut left_out) = (HashMap::new(), Vec::new());
        for row in rows.iter().filter(|row| row.kind == EntryKind::Credential) {
            match open(row) {
                Ok(values) => {
                    known.insert(row.id.clone(), values);
                }
                Err(Locked) => left_out.push(LeftOut::of(row, OTHER_KEY.to_owned())),
            }
        }
        (Self(known), left_out)
    }

    /// The one that an entry names.
    pub(super) fn of_entry(&self, entry: &Value) -> Option<NamedValues<'_>> {
        let (name, values) = self.0.get_key_value(named_by(entry))?;
        Some(NamedValues { name, values })
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

/// An entry that names a credential: where it stands, and what it says.
struct Naming {
    /// Its id; of the config its group.
    id: String,
    origin: Origin,
    entry: Value,
}

impl Catalogue {
    /// The stored deployments and those of the config that waited for a credential, and what is left out.
    pub(super) fn deployments(&self, rows: &[EntryRow]) -> (Vec<DeploymentConfig>, Vec<LeftOut>) {
        let (credentials, mut left_out) = Credentials::of(rows, |row| self.opened(row));
        let mut found = Vec::new();
        let known = |entry: &&Value| credentials.of_entry(entry).is_some();
        for entry in self.waiting.iter().filter(known) {
            match self.read_entry(entry, Origin::File, &credentials) {
                Ok(read) => found.extend(read.deployments),
                Err(err) => left_out.push(LeftOut {
                    kind: EntryKind::Model,
                    id: group_of(entry),
                    name: None,
                    why: err.to_string(),
                }),
            }
        }
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
        if self.configured.iter().any(|one| one.id == row.id) {
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

    /// The deployments that name a credential: their ids, or of the config their groups.
    ///
    /// # Errors
    /// The database's.
    pub async fn naming(&self, credential: &str) -> Result<Vec<String>, StorageError> {
        let rows = self.store.entries.all().await?;
        let naming = self.entries_naming(&rows, credential);
        Ok(naming.into_iter().map(|one| one.id).collect())
    }

    /// A deployment that is served, and could not be with these values of the credential that it names; and why.
    ///
    /// # Errors
    /// The database's.
    pub async fn refusing(
        &self,
        credential: &str,
        values: &Map<String, Value>,
    ) -> Result<Option<(String, String)>, StorageError> {
        let rows = self.store.entries.all().await?;
        let (before, _) = Credentials::of(&rows, |row| self.opened(row));
        let mut after = before.clone();
        after.0.insert(credential.to_owned(), values.clone());
        let mut naming = self.entries_naming(&rows, credential).into_iter();
        Ok(naming.find_map(|one| {
            self.read_entry(&one.entry, one.origin, &before).ok()?;
            let after = self.read_entry(&one.entry, one.origin, &after).err()?;
            Some((one.id, after.to_string()))
        }))
    }

    fn entries_naming(&self, rows: &[EntryRow], credential: &str) -> Vec<Naming> {
        let of_config = self.waiting.iter().map(|entry| Naming {
            id: group_of(entry),
            origin: Origin::File,
            entry: entry.clone(),
        });
        let models = rows.iter().filter(|row| row.kind == EntryKind::Model);
        // What cannot be opened names nobody that is known.
        let stored = models.filter_map(|row| {
            let params = self.opened(row).ok()?;
            Some(Naming {
                id: row.id.clone(),
                origin: Origin::Database,
                entry: json!({"model_name": row.name, "litellm_params": params, "model_info": row.info}),
            })
        });
        let all = of_config.chain(stored);
        all.filter(|one| named_by(&one.entry) == credential)
            .collect()
    }
}

fn named_by(entry: &Value) -> &str {
    let name = entry.pointer("/litellm_params/litellm_credential_name");
    name.and_then(Value::as_str).unwrap_or_default()
}

fn group_of(entry: &Value) -> String {
    let name = entry.get("model_name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}
