//! Headers that were sent before anything was known, and what comes behind them.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use log::warn;
use tokio::time::timeout;
use trunkline_wire::exchange::keep_alive;
use trunkline_wire::request::Endpoint;
use trunkline_wire::{anthropic, openai};

use super::super::error::DispatchError;
use super::super::{Reply, Shared};
use super::{Open, PING_EVERY, Pump};

/// An error that comes too late for a status: the parts of an error event.
#[derive(Debug)]
pub struct LateFailure {
    /// For people.
    pub message: String,
    /// OpenAI error type.
    pub kind: String,
    /// The field at fault.
    pub param: Option<String>,
    /// The status that came too late.
    pub status: u16,
}

// === impl LateFailure ===

impl LateFailure {
    pub(super) fn into_event(self, endpoint: Endpoint) -> Bytes {
        if endpoint.is_anthropic() {
            return anthropic::reply::error_event(
                anthropic::reply::error_type(self.status),
                &self.message,
            );
        }
        openai::reply::error_event(
            &self.message,
            &self.kind,
            self.param.as_deref(),
            Some(&self.status.to_string()),
        )
    }
}

/// The headers go out now; whatever comes later goes into the stream.
pub(in crate::dispatch) fn late(
    opening: Pin<Box<impl Future<Output = Result<Open, DispatchError>> + 'static>>,
    endpoint: Endpoint,
    shared: &Arc<Shared>,
) -> Reply {
    let late_error = shared.late_error;
    let ping = Bytes::from_static(keep_alive(endpoint));
    let first = stream::iter([Ok(ping.clone())]);
    let waiting = stream::unfold(Some(opening), move |opening| {
        let ping = ping.clone();
        async move {
            let mut opening = opening?;
            match timeout(PING_EVERY, &mut opening).await {
                Err(_elapsed) => Some((stream::iter([Ok(ping)]).boxed_local(), Some(opening))),
                Ok(Ok(open)) => {
                    let (_too_late, pump) = Pump::new(open);
                    Some((pump.into_events(), None))
                }
                Ok(Err(err)) => {
                    let failure = late_error(err);
                    warn!(
                        status = failure.status, kind = failure.kind.as_str();
                        "a streamed request failed after its headers were sent"
                    );
                    let event = failure.into_event(endpoint);
                    Some((stream::iter([Ok(event)]).boxed_local(), None))
                }
            }
        }
    })
    .flatten();
    Reply::Stream {
        headers: Vec::new(),
        events: first.chain(waiting).boxed_local(),
    }
}
