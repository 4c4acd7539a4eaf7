//! Answers whose client has left: left too, or read on within bounds, so that the provider's own figures are charged.
//!
//! By default a client that leaves ends its request (`dispatch::stream`, `dispatch::settle`): the provider is left at once
//! and what was delivered is charged by estimate. Some providers bill the whole answer all the same; for them there is
//! `trunkline.client_gone.policy: drain`. A drained answer is settled as if the client had stayed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Reply;
use super::attempt::Journey;
use super::error::DispatchError;
use crate::config::{ClientGone, DrainBounds};

/// How many answers are being read on, of all workers.
#[derive(Debug, Default)]
pub struct Draining(Arc<AtomicUsize>);

/// A place among the answers that are read on, given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

// === impl Draining ===

impl Draining {
    /// A place for one more answer, with the bounds that it must keep; `None` when the policy or its bounds say to leave.
    pub(super) fn place(&self, policy: ClientGone) -> Option<(Place, DrainBounds)> {
        let ClientGone::Drain(bounds) = policy else {
            return None;
        };
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        // From here on the place is ours, and its drop gives it back.
        let place = Place(Arc::clone(&self.0));
        (before < bounds.requests).then_some((place, bounds))
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Journey ===

impl Journey {
    /// As [`fetch`](Self::fetch), but under the policy `drain` the provider's answer outlives this future.
    pub(super) async fn fetch_or_drain(self: Box<Self>) -> Result<Reply, DispatchError> {
        if self.dispatcher.shared.client_gone == ClientGone::Cancel {
            return self.fetch().await;
        }
        Box::pin(self.fetch_apart()).await
    }

    /// Fetches in a task of its own, which is read on when this future is dropped.
    async fn fetch_apart(self: Box<Self>) -> Result<Reply, DispatchError> {
        let shared = Arc::clone(&self.dispatcher.shared);
        // Dropped with this future: that is how the task learns that the client has left.
        let (_stays, left) = oneshot::channel::<()>();
        let task = actix_rt::spawn(async move {
            let fetch = pin!(self.fetch());
            let fetch = match select(fetch, left).await {
                Either::Left((answer, _left)) => return Some(answer),
                Either::Right((_left, fetch)) => fetch,
            };
            let (_place, bounds) = shared.draining.place(shared.client_gone)?;
            timeout(bounds.time, fetch).await.ok()
        });
        match task.await {
            Ok(Some(answer)) => answer,
            // Only a panic ends the task while somebody waits for it.
            Ok(None) | Err(_) => Err(DispatchError::Internal("a request's task ended early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let draining = Draining::default();
        let policy = ClientGone::Drain(DrainBounds {
            requests: 1,
            ..DrainBounds::default()
        });
        assert!(draining.place(ClientGone::Cancel).is_none());
        let first = draining.place(policy);
        assert!(first.is_some());
        assert!(draining.place(policy).is_none());
        assert_eq!(draining.count(), 1);
        drop(first);
        assert_eq!(draining.count(), 0);
        assert!(draining.place(policy).is_some());
    }
}
