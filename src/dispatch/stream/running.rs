//! The steps of an open stream: what each reads, hands over and settles.

use std::future::poll_fn;
use std::mem::{replace, take};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use log::{error, warn};
use tokio::time::{Instant, timeout};
use trunkline_actors::deployment::Outcome;
use trunkline_actors::ports::JournalError;
use trunkline_wire::error::UpstreamError;
use trunkline_wire::exchange::keep_alive;
use trunkline_wire::openai;
use trunkline_wire::relay::FrameKind;
use trunkline_wire::usage::Usage;

use super::super::attempt::{Answer, Arrived, Journey};
use super::super::error::DispatchError;
use super::super::events::{Events, Joined, cut_off};
use super::super::failure::AttemptError;
use super::super::headers::Headers;
use super::super::resume::Resumable;
use super::super::settle::Settled;
use super::super::timers::{Alarm, Timers};
use super::super::{receipt, route};
use super::late::LateFailure;
use super::{AFTERLIFE, Open, PING_EVERY};

/// An open stream on its way to the client.
pub(super) struct Running {
    pub(super) journey: Box<Journey>,
    arrived: Arrived,
    pub(super) events: Events,
    late_error: fn(DispatchError) -> LateFailure,
    first_content: Duration,
    /// What it takes to carry the stream on if it breaks; `None` where it cannot be.
    resumable: Option<Resumable>,
    /// The stream broke after what was handed over last.
    pub(super) broken: Option<AttemptError>,
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
pub(super) enum Step {
    Send(Bytes),
    /// The last bytes.
    Last(Bytes),
    /// The stream is whole and settled: what comes before its end, and the end, which waits for the record to be safe.
    End {
        before: Bytes,
        terminal: Bytes,
    },
}

// === impl Running ===

impl Running {
    /// The stream from its first content on, and the headers that go before it.
    pub(super) fn of(open: Open) -> (Headers, Self) {
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
        let running = Self {
            first_content: arrived.began.elapsed(),
            resumable: Resumable::of(&journey),
            broken: None,
            late_error: journey.dispatcher.shared.late_error,
            silent: Duration::ZERO,
            alarm: Alarm::new(arrived.timers.deadline),
            journey,
            arrived,
            events,
        };
        (headers, running)
    }

    pub(super) async fn step(&mut self) -> Step {
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
    pub(super) async fn safe_end(&self, terminal: Bytes) -> Bytes {
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

    pub(super) fn note(&mut self) {
        let relay = &self.events.relay;
        self.journey.settlement.delivered(relay.output_bytes());
        self.journey
            .settlement
            .provider_request_id(relay.response_id().map(str::to_owned));
    }

    pub(super) fn report_success(&mut self) {
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

    /// Reads the end of the body after the terminal event, so that the connection can be used again.
    pub(super) fn release_connection(self: Box<Self>) {
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
