//! `GET /v2/model/info`: the rows of `/model/info` page by page, searched, narrowed and sorted. Contract: `endpoints` §5, and
//! LiteLLM 1.106.2's own parameters.
//!
//! ```json
//! {"data":[{"model_name":"gpt-4o","litellm_params":{…},"model_info":{…}}],"total_count":1,"current_page":1,"total_pages":1,"size":50}
//! ```
//!
//! Nobody sees more than `/model/info` shows them: each parameter leaves something out. What LiteLLM takes besides, `debug` and
//! `include_team_models`, adds nothing here and is passed over.

use std::cmp::Ordering;
use std::collections::HashMap;

use actix_web::HttpResponse;
use rust_decimal::Decimal;
use serde::Serialize;
use trunkline_actors::clock::UnixMs;

use super::model_info::{Facts, Row, row};
use super::query::{self, Sizes, flag, text, wrong};
use super::reach::{Hold, Reach};
use crate::auth::may_use_model;
use crate::config::DeploymentConfig;
use crate::cost::PriceBook;
use crate::dispatch::Target;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AboutModels, Call, Caller};
use crate::storage::{EntryKind, EntryRow, TenantKind, TenantRow};

/// Deployments of a page.
const DEPLOYMENTS: Sizes = Sizes {
    name: "size",
    usual: 50,
    largest: 1_000,
};

#[derive(Serialize)]
struct Answer<'a> {
    data: Vec<Row<'a>>,
    total_count: usize,
    current_page: u32,
    total_pages: usize,
    size: u32,
}

/// What to leave out.
struct Filter {
    model: Option<String>,
    /// Part of a name, in small letters.
    search: Option<String>,
    id: Option<String>,
    access_group: Option<String>,
    team: Option<TenantRow>,
    only_patterns: bool,
    /// Stored by that user.
    maker: Option<String>,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortBy {
    Name,
    Created,
    Updated,
    Costs,
    Status,
}

/// What a deployment is sorted by. Of `None`, nothing is known: it comes last, as LiteLLM has it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Name(String),
    At(UnixMs),
    Price(Decimal),
    IsStored(bool),
}

/// One page.
pub(crate) async fn list(
    caller: Caller<AboutModels>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let page = query::page(&call, DEPLOYMENTS, "Narrow the list with 'search'.")?;
    let sort = SortBy::read(&call)?;
    let is_descending = match text(&call, "sortOrder").as_deref() {
        None => false,
        Some(order) if order.eq_ignore_ascii_case("asc") => false,
        Some(order) if order.eq_ignore_ascii_case("desc") => true,
        Some(_) => return Err(wrong("sortOrder", "'sortOrder' must be asc or desc.")),
    };
    let filter = Filter::read(&caller, &call).await?;
    let app = call.app();
    let rows = if filter.maker.is_some() || sort.is_some_and(SortBy::needs_rows) {
        app.store.entries.all().await?
    } else {
        Vec::new()
    };
    let stored: HashMap<&str, &EntryRow> = rows
        .iter()
        .filter(|row| row.kind == EntryKind::Model)
        .map(|row| (row.id.as_str(), row))
        .collect();
    let (targets, prices) = (app.shared.targets(), app.shared.prices.load());
    let mut found: Vec<(Option<Rank>, &Target)> = targets
        .iter()
        .map(|target| (target, row_of(&stored, &target.config)))
        .filter(|(target, _)| caller.identity.may_use(&target.config))
        .filter(|(target, stored)| filter.admits(&target.config, *stored))
        .map(|(target, stored)| {
            let rank = sort.and_then(|sort| sort.rank(&prices, target, stored));
            (rank, &**target)
        })
        .collect();
    if sort.is_some() {
        // In the order of the config, where they are alike.
        found.sort_by(|(a, _), (b, _)| {
            let order = match (a, b) {
                (Some(a), Some(b)) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            if is_descending {
                order.reverse()
            } else {
                order
            }
        });
    }
    let total_count = found.len();
    let (skip, size) = (page.skip as usize, page.size as usize);
    let data = found
        .into_iter()
        .skip(skip)
        .take(size)
        .map(|(_, target)| row(&prices, target))
        .collect();
    Ok(HttpResponse::Ok().json(Answer {
        data,
        total_count,
        current_page: page.number,
        total_pages: total_count.div_ceil(size),
        size: page.size,
    }))
}

fn row_of<'a>(
    stored: &HashMap<&str, &'a EntryRow>,
    deployment: &DeploymentConfig,
) -> Option<&'a EntryRow> {
    let id = deployment.stored_as.as_deref()?;
    stored.get(id).copied()
}

// === impl Filter ===

impl Filter {
    async fn read(caller: &Caller<AboutModels>, call: &Call) -> Result<Self, ApiError> {
        let trimmed = |name| {
            let text = text(call, name)?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let team = match trimmed("teamId") {
            Some(id) => Some(team(caller, call, id).await?),
            None => None,
        };
        // They choose among deployments and are none; this gateway has no such entries, so there are none to leave out.
        flag(call, "exclude_auto_routers")?;
        let maker = flag(call, "user_models_only")?;
        let user = caller.identity.user_name().unwrap_or_default();
        Ok(Self {
            model: text(call, "model"),
            search: trimmed("search").map(|text| text.to_lowercase()),
            id: text(call, "modelId"),
            access_group: text(call, "access_group"),
            team,
            only_patterns: flag(call, "wildcard_only")?,
            maker: maker.then(|| user.to_owned()),
        })
    }

    fn admits(&self, deployment: &DeploymentConfig, stored: Option<&EntryRow>) -> bool {
        let name = deployment.public_name();
        let names = [deployment.model_name.as_str(), name];
        let groups = &deployment.model_info.access_groups;
        let search = |part: &String| name.to_lowercase().contains(part);
        let made_by = |user: &String| {
            let by = stored.and_then(|row| row.created_by.as_ref());
            !user.is_empty() && by == Some(user)
        };
        self.model
            .as_deref()
            .is_none_or(|model| names.contains(&model))
            && self.search.as_ref().is_none_or(search)
            && self.id.as_ref().is_none_or(|id| *id == deployment.id)
            && self
                .access_group
                .as_ref()
                .is_none_or(|group| groups.contains(group))
            && self
                .team
                .as_ref()
                .is_none_or(|team| is_for_team(team, deployment))
            && (!self.only_patterns || deployment.model_name.contains('*'))
            && self.maker.as_ref().is_none_or(made_by)
    }
}

/// The team whose models are asked for: of the caller's own, but for administrators.
async fn team(
    caller: &Caller<AboutModels>,
    call: &Call,
    id: String,
) -> Result<TenantRow, ApiError> {
    let reach = Reach::of(call, &caller.identity).await?;
    let tenants = &call.app().store.tenants;
    let found = tenants.by_id(TenantKind::Team, id.clone()).await?;
    let own = caller.identity.team();
    let is_own = own.is_some_and(|team| team.as_str() == id);
    let hold = found.as_ref().map_or(Hold::None, |row| reach.team(row));
    if !reach.is_everything() && !is_own {
        hold.at_least(Hold::Sees, "teamId")?;
    }
    found.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("There is no team '{id}'. GET /team/list lists them."),
        )
        .param("teamId")
    })
}

/// Whether a team may call it: its own, and everybody's that its list of models names.
fn is_for_team(team: &TenantRow, deployment: &DeploymentConfig) -> bool {
    let groups = &deployment.model_info.access_groups;
    let in_access_group = |name: &str| groups.iter().any(|group| group == name);
    match &deployment.team {
        Some(owner) => owner.team_id == team.id,
        None => may_use_model(&team.models, &deployment.model_name, in_access_group),
    }
}

// === impl SortBy ===

impl SortBy {
    fn read(call: &Call) -> Result<Option<Self>, ApiError> {
        Ok(Some(match text(call, "sortBy").as_deref() {
            None => return Ok(None),
            Some("model_name") => Self::Name,
            Some("created_at") => Self::Created,
            Some("updated_at") => Self::Updated,
            Some("costs") => Self::Costs,
            Some("status") => Self::Status,
            Some(_) => {
                return Err(wrong(
                    "sortBy",
                    "'sortBy' must be model_name, created_at, updated_at, costs or status.",
                ));
            }
        }))
    }

    /// Only rows of the database have times.
    fn needs_rows(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }

    fn rank(self, prices: &PriceBook, target: &Target, stored: Option<&EntryRow>) -> Option<Rank> {
        let deployment = &target.config;
        match self {
            Self::Name => Some(Rank::Name(deployment.public_name().to_lowercase())),
            Self::Created => stored.map(|row| Rank::At(row.created_at)),
            Self::Updated => stored.map(|row| Rank::At(row.updated_at)),
            Self::Costs => {
                let facts = Facts::of(prices, target, &deployment.upstream_model);
                let output = facts.output.unwrap_or_default();
                let price = facts.input.unwrap_or_default().checked_add(output)?;
                (price > Decimal::ZERO).then_some(Rank::Price(price))
            }
            Self::Status => Some(Rank::IsStored(deployment.stored_as.is_some())),
        }
    }
}
