//! Response headers of the contract (`routing` §10), built from what is known when they are sent.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;

use awc::http::header::{HeaderMap, HeaderName, HeaderValue};
use trunkline_actors::money::Usd;
use trunkline_actors::rate_limiter::Remaining;

use super::attempt::{Arrived, Journey};
use super::settle::Settled;
use crate::auth::Identity;

type Headers = Vec<(HeaderName, HeaderValue)>;

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
    arrived: &Arrived,
    settled: Option<&Settled>,
) -> Headers {
    let mut out = Headers::with_capacity(32);
    let config = &arrived.target.config;
    let mut text = |name: &'static str, value: &str| push(&mut out, name, value);
    text("x-litellm-model-id", &config.id);
    text("x-litellm-model-group", arrived.attempt.group.as_str());
    text(
        "x-litellm-model-name",
        &arrived.target.shown_model(&arrived.attempt.upstream_model),
    );
    text("x-litellm-model-api-base", config.api_base.as_str());
    text("x-litellm-version", env!("CARGO_PKG_VERSION"));
    let mut shown =
        |name: &'static str, value: &dyn Display| push(&mut out, name, &value.to_string());
    shown(
        "x-litellm-attempted-retries",
        &journey.plan.attempted_retries(),
    );
    shown("x-litellm-max-retries", &journey.plan.max_retries());
    shown(
        "x-litellm-attempted-fallbacks",
        &journey.plan.attempted_fallbacks(),
    );
    let elapsed = journey.inbound.arrived.elapsed();
    if config.mock_response.is_none() {
        let overhead = elapsed.saturating_sub(journey.provider_time);
        shown(
            "x-litellm-overhead-duration-ms",
            &format_args!("{:.3}", overhead.as_secs_f64() * 1e3),
        );
    }
    if let Some(settled) = settled {
        shown(
            "x-litellm-response-duration-ms",
            &format_args!("{:.3}", elapsed.as_secs_f64() * 1e3),
        );
        // Absent is unknown; LiteLLM would say 0 here, which reads as free.
        if let Some(cost) = &settled.cost {
            shown("x-litellm-response-cost", &cost.total);
            shown("x-litellm-response-cost-original", &cost.total);
            shown(
                "x-litellm-response-cost-input",
                &Usd::rounded(cost.input_side()),
            );
            shown(
                "x-litellm-response-cost-output",
                &Usd::rounded(cost.total.as_decimal() - cost.input_side()),
            );
        }
    }
    if !arrived.dropped.is_empty() {
        shown("x-trunkline-dropped-params", &arrived.dropped.join(","));
    }
    out.extend(journey.limits.iter().cloned());
    out.extend(of_upstream(&arrived.headers));
    out
}

/// Headers about the caller's own limits and budget (contract `auth-budgets-limits` §6.1).
pub(super) fn of_limits(identity: &Identity, remaining: &[Remaining]) -> Headers {
    let mut out = Headers::new();
    for left in remaining {
        let scope = left.subject.kind.as_str();
        let kinds = [
            ("requests", left.limits.rpm, left.requests),
            ("tokens", left.limits.tpm, left.tokens),
            (
                "max_parallel_requests",
                left.limits.max_parallel.map(u64::from),
                left.parallel.map(u64::from),
            ),
        ];
        for (kind, limit, left) in kinds {
            for (what, value) in [("limit", limit), ("remaining", left)] {
                let name = HeaderName::try_from(format!("x-ratelimit-{scope}-{what}-{kind}"));
                if let (Ok(name), Some(value)) = (name, value) {
                    out.push((name, HeaderValue::from(value)));
                }
            }
        }
    }
    if let Some(key) = identity.key() {
        let rows: [(&'static str, Option<String>); 4] = [
            (
                "x-litellm-key-rpm-limit",
                key.limits.rpm.map(|limit| limit.to_string()),
            ),
            (
                "x-litellm-key-tpm-limit",
                key.limits.tpm.map(|limit| limit.to_string()),
            ),
            (
                "x-litellm-key-max-budget",
                key.row.max_budget.map(|budget| budget.to_string()),
            ),
            (
                "x-litellm-key-spend",
                key.balance
                    .as_ref()
                    .map(|balance| balance.snapshot().spent.to_string()),
            ),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                push(&mut out, name, &value);
            }
        }
    }
    out
}

/// The provider's headers: all as `llm_provider-<name>`, its rate limits and request id also as they are.
pub(super) fn of_upstream(headers: &HeaderMap) -> Headers {
    let mut out = Headers::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        if HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        if name.as_str().starts_with("x-ratelimit-") || name.as_str() == "x-request-id" {
            let name = if name.as_str() == "x-request-id" {
                HeaderName::from_static("request-id")
            } else {
                name.clone()
            };
            out.push((name, value.clone()));
        }
        if let Some(name) = prefixed(name) {
            out.push((name, value.clone()));
        }
    }
    out
}

/// A number as a header value.
pub(super) fn decimal(number: f64) -> HeaderValue {
    HeaderValue::from_str(&format!("{number:.3}")).unwrap_or(HeaderValue::from_static("0"))
}

/// Adds a header unless the value cannot be one, which is the case for no value that the config or a provider can give
/// but for control characters.
fn push(out: &mut Headers, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        out.push((HeaderName::from_static(name), value));
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
