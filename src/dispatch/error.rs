//! Why a request got no answer. `http` turns these into statuses and bodies; nothing here knows about responses.

use std::time::Duration;

use awc::http::header::{HeaderName, HeaderValue};
use thiserror::Error;
use trunkline_actors::admission::Refusal;
use trunkline_actors::ids::ModelGroup;
use trunkline_actors::spend_ledger::SpentCap;
use trunkline_wire::request::BadRequest;

use crate::auth::AuthError;

/// A request that ended without an answer.
#[derive(Debug, Error)]
pub enum DispatchError {
    /// The body cannot be understood, or a parameter is not taken by the model.
    #[error("{}", .0.message)]
    Invalid(BadRequest),
    /// No group, alias, id or pattern fits.
    #[error("unknown model {model}")]
    UnknownModel {
        /// As requested.
        model: String,
    },
    /// The caller may not use the model.
    #[error(transparent)]
    Denied(#[from] AuthError),
    /// A limit or budget is used up.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Every deployment is cooling down; no provider was called.
    #[error("all deployments of {group} are cooling down")]
    AllInCooldown {
        /// The group asked for.
        group: ModelGroup,
        /// Until the first of them is tried again.
        retry_after: Duration,
    },
    /// Every deployment has all its `max_parallel_requests`, `rpm` or `tpm` in use; no provider was called.
    #[error("all deployments of {group} are busy")]
    AllBusy {
        /// The group asked for.
        group: ModelGroup,
        /// When to ask again.
        retry_after: Duration,
    },
    /// No deployment may answer requests with such tags; no provider was called.
    #[error("no deployment of {group} for these tags")]
    TagsDenied {
        /// The group asked for.
        group: ModelGroup,
    },
    /// Whoever may answer has spent its budget; no provider was called.
    #[error("all deployments have spent their budgets")]
    OverBudget {
        /// Every cap that is spent.
        spent: Vec<SpentCap>,
    },
    /// The operator has paused every deployment of the group; no provider was called.
    #[error("{group} is paused")]
    Paused {
        /// The group asked for.
        group: ModelGroup,
    },
    /// The prompt is longer than whoever may answer takes; no provider was called.
    #[error("the prompt is too long for {group}")]
    TooLong {
        /// The group asked for.
        group: ModelGroup,
        /// Tokens that the largest of its deployments takes.
        window: u64,
        /// Tokens of the prompt.
        prompt_tokens: u64,
    },
    /// The model's price is unknown and the config refuses such models.
    #[error("no price for {model}")]
    NoPrice {
        /// As requested.
        model: String,
    },
    /// The journal cannot take the request, or its settlement.
    #[error("the journal cannot be written")]
    JournalFull,
    /// A defect of ours; the text says which.
    #[error("{0}")]
    Internal(&'static str),
    /// The provider failed, after every retry and fallback.
    #[error("{}", .0.message)]
    Upstream(Box<UpstreamFailure>),
}

/// A provider's failure as the client is told of it.
#[derive(Debug)]
pub struct UpstreamFailure {
    /// The provider's own message, secrets cut out.
    pub message: String,
    /// Status for the client (contract table, `auth-budgets-limits` §7.1; Anthropic's own on its endpoints).
    pub status: u16,
    /// OpenAI error type.
    pub kind: String,
    /// The field at fault, where the provider named one.
    pub param: Option<String>,
    /// `llm_provider-*` and `x-litellm-*` headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The provider's `Retry-After`.
    pub retry_after: Option<Duration>,
}
