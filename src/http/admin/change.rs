//! Makes changes on behalf of a caller: stored and logged in one step, and read anew by whoever keeps them in memory.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use trunkline_actors::ids::KeyId;

use crate::auth::Identity;
use crate::auth::terms as checks;
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{ChangedBy, StorageError, TenantKind, Write};

/// Whom a caller says it acts for; the key that it showed is logged besides.
const CHANGED_BY: HeaderName = HeaderName::from_static("litellm-changed-by");

/// Makes all of the changes, or none.
///
/// # Errors
/// 400 for what is taken or in use (409 for a user), 404 for a key that is gone; the database's.
pub(super) async fn apply(
    call: &Call,
    identity: &Identity,
    writes: Vec<Write>,
) -> Result<(), ApiError> {
    if writes.is_empty() {
        return Ok(());
    }
    let touched = Touched::by(&writes);
    let app = call.app();
    let done = app.store.changes.apply(who(call, identity)?, writes).await;
    done.map_err(refused)?;
    if touched.tenants {
        app.keys.forget_all();
        app.shared.labels.expire_all();
    }
    for key in &touched.keys {
        app.keys.forget(key);
    }
    Ok(())
}

/// Who makes a change, for the log.
///
/// # Errors
/// 400 for a header that no log line holds.
fn who(call: &Call, identity: &Identity) -> Result<ChangedBy, ApiError> {
    let said = call.header(&CHANGED_BY).filter(|said| !said.is_empty());
    if let Some(said) = said {
        checks::name("litellm-changed-by", said)?;
    }
    Ok(ChangedBy {
        user: said.or(identity.user_name()).map(str::to_owned),
        key: identity.key_id().map(|key| key.as_str().to_owned()),
    })
}

fn refused(err: StorageError) -> ApiError {
    match err {
        StorageError::AlreadyExists {
            what: "key alias", ..
        } => ApiError::new(
            Code::BadRequest,
            "A key with this key_alias exists already. Choose another alias.",
        )
        .param("key_alias"),
        StorageError::AlreadyExists {
            what: "virtual key",
            ..
        } => ApiError::new(
            Code::BadRequest,
            "This key exists already. Choose another, or leave 'key' out to have one drawn.",
        )
        .param("key"),
        StorageError::AlreadyExists { what, id } => {
            let err = ApiError::new(
                Code::BadRequest,
                format!("There is a {what} '{id}' already. Change it with /update, or choose another id."),
            );
            if what == TenantKind::User.as_str() {
                err.status(StatusCode::CONFLICT).param("user_id")
            } else {
                err.param(id_field(what))
            }
        }
        StorageError::Missing {
            what: "virtual key",
            ..
        } => super::keys::not_found(),
        StorageError::Missing {
            what: what @ ("model" | "credential"),
            id,
        } => ApiError::new(
            Code::NotFound,
            format!("The {what} '{id}' was deleted by somebody else during this call."),
        )
        .param(id_field(what)),
        StorageError::Missing { what, id } => ApiError::new(
            Code::BadRequest,
            format!("There is no {what} '{id}'. Make it with POST /{what}/new first."),
        )
        .param(id_field(what)),
        StorageError::Changed { what, id } => ApiError::new(
            Code::BadRequest,
            format!("The {what} '{id}' was changed by somebody else during this call. Repeat it."),
        )
        .status(StatusCode::CONFLICT),
        StorageError::InUse { what, id } => ApiError::new(
            Code::BadRequest,
            format!(
                "The {what} '{id}' is in use: keys or tenants that have it would be left without their limits. Give them another budget first, or null."
            ),
        )
        .param("id"),
        other => other.into(),
    }
}

/// The member that holds the id of such a tenant.
fn id_field(what: &str) -> &'static str {
    match what {
        "organization" => "organization_id",
        "team" => "team_id",
        "tag" => "name",
        "budget" => "budget_id",
        "model" => "model_info.id",
        "credential" => "credential_name",
        _ => "user_id",
    }
}

/// What is to be read anew.
#[derive(Default)]
struct Touched {
    keys: Vec<KeyId>,
    tenants: bool,
}

// === impl Touched ===

impl Touched {
    fn by(writes: &[Write]) -> Self {
        let mut touched = Self::default();
        for write in writes {
            match write {
                Write::InsertKey(row) | Write::UpdateKey(row) => touched.keys.push(row.id.clone()),
                // The secret may have been asked for before it was one.
                Write::RotateKey { row, secret, .. } => {
                    touched.keys.extend([row.id.clone(), secret.clone()]);
                }
                Write::DeleteKey(id) => touched.keys.push(id.clone()),
                // A user that is new changes nobody's keys; whoever writes an entry or a setting has it acted on.
                Write::EnsureTenant(_)
                | Write::InsertEntry(_)
                | Write::UpdateEntry(_)
                | Write::PutSetting(_)
                | Write::DeleteEntry(..) => {}
                Write::InsertTenant(_) | Write::PutTenant(_) | Write::DeleteTenant(..) => {
                    touched.tenants = true;
                }
            }
        }
        touched
    }
}
