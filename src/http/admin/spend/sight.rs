//! Whose rows a caller may see. Nothing else decides that.
//!
//! Who reads everything by its role sees everything. Everybody else sees what was spent in the name of the key's user, or,
//! where the key belongs to no user, with the key itself; a key of a team, of that within the team alone. Who asks for teams
//! or organisations that it manages sees all of these.

use trunkline_actors::ids::{KeyId, TeamId, UserId};

use crate::auth::{Identity, key};
use crate::http::admin::reach::{Hold, Reach};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::reports::{Facet, LogColumn, LogFilter, Of};
use crate::storage::{KeyFilter, TenantKind};

/// What a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything.
    Everything,
    /// What was spent in these teams.
    Teams(Vec<String>),
    /// What was spent in these organisations.
    Organisations(Vec<String>),
    /// What this user's keys spent.
    User(String),
    /// What this user's keys spent within a team.
    Member {
        /// The user.
        user: String,
        /// The team.
        team: String,
    },
    /// What this key spent.
    Key(String),
    /// Nothing: the caller has neither.
    Nothing,
}

impl Sight {
    pub(super) fn of(identity: &Identity) -> Self {
        if identity.role().is_global() {
            return Self::Everything;
        }
        match (identity.user_id(), identity.team(), identity.key_id()) {
            (Some(user), Some(team), _) => Self::Member {
                user: user.as_str().to_owned(),
                team: team.as_str().to_owned(),
            },
            (Some(user), None, _) => Self::User(user.as_str().to_owned()),
            (None, _, Some(key)) => Self::Key(key.as_str().to_owned()),
            (None, _, None) => Self::Nothing,
        }
    }

    /// Of a question that names teams (or organisations): all of them, if the caller manages each.
    pub(super) async fn within(
        call: &Call,
        identity: &Identity,
        facet: Facet,
        names: &[String],
    ) -> Result<Self, ApiError> {
        let plain = Self::of(identity);
        if plain == Self::Everything || names.is_empty() {
            return Ok(plain);
        }
        let reach = Reach::of(call, identity).await?;
        let kind = match facet {
            Facet::Organisation => {
                let all = names
                    .iter()
                    .all(|name| reach.organisation(name) >= Hold::Manages);
                return Ok(if all {
                    Self::Organisations(names.to_vec())
                } else {
                    plain
                });
            }
            Facet::Team => TenantKind::Team,
            _ => return Ok(plain),
        };
        let teams = call
            .app()
            .store
            .tenants
            .by_ids(kind, names.to_vec())
            .await?;
        let managed = |name: &String| {
            let team = teams.iter().find(|team| team.id == *name);
            team.is_some_and(|team| reach.team(team) >= Hold::Manages)
        };
        Ok(if names.iter().all(managed) {
            Self::Teams(names.to_vec())
        } else {
            plain
        })
    }

    /// What every question for sums is limited to.
    pub(super) fn limits(&self) -> Vec<Of> {
        match self {
            Self::Everything => Vec::new(),
            Self::Teams(teams) => vec![Of::these(Facet::Team, teams.clone())],
            Self::Organisations(names) => vec![Of::these(Facet::Organisation, names.clone())],
            Self::User(user) => vec![Of::one(Facet::User, user)],
            Self::Member { user, team } => {
                vec![Of::one(Facet::User, user), Of::one(Facet::Team, team)]
            }
            Self::Key(key) => vec![Of::one(Facet::Key, key)],
            Self::Nothing => vec![Of::none(Facet::Key)],
        }
    }

    /// The keys whose spend is seen; `None`: none.
    pub(super) fn keys(&self) -> Option<KeyFilter> {
        let all = KeyFilter::default();
        Some(match self {
            Self::Everything => all,
            Self::User(user) => KeyFilter {
                user: Some(UserId::new(user.as_str())),
                ..all
            },
            Self::Member { user, team } => KeyFilter {
                user: Some(UserId::new(user.as_str())),
                team: Some(TeamId::new(team.as_str())),
                ..all
            },
            Self::Key(key) => KeyFilter {
                id: Some(KeyId::new(key.as_str())),
                ..all
            },
            Self::Teams(_) | Self::Organisations(_) | Self::Nothing => return None,
        })
    }

    /// Whether what requests asked and were answered may be shown. What a team or an organisation spent is for who manages it;
    /// what its people said is not.
    pub(super) fn shows_words(&self) -> bool {
        !matches!(self, Self::Teams(_) | Self::Organisations(_))
    }

    /// Limits a question for rows.
    pub(super) fn limit(&self, filter: &mut LogFilter) {
        // Also where another one was asked for: nothing of that one is this caller's.
        let agrees =
            |asked: &Option<String>, own: &String| asked.as_ref().is_none_or(|asked| asked == own);
        match self {
            Self::Everything => {}
            Self::Teams(teams)
                if filter
                    .team
                    .as_ref()
                    .is_some_and(|team| teams.contains(team)) => {}
            Self::Organisations(names)
                if filter.with.iter().any(|(column, name)| {
                    *column == LogColumn::Organisation && names.contains(name)
                }) => {}
            Self::User(user) => filter.user = Some(user.clone()),
            Self::Member { user, team } if agrees(&filter.team, team) => {
                filter.user = Some(user.clone());
                filter.team = Some(team.clone());
            }
            Self::Key(key) if agrees(&filter.key, key) => filter.key = Some(key.clone()),
            _ => filter.user = Some(NOBODY.to_owned()),
        }
    }

    /// The user asked for, if the caller may see that one's spend.
    pub(super) fn user(&self, asked: Option<String>) -> Result<Option<String>, ApiError> {
        match (self, asked) {
            (Self::Everything | Self::Teams(_) | Self::Organisations(_), asked) => Ok(asked),
            (Self::User(own) | Self::Member { user: own, .. }, Some(asked)) if *own == asked => {
                Ok(Some(asked))
            }
            (_, None) => Ok(None),
            (_, Some(_)) => Err(ApiError::new(
                Code::OthersData,
                "Not authorized to view spend for another user. Leave user_id out for your own, or ask as an administrator.",
            )
            .param("user_id")),
        }
    }

    /// The user to answer for: the one asked for, else the caller's own.
    pub(super) fn one_user(
        &self,
        identity: &Identity,
        asked: Option<String>,
    ) -> Result<String, ApiError> {
        let own = || identity.user_name().map(str::to_owned);
        self.user(asked)?.or_else(own).ok_or_else(|| {
            ApiError::new(
                Code::BadRequest,
                "This key belongs to no user. Ask with a user's key, or as an administrator with ?user_id=.",
            )
            .param("user_id")
        })
    }
}

/// No user has this id: it is no text that a client can send.
const NOBODY: &str = "\u{1}";

/// As the books name a key that is named by its text or by its id.
pub(super) fn key_id(named: impl AsRef<str>) -> String {
    key::id_of_named(named.as_ref()).as_str().to_owned()
}
