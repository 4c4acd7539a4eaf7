//! What errors of lower parts become: status, type and words for the client.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use log::error;
use trunkline_actors::admission::Refusal;
use trunkline_actors::ids::{Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetName;
use trunkline_actors::spend_ledger::SpentCap;

use super::{ApiError, Code};
use crate::auth::{AuthError, TokenFault};
use crate::dispatch::DispatchError;
use crate::storage::StorageError;

impl From<AuthError> for ApiError {
    fn from(err: AuthError) -> Self {
        let code = match &err {
            AuthError::Token(TokenFault::NoKeys) => Code::IdentityProvider,
            AuthError::Token(
                TokenFault::Domain | TokenFault::Roles | TokenFault::NoRole | TokenFault::NoTeam,
            ) => Code::CallerDenied,
            AuthError::NoKey
            | AuthError::Malformed
            | AuthError::NotVirtualKey { .. }
            | AuthError::Blocked
            | AuthError::TeamBlocked(_)
            | AuthError::OwnerMissing(_)
            | AuthError::EndUserBlocked(_)
            | AuthError::NoMasterKey
            | AuthError::ForeignHost
            | AuthError::Token(_) => Code::Auth,
            AuthError::RouteNotOfKey { .. } => Code::KeyRouteDenied,
            AuthError::AddressDenied { .. } => Code::AddressDenied,
            AuthError::Unknown { .. } => Code::UnknownKey,
            AuthError::Expired { .. } => Code::ExpiredKey,
            AuthError::ModelDenied { .. } => Code::ModelDenied,
            AuthError::RouteDenied { .. } | AuthError::MasterOnly { .. } => Code::RouteDenied,
            AuthError::Store(source) => {
                error!(err:% = source; "a key could not be looked up");
                Code::Database
            }
            AuthError::Seed(source) => {
                error!(err:% = source; "a key's budget could not be read");
                Code::Database
            }
        };
        let param = match &err {
            AuthError::Unknown { .. } => Some("key"),
            AuthError::ModelDenied { .. } => Some("model"),
            AuthError::NoKey | AuthError::Malformed => Some("None"),
            _ => None,
        };
        let mut out = Self::new(code, err.to_string());
        out.param = param.map(str::to_owned);
        if let AuthError::ModelDenied { layer, .. } = err {
            layer.error_type().clone_into(&mut out.kind);
        }
        out
    }
}

impl From<StorageError> for ApiError {
    fn from(err: StorageError) -> Self {
        error!(err:% = err; "the database failed");
        Self::new(
            Code::Database,
            "The database did not answer. Try again; the operator finds the cause in the log.",
        )
    }
}

impl From<DispatchError> for ApiError {
    fn from(err: DispatchError) -> Self {
        match err {
            DispatchError::Invalid(bad) => {
                let mut out = Self::new(Code::BadRequest, bad.message);
                if let Ok(status) = StatusCode::from_u16(bad.status) {
                    out.status = status;
                }
                out.param = bad.param;
                out
            }
            DispatchError::UnknownModel { model } => Self::new(
                Code::UnknownModel,
                format!(
                    "You passed in model={model}. There are no healthy deployments for this model. GET /v1/models lists the models of this gateway."
                ),
            )
            .param("model"),
            DispatchError::Denied(err) => err.into(),
            DispatchError::Refused(refused) => refused.into(),
            DispatchError::AllInCooldown { group, retry_after } => Self::new(
                Code::AllInCooldown,
                format!(
                    "No deployments available for selected model, Try again in {} seconds. All deployments for selected model are in cooldown. Passed model={group}.",
                    retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0)
                ),
            )
            .retry_after(retry_after),
            DispatchError::AllBusy { group, retry_after } => Self::new(
                Code::RateLimited,
                format!("Deployment has all max_parallel_requests slots in use, or its rpm or tpm. Passed model={group}. Try again in a moment."),
            )
            .retry_after(retry_after),
            DispatchError::OverBudget { spent } => Self::new(Code::OverBudget, over_budget(&spent)),
            DispatchError::TagsDenied { group } => Self::new(
                Code::TagsDenied,
                format!(
                    "Not allowed to access model due to tags configuration. Passed model={group}. Send the tags of one of its deployments."
                ),
            ),
            DispatchError::Paused { group } => Self::new(
                Code::Paused,
                format!(
                    "Model '{group}' is currently paused and cannot accept requests. An administrator starts it again with POST /model/unblock."
                ),
            )
            .param("model"),
            DispatchError::TooLong {
                group,
                window,
                prompt_tokens,
            } => Self::new(
                Code::ContextWindow,
                format!(
                    "litellm.ContextWindowExceededError: No models have context window large enough for this call.\nModel={group}, Max Input Tokens={window}, Got={prompt_tokens}"
                ),
            )
            .param("messages"),
            DispatchError::NoPrice { model } => Self::new(
                Code::NoPrice,
                format!(
                    "The price of model {model} is unknown and this gateway refuses such models. Set input_cost_per_token and output_cost_per_token on its deployment."
                ),
            )
            .param("model"),
            DispatchError::JournalFull => Self::new(
                Code::JournalFull,
                "The books cannot take another request: the journal is full or cannot be written. The operator finds the cause in the log.",
            )
            .retry_after(Duration::from_secs(5)),
            DispatchError::Internal(what) => {
                error!("a defect: {what}");
                Self::new(
                    Code::Internal,
                    "This gateway made a mistake; the request was not served.",
                )
            }
            DispatchError::Upstream(failure) => {
                let failure = *failure;
                let mut out = Self::new(Code::Upstream, failure.message);
                if let Ok(status) = StatusCode::from_u16(failure.status) {
                    out.status = status;
                }
                out.kind = failure.kind;
                out.param = failure.param;
                out.headers = failure.headers;
                match failure.retry_after {
                    Some(wait) => out.retry_after(wait),
                    None => out,
                }
            }
        }
    }
}

/// Each cap once, however many deployments share it.
fn over_budget(spent: &[SpentCap]) -> String {
    let lines = spent.iter().map(|cap| {
        let SpentCap {
            subject,
            spent,
            limit,
            ..
        } = cap;
        format!(
            "Exceeded budget for {} {}: {spent} >= {limit}",
            subject.kind, subject.id
        )
    });
    let lines: BTreeSet<String> = lines.collect();
    let lines: Vec<String> = lines.into_iter().collect();
    format!(
        "No deployments available - crossed budget: {}",
        lines.join("\n")
    )
}

/// Contract `auth-budgets-limits` §5.2.
fn over_own_budget(subject: &Subject, budget: &BudgetName, spent: Usd, limit: Usd) -> String {
    let id = &subject.id;
    if let Some(model) = budget.model_group() {
        let owner = match subject.kind {
            SubjectKind::Key => "LiteLLM Virtual Key".to_owned(),
            kind => kind.to_string(),
        };
        return format!(
            "{owner}: {id}, exceeded budget for model={model}. Current cost: {spent}, Max budget: {limit}"
        );
    }
    if let Some(period) = budget.period() {
        return format!(
            "ExceededBudget: {} {id} over {period} budget. Spend=${spent}, Limit=${limit}",
            subject.kind
        );
    }
    match subject.kind {
        SubjectKind::User => {
            format!("ExceededBudget: User={id} over budget. Spend={spent}, Budget={limit}")
        }
        SubjectKind::EndUser => {
            format!("ExceededBudget: End User={id} over budget. Spend={spent}, Budget={limit}")
        }
        kind => {
            let whose = match (kind, id.split_once(':')) {
                (SubjectKind::Global, _) => String::new(),
                (SubjectKind::TeamMember, Some((team, user))) => {
                    format!("User={user} in Team={team} ")
                }
                (SubjectKind::Key, _) => format!("Key={id} "),
                (SubjectKind::Team, _) => format!("Team={id} "),
                (SubjectKind::Organisation, _) => format!("Organization={id} "),
                (SubjectKind::Tag, _) => format!("Tag={id} "),
                (kind, _) => format!("{kind}={id} "),
            };
            format!("Budget has been exceeded! {whose}Current cost: {spent}, Max budget: {limit}")
        }
    }
}

/// `team: red`; of the gateway there is one.
fn named(subject: &Subject) -> String {
    match subject.kind {
        SubjectKind::Global => subject.kind.to_string(),
        _ => subject.to_string(),
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rate {
                subject,
                limit_type,
                limit,
                remaining,
                retry_after,
            } => Self::new(
                Code::RateLimited,
                format!(
                    "Rate limit exceeded for {}. Limit type: {limit_type}. Current limit: {limit}, Remaining: {remaining}.",
                    named(&subject)
                ),
            )
            .header(
                HeaderName::from_static("rate_limit_type"),
                HeaderValue::from_static(limit_type.as_str()),
            )
            .retry_after(retry_after),
            Refusal::BudgetExceeded {
                subject,
                budget,
                spent,
                limit,
            } => Self::new(
                Code::BudgetExceeded,
                over_own_budget(&subject, &budget, spent, limit),
            ),
            Refusal::Unreachable { retry_after } => Self::new(
                Code::LimitsUnreachable,
                "The limits that all replicas of this gateway share cannot be reached. Try again in a moment.",
            )
            .retry_after(retry_after),
            Refusal::BudgetHeld {
                subject,
                retry_after,
            } => Self::new(
                Code::RateLimited,
                format!(
                    "The rest of the budget of {} {} is held by requests that are still running. Try again in a moment.",
                    subject.kind, subject.id
                ),
            )
            .retry_after(retry_after),
        }
    }
}
