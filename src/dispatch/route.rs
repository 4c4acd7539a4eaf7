//! What a plan is told of a request, and waiting as it says. Whom to call is decided in `trunkline_actors`.

use std::time::Duration;

use tokio::time::sleep;
use trunkline_actors::clock::Clock;
use trunkline_actors::deployment::{Failure, FailureKind};
use trunkline_actors::supervisor::{Attempt, GiveUp, PlanAsk, RoutePlan, Step};

use super::admit::Estimate;
use super::{Inbound, Shared};

/// What the request says about its route.
pub(super) fn ask(
    shared: &Shared,
    inbound: &Inbound,
    estimate: &Estimate,
    mock: Option<FailureKind>,
) -> PlanAsk {
    let left = left(shared, inbound);
    PlanAsk {
        num_retries: inbound.peek.num_retries,
        fallbacks: inbound.peek.fallbacks.clone(),
        disable_fallbacks: inbound.peek.disable_fallbacks,
        tags: inbound.tags(),
        prompt_tokens: estimate.prompt_tokens,
        tokens: estimate.tokens(),
        streamed: inbound.peek.stream,
        deadline: Some(shared.clock.now().after(left)),
        mock,
    }
}

/// What is left of the time that the whole request may take.
pub(super) fn left(shared: &Shared, inbound: &Inbound) -> Duration {
    let limit = shared.timeouts.request;
    limit.saturating_sub(inbound.arrived.elapsed())
}

/// The next call of the plan, when its time has come. Nothing is taken while it waits: dropping the future is safe.
pub(super) async fn next_call(plan: &mut RoutePlan, clock: Clock) -> Result<Attempt, GiveUp> {
    loop {
        let now = clock.now();
        match plan.next(now) {
            Step::Try(attempt) => return Ok(attempt),
            Step::Wait(until) => sleep(until.since(now)).await,
            Step::GiveUp(reason) => return Err(reason),
        }
    }
}

/// A timeout after a wait that the caller's own limit ended says nothing of the deployment (contract `routing` §3).
pub(super) fn blamed(failure: Failure, inbound: &Inbound, waited: Duration) -> Failure {
    let peek = &inbound.peek;
    let limit = match peek.stream_timeout_secs {
        Some(secs) if peek.stream => Some(secs),
        _ => peek.timeout_secs,
    };
    match failure.kind {
        FailureKind::Timeout if limit.is_some_and(|secs| waited.as_secs_f64() >= secs) => Failure {
            kind: FailureKind::CallersTimeout,
            ..failure
        },
        _ => failure,
    }
}
