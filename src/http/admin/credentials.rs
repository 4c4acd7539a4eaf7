//! Credentials that are stored in the database: parameters with a name, which deployments take over by
//! `litellm_credential_name`. Contract: LiteLLM 1.106.2's `/credentials`; `general_settings.store_model_in_db` must be on.
//!
//! ```json
//! {"success":true,"credentials":[{"credential_name":"openai-eu","display_name":null,"source":"db",
//!  "credential_values":{"api_key":"[REDACTED]","api_base":"https://eu.api.openai.com/v1"},"credential_info":{}}]}
//! ```
//!
//! What is changed counts at once for every deployment that names the credential; a change that one of them could not be
//! served with is refused. Those of the config file are shown, and changed there only.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use trunkline_actors::clock::UnixMs;

use super::fields::{Change, Fields};
use super::models::{
    merge, must_store, no_placeholder, object, room_for_one, stored_and_served, touched,
    write_params,
};
use crate::app::App;
use crate::auth::terms::name as check_name;
use crate::config::Secret;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller};
use crate::sealed::shown;
use crate::storage::{AsRead, EntryKind, EntryRow, Write};

/// What takes the values over from a deployment.
const MODEL_ID: &str = "model_id";
/// Names of values to be removed.
const TO_DELETE: &str = "credential_values_to_delete";

/// `POST /credentials`.
pub(crate) async fn create(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&mut call).await?;
    fields.only(&[WRITTEN, &[MODEL_ID]])?;
    let app = call.app();
    must_store(app)?;
    let name = fields.required("credential_name")?;
    check_name("credential_name", &name)?;
    if app.catalogue.has_configured_credential(&name) {
        return Err(of_config(&name).status(StatusCode::CONFLICT));
    }
    let mut values = values(app, &fields)?;
    values.retain(|_, value| !value.is_null());
    no_placeholder("credential_values", &values)?;
    if values.is_empty() {
        return Err(ApiError::new(
            Code::BadRequest,
            "'credential_values' is missing. Send an object such as {\"api_key\": \"…\"}, or the 'model_id' of a deployment whose values are taken over.",
        )
        .param("credential_values"));
    }
    let rows = app.store.entries.all().await?;
    room_for_one(&rows, EntryKind::Credential, "credentials")?;
    let mut known = rows.iter().filter(|row| row.kind == EntryKind::Credential);
    if known.any(|row| row.id == name) {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("Credential '{name}' already exists. Update it with PATCH /credentials/{name}, or delete it first."),
        )
        .status(StatusCode::CONFLICT)
        .param("credential_name"));
    }
    let now = UnixMs::now();
    let by = caller.identity.user_name().map(str::to_owned);
    let mut row = EntryRow {
        kind: EntryKind::Credential,
        id: name,
        name: display_name(&fields)?.set(),
        params: Map::new(),
        info: object(&fields, "credential_info")?
            .set()
            .unwrap_or_default(),
        blocked: false,
        created_at: now,
        created_by: by.clone(),
        updated_at: now,
        updated_by: by,
        as_read: AsRead::default(),
    };
    write_params(&app.catalogue, &mut row, &values)?;
    stored_and_served(&call, &caller.identity, Write::InsertEntry(Box::new(row))).await?;
    Ok(done("Credential created successfully"))
}

/// `GET /credentials`.
pub(crate) async fn list(_caller: Caller<AdminOnly>, call: Call) -> Result<HttpResponse, ApiError> {
    let credentials = views(call.app()).await?;
    Ok(HttpResponse::Ok().json(json!({"success": true, "credentials": credentials})))
}

/// `GET /credentials/by_name/{name}`.
pub(crate) async fn show(_caller: Caller<AdminOnly>, call: Call) -> Result<HttpResponse, ApiError> {
    let name = named(&call);
    let views = views(call.app()).await?;
    let found = views.into_iter().find(|one| one["credential_name"] == name);
    found
        .map(|one| HttpResponse::Ok().json(one))
        .ok_or_else(|| not_found(&name))
}

/// `PATCH /credentials/{name}`.
pub(crate) async fn update(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let name = named(&call);
    let fields = Fields::read(&mut call).await?;
    fields.only(&[WRITTEN, &[MODEL_ID, TO_DELETE]])?;
    let app = call.app();
    must_store(app)?;
    if let Change::Set(said) = fields.text("credential_name")?
        && said != name
    {
        return Err(ApiError::new(
            Code::BadRequest,
            "'credential_name' cannot be changed: deployments name it. Set 'display_name' to change how it is shown.",
        )
        .param("credential_name"));
    }
    let mut row = touched(existing(app, &name).await?, &caller.identity, |_row| {});
    display_name(&fields)?.apply(&mut row.name);
    let info = object(&fields, "credential_info")?.set();
    merge(&mut row.info, info.unwrap_or_default());
    let mut changes = values(app, &fields)?;
    // An answer that is sent back: its secrets are those that are stored.
    let before = shown(&row.params);
    changes.retain(|name, value| before.get(name) != Some(value));
    no_placeholder("credential_values", &changes)?;
    for gone in fields.texts(TO_DELETE)?.set().unwrap_or_default() {
        if changes.insert(gone.clone(), Value::Null).is_some() {
            return Err(ApiError::new(
                Code::BadRequest,
                format!("'{TO_DELETE}' and 'credential_values' both name '{gone}'. Send it in one of them."),
            )
            .param(TO_DELETE));
        }
    }
    let mut values = app.catalogue.opened(&row).map_err(|_locked| {
        ApiError::new(
            Code::BadRequest,
            format!("The credential '{name}' cannot be decrypted: LITELLM_SALT_KEY is not the key that it was stored with. Start the gateway with that key, or delete the credential and make it again."),
        )
        .param("credential_values")
    })?;
    merge(&mut values, changes.clone());
    if let Some((model, err)) = app.catalogue.refusing(&name, &values).await? {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("The deployment '{model}' could not be served with this: {err}."),
        )
        .param("credential_values"));
    }
    write_params(&app.catalogue, &mut row, &changes)?;
    stored_and_served(&call, &caller.identity, Write::UpdateEntry(Box::new(row))).await?;
    Ok(done("Credential updated successfully"))
}

/// `DELETE /credentials/{name}`.
pub(crate) async fn delete(
    caller: Caller<AdminOnly>,
    call: Call,
) -> Result<HttpResponse, ApiError> {
    let name = named(&call);
    let app = call.app();
    must_store(app)?;
    existing(app, &name).await?;
    let used_by = app.catalogue.naming(&name).await?;
    if !used_by.is_empty() {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("Credential '{name}' is in use by {}. Give these deployments another one first, or remove them.", used_by.join(", ")),
        )
        .param("credential_name"));
    }
    let write = Write::DeleteEntry(EntryKind::Credential, name);
    stored_and_served(&call, &caller.identity, write).await?;
    Ok(done("Credential deleted successfully"))
}

/// What a body may say.
const WRITTEN: &[&str] = &[
    "credential_name",
    "display_name",
    "credential_values",
    "credential_info",
];

/// The values that are sent, or those of a deployment.
fn values(app: &App, fields: &Fields) -> Result<Map<String, Value>, ApiError> {
    let sent = object(fields, "credential_values")?.set();
    let Change::Set(id) = fields.text(MODEL_ID)? else {
        return Ok(sent.unwrap_or_default());
    };
    if sent.is_some_and(|sent| !sent.is_empty()) {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("'{MODEL_ID}' and 'credential_values' are both sent. Send one of them."),
        )
        .param(MODEL_ID));
    }
    let targets = app.shared.targets();
    let target = targets.get(&id).ok_or_else(|| {
        let message = format!("Model {id} not found on proxy. GET /model/info lists the ids.");
        ApiError::new(Code::NotFound, message).param(MODEL_ID)
    })?;
    let config = &target.config;
    let mut values = Map::new();
    values.insert("api_base".to_owned(), json!(config.api_base.as_str()));
    for (name, value) in [
        ("api_key", config.api_key.as_ref().map(Secret::expose)),
        ("organization", config.organization.as_deref()),
    ] {
        if let Some(value) = value {
            values.insert(name.to_owned(), json!(value));
        }
    }
    Ok(values)
}

fn display_name(fields: &Fields) -> Result<Change<String>, ApiError> {
    let said = fields.text("display_name")?;
    said.try_map(|said| {
        let said = said.trim().to_owned();
        check_name("display_name", &said)?;
        Ok(said)
    })
}

async fn existing(app: &App, name: &str) -> Result<EntryRow, ApiError> {
    if app.catalogue.has_configured_credential(name) {
        return Err(of_config(name).status(StatusCode::METHOD_NOT_ALLOWED));
    }
    let found = app
        .store
        .entries
        .by_id(EntryKind::Credential, name.to_owned());
    found.await?.ok_or_else(|| not_found(name))
}

/// All that there are, the config's first.
async fn views(app: &App) -> Result<Vec<Value>, ApiError> {
    let mut views = Vec::new();
    for one in app.catalogue.configured_credentials() {
        views.push(view(&one.name, None, &one.values, &one.info, "config"));
    }
    for row in app.store.entries.all().await? {
        if row.kind == EntryKind::Credential {
            let name = row.name.as_deref();
            views.push(view(&row.id, name, &row.params, &row.info, "db"));
        }
    }
    Ok(views)
}

fn view(
    name: &str,
    display_name: Option<&str>,
    values: &Map<String, Value>,
    info: &Map<String, Value>,
    source: &str,
) -> Value {
    json!({
        "credential_name": name,
        "display_name": display_name,
        "credential_values": shown(values),
        "credential_info": info,
        "source": source,
    })
}

fn named(call: &Call) -> String {
    call.path("name").unwrap_or_default()
}

fn done(message: &str) -> HttpResponse {
    HttpResponse::Ok().json(json!({"success": true, "message": message}))
}

fn of_config(name: &str) -> ApiError {
    ApiError::new(
        Code::BadRequest,
        format!("Credential '{name}' is defined in the config file. Change it there, or choose another name."),
    )
    .param("credential_name")
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        Code::NotFound,
        format!("Credential not found. Got credential name: {name}. GET /credentials lists them."),
    )
    .param("credential_name")
}
