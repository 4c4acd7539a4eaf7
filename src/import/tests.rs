use serde_json::{Value, json};

use super::*;
use crate::config::BudgetSettings;
use crate::storage::TenantKind;

/// 2026-11-23, a Monday, at noon.
const NOW: &str = "2026-11-23T12:00:00";

fn at(text: &str) -> UnixMs {
    row::time(text).unwrap()
}

#[track_caller]
fn mapped(table: LitellmTable, row: &Value) -> Result<Mapped, Refused> {
    let rules = BudgetRules::of(&BudgetSettings::default());
    let context = Context {
        rules: &rules,
        customers_budget: None,
        now: at(NOW),
    };
    let text = row.to_string();
    let row = SourceRow::parse(&text).unwrap();
    match table {
        LitellmTable::Keys => keys::map(&row, &context),
        _ => tenants::map(table, &row, &context),
    }
}

/// When the own budget's window began that a row opens, and with how much.
#[track_caller]
fn opening(table: LitellmTable, row: &Value) -> (UnixMs, String) {
    let mapped = mapped(table, row).unwrap();
    let (key, spent) = mapped.openings.first().unwrap();
    (key.window_start, spent.to_string())
}

#[test]
fn what_was_spent_goes_to_the_window_that_runs() {
    let team = |duration: Value, resets: &str, spend: f64| {
        json!({"team_id": "t", "max_budget": 9, "spend": spend, "budget_duration": duration, "budget_reset_at": resets,
            "created_at": "2026-01-31T15:00:00"})
    };
    for (duration, resets, spend, start, spent) in [
        (
            "30d",
            "2026-12-01T00:00:00",
            2.5,
            "2026-11-01T00:00:00",
            "2.5",
        ),
        (
            "7d",
            "2026-11-30T00:00:00",
            2.5,
            "2026-11-23T00:00:00",
            "2.5",
        ),
        (
            "1d",
            "2026-11-24T00:00:00",
            2.5,
            "2026-11-23T00:00:00",
            "2.5",
        ),
        // Counted from where LiteLLM's window began, not from when the team was made.
        (
            "10d",
            "2026-11-25T00:00:00",
            2.5,
            "2026-11-15T00:00:00",
            "2.5",
        ),
        (
            "2w",
            "2026-12-03T00:00:00",
            2.5,
            "2026-11-19T00:00:00",
            "2.5",
        ),
        (
            "3mo",
            "2027-02-01T00:00:00",
            2.5,
            "2026-11-01T00:00:00",
            "2.5",
        ),
        (
            "12mo",
            "2027-11-01T00:00:00",
            2.5,
            "2026-11-01T00:00:00",
            "2.5",
        ),
        // That window is over, and LiteLLM has not noticed yet.
        (
            "30d",
            "2026-11-01T00:00:00",
            2.5,
            "2026-11-01T00:00:00",
            "0",
        ),
        (
            "10d",
            "2026-11-20T00:00:00",
            2.5,
            "2026-11-20T00:00:00",
            "0",
        ),
        // A correction has brought it below nothing.
        (
            "30d",
            "2026-12-01T00:00:00",
            -0.5,
            "2026-11-01T00:00:00",
            "0",
        ),
    ] {
        let row = team(json!(duration), resets, spend);
        let want = (at(start), spent.to_owned());
        assert_eq!(
            opening(LitellmTable::Teams, &row),
            want,
            "{duration} {resets}"
        );
    }
    let endless = team(Value::Null, "2026-01-01T00:00:00", 2.5);
    assert_eq!(
        opening(LitellmTable::Teams, &endless),
        (UnixMs(0), "2.5".to_owned())
    );
}

#[test]
fn a_budget_that_a_row_names_says_which_window_runs() {
    let member = json!({"team_id": "t", "user_id": "u", "spend": 1, "budget_id": "b",
        "budget": {"max_budget": 5, "budget_duration": "10d", "budget_reset_at": "2026-11-25T00:00:00"}});
    let want = (at("2026-11-15T00:00:00"), "1".to_owned());
    assert_eq!(opening(LitellmTable::Members, &member), want);
}

#[test]
fn what_a_customer_has_spent_goes_to_the_window_of_the_budget_that_all_have() {
    let rules = BudgetRules::of(&BudgetSettings {
        default_end_user_id: Some("all".to_owned()),
        ..BudgetSettings::default()
    });
    let budget = Terms {
        max_budget: Some(Usd::from_pico(9)),
        budget_duration: Some("30d".to_owned()),
        ..Terms::default()
    };
    let context = Context {
        rules: &rules,
        customers_budget: Some(budget),
        now: at(NOW),
    };
    for (row, start) in [
        (
            json!({"user_id": "c", "spend": 2.5}),
            at("2026-11-01T00:00:00"),
        ),
        (
            json!({"user_id": "c", "spend": 2.5, "max_budget": 5}),
            UnixMs(0),
        ),
    ] {
        let text = row.to_string();
        let row = SourceRow::parse(&text).unwrap();
        let mapped = tenants::map(LitellmTable::Customers, &row, &context).unwrap();
        assert_eq!(mapped.openings[0].0.window_start, start, "{text}");
        assert_eq!(mapped.openings[0].1.to_string(), "2.5");
    }
}

#[test]
fn a_period_that_cannot_be_read_is_said_and_never_begins_anew() {
    let row = json!({"team_id": "t", "max_budget": 9, "spend": 3, "budget_duration": "soon"});
    let mapped = mapped(LitellmTable::Teams, &row).unwrap();
    assert_eq!(mapped.openings[0].0.window_start, UnixMs(0));
    let said = mapped.remarks.first().unwrap().to_string();
    assert!(said.starts_with("budget_duration cannot be read"), "{said}");
}

#[test]
fn what_of_a_key_cannot_be_read_and_does_not_count_is_said() {
    let row = json!({"token": "a".repeat(64),
        "model_max_budget": {"m": {"budget_limit": 1, "time_period": "soon"}, "n": {"budget_limit": 1, "time_period": "1d"}},
        "metadata": {"temp_budget_increase": 5, "temp_budget_expiry": "never"}});
    let mapped = mapped(LitellmTable::Keys, &row).unwrap();
    let ImportedRow::Key(key) = &mapped.row else {
        panic!("not a key");
    };
    let period = |model: &str| key.terms.model_max_budget[model].time_period.as_deref();
    assert_eq!((period("m"), period("n")), (None, Some("1d")));
    assert_eq!(key.terms.increase, None);
    assert_eq!(key.metadata["temp_budget_increase"], 5);
    let said: Vec<String> = mapped.remarks.iter().map(Remark::to_string).collect();
    for start in [
        "a period of model_max_budget cannot be read",
        "temp_budget_expiry cannot be read",
    ] {
        assert!(said.iter().any(|said| said.starts_with(start)), "{said:?}");
    }
}

#[test]
fn every_budget_and_limit_of_a_key_comes() {
    let row = json!({"token": "A".repeat(64), "key_name": "sk-...abcd", "max_budget": 0.1, "rpm_limit": 5, "tpm_limit": 0,
        "max_parallel_requests": 2, "budget_duration": "30d", "expires": "2027-01-01T00:00:00",
        "budget_limits": [{"budget_duration": "1d", "max_budget": 1e-7, "reset_at": "x"}],
        "model_max_budget": {"m": {"budget_limit": "0.5", "time_period": "1d"}, "n": 2},
        "windows": [{"duration": "1d", "start": "2026-11-23T00:00:00", "spend": 0.25},
            {"duration": "7d", "start": "2026-11-23T00:00:00", "spend": 4}]});
    let mapped = mapped(LitellmTable::Keys, &row).unwrap();
    let ImportedRow::Key(key) = &mapped.row else {
        panic!("not a key");
    };
    assert_eq!(key.id.as_str(), "a".repeat(64));
    assert_eq!(key.expires_at, Some(at("2027-01-01T00:00:00")));
    let terms = &key.terms;
    assert_eq!(terms.max_budget.unwrap().to_string(), "0.1");
    assert_eq!(
        (
            terms.rpm_limit,
            terms.tpm_limit,
            terms.max_parallel_requests
        ),
        (Some(5), Some(0), Some(2))
    );
    assert_eq!(terms.budget_limits[0].max_budget.to_string(), "0.0000001");
    assert_eq!(terms.model_max_budget["m"].budget_limit.to_string(), "0.5");
    assert_eq!(terms.model_max_budget["n"].time_period, None);
    // A window that the key has no budget for opens nothing.
    let opened: Vec<_> = mapped
        .openings
        .iter()
        .map(|(key, spent)| (key.budget.as_str().to_owned(), spent.to_string()))
        .collect();
    assert_eq!(opened, [("window/1d".to_owned(), "0.25".to_owned())]);
}

#[test]
fn what_cannot_be_had_is_refused_with_the_column() {
    for (table, row, why) in [
        (
            LitellmTable::Teams,
            json!({"team_id": "t", "spend": "NaN"}),
            "spend",
        ),
        (LitellmTable::Teams, json!({"team_id": "a\nb"}), "team_id"),
        (LitellmTable::Teams, json!({"team_id": null}), "team_id"),
        (
            LitellmTable::Users,
            json!({"user_id": "u", "rpm_limit": -1}),
            "rpm_limit",
        ),
        (LitellmTable::Keys, json!({"token": "short"}), "SHA-256"),
        (
            LitellmTable::Budgets,
            json!({"budget_id": "b", "max_budget": 1e300}),
            "max_budget",
        ),
    ] {
        let Err(Refused::Because(said)) = mapped(table, &row) else {
            panic!("{row} is taken");
        };
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_tenant_keeps_its_kind_whatever_table_it_comes_from() {
    for (table, row, kind) in [
        (
            LitellmTable::Users,
            json!({"user_id": "x"}),
            TenantKind::User,
        ),
        (
            LitellmTable::Customers,
            json!({"user_id": "x", "blocked": true}),
            TenantKind::EndUser,
        ),
        (
            LitellmTable::Tags,
            json!({"tag_name": "x"}),
            TenantKind::Tag,
        ),
    ] {
        let mapped = mapped(table, &row).unwrap();
        let ImportedRow::Tenant(tenant) = mapped.row else {
            panic!("not a tenant");
        };
        assert_eq!((tenant.kind, tenant.id.as_str()), (kind, "x"));
    }
}
