//! What a token's caller is in the gateway: the row of a key that is stored nowhere.

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};

use super::caller::Named;
use super::{TokenCaller, TokenFault};
use crate::auth::error::AuthError;
use crate::auth::key_rules::ALLOWED_ROUTES;
use crate::storage::{
    AsRead, ChangedBy, KeyRow, Rotation, Store, TenantKind, TenantRow, Terms, Write,
};

/// Who makes users, in the log of changes.
const MAKER: &str = "identity provider";

/// The row for a caller; `id` is the token's, so that the same token is found again.
pub(in crate::auth) async fn row(
    caller: &TokenCaller,
    named: &Named,
    id: KeyId,
    store: &Store,
    now: UnixMs,
) -> Result<KeyRow, AuthError> {
    let user = named.user.as_deref().map(UserId::new);
    if let Some(user) = &user {
        ensure_user(caller, named, user, store, now).await?;
    }
    let team = team(named, store).await?;
    let settings = &caller.settings;
    let routes = match (named.is_admin, &team) {
        (true, _) => Some(&settings.admin_routes),
        (false, Some(_)) => Some(&settings.team_routes),
        (false, None) => None,
    };
    let mut rules = Map::new();
    if let Some(routes) = routes {
        let routes = routes.iter().cloned().map(Value::String).collect();
        rules.insert(ALLOWED_ROUTES.to_owned(), routes);
    }
    Ok(KeyRow {
        id,
        key_name: String::new(),
        alias: None,
        user,
        team,
        organisation: named.organisation.as_deref().map(OrganisationId::new),
        budget_id: None,
        models: Vec::new(),
        terms: Terms::default(),
        expires_at: Some(named.expires_at),
        rotation: Rotation::default(),
        blocked: false,
        metadata: Map::new(),
        settings: rules,
        created_at: now,
        created_by: None,
        updated_at: now,
        as_read: AsRead::default(),
    })
}

/// A user that is not known has no limits that anybody knows: it is made, where the operator says so, or refused.
async fn ensure_user(
    caller: &TokenCaller,
    named: &Named,
    user: &UserId,
    store: &Store,
    now: UnixMs,
) -> Result<(), AuthError> {
    let known = store
        .tenants
        .by_id(TenantKind::User, user.as_str().to_owned());
    if known.await?.is_some() || named.is_admin {
        return Ok(());
    }
    if !caller.settings.makes_users {
        return Err(TokenFault::UnknownUser.into());
    }
    let row = TenantRow {
        email: named.email.clone(),
        ..TenantRow::user(user, now)
    };
    let made = Write::EnsureTenant(Box::new(row));
    let by = ChangedBy::program(MAKER);
    store.changes.apply(by, vec![made]).await?;
    Ok(())
}

/// The first of the token's teams that exists; a token that names teams is of one of them.
async fn team(named: &Named, store: &Store) -> Result<Option<TeamId>, AuthError> {
    if named.teams.is_empty() {
        return Ok(None);
    }
    let teams = store.tenants.by_ids(TenantKind::Team, named.teams.clone());
    let teams = teams.await?;
    let exists = |id: &&String| teams.iter().any(|team| team.id == **id);
    if let Some(id) = named.teams.iter().find(exists) {
        return Ok(Some(TeamId::new(id.as_str())));
    }
    if named.is_admin {
        return Ok(None);
    }
    Err(TokenFault::UnknownTeam.into())
}
