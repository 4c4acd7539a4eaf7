//! Admission: how much a request may use, the permit for it, and the `started` record.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;
use trunkline_actors::admission::{
    Ask, Permit, Queue, Refusal, Reserved, admit as take, admit_together as take_together,
};
use trunkline_actors::fleet::FleetHandle;
use trunkline_actors::ids::{ModelGroup, RequestId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{JournalWriter, SpendRecord, SpendStatus, StartedRecord};
use trunkline_actors::rate_limiter::Bucket;
use trunkline_actors::supervisor::Resolved;
use trunkline_wire::request::Endpoint;

use super::error::DispatchError;
use super::reach::Members;
use super::settle::Settlement;
use super::{Inbound, Shared, Targets, kinds, service};
use crate::auth::{Asked, AuthError, Identity};
use crate::config::CountedTokens;
use crate::cost;

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

/// Whom a request is charged to, beyond its key.
#[derive(Debug)]
pub(super) struct Payers {
    end_user: Option<String>,
    tags: Vec<String>,
    /// Every budget and limit that must admit it.
    pub(super) asked: Asked,
}

/// Tokens that so many bytes of text are, roughly.
pub(super) fn tokens_of_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

/// Estimates usage and cost at the list price of the dearest candidate.
///
/// A request without a maximum is expected to be as long as the model's answers usually are. A candidate without a price
/// adds nothing: what is unknown cannot be held.
pub(super) fn estimate(inbound: &Inbound, within_reach: &[Rc<Members>]) -> Estimate {
    let peek = &inbound.peek;
    let prompt_tokens = tokens_of_bytes(peek.input_bytes);
    let completion_tokens = match (inbound.endpoint, peek.max_tokens) {
        (Endpoint::Embeddings, _) => 0,
        (_, Some(max)) => max.saturating_mul(peek.n.max(1)),
        (_, None) => within_reach
            .iter()
            .flat_map(|members| members.all())
            .map(|(target, _)| target.typical.tokens())
            .max()
            .unwrap_or_default()
            .saturating_mul(peek.n.max(1)),
    };
    let asked = service::asked(peek);
    let (input_cost, output_cost) = kinds(within_reach)
        .filter_map(|(target, price)| {
            let service = target.service.sent(asked);
            let price = price.as_ref()?;
            Some(cost::expected(
                &price.price,
                prompt_tokens,
                completion_tokens,
                service,
            ))
        })
        .fold((None, None), |most, one| {
            (most.0.max(one.0), most.1.max(one.1))
        });
    Estimate {
        prompt_tokens,
        completion_tokens,
        input_cost,
        hold: input_cost.unwrap_or_default() + output_cost.unwrap_or_default(),
    }
}

impl Payers {
    /// Reads whom a request names, and what is left of their budgets.
    pub(super) async fn of(
        shared: &Shared,
        identity: &Identity,
        inbound: &Inbound,
        resolved: &Resolved,
    ) -> Result<Self, AuthError> {
        // Who says by its token whom it serves does not serve others.
        let of_token = identity.customer().map(str::to_owned);
        let end_user = of_token.or_else(|| inbound.end_user());
        let tags = inbound.tags(identity.key());
        let models = [inbound.model.as_str(), resolved.group.as_str()];
        let asked = shared
            .labels
            .asked(identity, end_user.as_deref(), &tags, &models)
            .await?;
        Ok(Self {
            end_user,
            tags,
            asked,
        })
    }
}

/// Takes the caller's limits and budgets in one step, together with the other replicas where there are any. Nothing is on the
/// journal yet: the permit's drop gives all back.
pub(super) async fn admit(
    shared: &Shared,
    fleet: Option<&FleetHandle>,
    payers: &Payers,
    estimate: &Estimate,
) -> Result<Permit<Reserved>, DispatchError> {
    let buckets = buckets(shared, payers);
    let balances = &payers.asked.balances;
    let ask = estimate.ask(shared.counted_tokens);
    // What is awaited is on the heap: who is alone, without a queue, does not carry it along.
    let permit = match (&shared.queue, fleet) {
        (None, None) => return Ok(take(&buckets, balances, ask, shared.clock)?),
        (None, Some(fleet)) => {
            Box::pin(take_together(&buckets, balances, ask, shared.clock, fleet)).await?
        }
        (Some(queue), _) => {
            let attempt = async || match fleet {
                None => take(&buckets, balances, ask, shared.clock),
                Some(fleet) => take_together(&buckets, balances, ask, shared.clock, fleet).await,
            };
            Box::pin(in_turn(shared, queue, &buckets, attempt)).await?
        }
    };
    if permit.is_weakened() {
        shared.metrics.weakened_request();
    }
    Ok(permit)
}

/// Waits while a rate limit refuses, and tells how long requests waited.
async fn in_turn(
    shared: &Shared,
    queue: &Queue,
    buckets: &[Arc<Bucket>],
    attempt: impl AsyncFnMut() -> Result<Permit<Reserved>, Refusal>,
) -> Result<Permit<Reserved>, Refusal> {
    let began = Instant::now();
    let subjects = buckets.iter().map(|bucket| bucket.subject());
    let admitted = queue.admit(subjects, attempt).await;
    shared.metrics.waited(began.elapsed());
    admitted
}

fn buckets(shared: &Shared, payers: &Payers) -> Vec<Arc<Bucket>> {
    let limits = payers.asked.limits.iter();
    limits
        .map(|(subject, limits)| shared.limiter.bucket(subject.clone(), *limits))
        .collect()
}

/// Where a request is settled.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) shared: &'a Arc<Shared>,
    /// Those of its beginning.
    pub(super) targets: &'a Arc<Targets>,
    pub(super) journal: &'a Arc<dyn JournalWriter>,
}

/// Writes `started`, just before the first attempt. From here on a drop settles.
pub(super) fn start(
    place: Place<'_>,
    permit: Permit<Reserved>,
    identity: &Identity,
    payers: Payers,
    inbound: &Inbound,
    estimate: &Estimate,
) -> Result<Settlement, DispatchError> {
    let Place {
        shared,
        targets,
        journal,
    } = place;
    let key = identity.key();
    let started = StartedRecord {
        id: RequestId::generate(inbound.arrived_at.0, rand::random()),
        started_at: inbound.arrived_at,
        key: identity.key_id(),
        user: identity.user_id(),
        team: identity.team(),
        organisation: identity.organisation(),
        end_user: payers.end_user,
        tags: payers.tags,
        model_group: ModelGroup::new(inbound.model.as_str()),
        estimated_prompt_tokens: estimate.prompt_tokens,
        estimated_input_cost: estimate.input_cost,
        call_type: inbound.endpoint.call_type().to_owned(),
        stream: inbound.peek.stream,
        budgets: payers
            .asked
            .balances
            .iter()
            .map(|balance| balance.key().clone())
            .collect(),
    };
    shared.recording.started(journal.started(&started))?;
    let record = SpendRecord {
        status: SpendStatus::Failure,
        key_alias: key.and_then(|key| key.row.alias.clone()),
        client_ip: inbound.client_ip.map(|ip| ip.to_string()),
        ..SpendRecord::of(started)
    };
    Ok(Settlement::new(
        Arc::clone(shared),
        Arc::clone(targets),
        Arc::clone(journal),
        permit.in_flight(),
        record,
        inbound,
        estimate.prompt_tokens,
    ))
}

// === impl Estimate ===

impl Estimate {
    /// Prompt and completion.
    pub(super) fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    fn ask(&self, counted: CountedTokens) -> Ask {
        Ask {
            tokens: counted.of(self.prompt_tokens, self.completion_tokens),
            hold: self.hold,
        }
    }
}
