//! `POST /cost/estimate`: what calls of some size would cost, each, by the day and by the month. Contract: `endpoints` §6.
//!
//! ```json
//! {"model":"gpt-5","input_tokens":1000,"output_tokens":500,"num_requests_per_day":100}
//! ```
//! `cache_read_input_tokens` and `cache_creation_input_tokens` are part of the input, `reasoning_tokens` of the output. The
//! answer repeats the question and adds `cost_per_request`, `daily_cost`, `monthly_cost`, each with its parts, and the prices of
//! one token.

use actix_web::HttpResponse;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use trunkline_actors::money::Usd;
use trunkline_wire::usage::Usage;

use super::calculate::{breakdown, priced};
use crate::cost::{CostBreakdown, Part, ServiceTier};
use crate::http::admin::PlainUsd;
use crate::http::admin::query::wrong;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AboutModels, Call, Caller};

/// More is nonsense; a sum of costs stays within what a decimal holds.
const MOST: u64 = 1_000_000_000_000;

#[derive(Deserialize, Serialize)]
struct Question {
    model: String,
    input_tokens: u64,
    output_tokens: u64,
    #[serde(default)]
    cache_read_input_tokens: u64,
    #[serde(default)]
    cache_creation_input_tokens: u64,
    #[serde(default)]
    reasoning_tokens: u64,
    #[serde(default)]
    num_requests_per_day: Option<u64>,
    #[serde(default)]
    num_requests_per_month: Option<u64>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    question: Question,
    cost_per_request: PlainUsd,
    input_cost_per_request: PlainUsd,
    output_cost_per_request: PlainUsd,
    margin_cost_per_request: PlainUsd,
    cache_read_cost_per_request: PlainUsd,
    cache_creation_cost_per_request: PlainUsd,
    reasoning_cost_per_request: PlainUsd,
    daily_cost: Option<PlainUsd>,
    daily_input_cost: Option<PlainUsd>,
    daily_output_cost: Option<PlainUsd>,
    daily_margin_cost: Option<PlainUsd>,
    daily_cache_read_cost: Option<PlainUsd>,
    daily_cache_creation_cost: Option<PlainUsd>,
    daily_reasoning_cost: Option<PlainUsd>,
    monthly_cost: Option<PlainUsd>,
    monthly_input_cost: Option<PlainUsd>,
    monthly_output_cost: Option<PlainUsd>,
    monthly_margin_cost: Option<PlainUsd>,
    monthly_cache_read_cost: Option<PlainUsd>,
    monthly_cache_creation_cost: Option<PlainUsd>,
    monthly_reasoning_cost: Option<PlainUsd>,
    input_cost_per_token: Option<PlainUsd>,
    output_cost_per_token: Option<PlainUsd>,
    cache_read_input_token_cost: Option<PlainUsd>,
    cache_creation_input_token_cost: Option<PlainUsd>,
    output_cost_per_reasoning_token: Option<PlainUsd>,
    provider: String,
}

/// The parts of a cost that are told.
struct Parts {
    total: Decimal,
    input: Decimal,
    output: Decimal,
    margin: Decimal,
    cache_read: Decimal,
    cache_creation: Decimal,
    reasoning: Decimal,
}

/// Estimates.
pub(crate) async fn estimate(
    caller: Caller<AboutModels>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let question: Question = serde_json::from_slice(&body).map_err(|err| {
        wrong(
            "request_body",
            format!("The request body must be a JSON object with model, input_tokens and output_tokens: {err}."),
        )
    })?;
    let usage = question.usage()?;
    let priced = priced(
        call.app(),
        &caller.identity,
        &question.model,
        Code::NotFound,
    )?;
    let one = Parts::of(&breakdown(&priced, &usage, Code::NotFound)?);
    let daily = question
        .num_requests_per_day
        .map(|number| one.times(number));
    let monthly = question
        .num_requests_per_month
        .map(|number| one.times(number));
    let rate = |part: Part, fallback: Part| {
        let at = |part| {
            priced
                .price
                .at(part, question.input_tokens, ServiceTier::Standard)
        };
        at(part).or_else(|| at(fallback)).map(usd)
    };
    let of = |parts: &Option<Parts>, part: fn(&Parts) -> Decimal| {
        parts.as_ref().map(|parts| usd(part(parts)))
    };
    let answer = Answer {
        cost_per_request: usd(one.total),
        input_cost_per_request: usd(one.input),
        output_cost_per_request: usd(one.output),
        margin_cost_per_request: usd(one.margin),
        cache_read_cost_per_request: usd(one.cache_read),
        cache_creation_cost_per_request: usd(one.cache_creation),
        reasoning_cost_per_request: usd(one.reasoning),
        daily_cost: of(&daily, |parts| parts.total),
        daily_input_cost: of(&daily, |parts| parts.input),
        daily_output_cost: of(&daily, |parts| parts.output),
        daily_margin_cost: of(&daily, |parts| parts.margin),
        daily_cache_read_cost: of(&daily, |parts| parts.cache_read),
        daily_cache_creation_cost: of(&daily, |parts| parts.cache_creation),
        daily_reasoning_cost: of(&daily, |parts| parts.reasoning),
        monthly_cost: of(&monthly, |parts| parts.total),
        monthly_input_cost: of(&monthly, |parts| parts.input),
        monthly_output_cost: of(&monthly, |parts| parts.output),
        monthly_margin_cost: of(&monthly, |parts| parts.margin),
        monthly_cache_read_cost: of(&monthly, |parts| parts.cache_read),
        monthly_cache_creation_cost: of(&monthly, |parts| parts.cache_creation),
        monthly_reasoning_cost: of(&monthly, |parts| parts.reasoning),
        input_cost_per_token: rate(Part::Input, Part::Input),
        output_cost_per_token: rate(Part::Output, Part::Output),
        cache_read_input_token_cost: rate(Part::CacheRead, Part::Input),
        cache_creation_input_token_cost: rate(Part::CacheWrite5m, Part::Input),
        output_cost_per_reasoning_token: rate(Part::Reasoning, Part::Output),
        provider: priced.provider.clone(),
        question,
    };
    Ok(HttpResponse::Ok().json(answer))
}

fn usd(amount: Decimal) -> PlainUsd {
    PlainUsd(Usd::rounded(amount))
}

// === impl Question ===

impl Question {
    fn usage(&self) -> Result<Usage, ApiError> {
        let counts = [
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            (
                "num_requests_per_day",
                self.num_requests_per_day.unwrap_or(0),
            ),
            (
                "num_requests_per_month",
                self.num_requests_per_month.unwrap_or(0),
            ),
        ];
        for (name, count) in counts {
            if count > MOST {
                return Err(wrong(name, format!("'{name}' must be at most {MOST}.")));
            }
        }
        let plain = self
            .input_tokens
            .checked_sub(self.cache_read_input_tokens)
            .and_then(|rest| rest.checked_sub(self.cache_creation_input_tokens))
            .ok_or_else(|| {
                wrong(
                    "input_tokens",
                    "cache_read_input_tokens and cache_creation_input_tokens are part of input_tokens and cannot be more.",
                )
            })?;
        let text = self
            .output_tokens
            .checked_sub(self.reasoning_tokens)
            .ok_or_else(|| {
                wrong(
                    "reasoning_tokens",
                    "reasoning_tokens are part of output_tokens and cannot be more.",
                )
            })?;
        Ok(Usage {
            cache_read: Some(self.cache_read_input_tokens),
            cache_write_5m: Some(self.cache_creation_input_tokens),
            reasoning: Some(self.reasoning_tokens),
            ..Usage::plain(plain, text)
        })
    }
}

// === impl Parts ===

impl Parts {
    fn of(cost: &CostBreakdown) -> Self {
        Self {
            total: cost.total.as_decimal(),
            input: cost.input_side(),
            output: cost.output_side(),
            margin: cost.margin,
            cache_read: cost.cache_read,
            cache_creation: cost.cache_write,
            reasoning: cost.reasoning,
        }
    }

    fn times(&self, number: u64) -> Self {
        let times = |amount: Decimal| amount.saturating_mul(Decimal::from(number));
        Self {
            total: times(self.total),
            input: times(self.input),
            output: times(self.output),
            margin: times(self.margin),
            cache_read: times(self.cache_read),
            cache_creation: times(self.cache_creation),
            reasoning: times(self.reasoning),
        }
    }
}
