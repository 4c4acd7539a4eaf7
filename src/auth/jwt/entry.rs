//! What a token's caller is in the gateway: the row of a key that is stored nowhere.

use std::slice;

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};

use super::caller::Named;
use super::sync::team_of;
use super::{TokenCaller, TokenFault, sync};
use crate::auth::error::AuthError;
use crate::auth::key_rules::ALLOWED_ROUTES;
use crate::config::JwtSettings;
use crate::storage::{
    AsRead, KeyRow, Rotation, Store, TenantFilter, TenantKind, TenantPage, TenantRow, Terms, Write,
};

/// A token's caller, as stored.
#[derive(Debug)]
pub(in crate::auth) struct Entry {
    /// `id` is the token's, so that the same token is found again.
    pub(in crate::auth) row: KeyRow,
    /// Users or memberships that there were before were changed.
    pub(in crate::auth) changed: bool,
}

/// Finds whom the claims name, and makes them where the operator says so. Nothing is stored before everything is found: a
/// token that is refused leaves nothing behind.
pub(in crate::auth) async fn open(
    caller: &TokenCaller,
    named: &Named,
    id: KeyId,
    store: &Store,
    now: UnixMs,
) -> Result<Entry, AuthError> {
    let settings = &caller.settings;
    let mut made = Vec::new();
    let organisation = organisation(named, store).await?;
    let user = user(settings, named, store, now, &mut made).await?;
    let team = team(settings, named, user.as_ref(), store, now, &mut made).await?;
    if settings.needs_team && !named.is_admin && team.is_none() {
        return Err(TokenFault::NoTeam.into());
    }
    let writes = match user {
        Some(user) => sync::changes(settings, named, user, team.as_ref(), store, now).await?,
        None => Vec::new(),
    };
    // By themselves: where somebody else changes the user at this moment, the team is there all the same.
    sync::write(store, made).await?;
    let changed = sync::write(store, writes).await?;
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
    let row = KeyRow {
        user: named.user.as_deref().map(UserId::new),
        team,
        organisation,
        settings: rules,
        ..nowhere(id, named.expires_at, now)
    };
    Ok(Entry { row, changed })
}

/// The row of somebody who has no key.
pub(in crate::auth) fn nowhere(id: KeyId, expires_at: UnixMs, now: UnixMs) -> KeyRow {
    KeyRow {
        id,
        key_name: String::new(),
        alias: None,
        user: None,
        team: None,
        organisation: None,
        budget_id: None,
        models: Vec::new(),
        terms: Terms::default(),
        expires_at: Some(expires_at),
        rotation: Rotation::default(),
        blocked: false,
        metadata: Map::new(),
        settings: Map::new(),
        created_at: now,
        created_by: None,
        updated_at: now,
        as_read: AsRead::default(),
    }
}

/// The token's user. One that is not known has no limits that anybody knows: it is made, where the operator says so, or refused.
async fn user(
    settings: &JwtSettings,
    named: &Named,
    store: &Store,
    now: UnixMs,
    made: &mut Vec<Write>,
) -> Result<Option<TenantRow>, AuthError> {
    let Some(id) = &named.user else {
        return Ok(None);
    };
    let known = store.tenants.by_id(TenantKind::User, id.clone()).await?;
    if known.is_some() || named.is_admin {
        return Ok(known);
    }
    if !settings.makes_users {
        return Err(TokenFault::UnknownUser.into());
    }
    let usual = TenantRow::user(&UserId::new(id.as_str()), now);
    let row = TenantRow {
        email: named.email.clone(),
        role: named.given_role.clone().or(usual.role),
        ..usual
    };
    made.push(Write::EnsureTenant(Box::new(row.clone())));
    Ok(Some(row))
}

/// The first of the token's teams that exists; a token that names teams is of one of them. Where the operator says so, its user's
/// own count for those that it does not name, or that there are not.
async fn team(
    settings: &JwtSettings,
    named: &Named,
    user: Option<&TenantRow>,
    store: &Store,
    now: UnixMs,
    made: &mut Vec<Write>,
) -> Result<Option<TeamId>, AuthError> {
    let names_none = named.teams.is_empty() && named.team_alias.is_none();
    let user = user.filter(|_| !named.is_admin);
    if names_none
        && settings.falls_back
        && let Some(user) = user
        && let Some(team) = own_teams(user, store).await?.into_iter().next()
    {
        return Ok(Some(team));
    }
    let found = match (&named.team_alias, &named.default_team) {
        (Some(alias), _) => by_alias(TenantKind::Team, alias, store).await?,
        (None, Some(default)) if names_none => first(slice::from_ref(default), store).await?,
        (None, _) => first(&named.teams, store).await?,
    };
    if found.is_some() || named.is_admin || (names_none && named.default_team.is_none()) {
        return Ok(found.map(TeamId::new));
    }
    if let Some(id) = &named.new_team {
        let row = TenantRow::new(TenantKind::Team, id.as_str(), now);
        made.push(Write::EnsureTenant(Box::new(row)));
        return Ok(Some(TeamId::new(id.as_str())));
    }
    if names_none || !settings.forgives_teams {
        return Err(TokenFault::UnknownTeam.into());
    }
    // Where its groups are stored, its user leaves all teams now.
    let Some(user) = user.filter(|_| named.groups.is_none()) else {
        return Ok(None);
    };
    let mut own = own_teams(user, store).await?;
    let last = own.pop();
    Ok(last.filter(|_| own.is_empty()))
}

/// The first of them that exists.
async fn first(ids: &[String], store: &Store) -> Result<Option<String>, AuthError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let teams = store.tenants.by_ids(TenantKind::Team, ids.to_vec()).await?;
    let exists = |id: &&String| teams.iter().any(|team| team.id == **id);
    Ok(ids.iter().find(exists).cloned())
}

/// The teams that the user is a member of, by id.
async fn own_teams(user: &TenantRow, store: &Store) -> Result<Vec<TeamId>, AuthError> {
    let id = UserId::new(user.id.as_str());
    let held = store.tenants.memberships(TenantKind::TeamMember, id);
    Ok(held.await?.iter().map(team_of).collect())
}

async fn organisation(named: &Named, store: &Store) -> Result<Option<OrganisationId>, AuthError> {
    if let Some(id) = &named.organisation {
        return Ok(Some(OrganisationId::new(id.as_str())));
    }
    let Some(alias) = &named.organisation_alias else {
        return Ok(None);
    };
    let found = by_alias(TenantKind::Organisation, alias, store).await?;
    let found = found.ok_or(TokenFault::UnknownOrganisation)?;
    Ok(Some(OrganisationId::new(found)))
}

/// The one with that name: where several have it, nobody knows who is meant.
async fn by_alias(
    kind: TenantKind,
    alias: &str,
    store: &Store,
) -> Result<Option<String>, AuthError> {
    let page = TenantPage {
        filter: TenantFilter {
            alias: Some(alias.to_owned()),
            ..TenantFilter::default()
        },
        ..TenantPage::of(kind, 2)
    };
    let mut found = store.tenants.list(page).await?;
    let last = found.pop();
    Ok(last.filter(|_| found.is_empty()).map(|row| row.id))
}
