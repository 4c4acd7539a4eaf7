//! `GET /spend/logs` and `GET /spend/logs/v2`: the rows of the books, or their sums by day. Contract: `endpoints` §6.
//!
//! `/spend/logs` with dates answers with one object a day, in which days after the last one with spend are zero up to `end_date`:
//! ```json
//! [{"startTime":"2026-11-22","spend":0.5,"users":{"u1":0.5},"models":{"gpt-5":0.5}},
//!  {"startTime":"2026-11-23","spend":0,"users":{},"models":{}}]
//! ```
//! and with `summarize=false`, or without dates, with the newest rows, at most `limit` (10000). `/spend/logs/v2` pages:
//! ```json
//! {"data":[…],"total":120,"page":1,"page_size":50,"total_pages":3,"total_is_capped":false,"next_cursor":"01J…"}
//! ```
//! `cursor` (ours) is the `next_cursor` of the page before, and costs the same however deep; `page` goes down to row 10000,
//! which is also as far as `total` counts.

use std::collections::BTreeMap;
use std::iter::repeat;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;
use serde::Serialize;
use trunkline_actors::ids::RequestId;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::SpendRecord;

use super::csv::{self, Cell};
use super::range::{self, date, moment};
use super::row::Row;
use super::sight::{Sight, key_id};
use super::transcript::{self, Said};
use super::{ship, sums};
use crate::auth::Identity;
use crate::cost::parse_price;
use crate::http::admin::PlainUsd;
use crate::http::admin::query::{count, text, wrong};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Own};
use crate::storage::reports::{
    Counting, Days, Facet, LogColumn, LogFilter, LogPage, LogQuery, Of, Order, Sums,
};

/// Rows that can be reached without a cursor, and to which they are counted (LiteLLM's cap).
const MOST_ROWS: u32 = 10_000;
const MOST_ON_A_PAGE: u32 = 1_000;
/// Lines of one sum: a year of days times many names.
const MOST_LINES: u32 = 1_000_000;

/// The cursor of the next page, where the body is a list and has no place for it.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");

#[derive(Serialize)]
struct Day {
    #[serde(rename = "startTime")]
    start_time: String,
    spend: PlainUsd,
    users: BTreeMap<String, PlainUsd>,
    models: BTreeMap<String, PlainUsd>,
}

#[derive(Serialize)]
struct Page<'a> {
    data: &'a [Row<'a>],
    total: u64,
    page: u32,
    page_size: u32,
    total_pages: u64,
    total_is_capped: bool,
    next_cursor: Option<RequestId>,
}

/// Sums by day, or rows.
pub(crate) async fn list(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let summarize = match call.query("summarize").as_deref() {
        None | Some("" | "true" | "True" | "1") => true,
        Some("false" | "False" | "0") => false,
        Some(_) => return Err(wrong("summarize", "'summarize' must be true or false.")),
    };
    let sight = Sight::of(&caller.identity);
    let user = sight.user(text(&call, "user_id"))?;
    let key = text(&call, "api_key").map(key_id);
    let request_id = text(&call, "request_id");
    let days = range::dates(&call)?;
    if let (Some(days), true, None) = (days, summarize, &request_id) {
        let mut of = sight.limits();
        of.extend(user.map(|user| Of::one(Facet::User, user)));
        of.extend(key.map(|key| Of::one(Facet::Key, key)));
        return by_day(&call, days, of).await;
    }
    let mut filter = LogFilter {
        request_id,
        key,
        user,
        since: moment(&call, "start_date", false)?,
        until: moment(&call, "end_date", true)?,
        ..LogFilter::default()
    };
    sight.limit(&mut filter);
    let query = LogQuery {
        filter,
        after: cursor(&call)?,
        skip: 0,
        limit: count(&call, "limit", MOST_ON_A_PAGE, MOST_ROWS)?,
        count_to: 0,
    };
    let is_one = query.filter.request_id.is_some();
    ship(&call).await;
    let page = call.app().store.reports.log_page(query).await?;
    let said = said(&call, &page.rows, is_one).await?;
    let rows = rows(&page.rows, &said);
    let mut answer = csv::answer(
        &call,
        "spend_logs",
        &rows,
        Row::COLUMNS,
        rows.iter().map(Row::cells),
    )?;
    if let Some(next) = page.next.and_then(|next| next.to_string().parse().ok()) {
        answer.headers_mut().insert(NEXT_CURSOR, next);
    }
    Ok(answer)
}

async fn by_day(call: &Call, days: Days, of: Vec<Of>) -> Result<HttpResponse, ApiError> {
    let by = |by: Vec<Facet>| Sums {
        days,
        of: of.clone(),
        by_day: true,
        by,
        counting: Counting::Spend,
        order: Order::Name(MOST_LINES),
    };
    let questions = [
        by(Vec::new()),
        by(vec![Facet::User]),
        by(vec![Facet::ModelGroup]),
    ];
    let [totals, users, models] = sums(call, questions).await?;
    let mut answer: BTreeMap<i64, Day> = totals
        .into_iter()
        .filter_map(|line| Some((line.day?, Day::of(line.day?, line.tally.spend))))
        .collect();
    for (lines, is_user) in [(users, true), (models, false)] {
        for line in lines {
            let day = line.day.and_then(|day| answer.get_mut(&day));
            let name = line
                .names
                .into_iter()
                .next()
                .filter(|name| !name.is_empty());
            let (Some(day), Some(name)) = (day, name) else {
                continue;
            };
            let names = if is_user {
                &mut day.users
            } else {
                &mut day.models
            };
            names.insert(name, PlainUsd(line.tally.spend));
        }
    }
    let last_spent = answer.keys().next_back().copied();
    for day in last_spent.map_or(1, |day| day + 1)..=last_spent.map_or(0, |_| days.last) {
        answer.insert(day, Day::of(day, Usd::ZERO));
    }
    let answer: Vec<Day> = answer.into_values().collect();
    let columns = ["date", "kind", "name", "spend"];
    let lines = answer.iter().flat_map(Day::lines);
    csv::answer(call, "spend_by_day", &answer, &columns, lines)
}

/// A page of rows.
pub(crate) async fn page(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let (query, shows_words) = query(&caller.identity, &call).await?;
    let (page, page_size) = (query.skip / query.limit + 1, query.limit);
    let is_one = shows_words && query.filter.request_id.is_some();
    ship(&call).await;
    let LogPage { rows, next, total } = call.app().store.reports.log_page(query).await?;
    let said = said(&call, &rows, is_one).await?;
    let data = self::rows(&rows, &said);
    let answer = Page {
        data: &data,
        total,
        page,
        page_size,
        total_pages: total.div_ceil(page_size.into()),
        total_is_capped: total >= u64::from(MOST_ROWS),
        next_cursor: next,
    };
    csv::answer(
        &call,
        "spend_logs",
        &answer,
        Row::COLUMNS,
        data.iter().map(Row::cells),
    )
}

/// What was said in the rows of one `request_id`; pages of others are without.
async fn said(
    call: &Call,
    rows: &[SpendRecord],
    is_one: bool,
) -> Result<Vec<Option<Said>>, ApiError> {
    if is_one {
        transcript::of(call, rows).await
    } else {
        Ok(Vec::new())
    }
}

fn rows<'a>(rows: &'a [SpendRecord], said: &'a [Option<Said>]) -> Vec<Row<'a>> {
    let said = said.iter().map(Option::as_ref).chain(repeat(None));
    let rows = rows.iter().map(Row::of);
    rows.zip(said).map(|(row, said)| row.saying(said)).collect()
}

/// What is asked for, and whether the words of a request may be shown.
async fn query(identity: &Identity, call: &Call) -> Result<(LogQuery, bool), ApiError> {
    let sight = match (text(call, "team_id"), text(call, "organization_id")) {
        (Some(team), _) => Sight::within(call, identity, Facet::Team, &[team]).await?,
        (None, Some(name)) => Sight::within(call, identity, Facet::Organisation, &[name]).await?,
        (None, None) => Sight::of(identity),
    };
    let with = [
        ("model", LogColumn::Model),
        ("model_group", LogColumn::ModelGroup),
        ("model_id", LogColumn::Deployment),
        ("custom_llm_provider", LogColumn::Provider),
        ("key_alias", LogColumn::KeyAlias),
        ("organization_id", LogColumn::Organisation),
        ("error_code", LogColumn::ErrorCode),
    ];
    let mut filter = LogFilter {
        since: moment(call, "start_date", false)?,
        until: moment(call, "end_date", true)?,
        request_id: text(call, "request_id"),
        key: text(call, "api_key").map(key_id),
        user: sight.user(text(call, "user_id"))?,
        team: text(call, "team_id"),
        end_user: text(call, "end_user"),
        successful: status(call)?,
        with: with
            .into_iter()
            .filter_map(|(name, column)| Some((column, text(call, name)?)))
            .collect(),
        min_spend: amount(call, "min_spend")?,
        max_spend: amount(call, "max_spend")?,
        cache_hit: match text(call, "cache_hit_filter").as_deref() {
            None => None,
            Some("hit") => Some(true),
            Some("miss") => Some(false),
            Some(_) => {
                return Err(wrong(
                    "cache_hit_filter",
                    "'cache_hit_filter' must be hit or miss.",
                ));
            }
        },
    };
    sight.limit(&mut filter);
    for (name, only) in [("sort_by", "startTime"), ("sort_order", "desc")] {
        if text(call, name).is_some_and(|asked| asked != only) {
            return Err(wrong(
                name,
                format!(
                    "Rows are sorted by time, the newest first: leave '{name}' out or write {only}."
                ),
            ));
        }
    }
    let page = count(call, "page", 1, u32::MAX)?;
    let limit = count(call, "page_size", 50, MOST_ON_A_PAGE)?;
    let after = cursor(call)?;
    let skip = (page - 1).saturating_mul(limit);
    if skip.saturating_add(limit) > MOST_ROWS {
        return Err(wrong(
            "page",
            format!(
                "Pages end at row {MOST_ROWS}. Go on with ?cursor= and the next_cursor of the page before, or narrow the dates."
            ),
        ));
    }
    if after.is_some() && skip > 0 {
        return Err(wrong(
            "page",
            "'cursor' says where the page begins: leave 'page' out.",
        ));
    }
    let query = LogQuery {
        filter,
        after,
        skip,
        limit,
        count_to: MOST_ROWS,
    };
    Ok((query, sight.shows_words()))
}

fn status(call: &Call) -> Result<Option<bool>, ApiError> {
    for name in ["status_filter", "status"] {
        match text(call, name).as_deref() {
            None => {}
            Some("success") => return Ok(Some(true)),
            Some("failure") => return Ok(Some(false)),
            Some(_) => {
                let message = format!("'{name}' must be success or failure.");
                return Err(wrong(name, message));
            }
        }
    }
    Ok(None)
}

fn amount(call: &Call, name: &'static str) -> Result<Option<Usd>, ApiError> {
    text(call, name)
        .map(|text| {
            let amount = parse_price(&text);
            amount.map(Usd::rounded).ok_or_else(|| {
                wrong(
                    name,
                    format!("'{name}' must be an amount of USD, such as 0.5."),
                )
            })
        })
        .transpose()
}

fn cursor(call: &Call) -> Result<Option<RequestId>, ApiError> {
    text(call, "cursor")
        .map(|text| {
            text.parse().map_err(|_not_ours| {
                wrong("cursor", "'cursor' is not the next_cursor of an answer.")
            })
        })
        .transpose()
}

// === impl Day ===

impl Day {
    fn of(day: i64, spend: Usd) -> Self {
        Self {
            start_time: date(day).to_string(),
            spend: PlainUsd(spend),
            users: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }

    /// The day, then each of its names, for a table.
    fn lines(&self) -> Vec<Vec<Cell>> {
        let line = |kind: &str, name: &str, spend: PlainUsd| -> Vec<Cell> {
            let date = self.start_time.as_str();
            vec![date.into(), kind.into(), name.into(), spend.into()]
        };
        let users = self
            .users
            .iter()
            .map(|(name, spend)| line("user", name, *spend));
        let models = self
            .models
            .iter()
            .map(|(name, spend)| line("model", name, *spend));
        [line("total", "", self.spend)]
            .into_iter()
            .chain(users)
            .chain(models)
            .collect()
    }
}
