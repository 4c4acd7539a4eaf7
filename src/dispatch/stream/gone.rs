//! What becomes of a stream whose client has left.

use log::error;
use tokio::time::timeout;
use trunkline_wire::relay::FrameKind;

use super::super::drain::Place;
use super::running::Running;
use super::{AFTERLIFE, Pump};
use crate::config::DrainBounds;

// === impl Pump ===

impl Drop for Pump {
    /// The client left before the end.
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.note();
        let usage = running.events.relay.usage();
        if !running.events.relay.saw_finish() {
            let shared = &running.journey.dispatcher.shared;
            // Of a stream that broke nothing more comes.
            let whole = running.broken.is_none();
            let place = whole.then(|| shared.draining.place(shared.client_gone));
            match place.flatten() {
                Some((place, bounds)) => drop(actix_rt::spawn(drain(running, place, bounds))),
                None => running.journey.settlement.client_left(usage),
            }
            return;
        }
        if usage.is_some() {
            running.finish_quietly();
            return;
        }
        actix_rt::spawn(async move {
            let rest = async {
                while running.events.relay.usage().is_none()
                    && matches!(running.events.read().await, Ok(true))
                {
                    while let Ok(Some(_hidden)) = running.events.relay.next_frame() {}
                }
            };
            timeout(AFTERLIFE, rest).await.ok();
            running.finish_quietly();
        });
    }
}

/// Reads a stream on without its client, to its end or to the bounds.
async fn drain(mut running: Box<Running>, _place: Place, bounds: DrainBounds) {
    let mut read: usize = 0;
    let to_the_end = async {
        loop {
            loop {
                match running.events.relay.next_frame() {
                    Ok(Some(frame)) if frame.kind == FrameKind::Done => return true,
                    Ok(Some(frame)) => {
                        read = read.saturating_add(frame.bytes.len());
                        running.journey.settlement.streamed(&frame.bytes);
                    }
                    Ok(None) => break,
                    // Broken, and nothing more comes of it.
                    Err(_broken) => return false,
                }
            }
            match running.events.read().await {
                Ok(true) if read < bounds.bytes => {}
                Ok(false) => {
                    // The relay makes a missing terminal event up only when the answer is whole.
                    let whole = running.events.relay.finish().is_ok();
                    while let Ok(Some(_rest)) = running.events.relay.next_frame() {}
                    return whole;
                }
                Ok(true) | Err(_) => return false,
            }
        }
    };
    let whole = timeout(bounds.time, to_the_end).await == Ok(true);
    if whole {
        running.finish_quietly();
    } else {
        running.note();
        let usage = running.events.relay.usage().copied();
        running.journey.settlement.client_left(usage.as_ref());
    }
}

// === impl Running ===

impl Running {
    /// The client has what it wanted and left: the books get the usage all the same.
    fn finish_quietly(mut self: Box<Self>) {
        self.report_success();
        self.note();
        let usage = self.events.relay.usage().copied();
        if let Err(err) = self.journey.settlement.complete(usage.as_ref()) {
            error!(err:% = err; "a settled request could not be written to the journal");
        }
    }
}
