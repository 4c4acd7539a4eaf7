//! Whom a call adds to a team or to an organisation, as its body names them.
//!
//! ```json
//! {"member": {"user_id": "alice", "role": "user"}}          {"member": [{"user_id": "alice"}, {"user_id": "bob"}]}
//! ```

use serde::Deserialize;

use super::super::fields::Fields;
use super::super::query::wrong;
use crate::auth::terms as checks;
use crate::http::error::ApiError;

/// Most that one call adds.
const MOST_ADDED: usize = 500;

/// One of them.
#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) user_id: String,
    #[serde(default)]
    pub(super) role: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Members {
    One(Member),
    Several(Vec<Member>),
}

/// Those that the first of these members of the body has which is there. `wanted` says how one is written.
///
/// # Errors
/// 400 for none or too many, and for an id that is none.
pub(super) fn several(
    fields: &Fields,
    names: &[&'static str],
    wanted: &str,
) -> Result<Vec<Member>, ApiError> {
    let mut added = Vec::new();
    for name in names {
        match fields.get(name, wanted)?.set() {
            None => continue,
            Some(Members::One(member)) => added.push(member),
            Some(Members::Several(members)) => added = members,
        }
        break;
    }
    if added.is_empty() || added.len() > MOST_ADDED {
        return Err(wrong(
            "member",
            format!("'member' must be 1 to {MOST_ADDED} members: {wanted}."),
        ));
    }
    for member in &added {
        checks::name("user_id", &member.user_id)?;
    }
    Ok(added)
}

/// A role, if it is one of these.
///
/// # Errors
/// 400 lists them.
pub(super) fn checked_role(
    role: Option<String>,
    roles: &[&str],
) -> Result<Option<String>, ApiError> {
    match role {
        Some(role) if !roles.contains(&role.as_str()) => Err(wrong(
            "role",
            format!("'role' must be one of {}.", roles.join(", ")),
        )),
        role => Ok(role),
    }
}
