//! One call that takes a request's limits: who asks waits 25 ms, the answer is read whenever it comes.
//!
//! A request that got no answer in time, or whose client left, may have taken something all the same. So the call goes on
//! without it: what it takes is the request's if that was let through by the replica's share, and given back if not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use deadpool_redis::redis::{RedisError, Value};
use log::{debug, warn};
use tokio::runtime::Handle;
use tokio::time::timeout;
use trunkline_actors::ports::{BoxFuture, SharedAnswer, SharedTake};

use super::breaker::Called;
use super::lane::LaneState;
use super::receipt::{LateReceipt, Receipt};
use super::wire::{self, Answer, Missing, Question};

/// What a call comes to.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(SharedAnswer),
    /// What must be seeded first.
    Unseeded(Vec<Missing>),
}

/// Asks the server. Cancel safe: see the module.
pub(super) async fn take(lane: &Arc<LaneState>, question: &Arc<Question>) -> Outcome {
    let Some((connection, number)) = lane.connection() else {
        return Outcome::Answered(SharedAnswer::Unknown);
    };
    let (own, asked) = (Arc::clone(lane), Arc::clone(question));
    let mut call = Call(Some(Box::pin(async move {
        let mut connection = connection;
        let _open = own.open_call();
        let invoked = asked.take(&own.id, "");
        let answer = invoked.invoke_async::<Vec<Value>>(&mut connection).await;
        read(&own, number, &asked, answer)
    })));
    match timeout(lane.server.deadline, &mut call).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => {
            lane.called(number, Called::Late);
            call.go_on()
        }
    }
}

fn read(
    lane: &Arc<LaneState>,
    number: u64,
    question: &Arc<Question>,
    answer: Result<Vec<Value>, RedisError>,
) -> Outcome {
    let unknown = Outcome::Answered(SharedAnswer::Unknown);
    let values = match answer {
        Ok(values) => values,
        Err(err) => {
            debug!(err:% = err; "the shared limits did not answer");
            // A server that was only slow has taken it all the same, and nobody will give that back.
            lane.unsure(question);
            lane.called(number, Called::Broken);
            return unknown;
        }
    };
    lane.called(number, Called::InTime);
    match wire::answer(question, &values) {
        Some(Answer::Taken { at, spent, used }) => {
            lane.took(question);
            Outcome::Answered(SharedAnswer::Taken(SharedTake {
                receipt: Box::new(Receipt::new(lane, question, at)),
                spent: spent.into_iter().map(super::amount::Amount::usd).collect(),
                used,
            }))
        }
        Some(Answer::Refused(refusal)) => Outcome::Answered(SharedAnswer::Refused(refusal)),
        Some(Answer::Unseeded(missing)) => Outcome::Unseeded(missing),
        None => {
            warn!("the shared limits gave an answer that cannot be read");
            lane.unsure(question);
            unknown
        }
    }
}

/// A running call. Dropped before its end, it goes on by itself and gives back what it takes.
struct Call(Option<BoxFuture<'static, Outcome>>);

impl Call {
    /// Lets the call end by itself; what it takes is the request's, which does not wait any longer.
    fn go_on(mut self) -> Outcome {
        let (Some(running), Ok(runtime)) = (self.0.take(), Handle::try_current()) else {
            return Outcome::Answered(SharedAnswer::Unknown);
        };
        let late = LateReceipt::default();
        let own = late.clone();
        runtime.spawn(async move {
            if let Outcome::Answered(SharedAnswer::Taken(take)) = running.await {
                own.arrived(take.receipt);
            }
        });
        Outcome::Answered(SharedAnswer::Late(Box::new(late)))
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some(running) = &mut self.0 else {
            return Poll::Ready(Outcome::Answered(SharedAnswer::Unknown));
        };
        let outcome = running.as_mut().poll(context);
        if outcome.is_ready() {
            self.0 = None;
        }
        outcome
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Without an event loop the process ends, and the lease with it.
        if let (Some(running), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                if let Outcome::Answered(SharedAnswer::Taken(take)) = running.await {
                    take.receipt.give_back();
                }
            });
        }
    }
}
