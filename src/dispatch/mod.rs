//! One request, end to end: [`Dispatcher::run`] reads top to bottom, and each of its steps is a file here.
//!
//! ```text
//! peek → model access → estimate, admit, `started` → plan → attempts (retry, fall back) → relay → settle
//! ```
//!
//! Knows no route and no response type: a [`Reply`] is bytes and headers, a [`DispatchError`] a reason. [`upstream`] is
//! the only user of `awc`.

mod admit;
mod answer;
mod attempt;
mod error;
mod events;
mod failure;
mod headers;
mod mock;
mod routing;
mod settle;
mod stream;
mod target;
mod timers;
mod upstream;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use awc::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::ports::JournalWriter;
use trunkline_actors::rate_limiter::LimiterHandle;
use trunkline_actors::spend_ledger::LedgerHandle;
use trunkline_actors::supervisor::{PlanAsk, Resolved, RoutingHandle};
use trunkline_wire::request::{Endpoint, RequestPeek};

pub use error::{DispatchError, UpstreamFailure};
pub use routing::routing_config;
pub use stream::{EventStream, LateFailure};
pub use target::{Target, Targets};

use self::attempt::Journey;
use self::settle::Settlement;
use self::upstream::Upstream;
use crate::auth::{AuthError, Identity, may_use_model};
use crate::config::{LitellmSettings, RouterSettings, Timeouts};
use crate::cost::{Price, PriceBook};
use crate::telemetry::metrics::Metrics;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Deployments by id.
    pub targets: Targets,
    /// The `Supervisor`'s routing table.
    pub routing: RoutingHandle,
    /// The `RateLimiter`'s buckets.
    pub limiter: LimiterHandle,
    /// Told of every settled record.
    pub ledger: LedgerHandle,
    /// List prices.
    pub prices: &'static PriceBook,
    /// Counters.
    pub metrics: Metrics,
    /// Monotonic time.
    pub clock: Clock,
    /// Timers of an upstream call.
    pub timeouts: Timeouts,
    /// Timeouts and retries by group and router.
    pub router: RouterSettings,
    /// Gateway-wide request settings.
    pub litellm: LitellmSettings,
    /// Streams end with a usage chunk even for clients that did not ask.
    pub always_include_stream_usage: bool,
    /// Renders an error that comes too late for a status, as the JSON of an error event.
    pub late_error: fn(DispatchError) -> LateFailure,
}

/// One worker's request path: the shared parts, its own client, its own journal.
pub struct Dispatcher {
    shared: Arc<Shared>,
    upstream: Upstream,
    journal: Arc<dyn JournalWriter>,
}

/// A request as it came in, its body read and peeked at.
#[derive(Debug)]
pub struct Inbound {
    /// Which route was called.
    pub endpoint: Endpoint,
    /// The body, untouched.
    pub body: Bytes,
    /// What the gateway must know of it.
    pub peek: RequestPeek,
    /// The model: from the body, else from the path.
    pub model: String,
    /// Customer id from a header.
    pub end_user: Option<String>,
    /// Tags from a header.
    pub header_tags: Vec<String>,
    /// When it came, for durations.
    pub arrived: Instant,
    /// When it came, for the books.
    pub arrived_at: UnixMs,
}

/// An answer.
pub enum Reply {
    /// All of it.
    Whole {
        /// Headers of the contract.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// JSON.
        body: Bytes,
    },
    /// Server-sent events.
    Stream {
        /// Headers of the contract.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// The events.
        events: EventStream,
    },
}

// === impl Reply ===

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the body: it is the client's.
        let kind = match self {
            Self::Whole { .. } => "Whole",
            Self::Stream { .. } => "Stream",
        };
        f.debug_struct(kind).finish_non_exhaustive()
    }
}

// === impl Inbound ===

impl Inbound {
    fn tags(&self) -> Vec<String> {
        self.peek
            .tags
            .iter()
            .chain(&self.header_tags)
            .cloned()
            .collect()
    }
}

// === impl Dispatcher ===

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// One worker's dispatcher. Must be made on that worker's thread.
    pub fn new(
        shared: Arc<Shared>,
        tls: &Arc<ClientConfig>,
        journal: Arc<dyn JournalWriter>,
    ) -> Self {
        let connect = shared.timeouts.connect;
        Self {
            shared,
            upstream: Upstream::new(tls, connect),
            journal,
        }
    }

    /// Serves one request.
    ///
    /// Dropping the future, or the stream that it returned, ends the upstream call at once and settles the request with
    /// what was delivered.
    ///
    /// # Errors
    /// See [`DispatchError`]; nothing was delivered then.
    pub async fn run(
        self: Rc<Self>,
        identity: &Identity,
        mut inbound: Inbound,
    ) -> Result<Reply, DispatchError> {
        // Embeddings have nothing to stream, whatever the body says.
        inbound.peek.stream &= inbound.endpoint != Endpoint::Embeddings;
        let shared = Arc::clone(&self.shared);
        let unknown = || DispatchError::UnknownModel {
            model: inbound.model.clone(),
        };

        let table = shared.routing.load();
        let resolved = table.resolve(&inbound.model).ok_or_else(unknown)?;
        let members = candidates(&shared, &resolved);
        check_model_access(identity, &inbound.model, &members)?;
        // Fallbacks of the config are the operator's choice; those of the request are the caller's.
        for fallback in inbound.peek.fallbacks.iter().flatten() {
            let members = table
                .resolve(fallback)
                .map(|resolved| candidates(&shared, &resolved))
                .unwrap_or_default();
            check_model_access(identity, fallback, &members)?;
        }
        if shared.litellm.block_requests_for_models_without_pricing
            && members.iter().any(|(_, price)| price.is_none())
        {
            return Err(DispatchError::NoPrice {
                model: inbound.model,
            });
        }

        let estimate = admit::estimate(inbound.endpoint, &inbound.peek, &members);
        let plan = table
            .plan(PlanAsk {
                model: &inbound.model,
                num_retries: inbound.peek.num_retries,
                fallbacks: inbound.peek.fallbacks.clone(),
                disable_fallbacks: inbound.peek.disable_fallbacks,
            })
            .map_err(|_unknown| unknown())?;
        let admitted = admit::admit(
            &shared,
            &*self.journal,
            identity,
            &inbound,
            &inbound.model,
            &estimate,
        )?;

        let stream = inbound.peek.stream;
        let header_wait = shared.timeouts.header_wait;
        let limits = headers::of_limits(identity, &admitted.limits);
        let settlement = Settlement::new(
            Arc::clone(&shared),
            Arc::clone(&self.journal),
            admitted.permit,
            admitted.record,
            inbound.endpoint,
            estimate.prompt_tokens,
            inbound.arrived,
        );
        let journey = Journey::new(self, inbound, plan, settlement, limits);
        if stream {
            let mut opening = Box::pin(journey.open_stream());
            return match timeout(header_wait, &mut opening).await {
                Ok(opened) => opened.map(stream::Open::into_reply),
                Err(_elapsed) => Ok(stream::late(opening, &shared)),
            };
        }
        journey.fetch().await
    }
}

/// A deployment that may answer, with its price for the model in question.
type Candidate = (Arc<Target>, Option<Arc<Price>>);

fn candidates(shared: &Shared, resolved: &Resolved) -> Vec<Candidate> {
    resolved
        .deployments()
        .filter_map(|(id, upstream_model)| {
            let target = Arc::clone(shared.targets.get(id)?);
            let price = target.price(shared.prices, upstream_model);
            Some((target, price))
        })
        .collect()
}

/// A key's model list names models as clients call them.
fn check_model_access(
    identity: &Identity,
    model: &str,
    members: &[Candidate],
) -> Result<(), AuthError> {
    let Some(key) = identity.key() else {
        return Ok(());
    };
    // Who names a deployment by its id asks for its group.
    let by_id = members.iter().find(|(target, _)| target.config.id == model);
    let name = by_id.map_or(model, |(target, _)| target.config.model_name.as_str());
    let groups: Vec<String> = members
        .iter()
        .flat_map(|(target, _)| target.config.model_info.access_groups.iter().cloned())
        .collect();
    if may_use_model(&key.row.models, name, &groups) {
        Ok(())
    } else {
        Err(AuthError::ModelDenied {
            model: model.to_owned(),
        })
    }
}

/// Trust roots and protocol of upstream TLS, made once and shared by every worker.
pub fn tls_config() -> Arc<ClientConfig> {
    upstream::tls_config()
}
