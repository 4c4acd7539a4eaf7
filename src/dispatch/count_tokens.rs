//! Anthropic's token counting: how long a prompt is, without an answer to it.
//!
//! A deployment of Anthropic's is asked; for any other the gateway's own tokenizer counts as its model would, and the answer
//! says so. Nothing is billed for it, so there is no permit and no row on the books. Its limits are others than those of
//! messages and its answers are quicker ("Token counting", Anthropic documentation, 2026-11-23): how it went is no verdict
//! on the deployment.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use trunkline_actors::supervisor::{Attempt, GiveUp, PlanAsk};
use trunkline_wire::exchange::Dialect;
use trunkline_wire::request::BadRequest;

use super::admit;
use super::attempt::{collect, encode, refused};
use super::error::DispatchError;
use super::failure::AttemptError;
use super::headers;
use super::target::Target;
use super::timers::{Timers, within};
use super::{Dispatcher, Inbound, Reply, Shared, route};
use crate::auth::Identity;
use crate::tokenizer::{Tokenizer, count_chat_in_background};

/// `litellm_count_source` is LiteLLM's member: who counted. `local_estimate` is its word for the gateway, be the count exact or not.
#[derive(Serialize)]
struct Counted {
    input_tokens: usize,
    litellm_count_source: &'static str,
}

/// Why a deployment gave no count.
enum Failed {
    /// The request is wrong, whoever is asked.
    Request(DispatchError),
    Deployment(AttemptError),
}

impl Dispatcher {
    /// Counts the tokens of a prompt.
    ///
    /// # Errors
    /// As [`run`](Self::run); limits and budgets are not asked.
    pub async fn count_tokens(
        self: Rc<Self>,
        identity: &Identity,
        mut inbound: Inbound,
    ) -> Result<Reply, DispatchError> {
        let shared = Arc::clone(&self.shared);
        let (table, targets) = shared.deployed();
        let place = (&*table, &*targets);
        let (resolved, members) = self.resolve(identity, &mut inbound, place)?;
        let lists = identity.model_lists().iter();
        self.check_access(identity, lists, &inbound, place, (&resolved, &members))?;
        let estimate = admit::estimate(&inbound, &[members]);
        let ask = PlanAsk {
            // Another group's model has another vocabulary: its count would be wrong.
            disable_fallbacks: true,
            tokens: 0,
            ..route::ask(&shared, &targets, &inbound, &estimate, Vec::new(), None)
        };
        let mut plan = table.plan(resolved, ask);
        let mut told = None;
        loop {
            let attempt = match route::next_call(&mut plan, shared.clock).await {
                Ok(attempt) => attempt,
                Err(reason) => {
                    return Err(match (reason, told) {
                        (GiveUp::Failed, Some(told)) => told,
                        (reason, _) => route::refused(reason, &targets),
                    });
                }
            };
            let Some(target) = targets.get(attempt.deployment.id().as_str()) else {
                return Err(DispatchError::Internal("a deployment has no target"));
            };
            let target = Arc::clone(target);
            if target.dialect != Dialect::Anthropic || target.config.mock_response.is_some() {
                let tokenizer = target.tokenizer(&attempt.upstream_model);
                attempt.unsent(shared.clock.now());
                return count(tokenizer, &inbound).await;
            }
            let answer = self.ask(&shared, &target, &attempt, &inbound).await;
            attempt.unsent(shared.clock.now());
            match answer {
                Ok(body) => {
                    return Ok(Reply::Whole {
                        headers: Vec::new(),
                        body,
                    });
                }
                Err(Failed::Request(err)) => return Err(err),
                Err(Failed::Deployment(err)) => {
                    plan.failed(&err.failure(), shared.clock.now());
                    told = Some(err.told(&target, inbound.endpoint));
                }
            }
        }
    }

    async fn ask(
        &self,
        shared: &Shared,
        target: &Target,
        attempt: &Attempt,
        inbound: &Inbound,
    ) -> Result<Bytes, Failed> {
        let encoded = encode(shared, target, inbound, &attempt.upstream_model)
            .map_err(|bad| Failed::Request(DispatchError::Invalid(bad)))?;
        let timers = Timers::start(shared, target, inbound);
        let own = headers::to_anthropic(target, inbound, &encoded.betas);
        let uri = target.uri(inbound.endpoint);
        let answer = async {
            let sent = self.upstream.post(target, uri, own, encoded.body);
            let response = within("first_byte", timers.first_byte, timers.deadline, sent)
                .await?
                .map_err(AttemptError::from)?;
            if response.status.is_success() {
                return collect(response.body, &timers).await;
            }
            Err(refused(target, response, &timers).await)
        };
        answer.await.map_err(Failed::Deployment)
    }
}

async fn count(tokenizer: Tokenizer, inbound: &Inbound) -> Result<Reply, DispatchError> {
    let input_tokens = count_chat_in_background(tokenizer, inbound.body.clone())
        .await
        .map_err(|err| match err.field() {
            Some(field) => DispatchError::Invalid(BadRequest::new(field, err.to_string())),
            None => DispatchError::Internal("the tokens could not be counted"),
        })?;
    let counted = Counted {
        input_tokens,
        litellm_count_source: "local_estimate",
    };
    Ok(Reply::Whole {
        headers: Vec::new(),
        // A number and a word always serialise.
        body: Bytes::from(serde_json::to_vec(&counted).unwrap_or_default()),
    })
}
