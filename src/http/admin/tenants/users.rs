//! What only users have: a role, and a key that is made with them.

use actix_web::HttpResponse;
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;

use super::super::fields::{Change, Fields};
use super::answer::tenant_answer;
use super::{Family, USER};
use crate::auth::NewKey;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};

const ROLES: [&str; 4] = [
    "proxy_admin",
    "proxy_admin_viewer",
    "internal_user",
    "internal_user_viewer",
];

/// `POST /user/new`: makes a user and, unless `auto_create_key` is false, a key.
pub(crate) async fn create(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let family: &Family = &USER;
    let body = call.json_body().await?;
    let fields = Fields::parse(&body)?;
    let with_key = fields
        .get("auto_create_key", "true or false")?
        .set()
        .unwrap_or(true);
    let more = &["auto_create_key", "key_alias"];
    let mut row = family.new_row(&call, &fields, &caller, more).await?;
    row.role.get_or_insert_with(|| "internal_user".to_owned());
    family.insert(&call, &row).await?;
    let mut answer = tenant_answer(&call, family, &row).await?;
    answer.insert("key".to_owned(), Value::String(String::new()));
    if with_key {
        let made = NewKey {
            alias: fields.text("key_alias")?.set(),
            user_id: Some(row.id.clone()),
            models: row.models.clone(),
            created_by: row.created_by.clone(),
            ..NewKey::default()
        }
        .make(UnixMs::now())?;
        made.store(&call.app().store).await?;
        let token = json!(made.row.id.as_str());
        answer.insert("key".to_owned(), json!(made.secret.expose()));
        answer.insert("key_name".to_owned(), json!(made.row.key_name));
        answer.insert("token".to_owned(), token.clone());
        answer.insert("token_id".to_owned(), token);
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// The role that a body names.
pub(super) fn role(fields: &Fields<'_>) -> Result<Change<String>, ApiError> {
    fields.text("user_role")?.try_map(|role| {
        if ROLES.contains(&role.as_str()) {
            return Ok(role);
        }
        Err(ApiError::new(
            Code::BadRequest,
            format!("'user_role' must be one of {}.", ROLES.join(", ")),
        )
        .param("user_role"))
    })
}
