//! Admission: how much a request may use, and the permit for it.

use std::sync::Arc;

use log::error;
use rust_decimal::Decimal;
use trunkline_actors::admission::{Ask, InFlight, Permit, admit as take};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{ModelGroup, RequestId, Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{
    JournalError, JournalWriter, SpendRecord, SpendStatus, StartedRecord, UsageParts,
};
use trunkline_actors::rate_limiter::{Limits, Remaining};
use trunkline_wire::request::{Endpoint, RequestPeek};

use super::error::DispatchError;
use super::{Candidate, Inbound, Shared};
use crate::auth::Identity;
use crate::cost::Price;

/// English text has about four bytes a token in every current vocabulary; a learned ratio per model comes with limits.
const BYTES_PER_TOKEN: usize = 4;

/// What a request may use, estimated before it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    /// `None` when no candidate has a price.
    pub(super) input_cost: Option<Usd>,
    pub(super) hold: Usd,
}

/// An admitted request: its place in the limits and its line in the journal.
pub(super) struct Admitted {
    pub(super) permit: Permit<InFlight>,
    pub(super) record: SpendRecord,
    pub(super) limits: Vec<Remaining>,
}

/// Tokens that so many bytes of text are, roughly.
pub(super) fn tokens_of_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

/// Estimates usage and cost at the list price of the dearest candidate.
///
/// A request without a maximum is expected to be as long as the model's answers usually are.
pub(super) fn estimate(
    endpoint: Endpoint,
    peek: &RequestPeek,
    candidates: &[Candidate],
) -> Estimate {
    let prompt_tokens = tokens_of_bytes(peek.input_bytes);
    let completion_tokens = match (endpoint, peek.max_tokens) {
        (Endpoint::Embeddings, _) => 0,
        (_, Some(max)) => max.saturating_mul(peek.n.max(1)),
        (_, None) => candidates
            .iter()
            .map(|(target, _)| target.typical.tokens())
            .max()
            .unwrap_or_default()
            .saturating_mul(peek.n.max(1)),
    };
    let cost = |tokens: u64, per_token: fn(&Price) -> Option<Decimal>| {
        candidates
            .iter()
            .filter_map(|(_, price)| per_token(price.as_ref()?))
            .max()
            .map(|price| Usd::rounded(Decimal::from(tokens).saturating_mul(price)))
    };
    let input_cost = cost(prompt_tokens, |price| price.input);
    let output_cost = cost(completion_tokens, |price| price.output);
    Estimate {
        prompt_tokens,
        completion_tokens,
        input_cost,
        hold: input_cost.unwrap_or_default() + output_cost.unwrap_or_default(),
    }
}

/// Takes the caller's limits and budgets in one step, then writes `started`.
pub(super) fn admit(
    shared: &Shared,
    journal: &dyn JournalWriter,
    identity: &Identity,
    inbound: &Inbound,
    model: &str,
    estimate: &Estimate,
) -> Result<Admitted, DispatchError> {
    let key = identity.key();
    let mut buckets = Vec::new();
    let mut balances = Vec::new();
    if let Some(key) = key {
        if key.limits != Limits::default() {
            let subject = Subject::new(SubjectKind::Key, key.row.id.shared());
            buckets.push(shared.limiter.bucket(subject, key.limits));
        }
        balances.extend(key.balance.iter().map(Arc::clone));
    }
    let ask = Ask {
        tokens: estimate
            .prompt_tokens
            .saturating_add(estimate.completion_tokens),
        hold: estimate.hold,
    };
    let permit = take(&buckets, &balances, ask, shared.clock)?;
    let limits = permit.remaining();

    let started_at = inbound.arrived_at;
    let budgets: Vec<_> = balances
        .iter()
        .map(|balance| balance.key().clone())
        .collect();
    let started = StartedRecord {
        id: RequestId::generate(started_at.0, rand::random()),
        started_at,
        key: identity.key_id(),
        user: identity.user_id(),
        model_group: ModelGroup::new(model),
        estimated_prompt_tokens: estimate.prompt_tokens,
        estimated_input_cost: estimate.input_cost,
        call_type: inbound.endpoint.call_type().to_owned(),
        stream: inbound.peek.stream,
        budgets: budgets.clone(),
    };
    journal.started(&started).map_err(|err| {
        if !matches!(err, JournalError::NoRoom) {
            error!(err:% = err; "the journal cannot be written");
        }
        DispatchError::JournalFull
    })?;
    let record = SpendRecord {
        id: started.id,
        provider_request_id: None,
        call_type: started.call_type,
        status: SpendStatus::Failure,
        key: started.key,
        key_alias: key.and_then(|key| key.row.alias.clone()),
        user: started.user,
        end_user: inbound
            .end_user
            .clone()
            .or_else(|| inbound.peek.user.clone()),
        model_group: started.model_group,
        model: String::new(),
        deployment: None,
        provider: String::new(),
        api_base: None,
        stream: inbound.peek.stream,
        started_at,
        first_content_at: None,
        ended_at: UnixMs(0),
        usage: UsageParts::default(),
        usage_estimated: false,
        cost: None,
        price_version: None,
        cache_hit: false,
        attempts: 0,
        error_code: None,
        tags: inbound.tags(),
        budgets,
    };
    Ok(Admitted {
        // `started` is on the journal and the next thing is the upstream call: from here on a drop settles.
        permit: permit.in_flight(),
        record,
        limits,
    })
}
