//! Callers that show a token of an identity provider in place of a key: who made it, whether it holds, whom it names.
//!
//! A token is a JSON Web Token (RFC 7519), signed with a key that the provider publishes (RFC 7517). It is checked once, in
//! memory, and remembered like a key until it expires; nobody is asked about it. [`SigningKeys`] holds the provider's keys,
//! which others fetch ([`crate::jwks`]).
//!
//! | file | says |
//! | --- | --- |
//! | [`keys`] | which keys there are, and how fresh they are |
//! | [`verify`] | whether a token holds |
//! | [`caller`] | whom its claims name |
//! | [`permits`] | what its roles and scopes allow |
//! | [`entry`] | what that is here |
//! | [`sync`] | what of it is stored |

mod caller;
mod entry;
mod keys;
mod permits;
mod sync;
mod verify;

use thiserror::Error;

pub(super) use self::caller::TokenCaller;
pub use self::caller::{claim_texts, is_of};
pub(super) use self::entry::{nowhere, open};
pub use self::keys::{KeySet, SigningKeys};
pub(super) use self::verify::looks_like_one;

/// Why a token is refused. Nothing of the token is in any text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// It cannot be read.
    #[error("the token cannot be read")]
    Unreadable,
    /// It is signed in a way that proves nothing here.
    #[error(
        "the token is signed by an algorithm that is not accepted here: use RS, PS, ES or EdDSA"
    )]
    Algorithm,
    /// Nobody has the key that it says it is signed with.
    #[error("the token is signed with a key that the identity provider does not publish")]
    UnknownKey,
    /// The signature is not its.
    #[error("the token's signature does not hold")]
    Signature,
    /// It has no end, or that is over.
    #[error("the token is expired, or says no expiry")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It is for others.
    #[error("the token is for another audience")]
    Audience,
    /// It is of others.
    #[error("the token is of another issuer")]
    Issuer,
    /// The keys cannot be had.
    #[error(
        "the identity provider's keys cannot be fetched, so the token cannot be checked; try again"
    )]
    NoKeys,
    /// The user's address is of another domain.
    #[error("the token's email address is not of an allowed domain")]
    Domain,
    /// None of the user's roles is enough.
    #[error("none of the token's roles is allowed here")]
    Roles,
    /// It is neither an administrator's nor a team's nor a user's.
    #[error("the token is of no administrator, team or user that this gateway knows by its claims")]
    NoRole,
    /// It names no team, and must.
    #[error("the token names no team, and only teams are served here")]
    NoTeam,
    /// It names an organisation that there is not, or one of several.
    #[error(
        "the token names an organization that does not exist here, or several have that name; an administrator makes one with /organization/new"
    )]
    UnknownOrganisation,
    /// It names a user that there is not.
    #[error(
        "the token names a user that does not exist here; an administrator makes one with /user/new"
    )]
    UnknownUser,
    /// It names teams, and there is none of them.
    #[error("none of the token's teams exists here; an administrator makes one with /team/new")]
    UnknownTeam,
}
