//! LiteLLM's columns of budgets and limits as terms, and what was spent there as what windows here begin with.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_actors::clock::{UnixMs, whole_millis};
use trunkline_actors::ids::Subject;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetKey;
use trunkline_actors::spend_ledger::Period;

use super::row::{SourceRow, time};
use super::{Context, Refused, Remark};
use crate::auth::terms::usd;
use crate::storage::{ModelBudget, ModelLimits, TemporaryIncrease, Terms, WindowBudget};

const UNREADABLE: Remark =
    Remark::Note("budget_duration cannot be read: the budget never begins anew");
const UNREADABLE_OF_MODEL: Remark = Remark::Note(
    "a period of model_max_budget cannot be read: the model's budget never begins anew",
);

#[derive(Deserialize)]
struct RawWindow {
    budget_duration: String,
    max_budget: Box<RawValue>,
}

#[derive(Deserialize)]
struct RawModelBudget {
    #[serde(alias = "max_budget")]
    budget_limit: Box<RawValue>,
    #[serde(default, alias = "budget_duration")]
    time_period: Option<String>,
}

/// What was spent in one of several windows.
#[derive(Deserialize)]
struct RawSpent {
    duration: String,
    start: String,
    spend: Box<RawValue>,
}

/// How the budget that a row names repeats.
#[derive(Deserialize)]
struct RawBudget {
    max_budget: Option<Box<RawValue>>,
    budget_duration: Option<String>,
    budget_reset_at: Option<String>,
    created_at: Option<String>,
}

/// Terms with what is needed to say which window runs.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// To be stored.
    pub(super) terms: Terms,
    /// Completed by the budget that the row names.
    whole: Terms,
    /// When LiteLLM begins anew.
    resets_at: Option<UnixMs>,
}

/// Reads the terms of a row.
pub(super) fn read(row: &SourceRow<'_>, remarks: &mut BTreeSet<Remark>) -> Result<Read, Refused> {
    let mut terms = Terms {
        max_budget: row.usd("max_budget")?,
        rpm_limit: row.count("rpm_limit")?,
        tpm_limit: row.count("tpm_limit")?,
        tpd_limit: row.count("tpd_limit")?,
        max_parallel_requests: row.count("max_parallel_requests")?,
        soft_budget: row.usd("soft_budget")?,
        budget_duration: readable(row.text("budget_duration")?, UNREADABLE, remarks),
        budget_limits: windows(row)?,
        model_max_budget: models(row, remarks)?,
        // They are in the metadata there.
        model_limits: BTreeMap::new(),
        increase: increase(
            row.usd("temp_budget_increase")?,
            row.text("temp_budget_expiry")?.as_deref(),
            remarks,
        ),
        reset_at: 0,
        // Not the moment of the import where LiteLLM does not say: a second one would be another row.
        since: row.time("created_at")?,
    };
    if !terms.model_max_budget.is_empty() {
        remarks.insert(Remark::Note(
            "what was spent of budgets for single models is not in LiteLLM's tables: they begin at nothing",
        ));
    }
    let own_resets = row.time("budget_reset_at")?;
    let shared: Option<RawBudget> = row.get("budget")?;
    let (shared, shared_resets) = match shared {
        None => (Terms::default(), None),
        Some(budget) => {
            let amount = budget.max_budget.as_deref().map(RawValue::get);
            let amount = amount.filter(|text| *text != "null");
            let amount = amount.map(|text| usd("max_budget", text)).transpose();
            let resets_at = budget.budget_reset_at.as_deref().and_then(time);
            let duration = readable(budget.budget_duration, UNREADABLE, remarks);
            let created = budget.created_at.as_deref().and_then(time);
            let shared = Terms {
                max_budget: amount.map_err(|err| Refused::because(&err))?,
                since: since(duration.as_deref(), resets_at, created),
                budget_duration: duration,
                ..Terms::default()
            };
            (shared, resets_at)
        }
    };
    let resets_at = if terms.budget_duration.is_some() {
        own_resets
    } else {
        shared_resets
    };
    let duration = terms.clone().or(&shared).budget_duration;
    terms.since = since(duration.as_deref(), resets_at, terms.since);
    let whole = terms.clone().or(&shared);
    Ok(Read {
        terms,
        whole,
        resets_at,
    })
}

/// From when on windows are counted. Days and months that the calendar does not align are counted from the day on which the
/// window began that runs in LiteLLM.
fn since(
    duration: Option<&str>,
    resets_at: Option<UnixMs>,
    created: Option<UnixMs>,
) -> Option<UnixMs> {
    let period: Option<Period> = duration.and_then(|text| text.parse().ok());
    match (period, resets_at) {
        (Some(period), Some(resets_at)) if is_counted(period) => {
            Some(resets_at.before(period.usual_length()))
        }
        _ => created,
    }
}

/// Whether windows depend on when the budget was given.
fn is_counted(period: Period) -> bool {
    let days = period.usual_length().as_secs() / 86_400;
    days > 1 && !matches!(days, 7 | 30)
}

/// A period that cannot be read is none: such a budget never begins anew, so that less is let through, never more.
fn readable(
    text: Option<String>,
    unreadable: Remark,
    remarks: &mut BTreeSet<Remark>,
) -> Option<String> {
    let text = text?;
    if text.parse::<Period>().is_ok() {
        return Some(text);
    }
    remarks.insert(unreadable);
    None
}

fn windows(row: &SourceRow<'_>) -> Result<Vec<WindowBudget>, Refused> {
    let name = "budget_limits";
    let mut periods = BTreeSet::new();
    let mut windows = Vec::new();
    for raw in row.get::<Vec<RawWindow>>(name)?.unwrap_or_default() {
        let max_budget = usd(name, raw.max_budget.get()).map_err(|err| Refused::because(&err))?;
        if raw.budget_duration.parse::<Period>().is_err()
            || !periods.insert(raw.budget_duration.clone())
        {
            return Err(Refused::column(name));
        }
        windows.push(WindowBudget {
            budget_duration: raw.budget_duration,
            max_budget,
        });
    }
    Ok(windows)
}

fn models(
    row: &SourceRow<'_>,
    remarks: &mut BTreeSet<Remark>,
) -> Result<BTreeMap<String, ModelBudget>, Refused> {
    let name = "model_max_budget";
    let raw: BTreeMap<String, Box<RawValue>> = row.get(name)?.unwrap_or_default();
    let models = raw.into_iter().map(|(model, raw)| {
        // An amount alone is one without an end.
        let (limit, period) = match serde_json::from_str::<RawModelBudget>(raw.get()) {
            Ok(budget) => (budget.budget_limit, budget.time_period),
            Err(_an_amount) => (raw, None),
        };
        let limit = limit.get().trim_matches('"');
        let budget_limit = usd(name, limit).map_err(|err| Refused::because(&err))?;
        let budget = ModelBudget {
            budget_limit,
            time_period: readable(period, UNREADABLE_OF_MODEL, remarks),
        };
        Ok((model, budget))
    });
    models.collect()
}

/// Without an end it is none in LiteLLM either.
fn increase(
    amount: Option<Usd>,
    until: Option<&str>,
    remarks: &mut BTreeSet<Remark>,
) -> Option<TemporaryIncrease> {
    let (amount, until) = (amount?, until?);
    let Some(until) = time(until) else {
        remarks.insert(Remark::Note(
            "temp_budget_expiry cannot be read: the budget is not increased",
        ));
        return None;
    };
    Some(TemporaryIncrease { amount, until })
}

/// Takes a temporary increase out of a key's metadata, where LiteLLM has it.
pub(super) fn take_increase(
    metadata: &mut Map<String, Value>,
    terms: &mut Terms,
    remarks: &mut BTreeSet<Remark>,
) {
    let amount = metadata.get("temp_budget_increase").and_then(|amount| {
        let text = amount.to_string();
        usd("temp_budget_increase", text.trim_matches('"')).ok()
    });
    let until = metadata.get("temp_budget_expiry").and_then(Value::as_str);
    if let Some(increase) = increase(amount, until, remarks) {
        terms.increase = Some(increase);
        metadata.remove("temp_budget_increase");
        metadata.remove("temp_budget_expiry");
    }
}

/// Takes limits of single models out of a key's metadata, where LiteLLM has them.
pub(super) fn take_model_limits(metadata: &mut Map<String, Value>, terms: &mut Terms) {
    for (name, place) in MODEL_LIMITS {
        let limits = metadata.get(name).and_then(Value::as_object);
        let limits = limits.into_iter().flatten();
        let limits: Option<Vec<(String, u64)>> = limits
            .map(|(model, limit)| Some((model.clone(), limit.as_u64()?)))
            .collect();
        // What cannot be read as a whole stays where a person finds it.
        let Some(limits) = limits.filter(|limits| !limits.is_empty()) else {
            continue;
        };
        for (model, limit) in limits {
            *place(terms.model_limits.entry(model).or_default()) = Some(limit);
        }
        metadata.remove(name);
    }
}

/// Members of the metadata, and what they limit.
type ModelLimit = (&'static str, fn(&mut ModelLimits) -> &mut Option<u64>);

const MODEL_LIMITS: [ModelLimit; 2] = [
    ("model_rpm_limit", |limits| &mut limits.rpm_limit),
    ("model_tpm_limit", |limits| &mut limits.tpm_limit),
];

// === impl Read ===

impl Read {
    /// What the windows that run here begin with. What was spent in one that is over counts nowhere.
    pub(super) fn openings(
        &self,
        row: &SourceRow<'_>,
        subject: &Subject,
        context: &Context<'_>,
        remarks: &mut BTreeSet<Remark>,
    ) -> Result<Vec<(BudgetKey, Usd)>, Refused> {
        let mut openings = Vec::new();
        if let Some(spent) = spent(row)? {
            let shared = context.customers_budget.as_ref();
            let (key, end) = context
                .rules
                .own_window(subject, &self.whole, shared, context.now);
            let is_over = self.whole.budget_duration.is_some()
                && self.resets_at.is_some_and(|end| end <= context.now);
            let runs_there = self.resets_at.filter(|_| !is_over);
            if let (Some(here), Some(there)) = (end, runs_there)
                && here != there
                && !spent.is_zero()
            {
                remarks.insert(Remark::Note(
                    "the window that runs ends at another time here: see timezone and budget_reset_time",
                ));
            }
            openings.push((key, if is_over { Usd::ZERO } else { spent }));
        }
        let further: Vec<RawSpent> = row.get("windows")?.unwrap_or_default();
        for spent in further {
            let Some(key) =
                context
                    .rules
                    .further_window(subject, &self.whole, &spent.duration, context.now)
            else {
                continue;
            };
            let start = time(&spent.start).ok_or_else(|| Refused::column("window_start"))?;
            let amount = usd("spend", spent.spend.get()).map_err(|err| Refused::because(&err))?;
            let is_over = !runs(&spent.duration, start, context.now);
            openings.push((key, if is_over { Usd::ZERO } else { amount }));
        }
        Ok(openings)
    }
}

/// Whether a window of that length that began then still runs.
fn runs(duration: &str, start: UnixMs, now: UnixMs) -> bool {
    let Ok(period) = duration.parse::<Period>() else {
        return false;
    };
    let length = whole_millis(period.usual_length());
    // A month may have a day more than the usual one.
    let months = length / (30 * 86_400_000);
    let longest = length.saturating_add(months.saturating_mul(86_400_000));
    now.0 < start.0.saturating_add(longest)
}

/// Corrections can bring a sum below nothing.
fn spent(row: &SourceRow<'_>) -> Result<Option<Usd>, Refused> {
    match row.raw("spend") {
        Some(text) if text.starts_with('-') => Ok(Some(Usd::ZERO)),
        _ => row.usd("spend"),
    }
}
