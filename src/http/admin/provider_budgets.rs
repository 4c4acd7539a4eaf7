//! `GET /provider/budgets`: what each provider may cost and has cost in the running period. Contract: `routing` §8.
//!
//! ```json
//! {"providers":{"openai":{"budget_limit":100,"time_period":"1d","spend":12.5,"budget_reset_at":"2026-11-24T00:00:00.000Z"}}}
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::Subject;
use trunkline_actors::money::Usd;

use super::PlainUsd;
use crate::dispatch::provider_caps;
use crate::http::extract::{Call, Caller, View};
use crate::http::time::iso;

#[derive(Serialize)]
struct Answer {
    providers: BTreeMap<String, Budget>,
}

#[derive(Serialize)]
struct Budget {
    budget_limit: PlainUsd,
    /// Null: the budget is never renewed.
    time_period: Option<String>,
    spend: PlainUsd,
    budget_reset_at: Option<String>,
}

/// Every provider with a budget, in use or not.
pub(crate) async fn list(_caller: Caller<View>, call: Call) -> HttpResponse {
    let now = UnixMs::now();
    let app = call.app();
    let states = app.shared.targets().caps().states(now);
    let spent = |subject: &Subject| {
        let state = states.iter().find(|state| state.cap.subject == *subject);
        state.map_or(Usd::ZERO, |state| state.spent)
    };
    let providers = provider_caps(&app.config.router)
        .map(|cap| {
            let budget = Budget {
                budget_limit: PlainUsd(cap.limit),
                time_period: cap.period.map(span),
                spend: PlainUsd(spent(&cap.subject)),
                budget_reset_at: cap.resets_at(now).and_then(iso),
            };
            (cap.subject.id.to_string(), budget)
        })
        .collect();
    HttpResponse::Ok().json(Answer { providers })
}

/// As the config writes it: `30d`, `12h`, `30m`, `45s`, in the longest unit that leaves no rest.
fn span(period: Duration) -> String {
    let secs = period.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if secs > 0 && secs.is_multiple_of(length) {
            return format!("{}{unit}", secs / length);
        }
    }
    format!("{secs}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_told_in_its_longest_whole_unit() {
        for (secs, want) in [
            (0, "0s"),
            (45, "45s"),
            (90, "90s"),
            (1_800, "30m"),
            (43_200, "12h"),
            (2_592_000, "30d"),
        ] {
            assert_eq!(span(Duration::from_secs(secs)), want);
        }
    }
}
