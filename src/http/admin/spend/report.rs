//! Spend of a stretch of days by key, team or customer, down to models. Contract: `endpoints` §6.
//!
//! `/key|user|team|organization/spend/report`, and `/global/spend/report` with `group_by=api_key` or somebody named:
//! ```json
//! [{"api_key":"…","total_cost":0.5,"total_input_tokens":10,"total_output_tokens":5,
//!   "model_details":[{"model":"gpt-5","total_cost":0.5,"total_input_tokens":10,"total_output_tokens":5}]}]
//! ```
//! `/global/spend/report?group_by=team` (or `customer`):
//! ```json
//! [{"group_by_day":"2026-11-23","teams":[{"team_name":"team-a","total_spend":0.5,
//!   "metadata":[{"model":"gpt-5","api_key":"…","spend":0.5,"total_tokens":15}]}]}]
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::money::Usd;

use super::csv::{self, Cell};
use super::range::{date, required_dates};
use super::sight::{Sight, key_id};
use super::sums;
use crate::http::admin::PlainUsd;
use crate::http::admin::query::{text, wrong};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Own, View};
use crate::storage::reports::{Counting, Facet, Of, Order, SumLine, Sums};

/// Lines that a report is made of. More is said to be too many, and not left out.
const MOST_LINES: u32 = 100_000;

#[derive(Serialize)]
struct KeyReport {
    api_key: String,
    total_cost: PlainUsd,
    total_input_tokens: u64,
    total_output_tokens: u64,
    model_details: Vec<ModelDetail>,
}

#[derive(Serialize)]
struct ModelDetail {
    model: String,
    total_cost: PlainUsd,
    total_input_tokens: u64,
    total_output_tokens: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum DayReport {
    Teams {
        group_by_day: String,
        teams: Vec<TeamReport>,
    },
    Customers {
        group_by_day: String,
        customers: Vec<CustomerReport>,
    },
}

#[derive(Serialize)]
struct TeamReport {
    team_name: String,
    total_spend: PlainUsd,
    metadata: Vec<Detail>,
}

#[derive(Serialize)]
struct CustomerReport {
    customer: String,
    total_spend: PlainUsd,
    metadata: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    model: String,
    api_key: String,
    spend: PlainUsd,
    total_tokens: u64,
}

/// `GET /global/spend/report?start_date&end_date&group_by=team|customer|api_key&api_key&internal_user_id&team_id&customer_id`.
pub(crate) async fn global(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let customer = text(&call, "customer_id");
    let team = text(&call, "team_id");
    if customer.is_some() && team.is_some() {
        return Err(wrong(
            "customer_id",
            "The books keep no sums of a customer within a team: ask for team_id or for customer_id.",
        ));
    }
    let named = [
        (Facet::Key, text(&call, "api_key").map(key_id)),
        (Facet::User, text(&call, "internal_user_id")),
    ];
    for (facet, name) in named {
        if let Some(name) = name {
            return by_key(&call, vec![Of::one(facet, name)]).await;
        }
    }
    match text(&call, "group_by").as_deref() {
        Some("api_key") => {
            let of = team.map(|team| Of::one(Facet::Team, team));
            by_key(&call, of.into_iter().collect()).await
        }
        Some("customer") => by_day(&call, Facet::EndUser, customer).await,
        None if customer.is_some() => by_day(&call, Facet::EndUser, customer).await,
        None | Some("team") => by_day(&call, Facet::Team, team).await,
        Some(_) => Err(wrong(
            "group_by",
            "'group_by' must be team, customer or api_key.",
        )),
    }
}

/// `GET /key/spend/report?start_date&end_date&api_key=`: the caller's key, or any for an administrator.
pub(crate) async fn of_key(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let own = caller.identity.key_id().map(|key| key.as_str().to_owned());
    let key = text(&call, "api_key").map(key_id).or(own);
    let key = key.ok_or_else(|| wrong("api_key", "Name a key with ?api_key=."))?;
    let mut of = Sight::of(&caller.identity).limits();
    of.push(Of::one(Facet::Key, key));
    by_key(&call, of).await
}

/// `GET /user/spend/report?start_date&end_date&user_id=`: the caller's user, or any for an administrator.
pub(crate) async fn of_user(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let sight = Sight::of(&caller.identity);
    let user = sight.one_user(&caller.identity, text(&call, "user_id"))?;
    by_key(&call, vec![Of::one(Facet::User, user)]).await
}

/// `GET /team/spend/report?start_date&end_date&team_id=`: what the caller may see of a team.
pub(crate) async fn of_team(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    within(&caller, &call, Facet::Team, "team_id").await
}

/// `GET /organization/spend/report?start_date&end_date&organization_id=`: what the caller may see of an organisation.
pub(crate) async fn of_organisation(
    caller: Caller<Own>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    within(&caller, &call, Facet::Organisation, "organization_id").await
}

async fn within(
    caller: &Caller<Own>,
    call: &Call,
    facet: Facet,
    param: &'static str,
) -> Result<HttpResponse, ApiError> {
    let name =
        text(call, param).ok_or_else(|| wrong(param, format!("Name one with ?{param}=.")))?;
    let names = [name];
    let sight = Sight::within(call, &caller.identity, facet, &names).await?;
    let mut of = sight.limits();
    let [name] = names;
    of.push(Of::one(facet, name));
    by_key(call, of).await
}

async fn lines(
    call: &Call,
    of: Vec<Of>,
    by_day: bool,
    by: Vec<Facet>,
) -> Result<Vec<SumLine>, ApiError> {
    let asked = Sums {
        days: required_dates(call)?,
        of,
        by_day,
        by,
        counting: Counting::Tokens,
        order: Order::Name(MOST_LINES + 1),
    };
    let [lines] = sums(call, [asked]).await?;
    if lines.len() > MOST_LINES as usize {
        return Err(wrong(
            "start_date",
            format!(
                "The report has more than {MOST_LINES} lines; ask for fewer days, or for one key, team or customer."
            ),
        ));
    }
    Ok(lines)
}

async fn by_key(call: &Call, of: Vec<Of>) -> Result<HttpResponse, ApiError> {
    let lines = lines(call, of, false, vec![Facet::Key, Facet::Model]).await?;
    let mut keys: BTreeMap<String, KeyReport> = BTreeMap::new();
    for SumLine { names, tally, .. } in lines {
        let Ok([key, model]) = <[String; 2]>::try_from(names) else {
            continue;
        };
        let report = keys.entry(key.clone()).or_insert_with(|| KeyReport {
            api_key: key,
            total_cost: PlainUsd(Usd::ZERO),
            total_input_tokens: 0,
            total_output_tokens: 0,
            model_details: Vec::new(),
        });
        report.total_cost.0 += tally.spend;
        report.total_input_tokens += tally.prompt_tokens;
        report.total_output_tokens += tally.completion_tokens;
        report.model_details.push(ModelDetail {
            model,
            total_cost: PlainUsd(tally.spend),
            total_input_tokens: tally.prompt_tokens,
            total_output_tokens: tally.completion_tokens,
        });
    }
    let mut reports: Vec<KeyReport> = keys.into_values().collect();
    reports.sort_by_key(|report| Reverse(report.total_cost.0));
    let columns = [
        "api_key",
        "model",
        "total_cost",
        "total_input_tokens",
        "total_output_tokens",
    ];
    let cells = reports.iter().flat_map(|report| {
        report.model_details.iter().map(|detail| -> Vec<Cell> {
            vec![
                report.api_key.as_str().into(),
                detail.model.as_str().into(),
                detail.total_cost.into(),
                detail.total_input_tokens.into(),
                detail.total_output_tokens.into(),
            ]
        })
    });
    csv::answer(call, "spend_report", &reports, &columns, cells)
}

async fn by_day(call: &Call, facet: Facet, only: Option<String>) -> Result<HttpResponse, ApiError> {
    let of = only.map_or_else(|| Of::named(facet), |name| Of::one(facet, name));
    let by = vec![facet, Facet::Model, Facet::Key];
    let lines = lines(call, vec![of], true, by).await?;
    // By day, then by name, each with what it consists of.
    let mut days: BTreeMap<i64, BTreeMap<String, Vec<Detail>>> = BTreeMap::new();
    for SumLine { day, names, tally } in lines {
        let (Some(day), Ok([name, model, api_key])) = (day, <[String; 3]>::try_from(names)) else {
            continue;
        };
        let details = days.entry(day).or_default().entry(name).or_default();
        details.push(Detail {
            model,
            api_key,
            spend: PlainUsd(tally.spend),
            total_tokens: tally.total_tokens(),
        });
    }
    let word = if facet == Facet::Team {
        "team_name"
    } else {
        "customer"
    };
    let columns = ["date", word, "model", "api_key", "spend", "total_tokens"];
    let cells: Vec<Vec<Cell>> = days
        .iter()
        .flat_map(|(day, names)| {
            names
                .iter()
                .map(move |(name, details)| (day, name, details))
        })
        .flat_map(|(day, name, details)| {
            details.iter().map(move |detail| {
                vec![
                    date(*day).to_string().into(),
                    name.as_str().into(),
                    detail.model.as_str().into(),
                    detail.api_key.as_str().into(),
                    detail.spend.into(),
                    detail.total_tokens.into(),
                ]
            })
        })
        .collect();
    let reports: Vec<DayReport> = days
        .into_iter()
        .map(|(day, names)| DayReport::of(facet, day, names))
        .collect();
    csv::answer(call, "spend_report", &reports, &columns, cells)
}

// === impl DayReport ===

impl DayReport {
    fn of(facet: Facet, day: i64, names: BTreeMap<String, Vec<Detail>>) -> Self {
        let group_by_day = date(day).to_string();
        let total =
            |details: &[Detail]| PlainUsd(details.iter().map(|detail| detail.spend.0).sum());
        if facet == Facet::Team {
            let team = |(team_name, metadata): (String, Vec<Detail>)| TeamReport {
                team_name,
                total_spend: total(&metadata),
                metadata,
            };
            Self::Teams {
                group_by_day,
                teams: names.into_iter().map(team).collect(),
            }
        } else {
            let customer = |(customer, metadata): (String, Vec<Detail>)| CustomerReport {
                customer,
                total_spend: total(&metadata),
                metadata,
            };
            Self::Customers {
                group_by_day,
                customers: names.into_iter().map(customer).collect(),
            }
        }
    }
}
