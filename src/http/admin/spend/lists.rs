//! Who and what cost how much: `/spend/tags` and `/global/spend/…`. Contract: `endpoints` §6.
//!
//! ```text
//! /global/spend/keys      [{"api_key","key_alias","key_name","total_spend"}]      the last 30 days, the dearest first
//! /global/spend/models    [{"model","total_spend"}]                                as above
//! /global/spend/provider  [{"provider","spend"}]
//! /global/spend/end_users [{"end_user","total_count","total_spend"}]
//! /global/spend/tags      {"spend_per_tag":[{"name","spend","log_count"}]}
//! /global/spend/teams     {"daily_spend":[{"date","team-a":0.5}],"teams":["team-a"],"total_spend_per_team":[{"team_id","total_spend"}]}
//! /global/spend/logs      [{"date","spend"}]
//! /spend/tags             [{"individual_request_tag","log_count","total_spend"}]
//! ```

use std::collections::{BTreeMap, HashMap};

use actix_web::HttpResponse;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use trunkline_actors::money::Usd;

use super::csv::{self, Cell};
use super::range::{self, date, ever, last_month};
use super::sight::key_id;
use super::{ship, sums};
use crate::http::admin::PlainUsd;
use crate::http::admin::query::{count, list, text, wrong};
use crate::http::error::ApiError;
use crate::http::extract::{Call, Caller, View};
use crate::storage::TenantKind;
use crate::storage::reports::{Counting, Days, Facet, KeyName, Of, Order, SumLine, Sums};

/// LiteLLM's number of models, and its number of customers.
const FEW: u32 = 10;
const MANY: u32 = 100;
/// The most lines of a list.
const MOST: u32 = 1_000;
/// The most names.
const MOST_NAMES: u32 = 100_000;

/// A name and what it cost: the line of most lists. Each list has its own words for them.
struct Named<'a> {
    words: Words,
    name: &'a str,
    requests: u64,
    spend: Usd,
}

/// The words of a list: for the name, the number of requests, if it has one, and the amount.
#[derive(Clone, Copy)]
struct Words(&'static str, Option<&'static str>, &'static str);

#[derive(Serialize)]
struct KeyLine<'a> {
    api_key: &'a str,
    key_alias: Option<&'a str>,
    key_name: Option<&'a str>,
    total_spend: PlainUsd,
}

/// The dearest of one sort.
pub(super) fn dearest(facet: Facet, days: Days, of: Vec<Of>, most: u32) -> Sums {
    Sums {
        days,
        of,
        by_day: false,
        by: vec![facet],
        counting: Counting::Spend,
        order: Order::Spend(most),
    }
}

/// `GET /global/spend/keys?limit=`.
pub(crate) async fn keys(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let limit = count(&call, "limit", MOST, MOST)?;
    let [lines] = sums(
        &call,
        [dearest(Facet::Key, last_month(), Vec::new(), limit)],
    )
    .await?;
    let names = key_names(&call, &lines).await?;
    let lines: Vec<KeyLine<'_>> = lines
        .iter()
        .filter_map(|line| {
            let id = line.names.first()?.as_str();
            let name = names.get(id);
            Some(KeyLine {
                api_key: id,
                key_alias: name.and_then(|name| name.alias.as_deref()),
                key_name: name.map(|name| name.key_name.as_str()),
                total_spend: PlainUsd(line.tally.spend),
            })
        })
        .collect();
    let columns = ["api_key", "key_alias", "key_name", "total_spend"];
    let cells = lines.iter().map(|line| {
        let KeyLine {
            api_key,
            key_alias,
            key_name,
            total_spend,
        } = *line;
        vec![
            api_key.into(),
            key_alias.into(),
            key_name.into(),
            total_spend.into(),
        ]
    });
    csv::answer(&call, "spend_by_key", &lines, &columns, cells)
}

/// The ids that some lines begin with, each once.
fn ids<'a>(lines: impl IntoIterator<Item = &'a SumLine>) -> Vec<String> {
    let mut ids: Vec<String> = lines
        .into_iter()
        .filter_map(|line| line.names.first().cloned())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What the keys are called that some lines begin with.
pub(super) async fn key_names(
    call: &Call,
    lines: &[SumLine],
) -> Result<HashMap<String, KeyName>, ApiError> {
    let names = call.app().store.reports.key_names(ids(lines)).await?;
    Ok(names
        .into_iter()
        .map(|name| (name.id.as_str().to_owned(), name))
        .collect())
}

/// `GET /global/spend/models?limit=`.
pub(crate) async fn models(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let limit = count(&call, "limit", FEW, MOST)?;
    let asked = dearest(Facet::ModelGroup, last_month(), Vec::new(), limit);
    named(
        &call,
        "spend_by_model",
        asked,
        Words("model", None, "total_spend"),
    )
    .await
}

/// `GET /global/spend/provider?start_date&end_date`.
pub(crate) async fn providers(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let days = range::required_dates(&call)?;
    let asked = dearest(Facet::Provider, days, Vec::new(), MOST);
    named(
        &call,
        "spend_by_provider",
        asked,
        Words("provider", None, "spend"),
    )
    .await
}

/// `GET /spend/tags?start_date&end_date`; without dates from the first day on.
pub(crate) async fn tags(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let days = range::dates(&call)?.unwrap_or_else(ever);
    let asked = dearest(Facet::Tag, days, Vec::new(), MOST);
    let words = Words("individual_request_tag", Some("log_count"), "total_spend");
    named(&call, "spend_by_tag", asked, words).await
}

#[derive(Serialize)]
struct TagsAnswer<'a> {
    spend_per_tag: &'a [Named<'a>],
}

/// `GET /global/spend/tags?start_date&end_date&tags=a,b`.
pub(crate) async fn global_tags(
    _caller: Caller<View>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let days = range::required_dates(&call)?;
    // LiteLLM's dashboard sends this for no filter.
    let wanted = list(&call, "tags")?
        .filter(|tags| !tags.iter().any(|tag| tag == "all-tags"))
        .map(|tags| Of::these(Facet::Tag, tags));
    let asked = dearest(Facet::Tag, days, wanted.into_iter().collect(), MOST);
    let [lines] = sums(&call, [asked]).await?;
    let words = Words("name", Some("log_count"), "spend");
    let lines: Vec<Named<'_>> = lines.iter().filter_map(|line| words.of(line)).collect();
    let answer = TagsAnswer {
        spend_per_tag: &lines,
    };
    let cells = lines.iter().map(Named::cells);
    csv::answer(&call, "spend_by_tag", &answer, &words.columns(), cells)
}

#[derive(Default, Deserialize)]
struct EndUsersBody {
    api_key: Option<String>,
    #[serde(rename = "startTime")]
    start: Option<String>,
    #[serde(rename = "endTime")]
    end: Option<String>,
}

/// `POST /global/spend/end_users {api_key, startTime, endTime}`: the hundred dearest customers.
pub(crate) async fn end_users(
    _caller: Caller<View>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = call.json_body().await?;
    let body: EndUsersBody = if body.is_empty() {
        EndUsersBody::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|err| wrong("request_body", format!("Invalid JSON payload: {err}")))?
    };
    let month = last_month();
    let day = |text: Option<String>, name: &'static str, default: i64| match text {
        None => Ok(default),
        Some(text) => range::day_of_time(&text).ok_or_else(|| {
            wrong(
                name,
                format!("'{name}' is no time; write YYYY-MM-DD or an ISO 8601 time."),
            )
        }),
    };
    let days = Days {
        first: day(body.start, "startTime", month.first)?,
        last: day(body.end, "endTime", month.last)?,
    };
    let of = body.api_key.map(|key| Of::one(Facet::Key, key_id(key)));
    let asked = dearest(Facet::EndUser, days, of.into_iter().collect(), MANY);
    let words = Words("end_user", Some("total_count"), "total_spend");
    named(&call, "spend_by_customer", asked, words).await
}

async fn named(
    call: &Call,
    file: &str,
    asked: Sums,
    words: Words,
) -> Result<HttpResponse, ApiError> {
    let [lines] = sums(call, [asked]).await?;
    let lines: Vec<Named<'_>> = lines.iter().filter_map(|line| words.of(line)).collect();
    let cells = lines.iter().map(Named::cells);
    csv::answer(call, file, &lines, &words.columns(), cells)
}

#[derive(Serialize)]
struct TeamsAnswer {
    daily_spend: Vec<TeamDay>,
    teams: Vec<String>,
    total_spend_per_team: Vec<TeamTotal>,
}

#[derive(Serialize)]
struct TeamDay {
    date: String,
    #[serde(flatten)]
    teams: BTreeMap<String, PlainUsd>,
}

#[derive(Serialize)]
struct TeamTotal {
    team_id: String,
    total_spend: PlainUsd,
}

/// `GET /global/spend/teams`: the last 30 days by team, of the hundred dearest teams.
pub(crate) async fn teams(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let days = last_month();
    let by_day = Sums {
        days,
        of: Vec::new(),
        by_day: true,
        by: vec![Facet::Team],
        counting: Counting::Spend,
        order: Order::SpendOfEachDay(MANY),
    };
    let asked = [dearest(Facet::Team, days, Vec::new(), MANY), by_day];
    let [totals, by_day] = sums(&call, asked).await?;
    let aliases = team_aliases(&call, totals.iter().chain(&by_day)).await?;
    // LiteLLM's column is called `team_id` and holds the team's name.
    let name = |line: SumLine| {
        let team = line.names.into_iter().next()?;
        Some(aliases.get(&team).cloned().unwrap_or(team))
    };
    let total_spend_per_team: Vec<TeamTotal> = totals
        .into_iter()
        .filter_map(|line| {
            Some(TeamTotal {
                total_spend: PlainUsd(line.tally.spend),
                team_id: name(line)?,
            })
        })
        .collect();
    let mut daily: BTreeMap<i64, TeamDay> = BTreeMap::new();
    for line in by_day {
        let spend = PlainUsd(line.tally.spend);
        let (Some(day), Some(team)) = (line.day, name(line)) else {
            continue;
        };
        let of_day = daily.entry(day).or_insert_with(|| TeamDay {
            date: date(day).to_string(),
            teams: BTreeMap::new(),
        });
        of_day.teams.insert(team, spend);
    }
    let answer = TeamsAnswer {
        daily_spend: daily.into_values().collect(),
        teams: total_spend_per_team
            .iter()
            .map(|total| total.team_id.clone())
            .collect(),
        total_spend_per_team,
    };
    let cells = answer.total_spend_per_team.iter().map(|total| {
        let team = total.team_id.as_str();
        vec![team.into(), total.total_spend.into()]
    });
    let columns = ["team_id", "total_spend"];
    csv::answer(&call, "spend_by_team", &answer, &columns, cells)
}

#[derive(Serialize)]
struct DayLine {
    date: String,
    spend: PlainUsd,
}

/// `GET /global/spend/logs?api_key=`: each of the last 30 days that anything was spent on.
pub(crate) async fn days(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let key = text(&call, "api_key").map(|key| Of::one(Facet::Key, key_id(key)));
    let asked = Sums {
        days: last_month(),
        of: key.into_iter().collect(),
        by_day: true,
        by: Vec::new(),
        counting: Counting::Spend,
        order: Order::Name(MOST),
    };
    let [lines] = sums(&call, [asked]).await?;
    let lines: Vec<DayLine> = lines
        .into_iter()
        .filter_map(|line| {
            Some(DayLine {
                date: date(line.day?).to_string(),
                spend: PlainUsd(line.tally.spend),
            })
        })
        .collect();
    let cells = lines
        .iter()
        .map(|line| vec![line.date.as_str().into(), line.spend.into()]);
    csv::answer(&call, "spend_by_day", &lines, &["date", "spend"], cells)
}

#[derive(Serialize)]
struct TagNames {
    tag_names: Vec<String>,
}

/// `GET /global/spend/all_tag_names`.
pub(crate) async fn all_tag_names(
    _caller: Caller<View>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let tag_names = call
        .app()
        .store
        .reports
        .names(Facet::Tag, MOST_NAMES)
        .await?;
    Ok(HttpResponse::Ok().json(TagNames { tag_names }))
}

#[derive(Serialize)]
struct EndUserNames {
    end_users: Vec<String>,
}

/// `GET /global/spend/all_end_users`.
pub(crate) async fn all_end_users(
    _caller: Caller<View>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    ship(&call).await;
    let end_users = call
        .app()
        .store
        .reports
        .names(Facet::EndUser, MOST_NAMES)
        .await?;
    Ok(HttpResponse::Ok().json(EndUserNames { end_users }))
}

/// What the teams are called that some lines begin with, and that have a name besides their id.
pub(super) async fn team_aliases<'a>(
    call: &Call,
    lines: impl IntoIterator<Item = &'a SumLine>,
) -> Result<HashMap<String, String>, ApiError> {
    let tenants = &call.app().store.tenants;
    let teams = tenants.by_ids(TenantKind::Team, ids(lines)).await?;
    Ok(teams
        .into_iter()
        .filter_map(|team| Some((team.id, team.alias?)))
        .collect())
}

// === impl Words ===

impl Words {
    fn of(self, line: &SumLine) -> Option<Named<'_>> {
        Some(Named {
            words: self,
            name: line.names.first()?,
            requests: line.tally.requests,
            spend: line.tally.spend,
        })
    }

    fn columns(self) -> Vec<&'static str> {
        let Self(name, requests, spend) = self;
        [Some(name), requests, Some(spend)]
            .into_iter()
            .flatten()
            .collect()
    }
}

// === impl Named ===

impl Named<'_> {
    fn cells(&self) -> Vec<Cell> {
        let requests = self.words.1.map(|_| self.requests.into());
        [
            Some(self.name.into()),
            requests,
            Some(PlainUsd(self.spend).into()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Words(name, requests, spend) = self.words;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(name, self.name)?;
        if let Some(requests) = requests {
            map.serialize_entry(requests, &self.requests)?;
        }
        map.serialize_entry(spend, &PlainUsd(self.spend))?;
        map.end()
    }
}
