//! `rpm_limit_type` and `tpm_limit_type` of a key: what its limits of requests and tokens promise. Contract: `endpoints` §3.1,
//! `auth-budgets-limits` §6.
//!
//! | word | the limit |
//! | --- | --- |
//! | `best_effort_throughput` | holds; the default |
//! | `guaranteed_throughput` | holds, and is refused where the keys of its team or organisation would have more than that has |
//! | `dynamic` | holds only while a deployment of the model fails |

use serde_json::{Map, Value};

use super::super::fields::Fields;
use crate::auth::{RPM_LIMIT_TYPE, TPM_LIMIT_TYPE};
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{KeyFilter, KeyPage, KeyRow, TenantKind, Terms};

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

/// Whether what the key guarantees is there: its team, or its organisation, has no less than all its keys together.
///
/// Two keys that are made at the same moment may get what is there for one: limits hold all the same, and the next change of
/// either is refused.
///
/// # Errors
/// 400 names the limit, and how much of it is left.
pub(super) async fn check(call: &Call, row: &KeyRow) -> Result<(), ApiError> {
    for (sort, name, limit) in LIMITS {
        let is_guaranteed = row.settings.get(sort).and_then(Value::as_str) == Some(GUARANTEED);
        let (true, Some(own)) = (is_guaranteed, limit(&row.terms)) else {
            continue;
        };
        let team = row.team.as_ref().map(|team| {
            let filter = KeyFilter {
                team: Some(team.clone()),
                ..KeyFilter::default()
            };
            (TenantKind::Team, team.as_str(), filter)
        });
        let organisation = row.organisation.as_ref().map(|id| {
            let filter = KeyFilter {
                organisation: Some(id.clone()),
                ..KeyFilter::default()
            };
            (TenantKind::Organisation, id.as_str(), filter)
        });
        for (kind, id, filter) in [team, organisation].into_iter().flatten() {
            let Some(all) = limit_of(call, kind, id, limit).await? else {
                continue;
            };
            let given = given_to_others(call, filter, row, limit).await?;
            let left = all.saturating_sub(given);
            if own > left {
                return Err(ApiError::new(
                    Code::BadRequest,
                    format!(
                        "'{name}' of {own} cannot be guaranteed: {} {id} has {all}, and its other keys have {given} of them. Write {left} or less, or another {sort}.",
                        kind.as_str()
                    ),
                )
                .param(name));
            }
        }
    }
    Ok(())
}

async fn limit_of(
    call: &Call,
    kind: TenantKind,
    id: &str,
    limit: Limit,
) -> Result<Option<u64>, ApiError> {
    let tenants = &call.app().store.tenants;
    let Some(row) = tenants.by_id(kind, id.to_owned()).await? else {
        return Ok(None);
    };
    let own = limit(&row.terms);
    let Some(shared) = row.budget_id.filter(|_| own.is_none()) else {
        return Ok(own);
    };
    let shared = tenants.by_id(TenantKind::Budget, shared).await?;
    Ok(shared.and_then(|shared| limit(&shared.terms)))
}

async fn given_to_others(
    call: &Call,
    filter: KeyFilter,
    row: &KeyRow,
    limit: Limit,
) -> Result<u64, ApiError> {
    let mut given = 0_u64;
    let mut after = None;
    loop {
        let page = KeyPage {
            after,
            ..KeyPage::of(filter.clone(), PAGE)
        };
        let keys = call.app().store.keys.list(page).await?;
        let others = keys.iter().filter(|key| key.id != row.id);
        given = others
            .filter_map(|key| limit(&key.terms))
            .fold(given, u64::saturating_add);
        match keys.last() {
            Some(last) if keys.len() == PAGE as usize => after = Some(last.id.clone()),
            _ => return Ok(given),
        }
    }
}
