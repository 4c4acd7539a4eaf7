//! Why a caller was refused. Texts follow the contract (LiteLLM 1.106.2); none holds a whole key.

use thiserror::Error;
use trunkline_actors::spend_ledger::SeedFailed;

use super::access::Layer;
use super::jwt::TokenFault;
use crate::storage::StorageError;

/// A refused caller.
#[derive(Debug, Error)]
pub enum AuthError {
    /// No header held a key.
    #[error(
        "Authentication Error, No api key passed in. Send it as `Authorization: Bearer sk-...`."
    )]
    NoKey,
    /// An `Authorization` header without a scheme.
    #[error("Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")]
    Malformed,
    /// Neither the master key nor something that could be a virtual key.
    #[error("LiteLLM Virtual Key expected. Received={received}, expected to start with 'sk-'.")]
    NotVirtualKey {
        /// First and last four characters.
        received: String,
    },
    /// Well-formed, but nobody made it.
    #[error(
        "Authentication Error, Invalid proxy server token passed. Received API Key = {received}, Key Hash (Token) ={hash}. Unable to find token in cache or database"
    )]
    Unknown {
        /// `sk-...` and the last four characters.
        received: String,
        /// SHA-256, lower-case hex.
        hash: String,
    },
    /// Past its expiry.
    #[error(
        "Authentication Error - Expired Key. Key Expiry time {expired_at} and current time {now}"
    )]
    Expired {
        /// RFC 3339.
        expired_at: String,
        /// RFC 3339.
        now: String,
    },
    /// Blocked by an administrator.
    #[error("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")]
    Blocked,
    /// The key's team is blocked.
    #[error(
        "Authentication Error, Team={0} is blocked. Update via `/team/unblock` if you're an admin."
    )]
    TeamBlocked(String),
    /// What the key belongs to does not exist any more, and so nobody knows its limits.
    #[error(
        "Authentication Error, {0}, which this key belongs to, does not exist. Ask an admin for another key."
    )]
    OwnerMissing(String),
    /// The customer that the request names is blocked.
    #[error(
        "Authentication Error, End User={0} is blocked. Update via `/customer/unblock` if you're an admin."
    )]
    EndUserBlocked(String),
    /// A model list does not hold the model.
    #[error(
        "The requested model '{model}' is not available for this API key, or the model name is invalid. Check the models available to you and try again."
    )]
    ModelDenied {
        /// As requested.
        model: String,
        /// Whose list.
        layer: Layer,
    },
    /// The route asks for more than the role gives.
    #[error(
        "Authentication Error, Only proxy admin can be used to call this route. Route={route}. Your role={role}."
    )]
    RouteDenied {
        /// The path called.
        route: String,
        /// LiteLLM's role name.
        role: &'static str,
    },
    /// The route asks for the master key.
    #[error("Authentication Error, Tried to access route={route}, which is only for MASTER KEY")]
    MasterOnly {
        /// The path called.
        route: String,
    },
    /// The key is not for this route.
    #[error(
        "Virtual key is not allowed to call this route. Only allowed to call routes: [{allowed}]. Tried to call route: {route}"
    )]
    RouteNotOfKey {
        /// What it is for.
        allowed: String,
        /// The path called.
        route: String,
    },
    /// The key is not for callers at this address.
    #[error("Access forbidden: IP address {address} not allowed.")]
    AddressDenied {
        /// Where the request came from.
        address: String,
    },
    /// Reachable from outside without a master key.
    #[error(
        "Authentication Error, no master key is set, so only loopback callers are served. Set LITELLM_MASTER_KEY or general_settings.master_key and restart."
    )]
    NoMasterKey,
    /// A web page of another name: its host points at loopback (DNS rebinding), or it posts there.
    #[error(
        "Authentication Error, no master key is set, so the Host header, and a browser's Origin, must name localhost or a loopback address. Set LITELLM_MASTER_KEY or general_settings.master_key to serve other names."
    )]
    ForeignHost,
    /// A token of an identity provider that lets nobody in.
    #[error("Authentication Error, {0}.")]
    Token(#[from] TokenFault),
    /// The key table could not be read.
    #[error("The key could not be checked: the database did not answer. Try again.")]
    Store(#[from] StorageError),
    /// The key's budget could not be read, so it cannot be kept.
    #[error("The key's budget could not be read: the books are not available. Try again.")]
    Seed(#[from] SeedFailed),
}
