//! Streams: frames from the provider to the client, settled before the terminal event is released.
//!
//! Life of a stream:
//! 1. [`super::events::Events::hold_until_content`] keeps everything back until the first content: until then a failure is an ordinary
//!    error and another deployment may be tried.
//! 2. [`Open::into_reply`] hands over the headers and an [`EventStream`] that relays the rest.
//! 3. The terminal frame (`[DONE]`, `message_stop`) is released after the settled record is on the journal; a failure becomes an error event, and
//!    never a clean end.
//!
//! A stream that broke may be carried on by another attempt, see [`super::resume`].
//!
//! When the first content takes longer than `header_wait`, [`late()`] sends the headers with comments, and the same steps
//! follow inside the stream. Backpressure is the client's: nothing is read while it does not read. A client that leaves
//! drops the stream, which closes the provider's connection; if the finish reason had come already, up to a second is
//! spent on the usage that follows it.

mod gone;
mod late;
mod running;

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use self::running::{Running, Step};
use super::attempt::{Arrived, Journey};
use super::error::DispatchError;
use super::events::Joined;
use super::headers::Headers;
use super::{Reply, headers};

pub use late::LateFailure;
pub(super) use late::late;

/// The bytes of an answer. Dropping it ends the request.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Bytes, Infallible>>>>;

/// A comment is sent after this much silence, so that proxies and clients do not take the connection for dead.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a client's leaving may be outlived for the sake of the usage.
const AFTERLIFE: Duration = Duration::from_secs(1);

/// A stream whose first content has come.
pub(super) struct Open {
    journey: Box<Journey>,
    arrived: Arrived,
    headers: Headers,
}

/// Relays the rest of an open stream.
struct Pump {
    /// `None` after the end. On the heap: a pump is handed over with every piece.
    running: Option<Box<Running>>,
}

// === impl Journey ===

impl Journey {
    /// Tries deployments until one's first content has come.
    pub(super) async fn open_stream(mut self: Box<Self>) -> Result<Open, DispatchError> {
        let mut arrived = self.first_answer().await?;
        self.settlement.first_content();
        let now = self.dispatcher.shared.clock.now();
        arrived.attempt.answered(arrived.began.elapsed(), now);
        let headers = headers::of_answer(&self, &mut arrived, None);
        Ok(Open {
            journey: self,
            arrived,
            headers,
        })
    }
}

// === impl Open ===

impl Open {
    pub(super) fn into_reply(self) -> Reply {
        let (headers, pump) = Pump::new(self);
        Reply::Stream {
            headers,
            events: pump.into_events(),
        }
    }
}

// === impl Pump ===

impl Pump {
    fn new(open: Open) -> (Headers, Self) {
        let (headers, running) = Running::of(open);
        let pump = Self {
            running: Some(Box::new(running)),
        };
        (headers, pump)
    }

    fn into_events(self) -> EventStream {
        stream::unfold(self, |mut pump| async move {
            let bytes = pump.next().await?;
            Some((Ok(bytes), pump))
        })
        .boxed_local()
    }

    async fn next(&mut self) -> Option<Bytes> {
        let running = self.running.as_mut()?;
        match running.step().await {
            Step::Send(bytes) => Some(bytes),
            Step::Last(bytes) => {
                if let Some(running) = self.running.take() {
                    running.release_connection();
                }
                Some(bytes)
            }
            Step::End { before, terminal } => {
                // Taken: it is settled, so a client that leaves now ends nothing.
                let running = self.running.take()?;
                let last = running.safe_end(terminal).await;
                running.release_connection();
                Some(Joined::of([before, last]))
            }
        }
    }
}
