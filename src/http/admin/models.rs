//! Deployments that are stored in the database: made, changed, paused and removed while the gateway runs. Contract:
//! `endpoints` §5 and §10; `general_settings.store_model_in_db` must be on.
//!
//! ```json
//! {"model_id":"0d4e…","model_name":"gpt-4o","litellm_params":{"model":"openai/gpt-4o","api_key":"v2:gcm:…","rpm":100},
//!  "model_info":{"id":"0d4e…","db_model":true,"mode":"chat"},"blocked":false,
//!  "created_at":"2026-11-23T10:00:00.000Z","created_by":"alice","updated_at":"…","updated_by":"alice"}
//! ```
//!
//! A deployment is checked like an entry of `model_list`, and is served when the answer comes. In an update, a member of
//! `litellm_params` or `model_info` that is absent stays, and `null` removes it. Those of the config file can only be changed
//! there. For administrators: who may name an address and a variable of the environment may read the gateway's secrets.

use actix_web::HttpResponse;
use log::warn;
use serde_json::{Map, Value, json};
use trunkline_actors::clock::UnixMs;

use super::change;
use super::fields::{Change, Fields};
use crate::app::App;
use crate::auth::Identity;
use crate::auth::terms::name as check_name;
use crate::catalogue::{Catalogue, MOST_STORED};
use crate::config::ConfigErrors;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::http::model_call::new_id;
use crate::http::time::iso;
use crate::sealed::placeholder;
use crate::storage::{AsRead, EntryKind, EntryRow, TenantKind, Write};

/// What a body may say.
const WRITTEN: &[&str] = &["model_name", "litellm_params", "model_info", "blocked"];

/// `POST /model/new`.
pub(crate) async fn create(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[WRITTEN])?;
    let app = call.app();
    must_store(app)?;
    let name = fields.required("model_name")?;
    check_name("model_name", &name)?;
    let params = object(&fields, "litellm_params")?.set().ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "'litellm_params' is missing. Send an object with at least a 'model', such as 'openai/gpt-4o'.",
        )
        .param("litellm_params")
    })?;
    let mut info = object(&fields, "model_info")?.set().unwrap_or_default();
    let id = id_of(&info)?.unwrap_or_else(new_id);
    if app.catalogue.is_configured(&id) {
        return Err(ApiError::new(
            Code::BadRequest,
            format!(
                "The config file has a deployment with the id '{id}'. Choose another model_info.id."
            ),
        )
        .param("model_info.id"));
    }
    let rows = app.store.entries.all().await?;
    room_for_one(&rows, EntryKind::Model, "deployments")?;
    let blocked = blocked(&fields, &mut info)?.unwrap_or(false);
    info.retain(|name, value| !EntryRow::OWN_INFO.contains(&name.as_str()) && !value.is_null());
    let now = UnixMs::now();
    let by = caller.identity.user_name().map(str::to_owned);
    let mut row = EntryRow {
        kind: EntryKind::Model,
        id,
        name: Some(name),
        params: Map::new(),
        info,
        blocked,
        created_at: now,
        created_by: by.clone(),
        updated_at: now,
        updated_by: by,
        as_read: AsRead::default(),
    };
    no_placeholder("litellm_params", &params)?;
    known_team(app, &row).await?;
    checked(&app.catalogue, &row, &params).await?;
    write_params(&app.catalogue, &mut row, &params)?;
    stored_and_served(
        &call,
        &caller.identity,
        Write::InsertEntry(Box::new(row.clone())),
    )
    .await?;
    Ok(HttpResponse::Ok().json(shown(&row)))
}

/// `POST /model/update`: the deployment is named by `model_info.id`.
pub(crate) async fn update(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    let info = object(&fields, "model_info")?.set().unwrap_or_default();
    let id = id_of(&info)?.ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "'model_info.id' is missing. It says which deployment is changed; GET /model/info lists them.",
        )
        .param("model_info.id")
    })?;
    change_one(&caller, &call, &fields, id).await
}

/// `PATCH /model/{id}/update`.
pub(crate) async fn patch(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let id = call.path("id").unwrap_or_default();
    let fields = Fields::read(&mut call).await?;
    let info = object(&fields, "model_info")?.set().unwrap_or_default();
    if id_of(&info)?.is_some_and(|said| said != id) {
        return Err(ApiError::new(
            Code::BadRequest,
            "'model_info.id' is not the id of the path. The id of a deployment stays: make a new one, and delete this.",
        )
        .param("model_info.id"));
    }
    change_one(&caller, &call, &fields, id).await
}

/// `POST /model/delete`.
pub(crate) async fn delete(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["id"]])?;
    let id = fields.required("id")?;
    must_store(call.app())?;
    if known(call.app(), &id).await?.is_none() {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("Model with id={id} not found in db. GET /model/info lists those that are, with db_model true."),
        )
        .param("id"));
    }
    stored_and_served(
        &call,
        &caller.identity,
        Write::DeleteEntry(EntryKind::Model, id.clone()),
    )
    .await?;
    Ok(HttpResponse::Ok().json(json!({"message": format!("Model: {id} deleted successfully")})))
}

/// `POST /model/block`: it is not asked any more; what runs goes on.
pub(crate) async fn block(caller: Caller<AdminOnly>, call: Call) -> Result<HttpResponse, ApiError> {
    set_blocked(&caller, call, true).await
}

/// `POST /model/unblock`.
pub(crate) async fn unblock(
    caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    set_blocked(&caller, call, false).await
}

async fn set_blocked(
    caller: &Caller<AdminOnly>,
    mut call: Call,
    blocked: bool,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[&["model_id"]])?;
    let id = fields.required("model_id")?;
    must_store(call.app())?;
    let row = existing(call.app(), &id, "model_id").await?;
    let row = touched(row, &caller.identity, |row| row.blocked = blocked);
    stored_and_served(
        &call,
        &caller.identity,
        Write::UpdateEntry(Box::new(row.clone())),
    )
    .await?;
    Ok(HttpResponse::Ok().json(shown(&row)))
}

async fn change_one(
    caller: &Caller<AdminOnly>,
    call: &Call,
    fields: &Fields,
    id: String,
) -> Result<HttpResponse, ApiError> {
    fields.only(&[WRITTEN])?;
    let app = call.app();
    must_store(app)?;
    let row = existing(app, &id, "model_info.id").await?;
    let mut row = touched(row, &caller.identity, |_row| {});
    if let Change::Set(name) = fields.text("model_name")? {
        check_name("model_name", &name)?;
        row.name = Some(name);
    }
    let mut said = object(fields, "model_info")?.set().unwrap_or_default();
    row.blocked = blocked(fields, &mut said)?.unwrap_or(row.blocked);
    said.retain(|name, _| !EntryRow::OWN_INFO.contains(&name.as_str()));
    merge(&mut row.info, said);
    known_team(app, &row).await?;
    let mut changes = object(fields, "litellm_params")?.set().unwrap_or_default();
    // An answer that is sent back: its secrets are those that are stored.
    changes.retain(|name, value| row.params.get(name) != Some(value));
    no_placeholder("litellm_params", &changes)?;
    let mut params = app.catalogue.opened(&row).map_err(|_locked| {
        ApiError::new(
            Code::BadRequest,
            format!("The deployment '{id}' cannot be decrypted: LITELLM_SALT_KEY is not the key that it was stored with. Start the gateway with that key, or delete the deployment and make it again."),
        )
        .param("litellm_params")
    })?;
    merge(&mut params, changes.clone());
    checked(&app.catalogue, &row, &params).await?;
    write_params(&app.catalogue, &mut row, &changes)?;
    stored_and_served(
        call,
        &caller.identity,
        Write::UpdateEntry(Box::new(row.clone())),
    )
    .await?;
    Ok(HttpResponse::Ok().json(shown(&row)))
}

/// # Errors
/// 400 where nothing may be stored.
pub(super) fn must_store(app: &App) -> Result<(), ApiError> {
    if app.catalogue.is_stored() {
        return Ok(());
    }
    Err(ApiError::new(
        Code::BadRequest,
        "Set STORE_MODEL_IN_DB='True' in the environment of the gateway, or general_settings.store_model_in_db: true, to store deployments, credentials and settings.",
    ))
}

/// # Errors
/// 400 where so many are stored that there is no room for another.
pub(super) fn room_for_one(rows: &[EntryRow], kind: EntryKind, what: &str) -> Result<(), ApiError> {
    let stored = rows.iter().filter(|row| row.kind == kind);
    if stored.count() < MOST_STORED {
        return Ok(());
    }
    let message = format!("{MOST_STORED} {what} are stored already. Remove one first.");
    Err(ApiError::new(Code::BadRequest, message))
}

/// Stores it, and has requests routed by it.
///
/// # Errors
/// Those of the store. 503 where it is stored and could not be read back: it is served as soon as that works.
pub(super) async fn stored_and_served(
    call: &Call,
    identity: &Identity,
    write: Write,
) -> Result<(), ApiError> {
    change::apply(call, identity, vec![write]).await?;
    call.app().catalogue.refresh().await.map_err(|err| {
        ApiError::new(
            Code::Database,
            format!("The change is stored, and is served as soon as it can be read: {err}."),
        )
    })
}

/// Puts parameters that were sent into a row, encrypted; null removes one. What is not sent stays as it is encrypted.
///
/// # Errors
/// 400 without a key to encrypt with.
pub(super) fn write_params(
    catalogue: &Catalogue,
    row: &mut EntryRow,
    sent: &Map<String, Value>,
) -> Result<(), ApiError> {
    let sealed = catalogue.sealed(sent).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "Set LITELLM_SALT_KEY in the environment of the gateway: without it, secrets cannot be stored.",
        )
    })?;
    merge(&mut row.params, sealed);
    Ok(())
}

/// What an answer shows instead of a secret is no secret.
///
/// # Errors
/// 400, for the first of them.
pub(super) fn no_placeholder(
    field: &'static str,
    values: &Map<String, Value>,
) -> Result<(), ApiError> {
    let Some(name) = placeholder(values) else {
        return Ok(());
    };
    let param = format!("{field}.{name}");
    let message = format!(
        "'{param}' holds what an answer shows instead of a secret. Send the value itself, or leave '{name}' out to keep it."
    );
    Err(ApiError::new(Code::BadRequest, message).param(param))
}

/// Null removes a member.
pub(super) fn merge(to: &mut Map<String, Value>, sent: Map<String, Value>) {
    for (name, value) in sent {
        if value.is_null() {
            to.remove(&name);
        } else {
            to.insert(name, value);
        }
    }
}

/// An object that is sent under that name.
pub(super) fn object(
    fields: &Fields,
    name: &'static str,
) -> Result<Change<Map<String, Value>>, ApiError> {
    fields.get(name, "an object")
}

/// A row that the caller changes now.
pub(super) fn touched(
    mut row: EntryRow,
    identity: &Identity,
    change: impl FnOnce(&mut EntryRow),
) -> EntryRow {
    change(&mut row);
    row.updated_at = UnixMs::now();
    row.updated_by = identity.user_name().map(str::to_owned);
    row
}

/// What is wrong with an entry, as an answer.
fn refused(err: &ConfigErrors) -> ApiError {
    let param = err.problems.first().map(|problem| problem.path.clone());
    let out = ApiError::new(Code::BadRequest, err.to_string());
    match param {
        Some(param) => out.param(param),
        None => out,
    }
}

/// As it would be served.
async fn checked(
    catalogue: &Catalogue,
    row: &EntryRow,
    params: &Map<String, Value>,
) -> Result<(), ApiError> {
    let credentials = catalogue.credentials().await?;
    let name = row.name.as_deref().unwrap_or_default();
    let read = catalogue.read(&row.id, name, params, &row.info, &credentials);
    let read = read.map_err(|err| refused(&err))?;
    for notice in read.notices {
        warn!(id = row.id.as_str(); "a stored deployment: {notice}");
    }
    Ok(())
}

/// A team's deployment must be of a team that there is.
async fn known_team(app: &App, row: &EntryRow) -> Result<(), ApiError> {
    let Some(team) = row.info.get("team_id").and_then(Value::as_str) else {
        return Ok(());
    };
    let found = app.store.tenants.by_id(TenantKind::Team, team.to_owned());
    if found.await?.is_some() {
        return Ok(());
    }
    let message = format!("There is no team '{team}'. GET /team/list lists them.");
    Err(ApiError::new(Code::BadRequest, message).param("model_info.team_id"))
}

async fn known(app: &App, id: &str) -> Result<Option<EntryRow>, ApiError> {
    if app.catalogue.is_configured(id) {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("Cannot edit config-based model '{id}'. Change it in the config file, or store another one with POST /model/new."),
        )
        .param("id"));
    }
    let entries = &app.store.entries;
    Ok(entries.by_id(EntryKind::Model, id.to_owned()).await?)
}

async fn existing(app: &App, id: &str, field: &'static str) -> Result<EntryRow, ApiError> {
    known(app, id).await?.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("Model {id} not found on proxy. GET /model/info lists those that are stored, with db_model true."),
        )
        .param(field)
    })
}

/// Whether it is to pause: as a member of the body, or of `model_info` as in a config file.
fn blocked(fields: &Fields, info: &mut Map<String, Value>) -> Result<Option<bool>, ApiError> {
    let wrong = |param| {
        let message = format!("'{param}' must be true or false.");
        ApiError::new(Code::BadRequest, message).param(param)
    };
    let of_info = match info.remove("blocked") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(blocked)) => Some(blocked),
        Some(_) => return Err(wrong("model_info.blocked")),
    };
    let own = fields.get("blocked", "true or false")?.set();
    Ok(own.or(of_info))
}

fn id_of(info: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let id = match info.get("id") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(id)) => id.clone(),
        // As in LiteLLM.
        Some(Value::Number(id)) => id.to_string(),
        Some(_) => {
            let message = "'model_info.id' must be a string.";
            return Err(ApiError::new(Code::BadRequest, message).param("model_info.id"));
        }
    };
    check_name("model_info.id", &id)?;
    Ok(Some(id))
}

/// The row as it is stored.
fn shown(row: &EntryRow) -> Value {
    let mut info = row.info.clone();
    info.insert("id".to_owned(), json!(row.id));
    info.insert("db_model".to_owned(), json!(true));
    json!({
        "model_id": row.id,
        "model_name": row.name,
        "litellm_params": row.params,
        "model_info": info,
        "blocked": row.blocked,
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
        "updated_at": iso(row.updated_at),
        "updated_by": row.updated_by,
    })
}
