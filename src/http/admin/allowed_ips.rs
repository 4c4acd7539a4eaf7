//! The addresses that callers may be at: those of the config file (`general_settings.allowed_ips`) and those that are stored in
//! the database. Contract: `endpoints` §5; for changes `general_settings.store_model_in_db` must be on.
//!
//! ```json
//! {"ip":"10.0.0.0/8"}
//! {"data":["127.0.0.1","10.0.0.0/8"]}
//! ```
//!
//! A change counts from its answer on, at other replicas within a second. None is made that would shut out whoever makes it.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::fields::Fields;
use super::models::must_store;
use super::query::wrong;
use super::stored_setting::change;
use crate::app::App;
use crate::catalogue::ALLOWED_IPS;
use crate::config::AddressList;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{AdminOnly, Call, Caller, View};

/// Each is looked at with every request.
const MOST: usize = 256;

/// `GET /get/allowed_ips`: `null` where nobody is shut out.
pub(crate) async fn list(_caller: Caller<View>, call: Call) -> HttpResponse {
    let app = call.app();
    let settings = app.catalogue.settings();
    let all = all(app, settings.allowed_ips());
    let data = if all.is_empty() {
        Value::Null
    } else {
        json!(all)
    };
    HttpResponse::Ok().json(json!({"data": data}))
}

/// `POST /add/allowed_ip`.
pub(crate) async fn add(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let ip = asked(&mut call).await?;
    if !AddressList::takes(&ip) {
        return Err(wrong(
            "ip",
            "'ip' must be an address or a network, such as 192.0.2.7 or 10.0.0.0/8.",
        ));
    }
    let add = |stored: &mut Vec<String>| {
        let known = all(call.app(), stored);
        if known.contains(&ip.as_str()) {
            return Err(wrong("ip", "IP address already exists"));
        }
        if known.len() >= MOST {
            let message = format!(
                "{MOST} addresses are allowed already. Add a network instead, or remove some."
            );
            return Err(wrong("ip", message));
        }
        stored.push(ip.clone());
        check_own(&call, stored)
    };
    change(&call, &caller.identity, ALLOWED_IPS, add).await?;
    Ok(HttpResponse::Ok().json(json!({
        "message": format!("IP {ip} address added successfully"),
        "status": "success",
    })))
}

/// `POST /delete/allowed_ip`.
pub(crate) async fn delete(
    caller: Caller<AdminOnly>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let ip = asked(&mut call).await?;
    let app = call.app();
    let remove = |stored: &mut Vec<String>| {
        let before = stored.len();
        stored.retain(|known| *known != ip);
        if stored.len() < before {
            check_own(&call, stored)?;
            return Ok(all(app, stored).is_empty());
        }
        if app.config.general.allowed_ips.contains(&ip) {
            return Err(wrong(
                "ip",
                "The config file allows this address. Remove it from general_settings.allowed_ips there.",
            ));
        }
        let err = ApiError::new(
            Code::NotFound,
            "IP address not found. GET /get/allowed_ips lists them.",
        );
        Err(err.param("ip"))
    };
    let is_last = change(&call, &caller.identity, ALLOWED_IPS, remove).await?;
    let then = if is_last {
        ". No address is left on the list: callers are served wherever they are"
    } else {
        ""
    };
    Ok(HttpResponse::Ok().json(json!({
        "message": format!("IP {ip} deleted successfully{then}"),
        "status": "success",
    })))
}

/// The address that the body names.
async fn asked(call: &mut Call) -> Result<String, ApiError> {
    let fields = Fields::read(call).await?;
    fields.only(&[&["ip"]])?;
    let ip = fields.required("ip")?.trim().to_owned();
    must_store(call.app())?;
    Ok(ip)
}

/// Those of the config file, then these.
pub(super) fn all<'a>(app: &'a App, stored: &'a [String]) -> Vec<&'a str> {
    let configured = &app.config.general.allowed_ips;
    configured
        .iter()
        .chain(stored)
        .map(String::as_str)
        .collect()
}

/// # Errors
/// 400 where a list would shut out the caller.
fn check_own(call: &Call, stored: &[String]) -> Result<(), ApiError> {
    let address = call.address();
    if AddressList::of(all(call.app(), stored)).holds(address) {
        return Ok(());
    }
    let own = address.map_or_else(|| "unknown".to_owned(), |own| own.to_string());
    let message = format!(
        "This would shut you out: you call from the address {own}, which would not be on the list. Keep or add it first, or a network that holds it."
    );
    Err(wrong("ip", message))
}
