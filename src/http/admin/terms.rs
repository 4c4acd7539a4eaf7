//! Terms in the bodies of management calls, and in their answers. Contract: `endpoints` §3.1, `auth-budgets-limits` §5.
//!
//! ```json
//! {"max_budget": 10.0, "budget_duration": "30d", "budget_limits": [{"budget_duration": "1d", "max_budget": 1}],
//!  "model_max_budget": {"gpt-4o": {"budget_limit": 5, "time_period": "1d"}}, "rpm_limit": 60}
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::money::Usd;

use super::PlainUsd;
use super::fields::{Change, Fields};
use crate::auth::terms::{self as checks, limit, period, usd};
use crate::http::error::{ApiError, Code};
use crate::http::time::iso;
use crate::storage::{ModelBudget, ModelLimits, TemporaryIncrease, Terms, WindowBudget};

/// The members that are read here.
pub(super) const FIELDS: &[&str] = &[
    "max_budget",
    "soft_budget",
    "budget_duration",
    "budget_limits",
    "model_max_budget",
    "temp_budget_increase",
    "temp_budget_expiry",
    "rpm_limit",
    "tpm_limit",
    "tpd_limit",
    "max_parallel_requests",
    "model_rpm_limit",
    "model_tpm_limit",
];

/// Most windows, and most models, that one subject has budgets for: each is looked at with every request.
const MOST_WINDOWS: usize = 8;
const MOST_MODELS: usize = 64;

#[derive(Deserialize)]
struct RawWindow<'a> {
    budget_duration: String,
    #[serde(borrow)]
    max_budget: &'a RawValue,
}

#[derive(Deserialize)]
struct RawModelBudget<'a> {
    #[serde(borrow, alias = "max_budget")]
    budget_limit: &'a RawValue,
    #[serde(default, alias = "budget_duration")]
    time_period: Option<String>,
}

/// Terms as answers show them.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    max_budget: Option<PlainUsd>,
    soft_budget: Option<PlainUsd>,
    budget_duration: Option<&'a str>,
    budget_limits: Vec<ShownWindow<'a>>,
    model_max_budget: BTreeMap<&'a str, ShownModelBudget<'a>>,
    temp_budget_increase: Option<PlainUsd>,
    temp_budget_expiry: Option<String>,
    rpm_limit: Option<u64>,
    tpm_limit: Option<u64>,
    tpd_limit: Option<u64>,
    max_parallel_requests: Option<u64>,
    model_rpm_limit: BTreeMap<&'a str, u64>,
    model_tpm_limit: BTreeMap<&'a str, u64>,
}

#[derive(Debug, Serialize)]
struct ShownWindow<'a> {
    budget_duration: &'a str,
    max_budget: PlainUsd,
}

#[derive(Debug, Serialize)]
struct ShownModelBudget<'a> {
    budget_limit: PlainUsd,
    time_period: Option<&'a str>,
}

/// Changes `terms` as the body says.
///
/// # Errors
/// 400 names the member and what to write.
pub(super) fn change(fields: &Fields, terms: &mut Terms) -> Result<(), ApiError> {
    fields.usd("max_budget")?.apply(&mut terms.max_budget);
    fields.usd("soft_budget")?.apply(&mut terms.soft_budget);
    let duration = fields.text("budget_duration")?;
    let duration = duration.try_map(|text| period("budget_duration", &text).map(|_| text))?;
    duration.apply(&mut terms.budget_duration);
    windows(fields)?.apply_or_default(&mut terms.budget_limits);
    models(fields)?.apply_or_default(&mut terms.model_max_budget);
    model_limits(fields, terms)?;
    increase(fields, fields.usd("temp_budget_increase")?, terms)?;
    for (name, to) in [
        ("rpm_limit", &mut terms.rpm_limit),
        ("tpm_limit", &mut terms.tpm_limit),
        ("tpd_limit", &mut terms.tpd_limit),
        ("max_parallel_requests", &mut terms.max_parallel_requests),
    ] {
        let value = fields.get(name, "a whole number")?;
        value.try_map(|value| limit(name, value))?.apply(to);
    }
    Ok(())
}

fn windows(fields: &Fields) -> Result<Change<Vec<WindowBudget>>, ApiError> {
    let name = "budget_limits";
    let wanted = "an array such as [{\"budget_duration\": \"1d\", \"max_budget\": 5}]";
    let raw: Change<Vec<RawWindow<'_>>> = fields.get(name, wanted)?;
    raw.try_map(|windows| {
        if windows.len() > MOST_WINDOWS {
            return Err(too_many(name, MOST_WINDOWS));
        }
        let windows = windows.into_iter().map(|window| {
            period("budget_limits", &window.budget_duration)?;
            Ok(WindowBudget {
                max_budget: usd("budget_limits", window.max_budget.get())?,
                budget_duration: window.budget_duration,
            })
        });
        let windows: Vec<WindowBudget> = windows.collect::<Result<_, ApiError>>()?;
        let mut periods: Vec<&str> = windows.iter().map(|one| &*one.budget_duration).collect();
        periods.sort_unstable();
        periods.dedup();
        if periods.len() < windows.len() {
            return Err(ApiError::new(
                Code::BadRequest,
                "'budget_limits' names a budget_duration twice. Write each once.",
            )
            .param(name));
        }
        Ok(windows)
    })
}

fn models(fields: &Fields) -> Result<Change<BTreeMap<String, ModelBudget>>, ApiError> {
    let name = "model_max_budget";
    let wanted = "an object such as {\"gpt-4o\": {\"budget_limit\": 5, \"time_period\": \"1d\"}}";
    let raw: Change<BTreeMap<String, RawModelBudget<'_>>> = fields.get(name, wanted)?;
    raw.try_map(|models| {
        if models.len() > MOST_MODELS {
            return Err(too_many(name, MOST_MODELS));
        }
        let models = models.into_iter().map(|(model, budget)| {
            if let Some(text) = &budget.time_period {
                period("model_max_budget", text)?;
            }
            let budget = ModelBudget {
                // LiteLLM's clients send either.
                budget_limit: usd(
                    "model_max_budget",
                    budget.budget_limit.get().trim_matches('"'),
                )?,
                time_period: budget.time_period,
            };
            Ok((model, budget))
        });
        models.collect::<Result<_, ApiError>>()
    })
}

/// `{"model_rpm_limit": {"gpt-4o": 60}}`: each member replaces what was there of its sort.
fn model_limits(fields: &Fields, terms: &mut Terms) -> Result<(), ApiError> {
    type Limits = BTreeMap<String, u64>;
    type Place = fn(&mut ModelLimits) -> &mut Option<u64>;
    let sorts: [(&'static str, Place); 2] = [
        ("model_rpm_limit", |limits| &mut limits.rpm_limit),
        ("model_tpm_limit", |limits| &mut limits.tpm_limit),
    ];
    for (name, place) in sorts {
        let wanted = "an object such as {\"gpt-4o\": 60}";
        let given: Limits = match fields.get(name, wanted)? {
            Change::Keep => continue,
            Change::Clear => Limits::new(),
            Change::Set(given) => given,
        };
        for limits in terms.model_limits.values_mut() {
            *place(limits) = None;
        }
        for (model, per_minute) in given {
            let per_minute = limit(name, per_minute)?;
            *place(terms.model_limits.entry(model).or_default()) = Some(per_minute);
        }
        terms
            .model_limits
            .retain(|_, limits| *limits != ModelLimits::default());
        if terms.model_limits.len() > MOST_MODELS {
            return Err(too_many(name, MOST_MODELS));
        }
    }
    Ok(())
}

/// An increase needs its end, or it would be no temporary one.
fn increase(fields: &Fields, amount: Change<Usd>, terms: &mut Terms) -> Result<(), ApiError> {
    let name = "temp_budget_expiry";
    let expiry = fields.text(name)?.try_map(|text| {
        time(&text).ok_or_else(|| {
            ApiError::new(
                Code::BadRequest,
                "'temp_budget_expiry' must be a time or day, such as 2027-01-31T12:00:00Z or 2027-01-31.",
            )
            .param(name)
        })
    })?;
    let before = terms.increase;
    terms.increase = match (amount, expiry) {
        (Change::Keep, Change::Keep) => before,
        (Change::Clear, _) | (_, Change::Clear) => None,
        (Change::Set(amount), Change::Set(until)) => Some(TemporaryIncrease { amount, until }),
        (Change::Set(amount), Change::Keep) => {
            let Some(before) = before else {
                return Err(ApiError::new(
                    Code::BadRequest,
                    "'temp_budget_increase' needs 'temp_budget_expiry': say when it ends.",
                )
                .param(name));
            };
            Some(TemporaryIncrease { amount, ..before })
        }
        (Change::Keep, Change::Set(until)) => {
            before.map(|before| TemporaryIncrease { until, ..before })
        }
    };
    Ok(())
}

fn time(text: &str) -> Option<UnixMs> {
    let at: Timestamp = text.parse().ok().or_else(|| {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(at.as_millisecond()).ok().map(UnixMs)
}

/// Names for models: `{"fast": "gpt-4o-mini"}`.
///
/// # Errors
/// 400 names the member and what to write.
pub(super) fn model_aliases(
    fields: &Fields,
    name: &'static str,
) -> Result<Change<Value>, ApiError> {
    let wanted = "an object such as {\"fast\": \"gpt-4o-mini\"}";
    let given: Change<BTreeMap<String, String>> = fields.get(name, wanted)?;
    given.try_map(|aliases| {
        if aliases.len() > MOST_MODELS {
            return Err(too_many(name, MOST_MODELS));
        }
        for (alias, model) in &aliases {
            checks::name(name, alias)?;
            checks::name(name, model)?;
        }
        Ok(json!(aliases))
    })
}

fn too_many(name: &'static str, most: usize) -> ApiError {
    ApiError::new(
        Code::BadRequest,
        format!("'{name}' must have at most {most} entries."),
    )
    .param(name)
}

fn of_models(terms: &Terms, sort: impl Fn(&ModelLimits) -> Option<u64>) -> BTreeMap<&str, u64> {
    let limits = terms.model_limits.iter();
    limits
        .filter_map(|(model, limits)| Some((model.as_str(), sort(limits)?)))
        .collect()
}

// === impl Shown ===

impl<'a> Shown<'a> {
    pub(super) fn of(terms: &'a Terms) -> Self {
        Self {
            max_budget: terms.max_budget.map(PlainUsd),
            soft_budget: terms.soft_budget.map(PlainUsd),
            budget_duration: terms.budget_duration.as_deref(),
            budget_limits: terms
                .budget_limits
                .iter()
                .map(|window| ShownWindow {
                    budget_duration: &window.budget_duration,
                    max_budget: PlainUsd(window.max_budget),
                })
                .collect(),
            model_max_budget: terms
                .model_max_budget
                .iter()
                .map(|(model, budget)| {
                    let budget = ShownModelBudget {
                        budget_limit: PlainUsd(budget.budget_limit),
                        time_period: budget.time_period.as_deref(),
                    };
                    (model.as_str(), budget)
                })
                .collect(),
            temp_budget_increase: terms.increase.map(|increase| PlainUsd(increase.amount)),
            temp_budget_expiry: terms.increase.and_then(|increase| iso(increase.until)),
            rpm_limit: terms.rpm_limit,
            tpm_limit: terms.tpm_limit,
            tpd_limit: terms.tpd_limit,
            max_parallel_requests: terms.max_parallel_requests,
            model_rpm_limit: of_models(terms, |limits| limits.rpm_limit),
            model_tpm_limit: of_models(terms, |limits| limits.tpm_limit),
        }
    }
}
