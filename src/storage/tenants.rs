//! Whoever a budget or a limit can be given to, and what it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, Subject, SubjectKind, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BoxFuture;

use super::{AsRead, StorageError, TenantFilter, TenantPage};

/// What putting a row that is stored already changes: all but who made it, and when. Both dialects say it alike.
pub(super) const REPLACE: &str = "DO UPDATE SET alias = excluded.alias, email = excluded.email, role = excluded.role, \
     organization_id = excluded.organization_id, budget_id = excluded.budget_id, blocked = excluded.blocked, \
     models = excluded.models, max_budget = excluded.max_budget, rpm_limit = excluded.rpm_limit, \
     tpm_limit = excluded.tpm_limit, max_parallel = excluded.max_parallel, terms = excluded.terms, \
     settings = excluded.settings, updated_at = excluded.updated_at";

/// Most memberships of a user that are looked at.
pub(super) const MOST_MEMBERSHIPS: u32 = 1_000;

/// The sorts of [`TenantRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TenantKind {
    /// Teams and keys may belong to one.
    Organisation,
    /// Users and keys may belong to one.
    Team,
    /// An internal user.
    User,
    /// A user within a team; the id is `team:user`.
    TeamMember,
    /// A user within an organisation; the id is `organisation:user`.
    OrganisationMember,
    /// A customer that requests name.
    EndUser,
    /// A label that requests carry.
    Tag,
    /// A budget and limits that others share by its id.
    Budget,
}

/// One of them, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantRow {
    /// What it is.
    pub kind: TenantKind,
    /// The operator's id for it; unique among its kind.
    pub id: String,
    /// The operator's name for it.
    pub alias: Option<String>,
    /// Where to write to; users have one.
    pub email: Option<String>,
    /// LiteLLM's name of a user's role (`internal_user`), or `admin` or `user` within a team.
    pub role: Option<String>,
    /// The organisation that it belongs to.
    pub organisation: Option<OrganisationId>,
    /// The shared budget that counts where it has no figure of its own.
    pub budget_id: Option<String>,
    /// Refused while set.
    pub blocked: bool,
    /// Model groups that it may ask for; empty means all.
    pub models: Vec<String>,
    /// What it may spend, and how fast.
    pub terms: Terms,
    /// What its kind has for itself; kept as it is.
    pub settings: Map<String, Value>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub updated_at: UnixMs,
    /// How it stood when it was read.
    pub as_read: AsRead,
}

/// What somebody may spend, and how fast. Absent is no limit.
///
/// The plain figures are columns; the rest is stored as JSON, in which money is a decimal string:
/// `{"budget_duration":"30d","models":{"gpt-4o":{"budget_limit":"1.5","time_period":"1d"}}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// USD in one window.
    #[serde(skip)]
    pub max_budget: Option<Usd>,
    /// Requests a minute.
    #[serde(skip)]
    pub rpm_limit: Option<u64>,
    /// Tokens a minute.
    #[serde(skip)]
    pub tpm_limit: Option<u64>,
    /// Requests at the same time.
    #[serde(skip)]
    pub max_parallel_requests: Option<u64>,
    /// Tokens a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpd_limit: Option<u64>,
    /// Spending more USD than this in one window is said in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_budget: Option<Usd>,
    /// The length of a window (`30d`); none is one that never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_duration: Option<String>,
    /// More budgets, of other lengths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budget_limits: Vec<WindowBudget>,
    /// A budget for each of these model groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub model_max_budget: BTreeMap<String, ModelBudget>,
    /// Limits for each of these model groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub model_limits: BTreeMap<String, ModelLimits>,
    /// USD on top of `max_budget`, for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increase: Option<TemporaryIncrease>,
    /// When its budgets were last reset by hand, in unix milliseconds; 0: never.
    #[serde(skip_serializing_if = "is_zero")]
    pub reset_at: u64,
    /// From when on its windows are counted, where the calendar does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMs>,
}

/// `{"budget_duration":"1d","max_budget":"5"}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowBudget {
    /// Its length: `1d`.
    pub budget_duration: String,
    /// USD in one of them.
    pub max_budget: Usd,
}

/// `{"budget_limit":"1.5","time_period":"1d"}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelBudget {
    /// USD in one window.
    pub budget_limit: Usd,
    /// Its length; none never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_period: Option<String>,
}

/// `{"rpm_limit":60,"tpm_limit":100000}`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelLimits {
    /// Requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpm_limit: Option<u64>,
    /// Tokens a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm_limit: Option<u64>,
}

/// An amount on top of a budget, until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporaryIncrease {
    /// USD.
    pub amount: Usd,
    /// Not any more from here on.
    pub until: UnixMs,
}

/// Reads organisations, teams, users, members, customers, tags and shared budgets. They are changed by
/// [`ChangeStore`](super::ChangeStore) alone.
pub trait TenantStore: Send + Sync {
    /// The one with that id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn by_id(
        &self,
        kind: TenantKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<TenantRow>, StorageError>>;

    /// Those of the ids that are there, in order of id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn by_ids(
        &self,
        kind: TenantKind,
        ids: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>>;

    /// The memberships of a user, in teams or in organisations, in order of id; at most a thousand.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn memberships(
        &self,
        kind: TenantKind,
        user: UserId,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>>;

    /// How many there are.
    ///
    /// # Errors
    /// The database's.
    fn count(
        &self,
        kind: TenantKind,
        filter: TenantFilter,
    ) -> BoxFuture<'_, Result<u64, StorageError>>;

    /// One page, in order of id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn list(&self, page: TenantPage) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>>;

    /// Whether there is any of that kind.
    ///
    /// # Errors
    /// The database's.
    fn any(&self, kind: TenantKind) -> BoxFuture<'_, Result<bool, StorageError>>;
}

// === impl TenantKind ===

impl TenantKind {
    /// The word in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organization",
            Self::Team => "team",
            Self::User => "user",
            Self::TeamMember => "team_member",
            Self::OrganisationMember => "organization_member",
            Self::EndUser => "end_user",
            Self::Tag => "tag",
            Self::Budget => "budget",
        }
    }

    /// Whose limits and budgets those of this id are. A shared budget is nobody's: it counts for each by itself.
    pub fn subject(self, id: &str) -> Option<Subject> {
        let kind = match self {
            Self::Organisation => SubjectKind::Organisation,
            Self::Team => SubjectKind::Team,
            Self::User => SubjectKind::User,
            Self::TeamMember => SubjectKind::TeamMember,
            Self::EndUser => SubjectKind::EndUser,
            Self::Tag => SubjectKind::Tag,
            Self::Budget | Self::OrganisationMember => return None,
        };
        Some(Subject::new(kind, id))
    }
}

// === impl TenantRow ===

impl TenantRow {
    /// One that has nothing but an id.
    pub fn new(kind: TenantKind, id: impl Into<String>, now: UnixMs) -> Self {
        Self {
            kind,
            id: id.into(),
            alias: None,
            email: None,
            role: None,
            organisation: None,
            budget_id: None,
            blocked: false,
            models: Vec::new(),
            terms: Terms::default(),
            settings: Map::new(),
            created_at: now,
            created_by: None,
            updated_at: now,
            as_read: AsRead::default(),
        }
    }

    /// A user that somebody named.
    pub fn user(id: &UserId, now: UnixMs) -> Self {
        Self {
            role: Some("internal_user".to_owned()),
            ..Self::new(TenantKind::User, id.as_str(), now)
        }
    }
}

// === impl Terms ===

impl Terms {
    /// These, completed by those of a shared budget. Who has a budget of its own keeps its windows.
    #[must_use]
    pub fn or(self, shared: &Self) -> Self {
        let (max_budget, budget_duration) = match self.max_budget {
            Some(own) => (Some(own), self.budget_duration),
            None => (
                shared.max_budget,
                self.budget_duration
                    .or_else(|| shared.budget_duration.clone()),
            ),
        };
        let choose = |own: Vec<WindowBudget>| {
            if own.is_empty() {
                shared.budget_limits.clone()
            } else {
                own
            }
        };
        Self {
            max_budget,
            budget_duration,
            rpm_limit: self.rpm_limit.or(shared.rpm_limit),
            tpm_limit: self.tpm_limit.or(shared.tpm_limit),
            tpd_limit: self.tpd_limit.or(shared.tpd_limit),
            max_parallel_requests: self.max_parallel_requests.or(shared.max_parallel_requests),
            soft_budget: self.soft_budget.or(shared.soft_budget),
            budget_limits: choose(self.budget_limits),
            model_max_budget: if self.model_max_budget.is_empty() {
                shared.model_max_budget.clone()
            } else {
                self.model_max_budget
            },
            model_limits: if self.model_limits.is_empty() {
                shared.model_limits.clone()
            } else {
                self.model_limits
            },
            increase: self.increase.or(shared.increase),
            reset_at: self.reset_at.max(shared.reset_at),
            since: self.since.or(shared.since),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
