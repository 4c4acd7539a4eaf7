//! `rpm_limit_type` and `tpm_limit_type` of a key: what its limits of requests and tokens promise. Contract: `endpoints` §3.1,
//! `auth-budgets-limits` §6.
//!
//! | word | the limit |
//! | --- | --- |
//! | `best_effort_throughput` | holds; the default |
//! | `guaranteed_throughput` | holds, and is refused where the keys of its team or organisation would have more than that has |
//! | `dynamic` | holds only while a deployment of the model fails |

use serde_json::{Map, Value};
use trunkline_actors::ids::{OrganisationId, TeamId};

use super::super::fields::Fields;
use crate::auth::{RPM_LIMIT_TYPE, TPM_LIMIT_TYPE};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{KeyFilter, KeyPage, KeyRow, TenantKind, TenantRow, Terms};

const GUARANTEED: &str = "guaranteed_throughput";
const WORDS: [&str; 3] = [GUARANTEED, "best_effort_throughput", "dynamic"];

/// Keys that are read at once.
const PAGE: u32 = 1_000;

/// One of a key's or somebody else's limits.
type Limit = fn(&Terms) -> Option<u64>;

/// The limits that may be guaranteed: the type's name, the limit's, and where it stands.
const LIMITS: [(&str, &str, Limit); 2] = [
    (RPM_LIMIT_TYPE, "rpm_limit", |terms| terms.rpm_limit),
    (TPM_LIMIT_TYPE, "tpm_limit", |terms| terms.tpm_limit),
];

/// A limit that a key guarantees.
struct Promise {
    sort: &'static str,
    name: &'static str,
    limit: Limit,
    own: u64,
}

/// Changes `settings` as the body says.
///
/// # Errors
/// 400 names the member and what to write.
pub(super) fn change(fields: &Fields, settings: &mut Map<String, Value>) -> Result<(), ApiError> {
    for (name, ..) in LIMITS {
        let word = fields.text(name)?;
        let word = word.try_map(|word| {
            if WORDS.contains(&word.as_str()) {
                return Ok(Value::from(word));
            }
            let text = format!("'{name}' must be one of {}.", WORDS.join(", "));
            Err(ApiError::new(Code::BadRequest, text).param(name))
        })?;
        word.put(settings, name);
    }
    Ok(())
}

/// Whether what the key guarantees is there: its team, or the organisation that its requests are charged to, has no less than all
/// its keys together. `before` is the key as it is stored: what it promised then is not looked at again.
///
/// Two keys that are made at the same moment may get what is there for one: limits hold all the same, and the next change of
/// either's limits is refused.
///
/// # Errors
/// 400 names the limit, and how much of it is left.
pub(super) async fn check(
    call: &Call,
    before: Option<&KeyRow>,
    row: &KeyRow,
) -> Result<(), ApiError> {
    let promises: Vec<Promise> = LIMITS
        .into_iter()
        .filter(|(sort, _, limit)| before.is_none_or(|before| is_new(before, row, sort, *limit)))
        .filter_map(|limit| Promise::of(row, limit))
        .collect();
    if promises.is_empty() {
        return Ok(());
    }
    let team = match &row.team {
        Some(team) => find(call, TenantKind::Team, team.as_str()).await?,
        None => None,
    };
    // As requests are charged: a team's key is its team's organisation's.
    let of_team = team.as_ref().and_then(|team| team.organisation.as_ref());
    let organisation = match of_team.or(row.organisation.as_ref()) {
        Some(id) => find(call, TenantKind::Organisation, id.as_str()).await?,
        None => None,
    };
    for tenant in [team, organisation].into_iter().flatten() {
        check_of(call, tenant, row, &promises).await?;
    }
    Ok(())
}

/// Whether a key promises something else of a limit than before, or to somebody else.
fn is_new(before: &KeyRow, row: &KeyRow, sort: &str, limit: Limit) -> bool {
    before.settings.get(sort) != row.settings.get(sort)
        || limit(&before.terms) != limit(&row.terms)
        || before.team != row.team
        || before.organisation != row.organisation
}

async fn find(call: &Call, kind: TenantKind, id: &str) -> Result<Option<TenantRow>, ApiError> {
    let tenants = &call.app().store.tenants;
    Ok(tenants.by_id(kind, id.to_owned()).await?)
}

/// Whether one of those whom the key belongs to has what it promises.
async fn check_of(
    call: &Call,
    tenant: TenantRow,
    row: &KeyRow,
    promises: &[Promise],
) -> Result<(), ApiError> {
    let (kind, id) = (tenant.kind, tenant.id.clone());
    let terms = call.app().payers.terms(tenant).await?;
    let asked: Vec<(&Promise, u64)> = promises
        .iter()
        .filter_map(|promise| Some((promise, (promise.limit)(&terms)?)))
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let mut given = vec![0_u64; asked.len()];
    let mut next = Some(KeyPage::of(keys_of(kind, &id), PAGE));
    while let Some(page) = next {
        let keys = call.app().store.keys.list(page.clone()).await?;
        next = page.next(&keys);
        for other in keys.iter().filter(|key| key.id != row.id) {
            for (given, (promise, _)) in given.iter_mut().zip(&asked) {
                let own = (promise.limit)(&other.terms).unwrap_or_default();
                *given = given.saturating_add(own);
            }
        }
    }
    for ((promise, all), given) in asked.into_iter().zip(given) {
        let Promise {
            sort, name, own, ..
        } = promise;
        let left = all.saturating_sub(given);
        if *own > left {
            return Err(ApiError::new(
                Code::BadRequest,
                format!(
                    "'{name}' of {own} cannot be guaranteed: {} {id} has {all}, and its other keys have {given} of them. Write {left} or less, or another {sort}.",
                    kind.as_str()
                ),
            )
            .param(*name));
        }
    }
    Ok(())
}

fn keys_of(kind: TenantKind, id: &str) -> KeyFilter {
    let mut filter = KeyFilter::default();
    if kind == TenantKind::Team {
        filter.team = Some(TeamId::new(id));
    } else {
        filter.organisation = Some(OrganisationId::new(id));
    }
    filter
}

// === impl Promise ===

impl Promise {
    fn of(row: &KeyRow, (sort, name, limit): (&'static str, &'static str, Limit)) -> Option<Self> {
        let is_guaranteed = row.settings.get(sort).and_then(Value::as_str) == Some(GUARANTEED);
        let own = limit(&row.terms).filter(|_| is_guaranteed)?;
        Some(Self {
            sort,
            name,
            limit,
            own,
        })
    }
}
