//! Budgets of callers that the file gives, and when budgets begin anew: keys of `litellm_settings` and `general_settings`.

use std::collections::BTreeMap;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::model::{Budget, BudgetSettings};
use super::raw::{RawGeneral, RawLitellm};
use super::report::Report;
use super::routing::budget;
use super::yaml::KeyPath;
use crate::cost::parse_price;

/// LiteLLM's status where a budget is used up.
const EXCEEDED_STATUS: u16 = 422;

/// Reads and checks them.
pub(super) fn budgets(
    raw: &RawLitellm,
    general: &RawGeneral,
    report: &mut Report<'_>,
) -> BudgetSettings {
    let here = KeyPath::of(&["litellm_settings"]);
    let mut of =
        |limit: &Option<String>, limit_key: &str, period: &Option<String>, period_key: &str| {
            let limit = limit.as_deref().filter(|text| !is_off(text));
            budget(
                limit,
                &here.key(limit_key),
                period.as_deref(),
                &here.key(period_key),
                report,
            )
        };
    let global = of(
        &raw.max_budget,
        "max_budget",
        &raw.budget_duration,
        "budget_duration",
    );
    let default_user = of(
        &raw.max_internal_user_budget,
        "max_internal_user_budget",
        &raw.internal_user_budget_duration,
        "internal_user_budget_duration",
    );
    let default_end_user = of(
        &raw.max_end_user_budget,
        "max_end_user_budget",
        &None,
        "max_end_user_budget",
    );
    BudgetSettings {
        global,
        default_user,
        default_end_user,
        default_end_user_id: raw.max_end_user_budget_id.clone(),
        tags: tags(raw, &here, report),
        users_on_team_keys: general.apply_user_budget_to_team_keys.unwrap_or(false),
        carries_over: raw.budget_rollover.unwrap_or(false),
        exceeded_status: exceeded_status(raw, &here, report),
        zone: zone(raw, &here, report),
        day_begins: day_begins(raw, &here, report),
    }
}

// === impl BudgetSettings ===

impl Default for BudgetSettings {
    /// What a file without any of it says.
    fn default() -> Self {
        Self {
            global: None,
            default_user: None,
            default_end_user: None,
            default_end_user_id: None,
            tags: BTreeMap::new(),
            users_on_team_keys: false,
            carries_over: false,
            exceeded_status: EXCEEDED_STATUS,
            zone: TimeZone::UTC,
            day_begins: Time::midnight(),
        }
    }
}

/// LiteLLM's `max_budget: 0` is none at all.
fn is_off(limit: &str) -> bool {
    parse_price(limit).is_some_and(|limit| limit.is_zero())
}

fn tags(raw: &RawLitellm, here: &KeyPath, report: &mut Report<'_>) -> BTreeMap<String, Budget> {
    let here = here.key("tag_budget_config");
    let mut tags = BTreeMap::new();
    for (tag, raw) in &raw.tag_budget_config {
        let path = here.key(tag);
        let budget = budget(
            raw.budget_limit.as_deref(),
            &path.key("max_budget"),
            raw.time_period.as_deref(),
            &path.key("budget_duration"),
            report,
        );
        tags.extend(budget.map(|budget| (tag.clone(), budget)));
    }
    tags
}

fn exceeded_status(raw: &RawLitellm, here: &KeyPath, report: &mut Report<'_>) -> u16 {
    match raw.budget_exceeded_status_code {
        None => EXCEEDED_STATUS,
        Some(status) if (400..500).contains(&status) => status,
        Some(_) => {
            report.problem(
                &here.key("budget_exceeded_status_code"),
                "is no status of a client's error",
                "write a number from 400 to 499, such as 429",
            );
            EXCEEDED_STATUS
        }
    }
}

fn zone(raw: &RawLitellm, here: &KeyPath, report: &mut Report<'_>) -> TimeZone {
    let Some(name) = raw.timezone.as_deref().map(str::trim) else {
        return TimeZone::UTC;
    };
    TimeZone::get(name).unwrap_or_else(|_unknown| {
        report.problem(
            &here.key("timezone"),
            format!("no time zone is called `{}`", name.escape_debug()),
            "write a name of the IANA database, such as UTC or Europe/Berlin",
        );
        TimeZone::UTC
    })
}

fn day_begins(raw: &RawLitellm, here: &KeyPath, report: &mut Report<'_>) -> Time {
    let Some(text) = raw.budget_reset_time.as_deref().map(str::trim) else {
        return Time::midnight();
    };
    text.parse().unwrap_or_else(|_err| {
        report.problem(
            &here.key("budget_reset_time"),
            "is no time of day",
            "write hours and minutes in quotes, such as \"06:30\"",
        );
        Time::midnight()
    })
}
