//! A known caller and what it may do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use trunkline_actors::clock::{Millis, UnixMs};
use trunkline_actors::ids::{KeyId, OrganisationId, SubjectKind, TeamId, UserId};
use trunkline_actors::rate_limiter::Limits;
use trunkline_actors::spend_ledger::Budget;

use super::access::{ModelList, may_use_model};
use super::error::AuthError;
use super::key_rules::{IN_OTHER_HANDS, KeyRules, Route};
use super::payer::Charges;
use super::role::{Permission, Role};
use crate::config::{DeploymentConfig, TeamModel};
use crate::storage::KeyRow;

/// User id of callers that are no virtual key (LiteLLM's word).
pub const DEFAULT_USER: &str = "default_user_id";

/// Stands for the master key in spend rows, so that its hash is stored nowhere.
pub(super) const MASTER_KEY_MARKER: &str = "litellm_proxy_master_key";

/// Who calls.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The holder of the master key: an administrator.
    Master,
    /// The holder of a virtual key.
    Key(Arc<KeyEntry>),
    /// Anyone on loopback, while no master key is set.
    Open,
}

/// A virtual key with its open handles, as the key table keeps it.
#[derive(Debug)]
pub struct KeyEntry {
    /// As stored.
    pub row: KeyRow,
    /// What counts for each of its requests, its own first: that of its user, team, membership and organisation too.
    pub charges: Charges,
    /// The team's organisation, else the key's.
    pub organisation: Option<OrganisationId>,
    /// Its team is blocked.
    pub team_is_blocked: bool,
    /// The team or organisation that it belongs to and that does not exist: `Team=search`.
    pub missing: Option<String>,
    /// Its user's role.
    pub role: Role,
    /// The organisation that its user manages by its role.
    pub manages: Option<OrganisationId>,
    /// What it may do less than its user.
    pub rules: KeyRules,
    /// The models that it may ask for, layer by layer.
    pub models: Vec<ModelList>,
    /// Names for models, its own and its team's: by what is asked for.
    pub aliases: HashMap<String, String>,
    /// When the secret that was shown stops working: it is the former one, in its grace period.
    pub secret_until: Option<UnixMs>,
    /// Where a token of an identity provider stands in for a key: then the row is stored nowhere.
    pub token: Option<Token>,
    /// When the row was read.
    pub loaded_at: Millis,
}

/// What a token says besides what a key's row has.
#[derive(Debug, Default)]
pub struct Token {
    /// The customer; requests cannot name another.
    pub customer: Option<String>,
}

// === impl Identity ===

impl Identity {
    /// The caller's role.
    pub fn role(&self) -> Role {
        match self {
            Self::Master => Role::ProxyAdmin,
            Self::Key(entry) => entry.role,
            Self::Open => Role::InternalUser,
        }
    }

    /// Checks what a route demands against the role, and the route and the caller's address against the rules of the key.
    ///
    /// # Errors
    /// [`AuthError::AddressDenied`], [`AuthError::RouteNotOfKey`], [`AuthError::RouteDenied`], [`AuthError::MasterOnly`].
    pub fn authorise(
        &self,
        permission: Permission,
        route: Route<'_>,
        address: Option<IpAddr>,
    ) -> Result<(), AuthError> {
        if let Self::Key(entry) = self {
            entry.rules.check_address(address)?;
            entry.rules.check_route(permission, route)?;
        }
        // While no master key is set anybody is served, and nobody makes a key that would outlive that.
        let may = match self {
            Self::Master => true,
            Self::Key(entry) => entry.role.gives(permission),
            Self::Open => self.role().gives(permission) && permission != Permission::Manage,
        };
        if may {
            return Ok(());
        }
        let route = route.path.to_owned();
        Err(match permission {
            Permission::Master => AuthError::MasterOnly { route },
            _ => AuthError::RouteDenied {
                route,
                role: self.role().as_str(),
            },
        })
    }

    /// Whether others than the caller's user may hold its key: what it makes is in their hands too.
    pub fn is_in_other_hands(&self) -> bool {
        self.key()
            .is_some_and(|key| key.row.settings.contains_key(IN_OTHER_HANDS))
    }

    /// The id under which spend is recorded; a token is no key, and what it spends is its user's or team's.
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Master => Some(KeyId::new(MASTER_KEY_MARKER)),
            Self::Key(entry) if entry.token.is_none() => Some(entry.row.id.clone()),
            Self::Key(_) | Self::Open => None,
        }
    }

    /// The internal user behind the caller.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Self::Master | Self::Open => Some(UserId::new(DEFAULT_USER)),
            Self::Key(entry) => entry.row.user.clone(),
        }
    }

    /// The id of that user, as text.
    pub fn user_name(&self) -> Option<&str> {
        match self {
            Self::Master | Self::Open => Some(DEFAULT_USER),
            Self::Key(entry) => entry.row.user.as_ref().map(UserId::as_str),
        }
    }

    /// The team that the caller belongs to.
    pub fn team(&self) -> Option<TeamId> {
        self.key()?.row.team.clone()
    }

    /// The organisation that the caller belongs to.
    pub fn organisation(&self) -> Option<OrganisationId> {
        self.key()?.organisation.clone()
    }

    /// The model that the caller means by a name of its own, or of its team.
    pub fn model_behind(&self, alias: &str) -> Option<&str> {
        self.key()?.aliases.get(alias).map(String::as_str)
    }

    /// The priority of the caller's team, else its key's own: `priority` of the metadata.
    pub fn priority(&self) -> Option<&str> {
        self.key()?.charges.priority.as_deref()
    }

    /// The customer that the caller's token names.
    pub fn customer(&self) -> Option<&str> {
        self.key()?.token.as_ref()?.customer.as_deref()
    }

    /// The lists of models that the caller is held to.
    pub fn model_lists(&self) -> &[ModelList] {
        self.key().map_or(&[], |key| &key.models)
    }

    /// Whether the caller may use a deployment's model group.
    pub fn may_use(&self, deployment: &DeploymentConfig) -> bool {
        self.may_use_as(&deployment.model_name, deployment)
    }

    /// Whether the caller may use a deployment by that name: who may use its group may use the group's aliases.
    pub fn may_use_as(&self, name: &str, deployment: &DeploymentConfig) -> bool {
        let groups = &deployment.model_info.access_groups;
        let in_access_group = |name: &str| groups.iter().any(|group| group == name);
        let team = deployment.team.as_ref();
        let names = [name, &deployment.model_name, deployment.public_name()];
        self.is_for(team)
            && self.model_lists().iter().all(|list| {
                let mut names = names.iter();
                list.is_silent_on(team)
                    || names.any(|name| may_use_model(&list.allowed, name, in_access_group))
            })
    }

    /// Whether deployments of that team, or of nobody's, are for the caller: administrators have all of them.
    pub fn is_for(&self, team: Option<&TeamModel>) -> bool {
        let Some(team) = team else { return true };
        let own = self.key().and_then(|key| key.row.team.as_ref());
        own.is_some_and(|own| own.as_str() == team.team_id) || self.role() == Role::ProxyAdmin
    }

    /// The virtual key, if it is one.
    pub fn key(&self) -> Option<&KeyEntry> {
        match self {
            Self::Key(entry) => Some(entry),
            Self::Master | Self::Open => None,
        }
    }
}

// === impl KeyEntry ===

impl KeyEntry {
    /// Whether the secret that was shown still works.
    pub fn is_current(&self) -> bool {
        self.secret_until.is_none_or(|until| UnixMs::now() < until)
    }

    /// The key's own limits.
    pub fn own_limits(&self) -> Limits {
        let own = self.charges.limits.iter();
        own.filter(|(subject, _)| subject.kind == SubjectKind::Key)
            .map(|(_, limits)| *limits)
            .next()
            .unwrap_or_default()
    }

    /// Tags that each of its requests carries: `tags` of its metadata.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.row.metadata.get("tags").and_then(Value::as_array);
        tags.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The key's own budget, when it has one.
    pub fn own_budget(&self) -> Option<&Arc<Budget>> {
        self.charges.budgets.iter().find(|budget| {
            let terms = budget.terms();
            terms.subject.kind == SubjectKind::Key && terms.budget.is_own()
        })
    }
}
