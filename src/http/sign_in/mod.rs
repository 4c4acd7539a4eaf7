//! How people sign in: by name and password, or with an identity provider. Contract: `endpoints` §7.
//!
//! | file | says |
//! | --- | --- |
//! | [`password`] | `POST /login`, `POST /v2/login`: the administrator's name and password |
//! | [`oidc`] | `GET /sso/key/generate` and `GET /sso/callback`: there and back, RFC 6749 with PKCE (RFC 7636) and `OpenID` Connect Core 1.0 |
//! | `users` | who somebody is here whom the provider knows |
//! | [`cookie`] | what the browser keeps |
//!
//! Whoever signed in has a session ([`crate::auth::Sessions`]), which is shown as `Authorization: Bearer` or kept by the browser
//! as a cookie that pages of this gateway alone have counted (`http::origin`).

pub mod cookie;
pub mod oidc;
pub mod password;
mod users;

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use serde_json::json;

use super::error::{ApiError, Code};
use super::extract::{Call, Caller, Public};
use crate::app::App;
use crate::auth::Sessions;
use crate::config::Secret;

/// Where people go who signed in, below the address of the gateway. No request says where: that would be an open door.
const FIRST_PAGE: &str = "";

/// `POST /logout`: the browser forgets the session, which ends by itself.
pub(crate) async fn sign_out(_caller: Caller<Public>, call: Call) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((SET_COOKIE, cookie::ended(call.app())))
        .json(json!({"status": "signed out"}))
}

/// Sessions are signed by the master key: without one there is nobody to be.
fn sessions(app: &App) -> Result<&Arc<Sessions>, ApiError> {
    app.sessions.as_ref().ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "There is nothing to sign in to: no master key is set. Set LITELLM_MASTER_KEY or general_settings.master_key and restart.",
        )
    })
}

/// Where somebody goes who signed in.
fn first_page(app: &App) -> String {
    let base = app.config.sign_in.base_url.as_ref();
    let base = base.map_or("/", |base| base.as_str());
    format!("{base}{FIRST_PAGE}")
}

/// Sends the browser on, with a session.
fn welcome(app: &App, session: &Secret) -> HttpResponse {
    HttpResponse::build(StatusCode::SEE_OTHER)
        .insert_header((LOCATION, first_page(app)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .append_header((SET_COOKIE, cookie::session(app, session)))
        .append_header((SET_COOKIE, cookie::handshake_ended(app)))
        .finish()
}
