//! Names that cross a boundary: newtypes, so that a key is never taken for a user or a group for a deployment.
//!
//! All text ids are `Arc<str>` inside: a clone is one atomic increment, which is what a request makes of them.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// Declares a cheap-to-clone text id with the conversions that map look-ups need.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text, for a [`Subject`] or a log event, without a copy.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }

        // `Hash` and `Eq` of the wrapper are those of the text, as `Borrow` demands.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }
    };
}

text_id! {
    /// One entry of `model_list`: `model_info.id`, else a digest of its parameters.
    DeploymentId
}
text_id! {
    /// A `model_name`: the name clients ask for. May be a wildcard pattern such as `openai/*`.
    ModelGroup
}
text_id! {
    /// A virtual key: the lower-case hex SHA-256 of its secret, never the secret.
    KeyId
}
text_id! {
    /// An internal user.
    UserId
}
text_id! {
    /// A team. Holds no colon: a member is `team:user`.
    TeamId
}
text_id! {
    /// An organisation.
    OrganisationId
}

/// The gateway's own id of one client request: a ULID, 26 characters, sortable by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Ulid);

/// The text is not a ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a request id: expected 26 characters of Crockford's base 32")]
pub struct InvalidRequestId {
    text: String,
}

/// What a limit or a budget applies to.
///
/// The order (kind first, then id) is the order in which locks are taken, everywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// What sort of thing it is.
    pub kind: SubjectKind,
    /// Which one. A team member is `team:user`; the global subject has an empty id.
    pub id: Arc<str>,
}

/// The sorts of [`Subject`], in lock order; `Display` gives the contract's descriptor (`api_key`, `team`, …).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// The whole gateway.
    Global,
    /// An organisation.
    #[serde(rename = "organization")]
    Organisation,
    /// A team.
    Team,
    /// An internal user.
    User,
    /// A user within a team.
    TeamMember,
    /// The customer named by the request.
    EndUser,
    /// A virtual key.
    #[serde(rename = "api_key")]
    Key,
    /// A request tag.
    Tag,
    /// A model group.
    Model,
    /// A provider.
    Provider,
    /// One deployment.
    Deployment,
}

// === impl RequestId ===

impl RequestId {
    /// Makes an id of a wall-clock time and 80 random bits (higher bits of `random` are ignored).
    ///
    /// Both are arguments, so that ids in tests are what the test says.
    pub fn generate(unix_ms: u64, random: u128) -> Self {
        Self(Ulid::from_parts(unix_ms, random))
    }

    /// The id of these bytes, those of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }

    /// Its 16 bytes, in the order of its text.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// The wall-clock time in the id, in milliseconds.
    pub fn unix_ms(&self) -> u64 {
        self.0.timestamp_ms()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(text)
            .map(Self)
            .map_err(|_err| InvalidRequestId {
                text: text.chars().take(64).collect(),
            })
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

// === impl Subject ===

impl Subject {
    /// The subject of that kind and id.
    pub fn new(kind: SubjectKind, id: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            id: id.into(),
        }
    }

    /// The whole gateway.
    pub fn global() -> Self {
        Self::new(SubjectKind::Global, "")
    }

    /// A user within a team: `team:user`. Told apart by the first colon, which no team's id holds.
    pub fn team_member(team: &TeamId, user: &UserId) -> Self {
        Self::new(SubjectKind::TeamMember, format!("{team}:{user}"))
    }
}

impl From<&KeyId> for Subject {
    fn from(key: &KeyId) -> Self {
        Self::new(SubjectKind::Key, key.shared())
    }
}

impl From<&UserId> for Subject {
    fn from(user: &UserId) -> Self {
        Self::new(SubjectKind::User, user.shared())
    }
}

impl From<&TeamId> for Subject {
    fn from(team: &TeamId) -> Self {
        Self::new(SubjectKind::Team, team.shared())
    }
}

impl From<&OrganisationId> for Subject {
    fn from(organisation: &OrganisationId) -> Self {
        Self::new(SubjectKind::Organisation, organisation.shared())
    }
}

impl From<&DeploymentId> for Subject {
    fn from(deployment: &DeploymentId) -> Self {
        Self::new(SubjectKind::Deployment, deployment.shared())
    }
}

/// `api_key: 88dc…`, as in the contract's rate-limit text (auth-budgets-limits §6.1).
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.id)
    }
}

// === impl SubjectKind ===

impl SubjectKind {
    /// Every kind, in lock order.
    pub const ALL: [Self; 11] = [
        Self::Global,
        Self::Organisation,
        Self::Team,
        Self::User,
        Self::TeamMember,
        Self::EndUser,
        Self::Key,
        Self::Tag,
        Self::Model,
        Self::Provider,
        Self::Deployment,
    ];

    /// The kind of that descriptor.
    pub fn named(descriptor: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == descriptor)
    }

    /// The contract's descriptor, also a bounded metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Organisation => "organization",
            Self::Team => "team",
            Self::User => "user",
            Self::TeamMember => "team_member",
            Self::EndUser => "end_user",
            Self::Key => "api_key",
            Self::Tag => "tag",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Deployment => "deployment",
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_survives_its_text_form() {
        let id = RequestId::generate(1_764_000_000_123, 42);
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse::<RequestId>(), Ok(id));
        assert_eq!(id.unix_ms(), 1_764_000_000_123);
    }

    #[test]
    fn ids_of_later_requests_sort_later() {
        assert!(RequestId::generate(1, u128::MAX) < RequestId::generate(2, 0));
    }

    #[test]
    fn a_broken_request_id_is_refused() {
        assert!("not an id".parse::<RequestId>().is_err());
    }

    #[test]
    fn locks_are_ordered_by_kind_then_id() {
        let mut subjects = [
            Subject::new(SubjectKind::Key, "b"),
            Subject::new(SubjectKind::Key, "a"),
            Subject::new(SubjectKind::Team, "z"),
            Subject::global(),
        ];
        subjects.sort();
        let texts: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["global: ", "team: z", "api_key: a", "api_key: b"]);
    }
}
