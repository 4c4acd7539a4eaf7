//! Headers: of the contract on the way back (`routing` §10), built from what is known when they are sent, and Anthropic's
//! own on the way out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use awc::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use itoa::{Buffer, Integer};
use trunkline_actors::admission::{Permit, Reserved};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::SubjectKind;
use trunkline_actors::money::Usd;
use trunkline_actors::rate_limiter::{Limits, Remaining};
use trunkline_actors::spend_ledger::Balance;
use trunkline_wire::exchange::Dialect;

use super::attempt::{Arrived, Journey};
use super::settle::Settled;
use super::target::Target;
use super::{Inbound, receipt};
use crate::auth::{Identity, KeyEntry};
use crate::telemetry::redact::MASK;

/// Headers in the order in which they are sent.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// Headers whose values are written one behind the other: an answer has some twenty, and this is one allocation.
pub(super) struct HeaderWriter {
    text: String,
    /// Each with the end of its value.
    ends: Vec<(HeaderName, usize)>,
}

/// What the caller is told of its own limits and budget.
pub(super) struct CallerLimits {
    remaining: Vec<Remaining>,
    /// The shared limits did not answer: this replica kept its share of them.
    is_weakened: bool,
    key: Option<Arc<KeyEntry>>,
    /// The budget with the least left in it.
    pub(super) tightest: Option<Arc<Balance>>,
}

/// Limit and rest, of requests, tokens, the day's tokens and parallel slots.
const KEY_LIMITS: [HeaderName; 8] = [
    HeaderName::from_static("x-ratelimit-api_key-limit-requests"),
    HeaderName::from_static("x-ratelimit-api_key-remaining-requests"),
    HeaderName::from_static("x-ratelimit-api_key-limit-tokens"),
    HeaderName::from_static("x-ratelimit-api_key-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-api_key-limit-tokens_per_day"),
    HeaderName::from_static("x-ratelimit-api_key-remaining-tokens_per_day"),
    HeaderName::from_static("x-ratelimit-api_key-limit-max_parallel_requests"),
    HeaderName::from_static("x-ratelimit-api_key-remaining-max_parallel_requests"),
];

// Constants, since a name is checked byte by byte when it is made.
const MODEL_NAME: HeaderName = HeaderName::from_static("x-litellm-model-name");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const ATTEMPTED_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const MAX_RETRIES: HeaderName = HeaderName::from_static("x-litellm-max-retries");
const ATTEMPTED_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const DROPPED: HeaderName = HeaderName::from_static("x-trunkline-dropped-params");
const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const COST_ORIGINAL: HeaderName = HeaderName::from_static("x-litellm-response-cost-original");
const COST_INPUT: HeaderName = HeaderName::from_static("x-litellm-response-cost-input");
const COST_OUTPUT: HeaderName = HeaderName::from_static("x-litellm-response-cost-output");
const COST_DISCOUNT: HeaderName =
    HeaderName::from_static("x-litellm-response-cost-discount-amount");
const COST_MARGIN: HeaderName = HeaderName::from_static("x-litellm-response-cost-margin-amount");
const KEY_RPM: HeaderName = HeaderName::from_static("x-litellm-key-rpm-limit");
const KEY_TPM: HeaderName = HeaderName::from_static("x-litellm-key-tpm-limit");
const KEY_MAX_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");
const KEY_SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
const WEAKENED: HeaderName = HeaderName::from_static("x-trunkline-weakened");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Provider headers that keep their name: rate limits, and Anthropic's id of the request, which its SDKs read.
const AS_THEY_ARE: [&str; 3] = ["x-ratelimit-", "anthropic-ratelimit-", "request-id"];

/// Source: Anthropic API reference, "Versions", 2026-11-23.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// What a token of an OAuth login needs instead of an API key.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// Provider header names seen by this worker with their prefixed form: the prefixing is done once a name.
const SEEN_NAMES: usize = 256;

/// Headers about the one connection between two hops; never passed on.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "content-encoding",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "trailer",
    "te",
    "set-cookie",
];

/// Headers of an answer; `settled` is known for whole answers only.
pub(super) fn of_answer(
    journey: &Journey,
    arrived: &mut Arrived,
    settled: Option<&Settled>,
) -> Headers {
    let own = take(&mut arrived.headers);
    let Arrived {
        attempt, target, ..
    } = &*arrived;
    let mut out = HeaderWriter::new();
    if target.config.upstream_model.contains('*') {
        out.add(MODEL_NAME, |text| {
            let provider = target.config.provider.name;
            text.extend([provider, "/", attempt.upstream_model.as_ref()]);
        });
    }
    out.add(MODEL_GROUP, |text| text.push_str(attempt.group.as_str()));
    out.number(ATTEMPTED_RETRIES, journey.plan.attempted_retries());
    out.number(MAX_RETRIES, journey.plan.max_retries());
    out.number(ATTEMPTED_FALLBACKS, journey.plan.attempted_fallbacks());
    let elapsed = journey.inbound.arrived.elapsed();
    if target.config.mock_response.is_none() {
        let overhead = elapsed.saturating_sub(journey.provider_time);
        out.add(OVERHEAD, |text| write_millis(text, overhead));
    }
    if let Some(settled) = settled {
        out.add(DURATION, |text| write_millis(text, elapsed));
        of_cost(settled, &mut out);
    }
    if journey.dispatcher.shared.receipts.headers {
        let tightest = journey.caller.tightest.as_deref();
        receipt::headers(journey.settlement.id, settled, tightest, &mut out);
    }
    if !arrived.dropped.is_empty() {
        out.add(DROPPED, |text| text.push_str(&arrived.dropped.join(",")));
    }
    journey.caller.headers(&mut out);
    out.finish(target.shown.iter().cloned().chain(own))
}

fn of_cost(settled: &Settled, out: &mut HeaderWriter) {
    // Absent is unknown; LiteLLM would say 0 here, which reads as free.
    let Some(cost) = &settled.cost else { return };
    out.amount(COST, cost.total);
    for (name, part) in [
        (COST_ORIGINAL, cost.list()),
        (COST_INPUT, cost.input_side()),
        (COST_OUTPUT, cost.output_side()),
    ] {
        out.amount(name, Usd::rounded(part));
    }
    for (name, part) in [(COST_DISCOUNT, cost.discount), (COST_MARGIN, cost.margin)] {
        // Without terms of the operator there is nothing to say.
        if !part.is_zero() {
            out.amount(name, Usd::rounded(part));
        }
    }
}

// === impl HeaderWriter ===

impl HeaderWriter {
    fn new() -> Self {
        Self {
            text: String::with_capacity(512),
            ends: Vec::with_capacity(24),
        }
    }

    /// Adds a header with the value that `write` writes.
    pub(super) fn add(&mut self, name: HeaderName, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push((name, self.text.len()));
    }

    fn number(&mut self, name: HeaderName, number: impl Integer) {
        self.add(name, |text| text.push_str(Buffer::new().format(number)));
    }

    fn amount(&mut self, name: HeaderName, amount: Usd) {
        // A string takes everything.
        self.add(name, |text| amount.write_to(text).unwrap_or_default());
    }

    /// All that were added and these. A value that cannot be one is left out: none that the config or a provider can give but
    /// for control characters.
    fn finish(self, others: impl Iterator<Item = (HeaderName, HeaderValue)>) -> Headers {
        let text = Bytes::from(self.text);
        let mut headers = Headers::with_capacity(self.ends.len() + others.size_hint().0);
        let mut from = 0;
        for (name, end) in self.ends {
            if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(from..end)) {
                headers.push((name, value));
            }
            from = end;
        }
        headers.extend(others);
        headers
    }
}

// === impl CallerLimits ===

impl CallerLimits {
    /// What `permit` leaves of the limits of `identity`.
    pub(super) fn of(identity: &Identity, permit: &Permit<Reserved>) -> Self {
        Self {
            remaining: permit.remaining(),
            is_weakened: permit.is_weakened(),
            tightest: permit.tightest(),
            key: match identity {
                Identity::Key(key) => Some(Arc::clone(key)),
                Identity::Master | Identity::Open => None,
            },
        }
    }

    /// Contract `auth-budgets-limits` §6.1. The spend is that of now: once the request is settled, it is in it.
    fn headers(&self, out: &mut HeaderWriter) {
        if self.is_weakened {
            out.add(WEAKENED, |text| text.push_str("limits"));
        }
        for left in &self.remaining {
            // Only keys have limits yet; other subjects bring their names with them.
            if left.subject.kind != SubjectKind::Key {
                continue;
            }
            let Limits {
                rpm,
                tpm,
                tpd,
                max_parallel,
            } = left.limits;
            let values = [
                rpm,
                left.requests,
                tpm,
                left.tokens,
                tpd,
                left.day_tokens,
                max_parallel.map(u64::from),
                left.parallel.map(u64::from),
            ];
            for (name, value) in KEY_LIMITS.into_iter().zip(values) {
                if let Some(value) = value {
                    out.number(name, value);
                }
            }
        }
        let Some(key) = &self.key else { return };
        let own = key.own_limits();
        for (name, limit) in [(KEY_RPM, own.rpm), (KEY_TPM, own.tpm)] {
            if let Some(limit) = limit {
                out.number(name, limit);
            }
        }
        if let Some(budget) = key.own_budget() {
            let balance = budget.at(UnixMs::now()).snapshot();
            out.amount(KEY_MAX_BUDGET, balance.limit);
            out.amount(KEY_SPEND, balance.spent);
        }
    }
}

/// What a request to Anthropic says of itself: the version of the API, and the beta features that the client, the
/// config and the body ask for. Nothing for other providers.
pub(super) fn to_anthropic(target: &Target, inbound: &Inbound, needed: &[&str]) -> Headers {
    let version = inbound.anthropic_version.clone();
    anthropic(target, version, &inbound.anthropic_betas, needed)
}

/// The same of a request that no client made.
pub(super) fn own_to_anthropic(target: &Target) -> Headers {
    anthropic(target, None, &[], &[])
}

fn anthropic(
    target: &Target,
    version: Option<HeaderValue>,
    asked_for: &[String],
    needed: &[&str],
) -> Headers {
    if target.dialect != Dialect::Anthropic {
        return Headers::new();
    }
    let name = HeaderName::from_static("anthropic-version");
    let configured = target.headers.iter().find(|(known, _)| *known == name);
    let version = version
        .or_else(|| configured.map(|(_, version)| version.clone()))
        .unwrap_or(HeaderValue::from_static(ANTHROPIC_VERSION));
    let mut headers = vec![(name, version)];
    let configured = target.headers.iter();
    let configured = configured.filter(|(name, _)| *name == ANTHROPIC_BETA);
    let mut betas: Vec<&str> = Vec::new();
    let asked_for = asked_for.iter().map(String::as_str);
    for beta in configured
        .filter_map(|(_, value)| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .chain(asked_for)
        .chain(needed.iter().copied())
        .chain(target.signs_in_by_oauth().then_some(OAUTH_BETA))
    {
        if !beta.is_empty() && !betas.contains(&beta) {
            betas.push(beta);
        }
    }
    if !betas.is_empty() {
        push(&mut headers, ANTHROPIC_BETA, &betas.join(","));
    }
    headers
}

/// The provider's headers: all as `llm_provider-<name>`, its rate limits and request id also as they are.
/// A value that repeats a secret of the deployment is masked whole.
pub(super) fn of_upstream(headers: &HeaderMap, target: &Target) -> Headers {
    let mut out = Headers::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        if HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        let masked = HeaderValue::from_static(MASK);
        let repeats = |secret: &str| holds(value.as_bytes(), secret.as_bytes());
        let value = if target.secrets().any(repeats) {
            &masked
        } else {
            value
        };
        let shown = match name.as_str() {
            "x-request-id" => Some(REQUEST_ID),
            own if AS_THEY_ARE.iter().any(|start| own.starts_with(start)) => Some(name.clone()),
            _ => None,
        };
        if let Some(name) = shown {
            out.push((name, value.clone()));
        }
        if let Some(name) = prefixed(name) {
            out.push((name, value.clone()));
        }
    }
    out
}

fn holds(text: &[u8], secret: &[u8]) -> bool {
    // `windows` of nothing would panic.
    !secret.is_empty() && text.windows(secret.len()).any(|part| part == secret)
}

/// A number as a header value.
pub(super) fn decimal(number: f64) -> HeaderValue {
    HeaderValue::from_str(&format!("{number:.3}")).unwrap_or(HeaderValue::from_static("0"))
}

/// Milliseconds with three decimals; on every answer, so without floats.
fn write_millis(text: &mut String, time: Duration) {
    // Halves upwards; `as_micros` would cut, and divides 128 bits.
    let micros = u64::from((time.subsec_nanos() + 500) / 1000);
    let micros = time
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(micros);
    let mut buffer = Buffer::new();
    text.extend([buffer.format(micros / 1000), "."]);
    let rest = buffer.format(micros % 1000);
    text.extend(["00".get(rest.len() - 1..).unwrap_or_default(), rest]);
}

/// Adds a header unless the value cannot be one, which is the case for no value that the config or a provider can give
/// but for control characters.
pub(super) fn push(out: &mut Headers, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        out.push((name, value));
    }
}

fn prefixed(name: &HeaderName) -> Option<HeaderName> {
    thread_local! {
        static SEEN: RefCell<HashMap<HeaderName, HeaderName>> = RefCell::new(HashMap::new());
    }
    SEEN.with_borrow_mut(|seen| {
        if let Some(known) = seen.get(name) {
            return Some(known.clone());
        }
        let prefixed = HeaderName::try_from(format!("llm_provider-{name}")).ok()?;
        if seen.len() < SEEN_NAMES {
            seen.insert(name.clone(), prefixed.clone());
        }
        Some(prefixed)
    })
}
