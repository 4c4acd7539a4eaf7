//! What was spent on each day, and on what: `/user/daily/activity`, and the same for teams, organisations, tags and customers.
//! Contract: `endpoints` §6, §10.
//!
//! ```json
//! {"results":[{"date":"2026-11-23","metrics":{"spend":0.5,"api_requests":3,…},
//!              "breakdown":{"models":{"gpt-5":{"metrics":{…},"metadata":{},"api_key_breakdown":{}}},"model_groups":{…},"providers":{…},
//!                           "endpoints":{…},"api_keys":{"…":{"metrics":{…},"metadata":{"key_alias":"mine"}}},"entities":{…}}}],
//!  "metadata":{"total_spend":0.5,…,"page":1,"total_pages":1,"has_more":false,"breakdown_limit":100,"omitted":[]}}
//! ```
//!
//! A page is `page_size` days (7; over all tags or all customers 1), the newest first, and a day is never on two pages; `metadata` sums the page, so pages can be
//! added. Each break-down of a day names the `breakdown_limit` (ours) dearest. Over all tags or all customers there are
//! entities alone: the rest is `omitted` until some are named.

use std::collections::{BTreeMap, HashMap};

use actix_web::HttpResponse;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use trunkline_actors::ids::UserId;

use super::csv::{self, Cell};
use super::lists::{key_names, team_aliases};
use super::range::{date, required_dates};
use super::ship;
use super::sight::{Sight, key_id};
use crate::auth::Identity;
use crate::http::admin::PlainUsd;
use crate::http::admin::query::{count, list, text, wrong};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, Own, View};
use crate::storage::reports::{
    Counting, Days, Facet, KeyName, Of, Order, SumLine, Sums, Tally, Which,
};

/// Names in a break-down of a day.
const NAMES: u32 = 100;
const MOST_NAMES: u32 = 1_000;
const MOST_DAYS: u32 = 1_000;
/// Of a page that says nothing else: of large books, the break-downs of a month are seconds of work and megabytes.
const A_WEEK: u32 = 7;
/// Of all customers there may be tens of thousands, each with a line a day.
const A_DAY: u32 = 1;

/// One break-down: the word for it, and by what.
type Breakdown = (&'static str, Facet);

const BREAKDOWNS: [Breakdown; 5] = [
    ("models", Facet::Model),
    ("model_groups", Facet::ModelGroup),
    ("providers", Facet::Provider),
    ("endpoints", Facet::CallType),
    ("api_keys", Facet::Key),
];

/// `GET /user/daily/activity?start_date&end_date&user_id&model&api_key&page&page_size`.
pub(crate) async fn of_user(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    let sight = Sight::of(&caller.identity);
    let user = sight.user(text(&call, "user_id"))?;
    let of = user.map(|user| Of::one(Facet::User, user));
    activity(&sight, &call, Facet::User, of).await
}

/// `GET /team/daily/activity?…&team_ids=a,b`.
pub(crate) async fn of_team(caller: Caller<Own>, call: Call) -> Result<HttpResponse, ApiError> {
    within(&caller.identity, &call, Facet::Team, "team_ids").await
}

/// `GET /organization/daily/activity?…&organization_ids=a,b`.
pub(crate) async fn of_organisation(
    caller: Caller<Own>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    within(
        &caller.identity,
        &call,
        Facet::Organisation,
        "organization_ids",
    )
    .await
}

/// `GET /tag/daily/activity?…&tags=a,b`.
pub(crate) async fn of_tag(caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let of = named(&call, Facet::Tag, "tags")?;
    let sight = Sight::of(&caller.identity);
    activity(&sight, &call, Facet::Tag, Some(of)).await
}

/// `GET /customer/daily/activity?…&end_user_ids=a,b`.
pub(crate) async fn of_customer(
    caller: Caller<View>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let of = named(&call, Facet::EndUser, "end_user_ids")?;
    let sight = Sight::of(&caller.identity);
    activity(&sight, &call, Facet::EndUser, Some(of)).await
}

/// Of teams or organisations: all of those that are named and that the caller manages, else what is its own.
async fn within(
    identity: &Identity,
    call: &Call,
    facet: Facet,
    param: &'static str,
) -> Result<HttpResponse, ApiError> {
    let of = named(call, facet, param)?;
    let names = match &of.which {
        Which::OneOf(names) => names.as_slice(),
        Which::Named => &[],
    };
    let sight = Sight::within(call, identity, facet, names).await?;
    activity(&sight, call, facet, Some(of)).await
}

/// Those that the query names, else all that have a name.
fn named(call: &Call, facet: Facet, param: &'static str) -> Result<Of, ApiError> {
    let which = list(call, param)?.map_or(Which::Named, Which::OneOf);
    Ok(Of { facet, which })
}

async fn activity(
    sight: &Sight,
    call: &Call,
    entity: Facet,
    of: Option<Of>,
) -> Result<HttpResponse, ApiError> {
    // A label's details are many lines of a request each: all labels together are told by their sums alone.
    let is_label = matches!(entity, Facet::Tag | Facet::EndUser);
    let is_open = is_label && of.as_ref().is_none_or(|of| of.which == Which::Named);
    let page = Page::of(call, if is_open { A_DAY } else { A_WEEK })?;
    let filters = [("model", Facet::Model), ("api_key", Facet::Key)];
    let filters: Vec<Of> = filters
        .into_iter()
        .filter_map(|(name, facet)| Some((facet, text(call, name)?)))
        .map(|(facet, name)| match facet {
            Facet::Key => Of::one(facet, key_id(name)),
            facet => Of::one(facet, name),
        })
        .collect();
    if is_open && !filters.is_empty() {
        let param = if entity == Facet::Tag {
            "tags"
        } else {
            "end_user_ids"
        };
        let message = format!("'model' and 'api_key' need '{param}' beside them: name some.");
        return Err(wrong(param, message));
    }
    let breakdowns: &[Breakdown] = if is_open { &[] } else { &BREAKDOWNS };
    let mut all = sight.limits();
    all.extend(of);
    all.extend(filters);

    let question = |by: Vec<Facet>| Sums {
        days: page.days,
        of: all.clone(),
        by_day: true,
        by,
        counting: Counting::All,
        order: Order::SpendOfEachDay(page.names),
    };
    let questions = [Vec::new(), vec![entity]]
        .into_iter()
        .chain(breakdowns.iter().map(|(_, facet)| vec![*facet]))
        .map(question)
        .collect();
    ship(call).await;
    let answers = call.app().store.reports.sums(questions).await?;
    let mut answers = answers.into_iter();
    let totals = answers.next().unwrap_or_default();
    let entities = answers.next().unwrap_or_default();
    let parts: Vec<(Breakdown, Vec<SumLine>)> = [("entities", entity)]
        .iter()
        .chain(breakdowns)
        .copied()
        .zip([entities].into_iter().chain(answers))
        .collect();
    let by = |facet| parts.iter().find(move |((_, by), _)| *by == facet);
    let keys = match by(Facet::Key) {
        Some((_, lines)) => key_names(call, lines).await?,
        None => HashMap::new(),
    };
    let teams = match by(Facet::Team) {
        Some((_, lines)) => team_aliases(call, lines).await?,
        None => HashMap::new(),
    };
    let names = Names { keys, teams };
    answer(call, &page, &totals, parts, &names, breakdowns)
}

/// What things are called besides their ids.
struct Names {
    keys: HashMap<String, KeyName>,
    teams: HashMap<String, String>,
}

fn answer(
    call: &Call,
    page: &Page,
    totals: &[SumLine],
    parts: Vec<(Breakdown, Vec<SumLine>)>,
    names: &Names,
    breakdowns: &[Breakdown],
) -> Result<HttpResponse, ApiError> {
    let mut sum = Tally::default();
    let mut results: BTreeMap<i64, Day<'_>> = BTreeMap::new();
    for line in totals {
        let Some(day) = line.day else { continue };
        sum.add(&line.tally);
        let new = Day {
            date: date(day).to_string(),
            metrics: Metrics(line.tally),
            breakdown: BTreeMap::new(),
        };
        results.insert(day, new);
    }
    for ((word, facet), lines) in parts {
        for day in results.values_mut() {
            day.breakdown.entry(word).or_default();
        }
        for line in lines {
            let day = line.day.and_then(|day| results.get_mut(&day));
            let Some((day, name)) = day.zip(line.names.into_iter().next()) else {
                continue;
            };
            let part = Part {
                metrics: Metrics(line.tally),
                metadata: match facet {
                    Facet::Key => PartMetadata::Key(KeyMetadata::of(names.keys.get(&name))),
                    Facet::Team => PartMetadata::Team {
                        team_alias: names.teams.get(&name).map(String::as_str),
                    },
                    _ => PartMetadata::Nothing {},
                },
            };
            let name = match (facet, name.as_str()) {
                (Facet::CallType, call_type) => endpoint(call_type).to_owned(),
                (_, "") => "Unassigned".to_owned(),
                _ => name,
            };
            day.breakdown.entry(word).or_default().insert(name, part);
        }
    }
    let results: Vec<Day<'_>> = results.into_values().rev().collect();
    let omitted = BREAKDOWNS
        .iter()
        .filter(|breakdown| !breakdowns.contains(breakdown))
        .map(|(word, _)| *word);
    let answer = Answer {
        metadata: Metadata {
            sum,
            page,
            omitted: omitted.collect(),
        },
        results,
    };
    let lines = answer.results.iter().flat_map(Day::lines);
    csv::answer(call, "daily_activity", &answer, &Day::COLUMNS, lines)
}

/// LiteLLM's name of the endpoint that a sort of call comes from; the sort itself where it has none.
fn endpoint(call_type: &str) -> &str {
    match call_type {
        "acompletion" => "/chat/completions",
        "atext_completion" => "/completions",
        "aembedding" => "/embeddings",
        "anthropic_messages" => "/v1/messages",
        other => other,
    }
}

/// Which days.
struct Page {
    page: u32,
    pages: u64,
    days: Days,
    names: u32,
}

#[derive(Serialize)]
struct Answer<'a> {
    results: Vec<Day<'a>>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Day<'a> {
    date: String,
    metrics: Metrics,
    breakdown: BTreeMap<&'static str, BTreeMap<String, Part<'a>>>,
}

struct Part<'a> {
    metrics: Metrics,
    metadata: PartMetadata<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PartMetadata<'a> {
    Key(KeyMetadata<'a>),
    Team { team_alias: Option<&'a str> },
    Nothing {},
}

#[derive(Serialize)]
struct KeyMetadata<'a> {
    key_alias: Option<&'a str>,
    key_name: Option<&'a str>,
    user_id: Option<&'a str>,
    key_exists: bool,
}

struct Metrics(Tally);

struct Metadata<'a> {
    sum: Tally,
    page: &'a Page,
    omitted: Vec<&'static str>,
}

// === impl Page ===

impl Page {
    /// `usual` is how many days there are on it.
    fn of(call: &Call, usual: u32) -> Result<Self, ApiError> {
        let days = required_dates(call)?;
        let page = count(call, "page", 1, u32::MAX)?;
        let size = count(call, "page_size", usual, MOST_DAYS)?;
        // The newest days are on the first page. Pages behind the last one have none.
        let last = days.last - i64::from(page - 1).saturating_mul(size.into());
        Ok(Self {
            page,
            pages: days.count().div_ceil(size.into()),
            days: Days {
                first: days.first.max(last - i64::from(size) + 1),
                last,
            },
            names: count(call, "breakdown_limit", NAMES, MOST_NAMES)?,
        })
    }
}

// === impl Day ===

impl Day<'_> {
    const COLUMNS: [&'static str; 11] = [
        "date",
        "breakdown",
        "name",
        "spend",
        "api_requests",
        "successful_requests",
        "failed_requests",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "unpriced_requests",
    ];

    /// The day, then each of its names, for a table.
    fn lines(&self) -> Vec<Vec<Cell>> {
        let line = |breakdown: &str, name: &str, Metrics(tally): &Metrics| -> Vec<Cell> {
            vec![
                self.date.as_str().into(),
                breakdown.into(),
                name.into(),
                PlainUsd(tally.spend).into(),
                tally.requests.into(),
                tally.successful.into(),
                tally.failed.into(),
                tally.prompt_tokens.into(),
                tally.completion_tokens.into(),
                tally.total_tokens().into(),
                tally.unpriced.into(),
            ]
        };
        let parts = self.breakdown.iter().flat_map(|(word, parts)| {
            parts
                .iter()
                .map(|(name, part)| line(word, name, &part.metrics))
        });
        [line("total", "", &self.metrics)]
            .into_iter()
            .chain(parts)
            .collect()
    }
}

// === impl KeyMetadata ===

impl<'a> KeyMetadata<'a> {
    fn of(name: Option<&'a KeyName>) -> Self {
        Self {
            key_alias: name.and_then(|name| name.alias.as_deref()),
            key_name: name.map(|name| name.key_name.as_str()),
            user_id: name.and_then(|name| name.user.as_ref()).map(UserId::as_str),
            key_exists: name.is_some(),
        }
    }
}

// === impl Part ===

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("metadata", &self.metadata)?;
        map.serialize_entry("metrics", &self.metrics)?;
        if !matches!(self.metadata, PartMetadata::Key(_)) {
            map.serialize_entry("api_key_breakdown", &BTreeMap::<&str, ()>::new())?;
        }
        map.end()
    }
}

// === impl Metrics ===

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        metrics::<S>(&mut map, "", &self.0)?;
        map.end()
    }
}

// === impl Metadata ===

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let page = self.page;
        let mut map = serializer.serialize_map(None)?;
        metrics::<S>(&mut map, "total_", &self.sum)?;
        map.serialize_entry("page", &page.page)?;
        map.serialize_entry("total_pages", &page.pages)?;
        map.serialize_entry("has_more", &(u64::from(page.page) < page.pages))?;
        map.serialize_entry("breakdown_limit", &page.names)?;
        map.serialize_entry("omitted", &self.omitted)?;
        map.end()
    }
}

/// The sums under LiteLLM's names, each with a prefix.
fn metrics<S: Serializer>(
    map: &mut S::SerializeMap,
    prefix: &str,
    tally: &Tally,
) -> Result<(), S::Error> {
    let key = |name: &str| {
        // `total_` is not said twice.
        let name = if prefix.is_empty() {
            name
        } else {
            name.trim_start_matches("total_")
        };
        format!("{prefix}{name}")
    };
    map.serialize_entry(&key("spend"), &PlainUsd(tally.spend))?;
    for (name, count) in [
        ("prompt_tokens", tally.prompt_tokens),
        ("completion_tokens", tally.completion_tokens),
        ("cache_read_input_tokens", tally.cache_read_tokens),
        ("cache_creation_input_tokens", tally.cache_write_tokens),
        ("total_tokens", tally.total_tokens()),
        ("api_requests", tally.requests),
        ("successful_requests", tally.successful),
        ("failed_requests", tally.failed),
        ("total_response_time_ms", tally.duration_ms),
        ("timed_requests", tally.requests),
        ("unpriced_requests", tally.unpriced),
    ] {
        map.serialize_entry(&key(name), &count)?;
    }
    Ok(())
}
