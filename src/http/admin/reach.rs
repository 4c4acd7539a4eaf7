//! Whose objects a caller reaches: which keys, users, teams and organisations it is shown, and which it may change. Nothing
//! else decides that; whose spend it sees is decided beside (`spend/sight.rs`), from the same ties. Contract:
//! `auth-budgets-limits` §3.
//!
//! | caller | is shown | changes |
//! | --- | --- | --- |
//! | administrator; its viewer | everything | everything; nothing |
//! | key of a user | that user, its keys, its teams, its organisations | its own keys |
//! | … who is admin of a team | the team's keys and members too | these |
//! | … who is admin of an organisation | the organisation's teams, users and keys too | these |
//! | key of a team, of a user or of nobody | the team; its user, but not what it spent; its user's keys within it | as its user may, within that team alone |
//! | key of nobody | itself | nothing |
//!
//! A key of a team acts within that team alone because others hand it out: whoever manages a team could otherwise make a key
//! for one of its members and act as that person everywhere.

use serde_json::Value;
use trunkline_actors::ids::{KeyId, OrganisationId, Subject, TeamId, UserId};

use crate::auth::{Identity, Role};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{KeyRow, KeyScope, TenantKind, TenantRow};

/// The word for an administrator of a team.
pub(super) const TEAM_ADMIN: &str = "admin";
/// The word for an administrator of an organisation.
pub(super) const ORG_ADMIN: &str = "org_admin";

/// What a caller reaches.
#[derive(Debug)]
pub(super) struct Reach {
    /// `None`: everything.
    ties: Option<Ties>,
}

/// To whom a caller is tied.
#[derive(Debug, Default)]
struct Ties {
    key: Option<KeyId>,
    user: Option<UserId>,
    /// The only team that it acts in.
    within: Option<TeamId>,
    /// Teams that its user is in, and those of them that it manages.
    teams: Vec<String>,
    managed_teams: Vec<String>,
    /// The same of organisations.
    organisations: Vec<String>,
    managed_organisations: Vec<String>,
}

/// What a caller has of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// It must not know of it.
    None,
    /// It is shown it.
    Sees,
    /// It is its own.
    Own,
    /// It changes it, but for what those above it gave.
    Manages,
    /// It changes everything of it.
    Governs,
}

// === impl Reach ===

impl Reach {
    /// Reads to whom the caller is tied.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn of(call: &Call, identity: &Identity) -> Result<Self, ApiError> {
        if identity.role().is_global() {
            return Ok(Self { ties: None });
        }
        let mut ties = Ties {
            key: identity.key().map(|key| key.row.id.clone()),
            user: identity.user_id(),
            within: identity.team(),
            ..Ties::default()
        };
        let tenants = &call.app().store.tenants;
        match (&ties.within, ties.user.clone()) {
            (Some(team), user) => {
                ties.teams.push(team.as_str().to_owned());
                if let Some(user) = user {
                    let id = Subject::team_member(team, &user).id.as_ref().to_owned();
                    let member = tenants.by_id(TenantKind::TeamMember, id).await?;
                    if member.is_some_and(|member| is(&member, TEAM_ADMIN)) {
                        ties.managed_teams.push(team.as_str().to_owned());
                    }
                }
            }
            (None, Some(user)) => {
                ties.read_memberships(call, &user).await?;
                if let Some(key) = identity.key()
                    && let (Role::OrgAdmin, Some(organisation)) = (key.role, &key.manages)
                {
                    let id = organisation.as_str().to_owned();
                    ties.organisations.push(id.clone());
                    ties.managed_organisations.push(id);
                }
            }
            (None, None) => {}
        }
        Ok(Self { ties: Some(ties) })
    }

    /// Everything is within reach.
    pub(super) fn is_everything(&self) -> bool {
        self.ties.is_none()
    }

    /// Whether the caller may leave metadata with the priority `after` that had `before`: where priorities share what models
    /// grant, an administrator says who has which.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_priority(
        &self,
        call: &Call,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Result<(), ApiError> {
        if self.is_everything() || before == after || call.app().config.sharing.is_none() {
            return Ok(());
        }
        Err(others(
            "metadata",
            "'metadata.priority' is given by an administrator: leave it as it is.",
        ))
    }

    /// The user that the caller acts for.
    pub(super) fn user(&self) -> Option<&UserId> {
        self.ties.as_ref()?.user.as_ref()
    }

    /// The only team that the caller acts in.
    pub(super) fn within(&self) -> Option<&TeamId> {
        self.ties.as_ref()?.within.as_ref()
    }

    /// Teams that the caller's user is in.
    pub(super) fn teams(&self) -> &[String] {
        self.ties.as_ref().map_or(&[], |ties| &ties.teams)
    }

    /// Whether the caller's user is an admin of the team.
    pub(super) fn is_admin_of(&self, team: &TeamId) -> bool {
        self.ties
            .as_ref()
            .is_some_and(|ties| ties.managed_teams.iter().any(|own| own == team.as_str()))
    }

    /// Organisations that the caller manages.
    pub(super) fn managed_organisations(&self) -> &[String] {
        self.ties
            .as_ref()
            .map_or(&[], |ties| &ties.managed_organisations)
    }

    /// Organisations that the caller's user is in.
    pub(super) fn organisations(&self) -> &[String] {
        self.ties.as_ref().map_or(&[], |ties| &ties.organisations)
    }

    /// A team.
    pub(super) fn team(&self, team: &TenantRow) -> Hold {
        let Some(ties) = &self.ties else {
            return Hold::Governs;
        };
        if ties.manages_organisation(team.organisation.as_ref()) {
            Hold::Governs
        } else if ties.managed_teams.contains(&team.id) {
            Hold::Manages
        } else if ties.teams.contains(&team.id) {
            Hold::Sees
        } else {
            Hold::None
        }
    }

    /// An organisation.
    pub(super) fn organisation(&self, id: &str) -> Hold {
        let Some(ties) = &self.ties else {
            return Hold::Governs;
        };
        if ties.managed_organisations.iter().any(|own| own == id) {
            Hold::Manages
        } else if ties.organisations.iter().any(|own| own == id) {
            Hold::Sees
        } else {
            Hold::None
        }
    }

    /// A user. Who administrates the gateway is nobody else's to change, and who was merely added to an organisation is not
    /// its admin's: it has another home.
    pub(super) fn user_row(&self, user: &TenantRow) -> Hold {
        let Some(ties) = &self.ties else {
            return Hold::Governs;
        };
        let own = ties.user.as_ref().map(UserId::as_str);
        if own == Some(user.id.as_str()) {
            // A user is in no team alone: who manages one of its teams must not change it.
            return if ties.within.is_none() {
                Hold::Own
            } else {
                Hold::Sees
            };
        }
        let is_above = Role::of(user.role.as_deref()).is_global();
        if !is_above && ties.manages_organisation(user.organisation.as_ref()) {
            Hold::Manages
        } else {
            Hold::None
        }
    }

    /// A key.
    pub(super) async fn key(&self, call: &Call, row: &KeyRow) -> Result<Hold, ApiError> {
        let Some(ties) = &self.ties else {
            return Ok(Hold::Governs);
        };
        let team = row.team.as_ref();
        if let Some(team) = team
            && ties.managed_teams.iter().any(|own| own == team.as_str())
        {
            return Ok(Hold::Manages);
        }
        if !ties.managed_organisations.is_empty() {
            let organisation = match team {
                Some(team) => {
                    let id = team.as_str().to_owned();
                    let tenants = &call.app().store.tenants;
                    let team = tenants.by_id(TenantKind::Team, id).await?;
                    team.and_then(|team| team.organisation)
                }
                None => None,
            };
            let organisation = organisation.or_else(|| row.organisation.clone());
            if ties.manages_organisation(organisation.as_ref()) {
                return Ok(Hold::Manages);
            }
        }
        let is_users = row.user.is_some() && row.user == ties.user;
        let is_inside = ties.within.is_none() || ties.within == row.team;
        if is_users && is_inside {
            return Ok(Hold::Own);
        }
        Ok(if ties.key.as_ref() == Some(&row.id) {
            Hold::Sees
        } else {
            Hold::None
        })
    }

    /// Which keys a list holds; `None`: all.
    pub(super) fn keys(&self) -> Option<KeyScope> {
        let ties = self.ties.as_ref()?;
        Some(KeyScope {
            id: ties.key.clone(),
            user: ties.user.clone(),
            within: ties.within.clone(),
            teams: ties.managed_teams.clone(),
            organisations: ties.managed_organisations.clone(),
        })
    }

    /// Nobody but an administrator hands out or takes over what acts for an administrator or its viewer.
    ///
    /// # Errors
    /// 403.
    pub(super) async fn check_not_above(&self, call: &Call, user: &UserId) -> Result<(), ApiError> {
        let Some(ties) = &self.ties else {
            return Ok(());
        };
        if ties.user.as_ref() == Some(user) {
            return Ok(());
        }
        let tenants = &call.app().store.tenants;
        let id = user.as_str().to_owned();
        let row = tenants.by_id(TenantKind::User, id).await?;
        let role = row.and_then(|row| row.role);
        if Role::of(role.as_deref()).is_global() {
            return Err(others(
                "user_id",
                "Only an administrator makes or changes keys of administrators.",
            ));
        }
        Ok(())
    }
}

// === impl Ties ===

impl Ties {
    async fn read_memberships(&mut self, call: &Call, user: &UserId) -> Result<(), ApiError> {
        let tenants = &call.app().store.tenants;
        for row in tenants
            .memberships(TenantKind::TeamMember, user.clone())
            .await?
        {
            if is(&row, TEAM_ADMIN) {
                self.managed_teams.push(group_of(&row).to_owned());
            }
            self.teams.push(group_of(&row).to_owned());
        }
        for row in tenants
            .memberships(TenantKind::OrganisationMember, user.clone())
            .await?
        {
            if is(&row, ORG_ADMIN) {
                self.managed_organisations.push(group_of(&row).to_owned());
            }
            self.organisations.push(group_of(&row).to_owned());
        }
        Ok(())
    }

    fn manages_organisation(&self, id: Option<&OrganisationId>) -> bool {
        id.is_some_and(|id| {
            self.managed_organisations
                .iter()
                .any(|own| own == id.as_str())
        })
    }
}

// === impl Hold ===

impl Hold {
    /// Refuses who has less than `least`.
    ///
    /// # Errors
    /// 403; it does not tell whether there is such a thing.
    pub(super) fn at_least(self, least: Self, param: &'static str) -> Result<(), ApiError> {
        if self >= least {
            return Ok(());
        }
        Err(others(
            param,
            match least {
                Self::None | Self::Sees => {
                    "You are not allowed to see this: it is not yours, your team's or your organisation's."
                }
                Self::Own | Self::Manages => {
                    "You are not allowed to change this: it is not yours, and you are no admin of its team or organisation."
                }
                Self::Governs => {
                    "You are not allowed to change this: only an administrator, or the admin of its organisation, does."
                }
            },
        ))
    }
}

/// 403 of what is somebody else's.
pub(super) fn others(param: &'static str, text: &str) -> ApiError {
    ApiError::new(Code::OthersData, text).param(param)
}

/// The team or organisation of a membership.
pub(super) fn group_of(membership: &TenantRow) -> &str {
    membership
        .id
        .split_once(':')
        .map_or(membership.id.as_str(), |(group, _)| group)
}

/// The user of a membership.
pub(super) fn user_of(membership: &TenantRow) -> &str {
    membership.id.split_once(':').map_or("", |(_, user)| user)
}

fn is(membership: &TenantRow, role: &str) -> bool {
    membership.role.as_deref() == Some(role)
}
