//! The end of a request: usage → cost → permit → journal → metrics, exactly once, whatever happens.
//!
//! A [`Settlement`] is made with the `started` record, before the first attempt, and lives as long as the request. It is
//! settled by [`complete`](Settlement::complete), [`broke_off`](Settlement::broke_off) or [`fail`](Settlement::fail);
//! dropped (the client left, a worker stopped) it settles itself with the estimated input, if a provider may have the
//! request, and what was delivered. Every step is synchronous, so that `Drop` can do it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use log::error;
use rust_decimal::prelude::ToPrimitive as _;
use tokio::time::Instant;
use trunkline_actors::admission::{Actual, InFlight, Permit};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{JournalError, JournalWriter, SpendRecord, SpendStatus, UsageParts};
use trunkline_actors::supervisor::Attempt;
use trunkline_wire::request::Endpoint;
use trunkline_wire::usage::Usage;

use super::admit::tokens_of_bytes;
use super::priced::Priced;
use super::target::Target;
use super::{Inbound, Shared, Targets, service};
use crate::cost::{self, CostBreakdown, ServiceTier, Units};
use crate::telemetry::metrics::{Finished, InFlightGuard};
use crate::transcripts::Draft;

/// Status under which a client that left is counted (LiteLLM's and nginx's number).
const CLIENT_LEFT: u16 = 499;
/// Status of an answer that was withheld because the journal did not take its record.
const WITHHELD: u16 = 503;

/// See the module.
pub(super) struct Settlement {
    shared: Arc<Shared>,
    /// Those of the beginning.
    targets: Arc<Targets>,
    journal: Arc<dyn JournalWriter>,
    /// Of the request on the books.
    pub(super) id: RequestId,
    /// `None` once settled.
    open: Option<Open>,
    endpoint: Endpoint,
    /// How many choices were asked for.
    choices: u64,
    /// The service that the client asked for.
    asked: Option<ServiceTier>,
    arrived: Instant,
}

struct Open {
    permit: Permit<InFlight>,
    record: SpendRecord,
    answering: Option<Answering>,
    estimated_prompt: u64,
    /// A provider has, or may have, the request, and has not failed it.
    reached: bool,
    delivered_bytes: usize,
    /// Tokens of the part of a stream that another attempt delivered before it broke.
    resumed_tokens: u64,
    first_content: Option<Duration>,
    retries: u32,
    fallbacks: u32,
    /// What is asked and answered, where it is kept.
    transcript: Option<Draft>,
    _in_flight: InFlightGuard,
}

/// The deployment whose answer is being delivered.
struct Answering {
    target: Arc<Target>,
    priced: Option<Arc<Priced>>,
    service: ServiceTier,
}

/// What a settled request cost, and by what.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    /// `None`: no price is known.
    pub(super) cost: Option<CostBreakdown>,
    pub(super) usage: Usage,
    /// The provider did not say what was used.
    pub(super) usage_estimated: bool,
    /// The price; `None` like the cost.
    pub(super) priced: Option<Arc<Priced>>,
}

impl Settlement {
    /// `record` holds what is known at admission; its `started` is on the journal already.
    pub(super) fn new(
        shared: Arc<Shared>,
        targets: Arc<Targets>,
        journal: Arc<dyn JournalWriter>,
        permit: Permit<InFlight>,
        record: SpendRecord,
        inbound: &Inbound,
        estimated_prompt: u64,
    ) -> Self {
        let in_flight = shared.metrics.begin();
        let transcript = begin_transcript(&shared, &record, inbound);
        Self {
            shared,
            targets,
            journal,
            id: record.id,
            open: Some(Open {
                permit,
                record,
                answering: None,
                estimated_prompt,
                reached: false,
                delivered_bytes: 0,
                resumed_tokens: 0,
                first_content: None,
                retries: 0,
                fallbacks: 0,
                transcript,
                _in_flight: in_flight,
            }),
            endpoint: inbound.endpoint,
            choices: inbound.peek.n.max(1),
            asked: service::asked(&inbound.peek),
            arrived: inbound.arrived,
        }
    }

    /// A deployment is being tried; what follows is its doing until another one is.
    pub(super) fn trying(&mut self, target: &Arc<Target>, attempt: &Attempt) {
        let priced = target.price(&attempt.upstream_model);
        let Some(open) = &mut self.open else { return };
        open.reached = true;
        open.record.attempts += 1;
        open.record.model_group = attempt.group.clone();
        attempt
            .upstream_model
            .as_ref()
            .clone_into(&mut open.record.model);
        open.record.deployment = Some(attempt.deployment.id().clone());
        target
            .config
            .provider
            .name
            .clone_into(&mut open.record.provider);
        open.record.api_base = Some(target.config.api_base.to_string());
        open.answering = Some(Answering {
            target: Arc::clone(target),
            priced,
            service: target.service.sent(self.asked),
        });
    }

    /// The attempt failed: what it may have used is not charged (contract `auth-budgets-limits` §5.4).
    pub(super) fn attempt_failed(&mut self) {
        if let Some(open) = &mut self.open {
            open.reached = false;
        }
    }

    /// How the answer was found.
    pub(super) fn routed(&mut self, retries: u32, fallbacks: u32) {
        if let Some(open) = &mut self.open {
            open.retries = retries;
            open.fallbacks = fallbacks;
        }
    }

    /// The first content has come.
    pub(super) fn first_content(&mut self) {
        let elapsed = self.arrived.elapsed();
        if let Some(open) = &mut self.open {
            open.first_content = Some(elapsed);
            open.record.first_content_at = Some(UnixMs::now());
        }
    }

    /// What an answer with that usage costs, before it is settled; `None` where no price is known.
    pub(super) fn quote(&self, usage: &Usage) -> Option<Usd> {
        let open = self.open.as_ref()?;
        let usage = open.with_resumed(*usage);
        open.answering.as_ref()?.cost(&usage).map(|cost| cost.total)
    }

    /// What was delivered so far: what a drop settles with.
    pub(super) fn delivered(&mut self, output_bytes: usize) {
        if let Some(open) = &mut self.open {
            open.delivered_bytes = output_bytes;
        }
    }

    /// What was delivered until now stays charged, by estimate; what follows is another attempt's.
    pub(super) fn resumed(&mut self) {
        if let Some(open) = &mut self.open {
            let tokens = tokens_of_bytes(open.delivered_bytes);
            open.resumed_tokens = open.resumed_tokens.saturating_add(tokens);
            open.delivered_bytes = 0;
        }
    }

    /// The client gets this in one piece.
    pub(super) fn answered(&mut self, body: &Bytes) {
        if let Some(transcript) = self.transcript() {
            transcript.whole(body);
        }
    }

    /// The client of a stream gets this.
    pub(super) fn streamed(&mut self, piece: &[u8]) {
        if let Some(transcript) = self.transcript() {
            transcript.streamed(piece);
        }
    }

    fn transcript(&mut self) -> Option<&mut Draft> {
        self.open.as_mut()?.transcript.as_mut()
    }

    /// The provider's id of the answer.
    pub(super) fn provider_request_id(&mut self, id: Option<String>) {
        if let Some(open) = &mut self.open {
            open.record.provider_request_id = id;
        }
    }

    /// The answer is complete. Called **before** its end is released to the client.
    ///
    /// # Errors
    /// When the record is not on the journal: then the end must not be released.
    pub(super) fn complete(
        &mut self,
        usage: Option<&Usage>,
    ) -> Result<Option<Settled>, JournalError> {
        self.settle(SpendStatus::Success, usage, 200, None)
    }

    /// Waits until what is on the journal survives a power loss, where that is promised.
    ///
    /// # Errors
    /// When it may not: then what rests on the record must not happen.
    pub(super) async fn synced(&self) -> Result<(), JournalError> {
        match self.journal.synced() {
            None => Ok(()),
            Some(synced) => synced.await,
        }
    }

    /// The answer broke off after a part of it was delivered, which is charged.
    pub(super) fn broke_off(
        &mut self,
        usage: Option<&Usage>,
        status: u16,
        code: &str,
    ) -> Option<Settled> {
        self.settle_logged(SpendStatus::Failure, usage, status, Some(code))
    }

    /// The client left after a part of the answer was delivered, which is charged.
    pub(super) fn client_left(&mut self, usage: Option<&Usage>) {
        self.settle_logged(
            SpendStatus::Failure,
            usage,
            CLIENT_LEFT,
            Some("client_disconnected"),
        );
    }

    /// No deployment answered: nothing was delivered, nothing is charged.
    pub(super) fn fail(&mut self, status: u16, code: &str) {
        if let Some(open) = &mut self.open {
            open.reached = false;
            open.delivered_bytes = 0;
        }
        self.settle_logged(SpendStatus::Failure, None, status, Some(code));
    }

    fn settle_logged(
        &mut self,
        status: SpendStatus,
        usage: Option<&Usage>,
        http_status: u16,
        code: Option<&str>,
    ) -> Option<Settled> {
        let settled = self.settle(status, usage, http_status, code);
        settled.unwrap_or_else(|err| {
            error!(err:% = err; "a settled request could not be written to the journal");
            None
        })
    }

    fn settle(
        &mut self,
        status: SpendStatus,
        usage: Option<&Usage>,
        http_status: u16,
        code: Option<&str>,
    ) -> Result<Option<Settled>, JournalError> {
        let Some(mut open) = self.open.take() else {
            return Ok(None);
        };
        let (usage, is_estimate) = open.used(status, usage);
        let usage = &usage;
        let answering = open.answering.as_ref();
        let breakdown = answering.and_then(|answering| answering.cost(usage));
        let service = answering.map(|answering| answering.service(usage));
        let priced = answering
            .and_then(|answering| answering.priced.as_ref())
            .filter(|_| breakdown.is_some())
            .map(Arc::clone);
        let cost = match &breakdown {
            Some(breakdown) => Some(breakdown.total),
            None if usage.total_tokens() == 0 => Some(Usd::ZERO),
            None => None,
        };
        let record = &mut open.record;
        record.status = status;
        record.ended_at = UnixMs::now();
        record.usage = parts(usage);
        record.usage_estimated = is_estimate;
        record.cost = cost;
        record.price_version = priced
            .as_ref()
            .map(|priced| priced.list_version().to_owned());
        record.service_tier = service
            .map(ServiceTier::name)
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        record.error_code = code.map(str::to_owned);
        if let Some((cost, id)) = cost.zip(record.deployment.as_ref())
            && cost != Usd::ZERO
        {
            let caps = self.targets.caps().charge(id, cost, record.ended_at);
            record.budgets.extend(caps);
        }

        if let Some(priced) = &priced {
            priced.note_on(record);
        }
        // Before the record is written: from then on it may be shipped, and who reads the books in between would add the cost to
        // figures that have it already. A death in between is one before both: nobody but this thread tells others of it.
        open.permit.settle(Actual {
            tokens: self.shared.counted_tokens.of(
                usage
                    .prompt_tokens()
                    .saturating_sub(usage.cache_read.unwrap_or(0)),
                usage.completion_tokens(),
            ),
            // An unknown price charges nothing: a budget cannot be kept for it, which the config check says.
            cost: Some(cost.unwrap_or(Usd::ZERO)),
        });
        let written = self.write(record, priced.as_deref());
        if let (Some(transcripts), Some(draft)) = (&self.shared.transcripts, open.transcript.take())
        {
            transcripts.keep(draft);
        }

        let answering = open.answering.as_ref().map(|answering| &answering.target);
        if status == SpendStatus::Success
            && self.endpoint != Endpoint::Embeddings
            && let Some(target) = answering
        {
            target
                .typical
                .learn(usage.completion_tokens() / self.choices);
        }
        let finished = Finished {
            endpoint: label(self.endpoint),
            status: match (status, &written) {
                (SpendStatus::Success, Err(_)) => WITHHELD,
                _ => http_status,
            },
            duration: self.arrived.elapsed(),
            first_content: open.first_content,
            prompt_tokens: usage.prompt_tokens(),
            completion_tokens: usage.completion_tokens(),
            cost_usd: cost.and_then(|cost| cost.as_decimal().to_f64()),
            retries: open.retries,
            fallbacks: open.fallbacks,
        };
        match answering {
            Some(target) => target.metrics.finished(&finished),
            None => self.shared.metrics.group("other").finished(&finished),
        }
        written.map(|()| {
            Some(Settled {
                cost: breakdown,
                usage: *usage,
                usage_estimated: is_estimate,
                priced,
            })
        })
    }

    /// Puts the record on the journal; where the operator prefers answers to books, a full one is no error.
    fn write(&self, record: &SpendRecord, priced: Option<&Priced>) -> Result<(), JournalError> {
        match self.journal.settled(record) {
            Ok(()) => {
                if let Some(priced) = priced {
                    priced.kept(record);
                }
                self.shared.ledger.note_settled();
            }
            Err(err) if self.shared.recording.goes_on_without(&err) => {
                self.shared.metrics.unrecorded();
            }
            Err(err) => return Err(err),
        }
        Ok(())
    }
}

// === impl Open ===

impl Open {
    /// What is put on the books as used, and whether it is an estimate.
    fn used(&self, status: SpendStatus, reported: Option<&Usage>) -> (Usage, bool) {
        let prompt = if self.reached {
            self.estimated_prompt
        } else {
            0
        };
        let estimated = Usage::estimated(prompt, tokens_of_bytes(self.delivered_bytes));
        let (usage, is_estimate) = match reported {
            // The first event of a stream may count its input and next to no output: what was delivered since is not in
            // it.
            Some(usage)
                if usage.completion_tokens() < estimated.completion_tokens()
                    && status == SpendStatus::Failure =>
            {
                (usage.with_output(estimated.completion_tokens()), true)
            }
            Some(usage) => (*usage, false),
            None => (estimated, estimated.total_tokens() > 0),
        };
        let is_estimate = is_estimate || self.resumed_tokens > 0;
        (self.with_resumed(usage), is_estimate)
    }

    /// The last attempt reports its own part of the answer only.
    fn with_resumed(&self, usage: Usage) -> Usage {
        match self.resumed_tokens {
            0 => usage,
            before => usage.with_more_output(before),
        }
    }
}

// === impl Answering ===

impl Answering {
    /// The service that is billed: what the provider says it gave, else what it was asked for.
    fn service(&self, usage: &Usage) -> ServiceTier {
        usage.served.map_or(self.service, service::served)
    }

    fn cost(&self, usage: &Usage) -> Option<CostBreakdown> {
        let price = &self.priced.as_ref()?.price;
        cost::cost(usage, price, &Units::default(), self.service(usage))
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.client_left(None);
        }
    }
}

fn begin_transcript(shared: &Shared, record: &SpendRecord, inbound: &Inbound) -> Option<Draft> {
    let transcripts = shared.transcripts.as_ref()?;
    if inbound.peek.off_the_record {
        return None;
    }
    transcripts.begin(record.id, inbound.endpoint, &inbound.body)
}

fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions => "chat_completions",
        Endpoint::Completions => "completions",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Messages => "messages",
        _ => "other",
    }
}

/// The journal's form of a usage vector.
fn parts(usage: &Usage) -> UsageParts {
    let known = Option::unwrap_or_default;
    UsageParts {
        input_uncached: known(usage.input_uncached),
        cache_read: known(usage.cache_read),
        cache_write_5m: known(usage.cache_write_5m),
        cache_write_1h: known(usage.cache_write_1h),
        audio_input: known(usage.audio_input),
        image_input: known(usage.image_input),
        output_text: known(usage.output_text),
        reasoning: known(usage.reasoning),
        audio_output: known(usage.audio_output),
        prompt_tokens: usage.prompt_tokens(),
        completion_tokens: usage.completion_tokens(),
        total_tokens: usage.total_tokens(),
    }
}
