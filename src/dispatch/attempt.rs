//! Attempts: ask the plan for a deployment, call it, and on failure tell the plan, until content has come or nothing is
//! left to try. One loop for whole answers and streams alike.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use awc::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use log::debug;
use tokio::time::Instant;
use trunkline_actors::deployment::{Failure, FailureKind, Outcome};
use trunkline_actors::supervisor::{Attempt, GiveUp, RoutePlan};
use trunkline_wire::error::{UpstreamError, UpstreamErrorKind};
use trunkline_wire::exchange::{
    self, AnswerOptions, Decoded, EncodeOptions, Encoded, MaxTokensField,
};
use trunkline_wire::request::BadRequest;
use trunkline_wire::tool_names::ToolNames;

use super::error::DispatchError;
use super::events::Events;
use super::failure::AttemptError;
use super::headers::{self, CallerLimits, Headers};
use super::settle::Settlement;
use super::target::Target;
use super::targets::Targets;
use super::timers::{Timers, within};
use super::upstream::{Body, Response};
use super::{Dispatcher, Inbound, Shared, mock, route};
use crate::config;

/// Largest answer that is not a stream.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// Of an error's body, no more than this is read: enough for every provider's message.
const ERROR_LIMIT: usize = 64 * 1024;

/// A request on its way: what it asks for, where it may go, and its settlement.
pub(super) struct Journey {
    pub(super) dispatcher: Rc<Dispatcher>,
    /// Those of the plan's table.
    pub(super) targets: Arc<Targets>,
    pub(super) inbound: Inbound,
    pub(super) plan: RoutePlan,
    /// The plan's first step, until it is taken.
    pub(super) first: Option<Attempt>,
    pub(super) settlement: Settlement,
    pub(super) caller: CallerLimits,
    /// Time spent waiting for providers and between attempts, so that the rest can be called overhead.
    pub(super) provider_time: Duration,
}

/// A deployment that answered; its place among the requests in flight is held until this is dropped.
pub(super) struct Arrived {
    pub(super) attempt: Attempt,
    pub(super) target: Arc<Target>,
    pub(super) answer: Answer,
    pub(super) headers: Headers,
    pub(super) timers: Timers,
    pub(super) began: Instant,
    /// Names of parameters that were removed from the request.
    pub(super) dropped: Vec<String>,
}

/// What came.
pub(super) enum Answer {
    Whole(Box<Decoded>),
    Stream(Box<Events>),
}

// === impl Journey ===

impl Journey {
    /// Tries deployments until one answers. On failure the request is settled.
    pub(super) async fn first_answer(&mut self) -> Result<Arrived, DispatchError> {
        // The requested group's error is the one the client is told of: what fallbacks then did wrong is not its doing.
        let mut original: Option<DispatchError> = None;
        loop {
            let attempt = match self.next_call().await {
                Ok(attempt) => attempt,
                Err(reason) => return Err(self.give_up(reason, original)),
            };
            let known = self.targets.get(attempt.deployment.id().as_str());
            let Some(target) = known.map(Arc::clone) else {
                // A deployment that the table has and the targets have not: both are made from one config.
                return Err(self.give_up(GiveUp::Failed, original));
            };
            self.settlement.trying(&target, &attempt);
            self.settlement.routed(
                self.plan.attempted_retries(),
                self.plan.attempted_fallbacks(),
            );
            let began = Instant::now();
            match self.try_one(&target, &attempt.upstream_model).await {
                Ok((answer, headers, timers, dropped)) => {
                    self.provider_time += began.elapsed();
                    return Ok(Arrived {
                        attempt,
                        target,
                        answer,
                        headers,
                        timers,
                        began,
                        dropped,
                    });
                }
                Err(Tried::Invalid(err)) => {
                    // Nobody was called; a deployment of another provider may have a word for it.
                    self.settlement.attempt_failed();
                    let failure = Failure {
                        kind: FailureKind::Inexpressible,
                        status: err.status,
                        retry_after: None,
                    };
                    let now = self.dispatcher.shared.clock.now();
                    attempt.unsent(now);
                    self.plan.failed(&failure, now);
                    if self.plan.in_requested_group() && original.is_none() {
                        original = Some(DispatchError::Invalid(err));
                    }
                }
                Err(Tried::Failed(failed)) => {
                    self.provider_time += began.elapsed();
                    self.settlement.attempt_failed();
                    let failure = route::blamed(failed.failure(), &self.inbound, began.elapsed());
                    debug!(
                        "deployment.id" = attempt.deployment.id().as_str(),
                        "model.group" = attempt.group.as_str(),
                        status = failure.status;
                        "an attempt failed"
                    );
                    let now = self.dispatcher.shared.clock.now();
                    attempt.report(Outcome::Failure(failure), now);
                    self.plan.failed(&failure, now);
                    if self.plan.in_requested_group() {
                        original = Some(failed.told(&target, self.inbound.endpoint));
                    }
                }
            }
        }
    }

    /// The plan's next call; waiting for it counts as the provider's time.
    pub(super) async fn next_call(&mut self) -> Result<Attempt, GiveUp> {
        if let Some(attempt) = self.first.take() {
            return Ok(attempt);
        }
        let began = Instant::now();
        let next = route::next_call(&mut self.plan, self.dispatcher.shared.clock).await;
        self.provider_time += began.elapsed();
        next
    }

    fn give_up(&mut self, reason: GiveUp, original: Option<DispatchError>) -> DispatchError {
        let err = match (reason, original) {
            (GiveUp::Failed, Some(err)) => err,
            (reason, _) => route::refused(reason, &self.targets),
        };
        let (status, code) = match &err {
            DispatchError::Upstream(failure) => (failure.status, "upstream"),
            DispatchError::Invalid(bad) => (bad.status, "bad_request"),
            DispatchError::AllInCooldown { .. } => (429, "all_in_cooldown"),
            DispatchError::AllBusy { .. } => (429, "all_busy"),
            DispatchError::Paused { .. } => (503, "paused"),
            DispatchError::TagsDenied { .. } => (401, "tags_denied"),
            DispatchError::OverBudget { .. } => (429, "over_budget"),
            DispatchError::TooLong { .. } => (400, "context_window"),
            _ => (500, "internal"),
        };
        self.settlement.fail(status, code);
        err
    }

    pub(super) async fn try_one(
        &self,
        target: &Arc<Target>,
        upstream_model: &str,
    ) -> Result<(Answer, Headers, Timers, Vec<String>), Tried> {
        let timers = Timers::start(&self.dispatcher.shared, target, &self.inbound);
        if let Some(text) = &target.config.mock_response {
            let answer = mock::answer(text, &self.inbound, self.shows_usage())
                .map_err(AttemptError::from)?;
            return Ok((answer, Headers::new(), timers, Vec::new()));
        }
        let Encoded {
            body,
            dropped,
            betas,
            renamed,
        } = encode(
            &self.dispatcher.shared,
            target,
            &self.inbound,
            upstream_model,
        )
        .map_err(Tried::Invalid)?;

        let uri = target.uri(self.inbound.endpoint);
        let own = headers::to_anthropic(target, &self.inbound, &betas);
        let response = within(
            "first_byte",
            timers.first_byte,
            timers.deadline,
            self.dispatcher.upstream.post(target, uri, own, body),
        )
        .await?
        .map_err(AttemptError::from)?;

        let headers = headers::of_upstream(&response.headers, target);
        let answer = if !response.status.is_success() {
            Err(Box::pin(refused(target, response, &timers)).await)
        } else if self.inbound.peek.stream {
            self.open_events(target, response, renamed, &timers).await
        } else {
            self.read_whole(target, response.body, renamed, &timers)
                .await
        };
        match answer {
            Ok(answer) => Ok((answer, headers, timers, dropped)),
            Err(failed) => Err(Tried::Failed(failed.with_headers(headers))),
        }
    }

    async fn read_whole(
        &self,
        target: &Target,
        body: Body,
        renamed: ToolNames,
        timers: &Timers,
    ) -> Result<Answer, AttemptError> {
        let bytes = collect(body, timers).await?;
        let decoded = exchange::decode(target.dialect, bytes, &self.answer_options(renamed))?;
        Ok(Answer::Whole(Box::new(decoded)))
    }

    async fn open_events(
        &self,
        target: &Target,
        response: Response,
        renamed: ToolNames,
        timers: &Timers,
    ) -> Result<Answer, AttemptError> {
        let Response { headers, body, .. } = response;
        let in_events = is_event_stream(&headers);
        drop(headers);
        if !in_events {
            // A provider that answers a streamed request in one piece has not done what was asked; what it says instead
            // is most often an error with status 200.
            let bytes = collect(body, timers).await?;
            exchange::decode(target.dialect, bytes, &self.answer_options(renamed))?;
            return Err(UpstreamError::new(
                UpstreamErrorKind::BrokenAnswer,
                None,
                "the provider answered a streamed request without an event stream",
            )
            .into());
        }
        let mut events = Events::new(body, target.dialect, self.answer_options(renamed));
        within(
            "first_content",
            timers.first_content,
            timers.deadline,
            events.hold_until_content(),
        )
        .await??;
        Ok(Answer::Stream(Box::new(events)))
    }

    /// The model name that the client sees: the one it asked for. After a fallback the provider's own name stays, so that
    /// the client can tell (contract `endpoints` §1.1).
    fn shown_model(&self) -> Option<&str> {
        (self.plan.attempted_fallbacks() == 0).then_some(self.inbound.model.as_str())
    }

    /// Whether the client is shown the usage of a stream.
    pub(super) fn shows_usage(&self) -> bool {
        self.inbound.peek.include_usage || self.dispatcher.shared.always_include_stream_usage
    }

    fn answer_options(&self, renamed: ToolNames) -> AnswerOptions {
        AnswerOptions {
            endpoint: self.inbound.endpoint,
            requested_model: self.shown_model().map(str::to_owned),
            include_usage: self.shows_usage(),
            choices: self.inbound.peek.n,
            created: self.inbound.arrived_at.0 / 1000,
            renamed,
        }
    }
}

/// The request as `target` wants it.
pub(super) fn encode(
    shared: &Shared,
    target: &Target,
    inbound: &Inbound,
    upstream_model: &str,
) -> Result<Encoded, BadRequest> {
    exchange::encode(
        target.dialect,
        &inbound.body,
        &inbound.peek,
        &EncodeOptions {
            upstream_model,
            endpoint: inbound.endpoint,
            max_tokens_field: max_tokens_field(target, upstream_model),
            max_output_tokens: target.max_output_tokens(upstream_model),
            drop_params: inbound
                .peek
                .drop_params
                .or(target.config.drop_params)
                .unwrap_or(shared.litellm.drop_params),
            additional_drop_params: &target.config.additional_drop_params,
            allowed_openai_params: &target.config.allowed_openai_params,
            defaults: &target.config.defaults,
            extra_body: &target.config.extra_body,
            provider: target.config.provider.name,
            api_version: inbound
                .anthropic_version
                .as_ref()
                .and_then(|version| version.to_str().ok()),
        },
    )
}

/// Why one attempt ended.
pub(super) enum Tried {
    /// The request itself cannot be put to this provider.
    Invalid(BadRequest),
    Failed(AttemptError),
}

impl From<AttemptError> for Tried {
    fn from(err: AttemptError) -> Self {
        Self::Failed(err)
    }
}

/// The whole of an answer that is not a stream.
pub(super) async fn collect(mut body: Body, timers: &Timers) -> Result<Bytes, AttemptError> {
    let whole = body.collect(ANSWER_LIMIT);
    Ok(within("total", timers.left(), timers.deadline, whole).await??)
}

pub(super) async fn refused(target: &Target, response: Response, timers: &Timers) -> AttemptError {
    let Response {
        status,
        headers,
        mut body,
    } = response;
    // A provider that does not even finish its error is judged by its status.
    let read = body.collect(ERROR_LIMIT);
    let bytes = match within("total", timers.idle, timers.deadline, read).await {
        Ok(Ok(bytes)) => bytes,
        _ => Bytes::new(),
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after = text(RETRY_AFTER).map(in_seconds);
    let content_type = text(CONTENT_TYPE);
    exchange::classify(
        target.dialect,
        status.as_u16(),
        content_type,
        retry_after.as_deref(),
        &bytes,
    )
    .into()
}

/// A `Retry-After` date as seconds from now; what is no date is passed on as it is.
fn in_seconds(retry_after: &str) -> String {
    match rfc2822::parse(retry_after) {
        Ok(until) => {
            let wait = until.timestamp().as_second() - Timestamp::now().as_second();
            wait.max(0).to_string()
        }
        Err(_no_date) => retry_after.to_owned(),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("text/event-stream")
        })
}

fn max_tokens_field(target: &Target, upstream_model: &str) -> MaxTokensField {
    match target.config.provider.max_tokens_field(upstream_model) {
        config::MaxTokensField::Keep => MaxTokensField::Keep,
        config::MaxTokensField::MaxTokens => MaxTokensField::MaxTokens,
        config::MaxTokensField::MaxCompletionTokens => MaxTokensField::MaxCompletionTokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_date_becomes_seconds_from_now() {
        let soon = Timestamp::now().as_second() + 30;
        let date = Timestamp::from_second(soon)
            .unwrap()
            .strftime("%a, %d %b %Y %H:%M:%S GMT");
        let secs: i64 = in_seconds(&date.to_string()).parse().unwrap();
        assert!((28..=30).contains(&secs), "{secs}");
        assert_eq!(in_seconds("7"), "7");
        assert_eq!(in_seconds("soon"), "soon");
        assert_eq!(in_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), "0");
    }
}
