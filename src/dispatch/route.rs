//! What a plan is told of a request, and waiting as it says. Whom to call is decided in `trunkline_actors`.

use std::time::Duration;

use tokio::time::sleep;
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::deployment::{Failure, FailureKind};
use trunkline_actors::supervisor::{Attempt, GiveUp, PlanAsk, RoutePlan, Step, TooLong};

use super::admit::Estimate;
use super::error::DispatchError;
use super::{Inbound, Shared, Targets, mock_testing};

/// What the request says about its route.
pub(super) fn ask(
    shared: &Shared,
    targets: &Targets,
    inbound: &Inbound,
    estimate: &Estimate,
    too_long: Vec<TooLong>,
    mock: Option<FailureKind>,
) -> PlanAsk {
    let left = left(shared, inbound);
    PlanAsk {
        num_retries: inbound.peek.num_retries,
        fallbacks: inbound.peek.fallbacks.clone(),
        disable_fallbacks: inbound.peek.disable_fallbacks,
        tags: if shared.router.enable_tag_filtering {
            inbound.tags(None)
        } else {
            Vec::new()
        },
        over_budget: targets
            .caps()
            .spent(UnixMs::now())
            .into_iter()
            .map(|spent| spent.deployment)
            .collect(),
        too_long,
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

/// What the client is told when nobody is left.
pub(super) fn refused(reason: GiveUp, targets: &Targets) -> DispatchError {
    match reason {
        GiveUp::AllInCooldown { group, retry_after } => {
            DispatchError::AllInCooldown { group, retry_after }
        }
        GiveUp::AllBusy { group, retry_after } => DispatchError::AllBusy { group, retry_after },
        GiveUp::Blocked { group } => DispatchError::Paused { group },
        GiveUp::TagsDenied { group } => DispatchError::TagsDenied { group },
        GiveUp::OverBudget { .. } => DispatchError::OverBudget {
            spent: targets.caps().spent(UnixMs::now()),
        },
        GiveUp::TooLong {
            group,
            window,
            prompt_tokens,
        } => DispatchError::TooLong {
            group,
            window,
            prompt_tokens,
        },
        GiveUp::Mocked { group, kind } => {
            DispatchError::Upstream(Box::new(mock_testing::failure(&group, kind)))
        }
        GiveUp::Failed => DispatchError::Internal("routing gave up without an error to tell"),
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
