//! Deployments and credentials that were made through LiteLLM's API: opened, and as rows of our own, sealed anew.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde_json::{Map, Value, json};
use trunkline_actors::clock::UnixMs;

use super::row::SourceRow;
use super::{Mapped, Refused, Remark, tenants};
use crate::config::{Entries, NamedValues, Origin, ProcessEnv, Secret};
use crate::sealed::{Locked, open_all, seal_all_at};
use crate::storage::{AsRead, EntryKind, EntryRow, ImportedRow};

/// What it takes to store them.
#[derive(Clone, Copy)]
pub struct EntryTarget<'a> {
    /// Says what of them can be served.
    pub entries: &'a Entries,
    /// Seals them.
    pub salt: &'a Secret,
}

/// Stores them.
#[derive(Debug)]
pub(super) struct EntryMapper<'a> {
    target: EntryTarget<'a>,
    /// LiteLLM's salt key.
    salt: Option<&'a Secret>,
    /// Those that came, in the clear: deployments, which come later, name them.
    credentials: HashMap<String, Map<String, Value>>,
}

// === impl EntryTarget ===

impl fmt::Debug for EntryTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryTarget").finish_non_exhaustive()
    }
}

/// A deployment's `model_info`, without its id and what says nothing.
pub(super) fn info_of(row: &SourceRow<'_>) -> Result<Map<String, Value>, Refused> {
    let mut info = row.object("model_info")?;
    info.retain(|name, value| {
        !EntryRow::OWN_INFO.contains(&name.as_str()) && !tenants::is_empty(value)
    });
    Ok(info)
}

/// The members of a column, every text opened.
pub(super) fn opened(
    row: &SourceRow<'_>,
    column: &'static str,
    salt: Option<&Secret>,
) -> Result<Map<String, Value>, Refused> {
    let mut members = row.object(column)?;
    members.retain(|_, value| !value.is_null());
    open_all(&mut members, salt).map_err(|Locked| {
        let why = if salt.is_none() {
            "is encrypted: give LiteLLM's salt key with --salt-key or LITELLM_SALT_KEY"
        } else {
            "cannot be decrypted: this is not the salt key it was stored with"
        };
        Refused::Because(why.to_owned())
    })?;
    Ok(members)
}

// === impl EntryMapper ===

impl<'a> EntryMapper<'a> {
    pub(super) fn new(target: EntryTarget<'a>, salt: Option<&'a Secret>) -> Self {
        Self {
            target,
            salt,
            credentials: HashMap::new(),
        }
    }

    /// The row that the endpoints would have made.
    pub(super) fn map(
        &mut self,
        kind: EntryKind,
        row: &SourceRow<'_>,
        now: UnixMs,
    ) -> Result<Mapped, Refused> {
        let mut remarks = BTreeSet::new();
        let (id, name, params, info) = match kind {
            EntryKind::Credential => {
                let name = row.id("credential_name")?;
                let values = opened(row, "credential_values", self.salt)?;
                self.credentials.insert(name.clone(), values.clone());
                let info = row.object("credential_info")?;
                (name, row.text("display_name")?, values, info)
            }
            EntryKind::Model => {
                let (id, name) = (row.id("model_id")?, row.id("model_name")?);
                let params = opened(row, "litellm_params", self.salt)?;
                let info = info_of(row)?;
                remarks.extend(self.unserved(&id, &name, &params, &info));
                (id, Some(name), params, info)
            }
        };
        let place = format!("{} {id}", kind.as_str());
        let params = seal_all_at(&place, &params, self.target.salt)
            .ok_or_else(|| Refused::Because("cannot be encrypted".to_owned()))?;
        let (created_at, updated_at) = tenants::times(row, now)?;
        let row = EntryRow {
            kind,
            id,
            name,
            params,
            info,
            blocked: row.get("blocked")?.unwrap_or_default(),
            created_at,
            created_by: row.text("created_by")?,
            updated_at,
            updated_by: row.text("updated_by")?,
            as_read: AsRead::default(),
        };
        Ok(Mapped {
            row: ImportedRow::Entry(Box::new(row)),
            openings: Vec::new(),
            remarks,
        })
    }

    /// Why a gateway with this config would leave a deployment out, if it would. It is taken all the same: the gateway may have
    /// other variables, and a later version may serve it.
    fn unserved(
        &self,
        id: &str,
        name: &str,
        params: &Map<String, Value>,
        info: &Map<String, Value>,
    ) -> Option<Remark> {
        let mut info = info.clone();
        info.insert("id".to_owned(), id.into());
        let entry = json!({"model_name": name, "litellm_params": params, "model_info": info});
        let named = params.get("litellm_credential_name");
        let credential = named
            .and_then(Value::as_str)
            .and_then(|name| self.credentials.get_key_value(name))
            .map(|(name, values)| NamedValues { name, values });
        let read = self
            .target
            .entries
            .read(&entry, Origin::Database, credential, &ProcessEnv);
        let err = read.err()?;
        let why = err.problems.first().map_or_else(
            || err.to_string(),
            |one| format!("{} {}", one.path, one.what),
        );
        Some(Remark::Unserved(why))
    }
}
