//! How much is asked: `/global/activity` and its likes. Contract: `endpoints` §6.
//!
//! ```json
//! {"daily_data":[{"date":"Nov 23","api_requests":10,"total_tokens":2000}],"sum_api_requests":10,"sum_total_tokens":2000}
//! ```
//! `date` is LiteLLM's short form; `day` (ours) is the whole date. `/global/activity/model` answers with such an object for
//! each model, the busiest first; `/cache_hits` counts answers from the gateway's cache, `/exceptions` requests that failed.

use std::cmp::Reverse;

use actix_web::HttpResponse;
use serde::Serialize;

use super::csv::{self, Cell};
use super::range::{date, required_dates};
use super::sight::Sight;
use super::sums;
use crate::auth::Identity;
use crate::http::admin::query::text;
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Own};
use crate::storage::reports::{Counting, Facet, Of, Order, SumLine, Sums};

/// Models told of (LiteLLM's number).
const MODELS: usize = 10;
const MOST_LINES: u32 = 100_000;

#[derive(Serialize)]
struct Activity {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    daily_data: Vec<Day>,
    sum_api_requests: u64,
    sum_total_tokens: u64,
}

#[derive(Serialize)]
struct Day {
    date: String,
    day: String,
    api_requests: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct CacheHits {
    daily_data: Vec<CacheHitDay>,
    sum_cache_hits: u64,
    sum_api_requests: u64,
}

#[derive(Serialize)]
struct CacheHitDay {
    date: String,
    day: String,
    cache_hits: u64,
    api_requests: u64,
}

#[derive(Serialize)]
struct Exceptions {
    daily_data: Vec<ExceptionDay>,
    sum_num_exceptions: u64,
}

#[derive(Serialize)]
struct ExceptionDay {
    date: String,
    day: String,
    num_exceptions: u64,
}

fn question(identity: &Identity, call: &Call, by: Vec<Facet>) -> Result<Sums, ApiError> {
    let mut of = Sight::of(identity).limits();
    of.extend(text(call, "model_group").map(|group| Of::one(Facet::ModelGroup, group)));
    Ok(Sums {
        days: required_dates(call)?,
        of,
        by_day: true,
        by,
        counting: Counting::All,
        order: Order::Name(MOST_LINES),
    })
}

/// `GET /global/activity?start_date&end_date`.
pub(crate) async fn all(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let asked = question(&caller.identity, &call, Vec::new())?;
    let [lines] = sums(&call, [asked]).await?;
    let answer = Activity::of(None, &lines);
    let cells = answer.cells();
    csv::answer(&call, "activity", &answer, &Activity::COLUMNS, cells)
}

/// `GET /global/activity/model?start_date&end_date`.
pub(crate) async fn by_model(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let asked = question(&caller.identity, &call, vec![Facet::ModelGroup])?;
    let [mut lines] = sums(&call, [asked]).await?;
    lines.sort_by(|one, other| (&one.names, one.day).cmp(&(&other.names, other.day)));
    let mut models: Vec<Activity> = lines
        .chunk_by(|one, other| one.names == other.names)
        .map(|lines| {
            let name = lines.first().and_then(|line| line.names.first());
            Activity::of(name.cloned(), lines)
        })
        .collect();
    models.sort_by_key(|model| Reverse(model.sum_api_requests));
    models.truncate(MODELS);
    let cells = models.iter().flat_map(Activity::cells);
    csv::answer(
        &call,
        "activity_by_model",
        &models,
        &Activity::COLUMNS,
        cells,
    )
}

/// `GET /global/activity/cache_hits?start_date&end_date`.
pub(crate) async fn cache_hits(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let asked = question(&caller.identity, &call, Vec::new())?;
    let [lines] = sums(&call, [asked]).await?;
    let days = lines.iter().filter_map(|line| {
        let (date, day) = dates(line.day?);
        Some(CacheHitDay {
            date,
            day,
            cache_hits: line.tally.cache_hits,
            api_requests: line.tally.requests,
        })
    });
    let answer = CacheHits {
        daily_data: days.collect(),
        sum_cache_hits: lines.iter().map(|line| line.tally.cache_hits).sum(),
        sum_api_requests: lines.iter().map(|line| line.tally.requests).sum(),
    };
    let cells = answer.daily_data.iter().map(|day| {
        let date = day.day.as_str();
        vec![date.into(), day.cache_hits.into(), day.api_requests.into()]
    });
    let columns = ["date", "cache_hits", "api_requests"];
    csv::answer(&call, "cache_hits", &answer, &columns, cells)
}

/// `GET /global/activity/exceptions?start_date&end_date&model_group=`.
pub(crate) async fn exceptions(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let asked = question(&caller.identity, &call, Vec::new())?;
    let [lines] = sums(&call, [asked]).await?;
    let days = lines.iter().filter_map(|line| {
        let (date, day) = dates(line.day?);
        Some(ExceptionDay {
            date,
            day,
            num_exceptions: line.tally.failed,
        })
    });
    let answer = Exceptions {
        daily_data: days.collect(),
        sum_num_exceptions: lines.iter().map(|line| line.tally.failed).sum(),
    };
    let cells = answer
        .daily_data
        .iter()
        .map(|day| vec![day.day.as_str().into(), day.num_exceptions.into()]);
    let columns = ["date", "num_exceptions"];
    csv::answer(&call, "exceptions", &answer, &columns, cells)
}

/// The short form and the whole date.
fn dates(day: i64) -> (String, String) {
    let date = date(day);
    (date.strftime("%b %d").to_string(), date.to_string())
}

// === impl Activity ===

impl Activity {
    const COLUMNS: [&str; 4] = ["model", "date", "api_requests", "total_tokens"];

    fn of(model: Option<String>, lines: &[SumLine]) -> Self {
        let daily_data: Vec<Day> = lines
            .iter()
            .filter_map(|line| {
                let (date, day) = dates(line.day?);
                Some(Day {
                    date,
                    day,
                    api_requests: line.tally.requests,
                    total_tokens: line.tally.total_tokens(),
                })
            })
            .collect();
        Self {
            model,
            sum_api_requests: daily_data.iter().map(|day| day.api_requests).sum(),
            sum_total_tokens: daily_data.iter().map(|day| day.total_tokens).sum(),
            daily_data,
        }
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let model = self.model.as_deref();
        self.daily_data
            .iter()
            .map(|day| {
                vec![
                    model.into(),
                    day.day.as_str().into(),
                    day.api_requests.into(),
                    day.total_tokens.into(),
                ]
            })
            .collect()
    }
}
