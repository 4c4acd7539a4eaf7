//! One health check of a deployment: its provider's list of models, which costs nothing, or the shortest call there is.

use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use trunkline_actors::clock::UnixMs;
use trunkline_wire::request::{Endpoint, RequestPeek};

use super::attempt::{collect, refused};
use super::failure::AttemptError;
use super::headers;
use super::target::Target;
use super::timers::{Timers, within};
use super::{DispatchError, Dispatcher, Inbound};
use crate::auth::Identity;

/// What is asked of a model.
const PROMPT: &str = "test from trunkline";
/// The least that every provider takes as the longest answer of a chat.
const MAX_TOKENS: u32 = 16;
/// The tag of calls that check.
const TAG: &str = "health-check";

// === impl Target ===

impl Target {
    /// Whether a check can call its model: it has one, of a kind that the gateway calls.
    pub fn can_be_called(&self) -> bool {
        let mode = self.config.model_info.mode.as_deref();
        let is_known = matches!(mode, None | Some("chat" | "completion" | "embedding"));
        is_known && self.model_of_check().is_some()
    }

    /// The provider's name of the model that a check calls; `None` for a wildcard without `health_check_model`.
    pub fn model_of_check(&self) -> Option<&str> {
        let own = Some(self.config.upstream_model.as_str());
        let said = self.config.model_info.checks.model.as_deref();
        said.or(own.filter(|model| !model.contains('*')))
    }

    fn shortest_request(&self) -> (Endpoint, Value) {
        let info = &self.config.model_info;
        let max_tokens = info.checks.max_tokens;
        let model = &self.config.id;
        match info.mode.as_deref() {
            Some("embedding") => (
                Endpoint::Embeddings,
                json!({"model": model, "input": PROMPT}),
            ),
            Some("completion") => (
                Endpoint::Completions,
                json!({"model": model, "prompt": PROMPT, "max_tokens": max_tokens.unwrap_or(1)}),
            ),
            _ => (
                Endpoint::ChatCompletions,
                json!({
                    "model": model,
                    "messages": [{"role": "user", "content": PROMPT}],
                    "max_tokens": max_tokens.unwrap_or(MAX_TOKENS)
                }),
            ),
        }
    }
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Asks the provider for its list of models, with the deployment's key and headers: `GET /models`, and `GET
    /// /v1/models` of Anthropic. A server that has no such list (404, 405, 501) is reachable, which is all it can say.
    /// Not so a 400: some providers say that to a key they do not know.
    ///
    /// # Errors
    /// [`DispatchError::Upstream`]; nothing is put on the books, and no breaker hears of it.
    pub async fn ask_for_models(&self, target: &Target) -> Result<(), DispatchError> {
        if target.config.mock_response.is_some() {
            return Ok(());
        }
        let listed = self.list_of_models(target).await;
        listed.map_err(|err| err.told(target, Endpoint::ChatCompletions))
    }

    async fn list_of_models(&self, target: &Target) -> Result<(), AttemptError> {
        let timers = Timers::of_check(target.config.model_info.checks.timeout);
        let own = headers::own_to_anthropic(target);
        let sent = self.upstream.get(target, &target.models, own);
        let response = within("health_check", timers.first_byte, timers.deadline, sent)
            .await?
            .map_err(AttemptError::from)?;
        if response.status.is_success() {
            // To the end, so that the connection serves the next check.
            return collect(response.body, &timers).await.map(|_list| ());
        }
        if matches!(response.status.as_u16(), 404 | 405 | 501) {
            return Ok(());
        }
        Err(refused(target, response, &timers).await)
    }

    /// Calls the deployment, and nobody in its place, with the shortest request there is. The call is on the books.
    /// Of a wildcard, [`Target::model_of_check`] must be known.
    ///
    /// # Errors
    /// See [`DispatchError`].
    pub async fn call_to_check(
        self: Rc<Self>,
        identity: &Identity,
        target: &Target,
    ) -> Result<(), DispatchError> {
        let (endpoint, body) = target.shortest_request();
        let body = Bytes::from(body.to_string());
        let mut peek = RequestPeek::parse(endpoint, &body).map_err(DispatchError::Invalid)?;
        let checks = &target.config.model_info.checks;
        peek.disable_fallbacks = true;
        peek.num_retries = Some(0);
        peek.timeout_secs = Some(checks.timeout.as_secs_f64());
        let inbound = Inbound {
            endpoint,
            body,
            peek,
            model: target.config.id.clone(),
            upstream_model: checks.model.clone(),
            end_user: None,
            client_ip: None,
            header_tags: vec![TAG.to_owned()],
            anthropic_version: None,
            anthropic_betas: Vec::new(),
            arrived: Instant::now(),
            arrived_at: UnixMs::now(),
        };
        self.run(identity, inbound).await.map(|_reply| ())
    }
}
