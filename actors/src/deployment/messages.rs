//! What a [`Deployment`](super::Deployment) is told. None of these is sent once per successful request.

use actix::Message;

use super::outbox::Report;

/// There are outcomes in the outbox: sent when it was empty before, or holds a full batch.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct OutcomesWaiting;

/// A probe's verdict, or a failure that tripped by itself: not batched. The deadline is on the board already.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Tripped(pub(crate) Report);

/// Makes the handler panic, to see the actor re-created.
#[cfg(any(test, feature = "test-util"))]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Poison;
