//! What is stored of what tokens say: users, teams, a user's role and its teams. Every change is one of the audit log, by
//! `identity provider`.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{Subject, TeamId, UserId};

use super::caller::Named;
use crate::auth::error::AuthError;
use crate::storage::{
    ChangedBy, KeyFilter, KeyPage, StorageError, Store, TenantKind, TenantRow, Write,
};

/// Who makes these changes, in the log.
const MAKER: &str = "identity provider";
/// Keys of one user in one team that go with its membership, at most: the next token has the rest deleted.
const MOST_KEYS: u32 = 1_000;

/// Stores something. What another replica stores at the same moment is what this one would.
pub(super) async fn write(store: &Store, writes: Vec<Write>) -> Result<(), AuthError> {
    let stored = store.changes.apply(ChangedBy::program(MAKER), writes).await;
    match stored {
        Err(StorageError::Changed { .. }) | Ok(()) => Ok(()),
        Err(err) => Err(err.into()),
    }
}

/// Has the stored user be what its token says; answers whether anything was changed.
pub(super) async fn user(
    named: &Named,
    stored: TenantRow,
    store: &Store,
    now: UnixMs,
) -> Result<bool, AuthError> {
    let user = UserId::new(stored.id.as_str());
    let mut writes = Vec::new();
    if let Some(groups) = &named.groups {
        teams(&user, groups, store, now, &mut writes).await?;
    }
    if let Some(role) = &named.given_role
        && stored.role.as_ref() != Some(role)
    {
        writes.push(Write::PutTenant(Box::new(TenantRow {
            role: Some(role.clone()),
            updated_at: now,
            ..stored
        })));
    }
    if writes.is_empty() {
        return Ok(false);
    }
    write(store, writes).await?;
    Ok(true)
}

/// Makes the user a member of those teams that exist, and of no others.
async fn teams(
    user: &UserId,
    groups: &[String],
    store: &Store,
    now: UnixMs,
    writes: &mut Vec<Write>,
) -> Result<(), AuthError> {
    let wanted = store.tenants.by_ids(TenantKind::Team, groups.to_vec());
    let wanted: Vec<String> = wanted
        .await?
        .into_iter()
        .map(|team| membership_id(&TeamId::new(team.id), user))
        .collect();
    let held = store
        .tenants
        .memberships(TenantKind::TeamMember, user.clone());
    let held = held.await?;
    for row in &held {
        if !wanted.contains(&row.id) {
            leave(row, user, store, writes).await?;
        }
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
    let team = row.id.split_once(':').map_or("", |(team, _)| team);
    let filter = KeyFilter {
        user: Some(user.clone()),
        team: Some(TeamId::new(team)),
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

/// Makes the user a member of the team, if it is none; answers whether it was none.
pub(super) async fn join(
    user: &UserId,
    team: &TeamId,
    store: &Store,
    now: UnixMs,
) -> Result<bool, AuthError> {
    let id = membership_id(team, user);
    let known = store.tenants.by_id(TenantKind::TeamMember, id.clone());
    if known.await?.is_some() {
        return Ok(false);
    }
    let row = membership(&id, now);
    write(store, vec![Write::EnsureTenant(Box::new(row))]).await?;
    Ok(true)
}

fn membership(id: &str, now: UnixMs) -> TenantRow {
    let mut row = TenantRow {
        role: Some("user".to_owned()),
        ..TenantRow::new(TenantKind::TeamMember, id, now)
    };
    row.terms.since = Some(now);
    row
}

fn membership_id(team: &TeamId, user: &UserId) -> String {
    Subject::team_member(team, user).id.as_ref().to_owned()
}
