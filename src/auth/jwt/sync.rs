//! What is stored of what tokens say: users, teams, a user's role and its teams. Every change is one of the audit log, by
//! `identity provider`.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{Subject, TeamId, UserId};

use super::caller::Named;
use crate::auth::error::AuthError;
use crate::auth::role::Role;
use crate::config::JwtSettings;
use crate::storage::{
    ChangedBy, KeyFilter, KeyPage, StorageError, Store, TenantKind, TenantRow, Write,
};

/// Who makes these changes, in the log.
const MAKER: &str = "identity provider";
/// Keys of one user in one team that go with its membership, at most: the next token has the rest deleted.
const MOST_KEYS: u32 = 1_000;

/// Stores something. What another replica stores at the same moment is what this one would, and what somebody changes at it the
/// next reading of the token finds. Answers whether there was anything to store.
pub(super) async fn write(store: &Store, writes: Vec<Write>) -> Result<bool, AuthError> {
    if writes.is_empty() {
        return Ok(false);
    }
    let stored = store.changes.apply(ChangedBy::program(MAKER), writes).await;
    match stored {
        Err(StorageError::Changed { .. }) | Ok(()) => Ok(true),
        Err(err) => Err(err.into()),
    }
}

/// What is to change for the user to be what its token says, and a member of `team` where the operator says so.
pub(super) async fn changes(
    settings: &JwtSettings,
    named: &Named,
    stored: TenantRow,
    team: Option<&TeamId>,
    store: &Store,
    now: UnixMs,
) -> Result<Vec<Write>, AuthError> {
    let user = UserId::new(stored.id.as_str());
    let groups = named.groups.as_deref();
    // A team that is made for this token is not there yet for those who look for its groups.
    let is_group =
        |team: &&TeamId| groups.is_some_and(|ids| ids.iter().any(|id| id == team.as_str()));
    let joins = team.filter(|team| settings.adds_members || is_group(team));
    let mut writes = Vec::new();
    if groups.is_some() || joins.is_some() {
        teams(&user, groups, joins, store, now, &mut writes).await?;
    }
    let role = role(settings, named, &stored);
    if role != stored.role {
        writes.push(Write::PutTenant(Box::new(TenantRow {
            role,
            updated_at: now,
            ..stored
        })));
    }
    Ok(writes)
}

/// The role that the user is to have: the token's. One that the identity provider gave and does not give any more is gone; one that
/// it gives nobody is somebody's word here, and stays.
fn role(settings: &JwtSettings, named: &Named, stored: &TenantRow) -> Option<String> {
    if named.given_role.is_some() {
        return named.given_role.clone();
    }
    let mut given = settings.roles.of_users.iter().map(|(_, role)| role);
    if named.gives_no_role && given.any(|role| stored.role.as_ref() == Some(role)) {
        return Some(Role::InternalUser.as_str().to_owned());
    }
    stored.role.clone()
}

/// Makes the user a member of the team that it joins and of those of its groups that exist; where there is a word of groups, of no
/// others.
async fn teams(
    user: &UserId,
    groups: Option<&[String]>,
    joins: Option<&TeamId>,
    store: &Store,
    now: UnixMs,
    writes: &mut Vec<Write>,
) -> Result<(), AuthError> {
    let mut wanted: Vec<String> = Vec::new();
    wanted.extend(joins.map(|team| membership_id(team, user)));
    let named = groups.unwrap_or_default().to_vec();
    for team in store.tenants.by_ids(TenantKind::Team, named).await? {
        let id = membership_id(&TeamId::new(team.id), user);
        if !wanted.contains(&id) {
            wanted.push(id);
        }
    }
    let held = store
        .tenants
        .memberships(TenantKind::TeamMember, user.clone());
    let held = held.await?;
    let left = held
        .iter()
        .filter(|row| groups.is_some() && !wanted.contains(&row.id));
    for row in left {
        leave(row, user, store, writes).await?;
    }
    let is_new = |id: &&String| held.iter().all(|row| row.id != **id);
    let joined = wanted.iter().filter(is_new);
    writes.extend(joined.map(|id| Write::EnsureTenant(Box::new(membership(id, now)))));
    Ok(())
}

/// A membership ends, and with it the user's keys of the team: they would go on without its limits.
async fn leave(
    row: &TenantRow,
    user: &UserId,
    store: &Store,
    writes: &mut Vec<Write>,
) -> Result<(), AuthError> {
    let filter = KeyFilter {
        user: Some(user.clone()),
        team: Some(team_of(row)),
        ..KeyFilter::default()
    };
    let keys = store.keys.list(KeyPage::of(filter, MOST_KEYS)).await?;
    let is_last = keys.len() < MOST_KEYS as usize;
    writes.extend(keys.into_iter().map(|key| Write::DeleteKey(key.id)));
    if is_last {
        writes.push(Write::DeleteTenant(TenantKind::TeamMember, row.id.clone()));
    }
    Ok(())
}

fn membership(id: &str, now: UnixMs) -> TenantRow {
    let mut row = TenantRow {
        role: Some("user".to_owned()),
        ..TenantRow::new(TenantKind::TeamMember, id, now)
    };
    row.terms.since = Some(now);
    row
}

/// The team of a membership.
pub(super) fn team_of(row: &TenantRow) -> TeamId {
    TeamId::new(row.id.split(':').next().unwrap_or_default())
}

fn membership_id(team: &TeamId, user: &UserId) -> String {
    Subject::team_member(team, user).id.as_ref().to_owned()
}
