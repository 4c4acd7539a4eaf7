//! One request, end to end: [`Dispatcher::run`] reads top to bottom, and each of its steps is a file here.
//!
//! ```text
//! peek → model access → estimate → admit, plan → `started` → attempts (retry, fall back) → relay → settle
//! ```
//!
//! Knows no route and no response type: a [`Reply`] is bytes and headers, a [`DispatchError`] a reason. `upstream` is
//! the only user of `awc`.

mod access;
mod admit;
mod answer;
mod attempt;
mod caps;
mod check;
mod count_tokens;
mod drain;
mod error;
mod events;
mod failure;
mod fetch;
mod headers;
mod mock;
mod mock_testing;
mod pre_call;
mod priced;
mod reach;
mod receipt;
mod recording;
mod resume;
mod route;
mod routing;
mod service;
mod settle;
mod sharing;
mod stream;
mod target;
mod targets;
mod team_models;
mod timers;
mod upstream;

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use awc::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use log::error;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use trunkline_actors::admission::Queue;
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::fleet::FleetHandle;
use trunkline_actors::ports::JournalWriter;
use trunkline_actors::rate_limiter::LimiterHandle;
use trunkline_actors::spend_ledger::LedgerHandle;
use trunkline_actors::supervisor::{Resolved, RoutingHandle, RoutingTable};
use trunkline_wire::request::{Endpoint, RequestPeek};

pub use caps::provider_caps;
pub use drain::Draining;
pub use error::{DispatchError, UpstreamFailure};
pub use fetch::{FetchError, Fetcher};
pub use priced::Priced;
pub use recording::{Recording, RecordingState};
pub use routing::routing_config;
pub use sharing::Sharing;
pub use stream::{EventStream, LateFailure};
pub use target::Target;
pub(crate) use target::dialect;
pub use targets::{TargetParts, Targets};

use self::admit::{Payers, Place};
use self::attempt::Journey;
use self::headers::CallerLimits;
use self::reach::{Members, Reach};
use self::upstream::Upstream;
use crate::auth::{Identity, KeyEntry, LabelTable};
use crate::config::{
    ClientGone, CountedTokens, LitellmSettings, Receipts, RouterSettings, Timeouts,
};
use crate::cost::PriceBook;
use crate::telemetry::metrics::Metrics;
use crate::transcripts::Transcripts;

/// Client tags that are put on the books.
const MAX_TAGS: usize = 64;
/// Characters of a tag or a customer's name that are put on the books.
const MAX_CLIENT_TEXT: usize = 256;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The `Supervisor`'s routing table, with the [`Targets`] beside it.
    pub routing: RoutingHandle,
    /// The `RateLimiter`'s buckets.
    pub limiter: LimiterHandle,
    /// Budgets of customers, tags and the gateway.
    pub labels: LabelTable,
    /// Told of every settled record.
    pub ledger: LedgerHandle,
    /// List prices.
    pub prices: ArcSwap<PriceBook>,
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
    /// What happens to answers whose client has left.
    pub client_gone: ClientGone,
    /// What answers say of their cost.
    pub receipts: Receipts,
    /// Answers that are read on without a client.
    pub draining: Draining,
    /// What happens to requests that the journal does not take.
    pub recording: Recording,
    /// Where what is asked and answered is left; `None` where nobody keeps it.
    pub transcripts: Option<Transcripts>,
    /// Where requests wait that a rate limit refuses; `None`: they do not.
    pub queue: Option<Queue>,
    /// How callers share what model groups grant; `None`: they do not.
    pub sharing: Option<Sharing>,
    /// Which tokens limits of tokens count.
    pub counted_tokens: CountedTokens,
    /// Streams end with a usage chunk even for clients that did not ask.
    pub always_include_stream_usage: bool,
    /// `mock_testing_*` in bodies is acted on.
    pub allow_mock_testing: bool,
    /// Renders an error that comes too late for a status, as the JSON of an error event.
    pub late_error: fn(DispatchError) -> LateFailure,
}

/// One worker's request path: the shared parts, its own client, its own journal.
pub struct Dispatcher {
    shared: Arc<Shared>,
    upstream: Upstream,
    journal: Arc<dyn JournalWriter>,
    reach: Reach,
    /// The other replicas; `None` where there can be none.
    fleet: Option<FleetHandle>,
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
    /// The provider's name of the model to be called in place of the deployment's own; only health checks name one.
    pub upstream_model: Option<String>,
    /// Customer id from a header.
    pub end_user: Option<String>,
    /// Where it came from.
    pub client_ip: Option<IpAddr>,
    /// Tags from a header.
    pub header_tags: Vec<String>,
    /// The client's `anthropic-version`; on Anthropic's endpoints only.
    pub anthropic_version: Option<HeaderValue>,
    /// The client's `anthropic-beta`, one after the other; on Anthropic's endpoints only.
    pub anthropic_betas: Vec<String>,
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

// === impl Shared ===

impl Shared {
    /// The routing table of the moment with its deployments; none before the first table.
    pub fn deployed(&self) -> (Arc<RoutingTable>, Arc<Targets>) {
        let table = self.routing.load();
        let targets = table.beside().unwrap_or_default();
        (table, targets)
    }

    /// The deployments of the moment.
    pub fn targets(&self) -> Arc<Targets> {
        self.deployed().1
    }
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
    /// The first tags of the body and of the header, then the key's: each once, or its budget would be charged twice.
    fn tags(&self, key: Option<&KeyEntry>) -> Vec<String> {
        let own = self.peek.tags.iter().chain(&self.header_tags);
        let own = own.take(MAX_TAGS).map(String::as_str);
        let mut tags: Vec<String> = Vec::new();
        for tag in own.chain(key.into_iter().flat_map(KeyEntry::tags)) {
            let tag = shortened(tag);
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }

    /// The same deployments, with the model that is to be called there.
    fn calling(&self, resolved: Resolved) -> Resolved {
        match &self.upstream_model {
            Some(model) => resolved.calling(model),
            None => resolved,
        }
    }

    /// The customer: a header's word goes before the body's.
    fn end_user(&self) -> Option<String> {
        let named = self.end_user.as_ref().or(self.peek.user.as_ref())?;
        Some(shortened(named))
    }
}

/// The record is capped (design §4), so megabytes of a client's text need not be copied for it.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_CLIENT_TEXT).collect()
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
            reach: Reach::default(),
            fleet: None,
        }
    }

    /// The same, among other replicas: limits and budgets are kept together with them.
    #[must_use]
    pub fn among(mut self, fleet: Option<FleetHandle>) -> Self {
        self.fleet = fleet;
        self
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
        let mock_failure = mock_testing::take(&shared, &mut inbound);

        let (table, targets) = shared.deployed();
        let place = (&*table, &*targets);
        let (resolved, members) = self.resolve(identity, &mut inbound, place)?;
        let mut payers = Payers::of(&shared, identity, &inbound, &resolved).await?;
        let lists = identity.model_lists().iter();
        let lists = lists.chain(payers.asked.customer_models());
        let asked = (&resolved, &members);
        self.check_access(identity, lists, &inbound, place, asked)?;
        let mut within_reach = vec![Rc::clone(&members)];
        // Only who has a budget, or may not use what has no price, must know where fallbacks lead.
        let refuses_unpriced = shared.litellm.block_requests_for_models_without_pricing;
        let must_know = refuses_unpriced || !payers.asked.balances.is_empty();
        if must_know && !inbound.peek.disable_fallbacks {
            let fallbacks = table.within_reach(&resolved, inbound.peek.fallbacks.as_deref());
            let fallbacks = fallbacks.iter();
            within_reach.extend(fallbacks.map(|group| self.reach.of(&targets, group)));
        }
        if refuses_unpriced && kinds(&within_reach).any(|(_, price)| price.is_none()) {
            return Err(DispatchError::NoPrice {
                model: inbound.model,
            });
        }

        sharing::apply((&shared, &table), identity, asked, &mut payers.asked.limits);
        let estimate = admit::estimate(&inbound, &within_reach);
        // What is free is served whatever was spent (contract `auth-budgets-limits` §5.3).
        if kinds(&within_reach)
            .all(|(_, price)| price.as_ref().is_some_and(|price| price.price.is_free()))
        {
            payers.asked.balances.clear();
        }
        let fleet = self.fleet.as_ref();
        let permit = admit::admit(&shared, fleet, &payers, &estimate).await?;
        let too_long = if pre_call::is_wanted(&shared, &inbound) {
            Box::pin(pre_call::too_long(&targets, &inbound, &table, &resolved)).await
        } else {
            Vec::new()
        };
        let mut plan = table.plan(
            resolved,
            route::ask(
                &shared,
                &targets,
                &inbound,
                &estimate,
                too_long,
                mock_failure,
            ),
        );
        let caller = CallerLimits::of(identity, &permit);
        // If nobody can be called, the permit's drop gives back what was taken, and the books know of nothing.
        let first = route::next_call(&mut plan, shared.clock)
            .await
            .map_err(|reason| route::refused(reason, &targets))?;
        let place = Place {
            shared: &shared,
            targets: &targets,
            journal: &self.journal,
        };
        let mut settlement = admit::start(place, permit, identity, payers, &inbound, &estimate)?;
        if let Err(err) = settlement.synced().await {
            error!(err:% = err; "a request is refused because its record may not outlive a power loss");
            settlement.fail(503, "journal_full");
            return Err(DispatchError::JournalFull);
        }

        let (stream, endpoint) = (inbound.peek.stream, inbound.endpoint);
        let header_wait = shared.timeouts.header_wait;
        // On the heap: what follows hands it on from future to future, and each of them would hold a copy.
        let journey = Box::new(Journey {
            dispatcher: self,
            targets,
            inbound,
            plan,
            first: Some(first),
            settlement,
            caller,
            provider_time: Duration::ZERO,
        });
        if stream {
            let mut opening = Box::pin(journey.open_stream());
            return match timeout(header_wait, &mut opening).await {
                Ok(opened) => opened.map(stream::Open::into_reply),
                Err(_elapsed) => Ok(stream::late(opening, endpoint, &shared)),
            };
        }
        journey.fetch_or_drain().await
    }
}

/// One of each kind of whom the request may end at.
fn kinds(within_reach: &[Rc<Members>]) -> impl Iterator<Item = &reach::Candidate> {
    within_reach.iter().flat_map(|members| members.kinds())
}

/// Trust roots and protocol of upstream TLS, made once and shared by every worker.
pub fn tls_config() -> Arc<ClientConfig> {
    upstream::tls_config()
}
