//! Changes of keys, tenants, entries and settings that people make: several at once or none of them, each with its line in the change log
//! ([`change_log`](super::change_log)), in one transaction.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId};
use trunkline_actors::ports::BoxFuture;

use super::{EntryKind, EntryRow, KeyRow, SettingRow, StorageError, TenantKind, TenantRow};

/// What putting a key that is stored already changes: all but who made it, and when. Both dialects say it alike.
pub(super) const REPLACE_KEY: &str = "ON CONFLICT (id) DO UPDATE SET key_name = excluded.key_name, alias = excluded.alias, \
     user_id = excluded.user_id, team_id = excluded.team_id, organization_id = excluded.organization_id, \
     budget_id = excluded.budget_id, models = excluded.models, max_budget = excluded.max_budget, \
     rpm_limit = excluded.rpm_limit, tpm_limit = excluded.tpm_limit, max_parallel = excluded.max_parallel, \
     terms = excluded.terms, expires_at = excluded.expires_at, blocked = excluded.blocked, \
     metadata = excluded.metadata, settings = excluded.settings, updated_at = excluded.updated_at, \
     rotation_interval = excluded.rotation_interval, rotation_due_at = excluded.rotation_due_at, \
     rotation_count = excluded.rotation_count, last_rotation_at = excluded.last_rotation_at";

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedBy {
    /// The user, or whoever it says it acts for.
    pub user: Option<String>,
    /// The key that it showed, by id.
    pub key: Option<String>,
}

/// How a stored row stood when it was read, by when it had been changed last: two changes within a millisecond are not told
/// apart. Who stores the row again means what was read, and must not undo what was changed since. A row that was made and not
/// read knows of nothing, and wins.
///
/// It is no part of what a row says: any two are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsRead(Option<UnixMs>);

// === impl AsRead ===

impl AsRead {
    pub(super) fn at(updated_at: UnixMs) -> Self {
        Self(Some(updated_at))
    }

    /// `stored` is when the row that is there was changed last; `None`: it is not there.
    ///
    /// # Errors
    /// [`StorageError::Changed`] for a row that is not what was read any more, or is gone.
    pub(super) fn check(
        self,
        stored: Option<UnixMs>,
        what: &'static str,
        id: &str,
    ) -> Result<(), StorageError> {
        if self.0.is_none() {
            return Ok(());
        }
        self.check_known(stored, what, id)
    }

    /// The same of a row whose making knows that there was none.
    pub(super) fn check_known(
        self,
        stored: Option<UnixMs>,
        what: &'static str,
        id: &str,
    ) -> Result<(), StorageError> {
        if self.0 == stored {
            return Ok(());
        }
        Err(StorageError::Changed {
            what,
            id: id.to_owned(),
        })
    }
}

impl PartialEq for AsRead {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for AsRead {}

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
    /// A tenant over what was stored, but for when and by whom it was made. One that was read and is gone stays gone.
    PutTenant(Box<TenantRow>),
    /// No such tenant any more. A shared budget must not be in use.
    DeleteTenant(TenantKind, String),
    /// A new deployment or credential.
    InsertEntry(Box<EntryRow>),
    /// One over what was stored under its id, but for when and by whom it was made.
    UpdateEntry(Box<EntryRow>),
    /// No such deployment or credential any more.
    DeleteEntry(EntryKind, String),
    /// A setting over what was stored. One that was not read must be new: what it holds is made from what was there.
    PutSetting(Box<SettingRow>),
}

/// Whom a row names.
pub(super) type References<'a> = [(TenantKind, Option<&'a str>); 3];

/// Whom a key names.
pub(super) fn of_key(row: &KeyRow) -> References<'_> {
    [
        (TenantKind::Team, row.team.as_ref().map(TeamId::as_str)),
        (
            TenantKind::Organisation,
            row.organisation.as_ref().map(OrganisationId::as_str),
        ),
        (TenantKind::Budget, row.budget_id.as_deref()),
    ]
}

/// Whom a tenant names.
pub(super) fn of_tenant(row: &TenantRow) -> References<'_> {
    // The id of a membership begins with what it is in.
    let group = row.id.split_once(':').map(|(group, _)| group);
    let team = group.filter(|_| row.kind == TenantKind::TeamMember);
    let organisation = match row.kind {
        TenantKind::OrganisationMember => group,
        _ => row.organisation.as_ref().map(OrganisationId::as_str),
    };
    [
        (TenantKind::Team, team),
        (TenantKind::Organisation, organisation),
        (TenantKind::Budget, row.budget_id.as_deref()),
    ]
}

/// Those that are named now and were not before: they must be there, in the same transaction, or what names them would be
/// without the limits that they bring.
pub(super) fn new_ones<'a>(
    before: Option<References<'_>>,
    after: References<'a>,
) -> impl Iterator<Item = (TenantKind, &'a str)> {
    let before = before
        .unwrap_or([(TenantKind::Team, None); 3])
        .map(|(_, id)| id.map(str::to_owned));
    let pairs = before.into_iter().zip(after);
    pairs.filter_map(|(before, (kind, after))| {
        let after = after?;
        (before.as_deref() != Some(after)).then_some((kind, after))
    })
}

/// Makes changes.
pub trait ChangeStore: Send + Sync {
    /// Makes all of the changes, in order, or none.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] for a new one whose id or alias is taken, [`StorageError::Missing`] for a key or an entry that is
    /// not there to be changed, and for a team, organisation or budget that is named and not there, [`StorageError::InUse`] for a budget that somebody has; [`StorageError::Changed`] for a key, tenant, entry or setting that somebody
    /// else changed after it was read, and for a tenant that was deleted since; [`StorageError::OutOfRange`]; the
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
