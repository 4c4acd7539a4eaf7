//! Whose a key may be: who makes a key for whom, and who changes one. Contract: `auth-budgets-limits` §3, `endpoints` §3.
//!
//! | caller | makes keys | changes |
//! | --- | --- | --- |
//! | administrator | for anybody | all |
//! | admin of an organisation or team | of its teams: for their members, or for nobody | keys of its teams |
//! | member of a team that permits it | of the team, for itself | its own |
//! | any user | for itself | its own; of one that others made, the alias alone |
//!
//! A key is a way to act as its user. So a key without a team is handed out to its own user alone, and one of an
//! administrator by administrators alone.

use serde_json::Value;
use trunkline_actors::ids::{OrganisationId, Subject, TeamId, UserId};

use super::super::fields::Fields;
use super::super::reach::{Hold, Reach, others};
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{KeyRow, TenantKind, TenantRow};

/// The team's setting that lists what its members may do, as paths.
pub(in crate::http::admin) const MEMBER_PERMISSIONS: &str = "team_member_permissions";

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Owner {
    pub(super) user: Option<UserId>,
    pub(super) team: Option<TeamId>,
    pub(super) organisation: Option<OrganisationId>,
}

// === impl Owner ===

impl Owner {
    /// Of a stored key.
    pub(super) fn of(row: &KeyRow) -> Self {
        Self {
            user: row.user.clone(),
            team: row.team.clone(),
            organisation: row.organisation.clone(),
        }
    }

    /// Whose a new key is, where the body does not say: the caller's own. Who manages a team makes keys of nobody in it, too.
    pub(super) fn or_caller(mut self, reach: &Reach) -> Self {
        if reach.is_everything() {
            return self;
        }
        let within = || reach.within().cloned();
        self.team = self.team.or_else(within);
        let manages = self
            .team
            .as_ref()
            .is_some_and(|team| reach.is_admin_of(team));
        if !manages {
            self.user = self.user.or_else(|| reach.user().cloned());
        }
        self
    }

    /// Whether the caller makes a key of this owner, by the call of `route`.
    ///
    /// # Errors
    /// 401 for a key of another user (contract), 403 for another team or organisation.
    pub(super) async fn check(
        &self,
        call: &Call,
        reach: &Reach,
        identity: &Identity,
        route: &str,
    ) -> Result<(), ApiError> {
        if reach.is_everything() {
            return Ok(());
        }
        // A team's key must not make one that acts beyond the team.
        if reach.within().is_some() && reach.within() != self.team.as_ref() {
            return Err(others(
                "team_id",
                "A key of a team makes and changes keys of that team only.",
            ));
        }
        let is_own = self.user.is_some() && self.user.as_ref() == reach.user();
        let Some(team) = &self.team else {
            if !is_own {
                return Err(not_for_others(identity, route));
            }
            return self.check_organisation(reach, None);
        };
        let tenants = &call.app().store.tenants;
        let row = tenants
            .by_id(TenantKind::Team, team.as_str().to_owned())
            .await?;
        let Some(row) = row.filter(|row| reach.team(row) >= Hold::Sees) else {
            return Err(others(
                "team_id",
                "You are not allowed to make keys of this team.",
            ));
        };
        if reach.team(&row) >= Hold::Manages {
            if let (Some(user), false) = (&self.user, is_own) {
                reach.check_not_above(call, user).await?;
                let member = Subject::team_member(team, user).id.as_ref().to_owned();
                let member = tenants.by_id(TenantKind::TeamMember, member).await?;
                if member.is_none() {
                    return Err(others(
                        "user_id",
                        "This user is no member of the team. Add it with POST /team/member_add first.",
                    ));
                }
            }
        } else if !(is_own || self.is_service(reach)) || !permits(&row, route) {
            return Err(others(
                "team_id",
                "Members of this team make no keys of it. Its admin permits it with POST /team/permissions_update.",
            ));
        }
        self.check_organisation(reach, Some(&row))
    }

    /// Of nobody in the team, asked for by somebody in it.
    fn is_service(&self, reach: &Reach) -> bool {
        self.user.is_none() && reach.user().is_some()
    }

    /// What an organisation pays for is for its own.
    fn check_organisation(&self, reach: &Reach, team: Option<&TenantRow>) -> Result<(), ApiError> {
        let Some(organisation) = &self.organisation else {
            return Ok(());
        };
        let is_teams = team.is_some_and(|team| team.organisation.as_ref() == Some(organisation));
        if is_teams || reach.organisation(organisation.as_str()) >= Hold::Sees {
            return Ok(());
        }
        Err(others(
            "organization_id",
            "You are not allowed to make keys of this organization.",
        ))
    }
}

/// Whether members of the team may call `route`.
fn permits(team: &TenantRow, route: &str) -> bool {
    let listed = team
        .settings
        .get(MEMBER_PERMISSIONS)
        .and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .any(|permitted| permitted.as_str() == Some(route))
}

fn not_for_others(identity: &Identity, route: &str) -> ApiError {
    ApiError::new(
        Code::RouteDenied,
        format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info for keys of other users. Route={route}. Your role={}. Leave user_id out for a key of your own.",
            identity.role().as_str()
        ),
    )
    .param("user_id")
}

/// Whether the caller may see the key.
///
/// # Errors
/// 403.
pub(super) async fn check_sees(call: &Call, reach: &Reach, row: &KeyRow) -> Result<(), ApiError> {
    if reach.key(call, row).await? >= Hold::Sees {
        return Ok(());
    }
    Err(others(
        "key",
        "You are not allowed to access this key's info.",
    ))
}

/// Whether the caller may change of the key what the body changes; of one of its own that somebody else made, whose limits
/// are not for its owner to lift, the `free` members alone. Answers what it has of the key.
///
/// # Errors
/// 403.
pub(super) async fn check_changes(
    call: &Call,
    reach: &Reach,
    row: &KeyRow,
    fields: &Fields,
    free: &[&str],
) -> Result<Hold, ApiError> {
    let hold = reach.key(call, row).await?;
    hold.at_least(Hold::Own, "key")?;
    if hold > Hold::Own
        && let Some(user) = &row.user
    {
        reach.check_not_above(call, user).await?;
    }
    let own = reach.user().map(UserId::as_str);
    let is_given = hold == Hold::Own && row.created_by.as_deref() != own;
    if is_given && let Some(field) = fields.beyond(free) {
        return Err(others(
            "key",
            &format!(
                "This key was made for you: whoever made it, or an admin of its team, changes '{field}'. You may change its key_alias."
            ),
        ));
    }
    Ok(hold)
}

/// Whether the caller may block the key: not its owner.
///
/// # Errors
/// 403.
pub(super) async fn check_manages(
    call: &Call,
    reach: &Reach,
    row: &KeyRow,
) -> Result<(), ApiError> {
    let hold = reach.key(call, row).await?;
    hold.at_least(Hold::Manages, "key")?;
    if let Some(user) = &row.user {
        reach.check_not_above(call, user).await?;
    }
    Ok(())
}
