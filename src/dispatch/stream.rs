//! Streams: frames from the provider to the client, settled before the terminal event is released.
//!
//! Life of a stream:
//! 1. [`Events::hold_until_content`] keeps everything back until the first content: until then a failure is an ordinary
//!    error and another deployment may be tried.
//! 2. [`Open::into_reply`] hands over the headers and an [`EventStream`] that relays the rest.
//! 3. The terminal frame (`[DONE]`, `message_stop`) is released after the settled record is on the journal; a failure becomes an error event, and
//!    never a clean end.
//!
//! A stream that broke may be carried on by another attempt, see [`super::resume`].
//!
//! When the first content takes longer than `header_wait`, [`late`] sends the headers with comments, and the same steps
//! follow inside the stream. Backpressure is the client's: nothing is read while it does not read. A client that leaves
//! drops the stream, which closes the provider's connection; if the finish reason had come already, up to a second is
//! spent on the usage that follows it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem::{replace, take};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use log::{error, warn};
use tokio::time::{Instant, timeout};
use trunkline_actors::deployment::Outcome;
use trunkline_actors::ports::JournalError;
use trunkline_wire::error::UpstreamError;
use trunkline_wire::exchange::keep_alive;
use trunkline_wire::relay::FrameKind;
use trunkline_wire::request::Endpoint;
use trunkline_wire::usage::Usage;
use trunkline_wire::{anthropic, openai};

use super::attempt::{Answer, Arrived, Journey};
use super::drain::Place;
use super::error::DispatchError;
use super::events::{Events, Joined, cut_off};
use super::failure::AttemptError;
use super::headers::Headers;
use super::resume::Resumable;
use super::settle::Settled;
use super::timers::{Alarm, Timers};
use super::{Reply, Shared, headers, receipt, route};
use crate::config::DrainBounds;

/// The bytes of an answer. Dropping it ends the request.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Bytes, Infallible>>>>;

/// A comment is sent after this much silence, so that proxies and clients do not take the connection for dead.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a client's leaving may be outlived for the sake of the usage.
const AFTERLIFE: Duration = Duration::from_secs(1);

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

struct Running {
    journey: Box<Journey>,
    arrived: Arrived,
    events: Events,
    late_error: fn(DispatchError) -> LateFailure,
    first_content: Duration,
    /// What it takes to carry the stream on if it breaks; `None` where it cannot be.
    resumable: Option<Resumable>,
    /// The stream broke after what was handed over last.
    broken: Option<AttemptError>,
    /// How long has been waited since the last event. A client that does not read makes nobody wait.
    silent: Duration,
    /// Of the wait for the next event.
    alarm: Alarm,
}

/// What came of waiting for the provider.
enum Read {
    More,
    /// The provider has closed.
    Closed,
    /// Nothing for so long that the client is told that there is somebody.
    Nothing,
}

/// What one step of a pump gave.
enum Step {
    Send(Bytes),
    /// The last bytes.
    Last(Bytes),
    /// The stream is whole and settled: what comes before its end, and the end, which waits for the record to be safe.
    End {
        before: Bytes,
        terminal: Bytes,
    },
}

// === impl LateFailure ===

impl LateFailure {
    fn into_event(self, endpoint: Endpoint) -> Bytes {
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

// === impl Journey ===

impl Journey {
    /// Tries deployments until one's first content has come.
    pub(super) async fn open_stream(mut self: Box<Self>) -> Result<Open, DispatchError> {
        let mut arrived = self.first_answer().await?;
        self.settlement.first_content();
        let now = self.dispatcher.shared.clock.now();
        arrived.attempt.answered(arrived.began.elapsed(), now);
        let headers = headers::of_answer(&self, &arrived, None);
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

/// The headers go out now; whatever comes later goes into the stream.
pub(super) fn late(
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

// === impl Pump ===

impl Pump {
    fn new(open: Open) -> (Headers, Self) {
        let Open {
            journey,
            mut arrived,
            headers,
        } = open;
        // A whole answer here would be a defect of `try_one`; an empty stream ends in an error event.
        let events = match replace(
            &mut arrived.answer,
            Answer::Stream(Box::new(Events::empty())),
        ) {
            Answer::Stream(events) => *events,
            Answer::Whole(_) => Events::empty(),
        };
        let late_error = journey.dispatcher.shared.late_error;
        let alarm = Alarm::new(arrived.timers.deadline);
        let pump = Self {
            running: Some(Box::new(Running {
                first_content: arrived.began.elapsed(),
                resumable: Resumable::of(&journey),
                broken: None,
                late_error,
                journey,
                arrived,
                events,
                silent: Duration::ZERO,
                alarm,
            })),
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
    async fn step(&mut self) -> Step {
        let result = match self.broken.take() {
            Some(failed) => Err(failed),
            None => self.try_step().await,
        };
        match result {
            Ok(step) => step,
            // Rare, and much to hold: it would make every step as large.
            Err(failed) => Box::pin(self.carry_on_or_end(&failed)).await,
        }
    }

    /// The next piece, or what broke the stream.
    async fn try_step(&mut self) -> Result<Step, AttemptError> {
        // What was kept back until the first content; all else is handed over once it is read.
        if !self.events.held.is_empty()
            && let Some(step) = self.ready_frames()?
        {
            return Ok(step);
        }
        loop {
            match self.read().await? {
                Read::More => {
                    if let Some(step) = self.ready_frames()? {
                        return Ok(step);
                    }
                }
                Read::Closed => {
                    self.events.relay.finish()?;
                    // The relay gives the terminal event now, if only because every choice had its finish reason.
                    return self.ready_frames()?.ok_or_else(|| cut_off().into());
                }
                Read::Nothing => {
                    let ping = keep_alive(self.journey.inbound.endpoint);
                    return Ok(Step::Send(Bytes::from_static(ping)));
                }
            }
        }
    }

    /// Reads on, for no longer than the timers and the next ping allow.
    async fn read(&mut self) -> Result<Read, AttemptError> {
        let Timers {
            idle,
            total,
            deadline,
            ..
        } = self.arrived.timers;
        let idle_left = idle.saturating_sub(self.silent);
        let wait = idle_left.min(PING_EVERY);
        let (events, alarm) = (&mut self.events, &mut self.alarm);
        let mut until = None;
        let mut reading = pin!(events.read());
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = reading.as_mut().poll(cx) {
                return Poll::Ready(Some(read));
            }
            let until = *until.get_or_insert_with(|| (Instant::now() + wait).min(deadline));
            alarm.poll(until, cx).map(|()| None)
        });
        match read.await {
            _ if deadline <= Instant::now() => Err(AttemptError::timeout("total", total)),
            Some(read) => {
                self.silent = Duration::ZERO;
                Ok(if read? { Read::More } else { Read::Closed })
            }
            None if wait < idle_left => {
                self.silent += wait;
                Ok(Read::Nothing)
            }
            None => Err(AttemptError::timeout("idle", idle)),
        }
    }

    /// Everything that can be sent without reading, in one piece.
    fn ready_frames(&mut self) -> Result<Option<Step>, UpstreamError> {
        let mut out = Joined::default();
        let mut held = take(&mut self.events.held).into_iter();
        loop {
            let next = match held.next() {
                Some(frame) => Ok(Some(frame)),
                None => self.events.relay.next_frame(),
            };
            let frame = match next {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) if out.is_empty() => return Err(error),
                // What came before the error belongs to the client.
                Err(error) => {
                    self.broken = Some(error.into());
                    break;
                }
            };
            if frame.kind == FrameKind::Done {
                let before = out.take();
                let end = self.end(&frame.bytes);
                return Ok(Some(match end {
                    Ok(terminal) => Step::End { before, terminal },
                    Err(withheld) => Step::Last(Joined::of([before, withheld])),
                }));
            }
            if let Some(resumable) = &mut self.resumable {
                resumable.note(frame.kind, &frame.bytes);
            }
            let with_cost = match frame.kind {
                FrameKind::Usage => self.with_cost(&frame.bytes),
                _ => None,
            };
            let bytes = with_cost.unwrap_or(frame.bytes);
            self.journey.settlement.streamed(&bytes);
            out.push(bytes);
        }
        self.journey
            .settlement
            .delivered(self.events.relay.output_bytes());
        Ok((!out.is_empty()).then(|| Step::Send(out.take())))
    }

    /// The stream broke: another attempt carries it on, or it ends in an error event.
    async fn carry_on_or_end(&mut self, failed: &AttemptError) -> Step {
        let waited = self.arrived.timers.idle;
        let failure = route::blamed(failed.failure(), &self.journey.inbound, waited);
        let now = self.journey.dispatcher.shared.clock.now();
        self.arrived.attempt.ended(Outcome::Failure(failure), now);
        self.note();
        if let Some(mut resumable) = self.resumable.take() {
            self.journey.plan.failed(&failure, now);
            if let Some(resumed) = resumable.resume(&mut self.journey).await {
                let mark = resumed.take_over(&mut self.arrived, &mut self.events);
                self.resumable = Some(resumable);
                self.silent = Duration::ZERO;
                return Step::Send(mark);
            }
        }
        self.break_off(failed, failure.status)
    }

    /// The stream is whole: settle, then release its end, or the error event in its place.
    fn end(&mut self, terminal: &[u8]) -> Result<Bytes, Bytes> {
        self.report_success();
        self.note();
        match self.journey.settlement.complete(self.events.relay.usage()) {
            Ok(settled) => Ok(self.with_receipt(settled.as_ref(), terminal)),
            Err(err) => Err(self.withheld(&err)),
        }
    }

    /// The end of a settled stream once its record is as safe as promised, or the error event in its place.
    async fn safe_end(&self, terminal: Bytes) -> Bytes {
        match self.journey.settlement.synced().await {
            Ok(()) => terminal,
            Err(err) => self.withheld(&err),
        }
    }

    fn withheld(&self, err: &JournalError) -> Bytes {
        error!(err:% = err; "the end of a stream is withheld because it cannot be written to the journal");
        self.error_event(DispatchError::JournalFull)
    }

    /// Charges what was delivered and says that the stream broke.
    fn break_off(&mut self, failed: &AttemptError, status: u16) -> Step {
        warn!(
            "deployment.id" = self.arrived.attempt.deployment.id().as_str(),
            "model.group" = self.arrived.attempt.group.as_str(),
            status;
            "a stream broke off after a part of it was delivered"
        );
        let usage = self.events.relay.usage();
        let settled = self
            .journey
            .settlement
            .broke_off(usage, status, "stream_broke_off");
        // Nothing more is wanted of this connection.
        self.events.body = None;
        let told = failed.told(&self.arrived.target, self.journey.inbound.endpoint);
        let event = self.error_event(told);
        Step::Last(self.with_receipt(settled.as_ref(), &event))
    }

    /// The last event, after the receipt if there is to be one.
    fn with_receipt(&self, settled: Option<&Settled>, last: &[u8]) -> Bytes {
        let journey = &self.journey;
        match settled.filter(|_| journey.dispatcher.shared.receipts.stream_comment) {
            Some(settled) => {
                let tightest = journey.caller.tightest.as_deref();
                receipt::comment(journey.settlement.id, settled, tightest, last)
            }
            None => Bytes::copy_from_slice(last),
        }
    }

    /// The usage chunk with what the answer costs, where the client sees one and the cost is known.
    fn with_cost(&self, frame: &Bytes) -> Option<Bytes> {
        let journey = &self.journey;
        let says_cost = journey
            .dispatcher
            .shared
            .litellm
            .include_cost_in_streaming_usage;
        if frame.is_empty() || !says_cost || journey.inbound.endpoint.is_anthropic() {
            return None;
        }
        let cost = journey.settlement.quote(self.events.relay.usage()?)?;
        openai::reply::with_cost(frame, &cost.to_string())
    }

    fn error_event(&self, err: DispatchError) -> Bytes {
        (self.late_error)(err).into_event(self.journey.inbound.endpoint)
    }

    fn note(&mut self) {
        let relay = &self.events.relay;
        self.journey.settlement.delivered(relay.output_bytes());
        self.journey
            .settlement
            .provider_request_id(relay.response_id().map(str::to_owned));
    }

    fn report_success(&mut self) {
        let now = self.journey.dispatcher.shared.clock.now();
        let usage = self.events.relay.usage();
        self.arrived.attempt.ended(
            Outcome::Success {
                total: self.arrived.began.elapsed(),
                first_content: Some(self.first_content),
                completion_tokens: usage.map_or(0, Usage::completion_tokens),
                total_tokens: usage.map_or(0, Usage::total_tokens),
            },
            now,
        );
    }

    /// The client has what it wanted and left: the books get the usage all the same.
    fn finish_quietly(mut self: Box<Self>) {
        self.report_success();
        self.note();
        let usage = self.events.relay.usage().copied();
        if let Err(err) = self.journey.settlement.complete(usage.as_ref()) {
            error!(err:% = err; "a settled request could not be written to the journal");
        }
    }

    /// Reads the end of the body after the terminal event, so that the connection can be used again.
    fn release_connection(self: Box<Self>) {
        let Some(mut body) = self.events.body else {
            return;
        };
        // It has mostly come already, in the packet that held the terminal event.
        if let Some(Ok(None) | Err(_)) = body.next().now_or_never() {
            return;
        }
        actix_rt::spawn(async move {
            timeout(AFTERLIFE, async {
                while let Ok(Some(_rest)) = body.next().await {}
            })
            .await
            .ok();
        });
    }
}
