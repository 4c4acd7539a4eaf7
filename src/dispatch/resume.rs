//! Streams that broke after content, carried on by another attempt where a deployment can do that.
//!
//! Off unless a deployment says `stream_resume: prefill`. Then a chat stream of plain text that breaks is asked for again,
//! with the text so far as the beginning of the answer, from deployments that say so. The client sees one answer, with a
//! comment where the second part begins. Both parts are one request: one row, in which the first part is charged by
//! estimate. What cannot be carried on (tool calls, reasoning, several choices, other endpoints) ends in an error event
//! as before.

use std::mem::replace;
use std::sync::Arc;

use bytes::Bytes;
use log::info;
use tokio::time::Instant;
use trunkline_actors::deployment::{Failure, FailureKind, Outcome};
use trunkline_wire::openai::continuation::{self, Transcript};
use trunkline_wire::relay::FrameKind;
use trunkline_wire::request::{Endpoint, RequestPeek};

use super::admit::tokens_of_bytes;
use super::attempt::{Answer, Arrived, Journey, Tried};
use super::events::Events;
use super::target::Target;

/// A stream is carried on no more often than this.
const MAX_RESUMES: u32 = 2;

/// What a stream needs to be carried on.
#[derive(Debug, Default)]
pub(super) struct Resumable {
    transcript: Transcript,
    /// The client's own body.
    body: Bytes,
    times: u32,
}

/// A stream that goes on.
pub(super) struct Resumed {
    pub(super) arrived: Arrived,
    pub(super) events: Events,
    /// What tells the client: a comment.
    pub(super) mark: Bytes,
}

// === impl Resumable ===

impl Resumable {
    /// For a stream that may be carried on.
    pub(super) fn of(journey: &Journey) -> Option<Self> {
        let inbound = &journey.inbound;
        let RequestPeek { n, .. } = inbound.peek;
        let possible = journey.targets.any_resumes()
            && inbound.endpoint == Endpoint::ChatCompletions
            && n <= 1;
        possible.then(|| Self {
            body: inbound.body.clone(),
            ..Self::default()
        })
    }

    /// Notes what goes to the client.
    pub(super) fn note(&mut self, kind: FrameKind, frame: &Bytes) {
        if kind == FrameKind::Content {
            self.transcript.note(frame);
        }
    }

    /// Asks the next deployment that can for the rest of a stream whose failure was just told to the plan; `None` when
    /// there is none, or what came cannot be carried on.
    pub(super) async fn resume(&mut self, journey: &mut Journey) -> Option<Resumed> {
        let said = self.transcript.text()?.to_owned();
        self.times += 1;
        if self.times > MAX_RESUMES {
            return None;
        }
        let said_tokens = tokens_of_bytes(said.len());
        loop {
            let attempt = journey.next_call().await.ok()?;
            let shared = Arc::clone(&journey.dispatcher.shared);
            let target = Arc::clone(journey.targets.get(attempt.deployment.id().as_str())?);
            if !target.config.stream_resume || target.config.mock_response.is_some() {
                let now = shared.clock.now();
                attempt.unsent(now);
                journey.plan.failed(&cannot(), now);
                continue;
            }
            let provider = target.config.provider.name;
            let body = continuation::request(&self.body, provider, &said, said_tokens)?;
            journey.inbound.body = body;
            let began = Instant::now();
            let answered = journey.try_one(&target, &attempt.upstream_model).await;
            journey.inbound.body = self.body.clone();
            let now = shared.clock.now();
            match answered {
                Ok((Answer::Stream(events), headers, timers, dropped)) => {
                    info!(
                        "deployment.id" = attempt.deployment.id().as_str(),
                        "model.group" = attempt.group.as_str();
                        "a stream that broke off is carried on"
                    );
                    journey.settlement.resumed();
                    journey.settlement.trying(&target, &attempt);
                    let mut events = *events;
                    // The answer has begun already.
                    events
                        .held
                        .retain(|frame| frame.kind != FrameKind::Preamble);
                    return Some(Resumed {
                        mark: mark(&target),
                        arrived: Arrived {
                            attempt,
                            target,
                            answer: Answer::Stream(Box::new(Events::empty())),
                            headers,
                            timers,
                            began,
                            dropped,
                        },
                        events,
                    });
                }
                Ok(_whole) => return None,
                Err(Tried::Invalid(_bad)) => {
                    attempt.unsent(now);
                    journey.plan.failed(&cannot(), now);
                }
                Err(Tried::Failed(failed)) => {
                    let failure = failed.failure();
                    attempt.report(Outcome::Failure(failure), now);
                    journey.plan.failed(&failure, now);
                }
            }
        }
    }
}

// === impl Resumed ===

impl Resumed {
    /// Puts this in the place of what broke.
    pub(super) fn take_over(self, arrived: &mut Arrived, events: &mut Events) -> Bytes {
        drop(replace(arrived, self.arrived));
        drop(replace(events, self.events));
        self.mark
    }
}

/// As for a request that a deployment has no word for: another one is asked, and nobody is blamed.
fn cannot() -> Failure {
    Failure {
        kind: FailureKind::Inexpressible,
        status: 400,
        retry_after: None,
    }
}

fn mark(target: &Target) -> Bytes {
    let id = &target.config.id;
    Bytes::from(format!(
        ": the answer broke off here and is carried on by {id}\n\n"
    ))
}
