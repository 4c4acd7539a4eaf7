//! The administrator's name and password: `UI_USERNAME` and `UI_PASSWORD`, else `admin` and the master key.
//!
//! ```text
//! POST /login      username=admin&password=…                       303 to the first page, with a cookie
//! POST /v2/login   {"username": "admin", "password": "…"}          {"redirect_url": "/", "token": "eyJ…"}
//! ```

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, SET_COOKIE};
use bytes::Bytes;
use log::{info, warn};
use serde::Deserialize;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use url::form_urlencoded;

use super::{cookie, first_page, sessions, welcome};
use crate::auth::DEFAULT_USER;
use crate::auth::key::KeyDigest;
use crate::config::Secret;
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Public};
use crate::http::origin::{is_own_page, is_page};

/// A name and a password, from somebody whom nobody knows yet.
const MOST_BYTES: usize = 16 * 1024;

/// What somebody typed.
#[derive(Deserialize)]
struct Typed {
    username: String,
    password: String,
}

/// By the form of a page.
pub(crate) async fn by_form(
    _caller: Caller<Public>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = typed_body(&mut call).await?;
    let mut typed = Typed {
        username: String::new(),
        password: String::new(),
    };
    for (name, value) in form_urlencoded::parse(&body) {
        match &*name {
            "username" => typed.username = value.into_owned(),
            "password" => typed.password = value.into_owned(),
            _ => {}
        }
    }
    let session = signed_in(&call, &typed)?;
    Ok(welcome(call.app(), &session))
}

/// By JSON.
pub(crate) async fn by_json(
    _caller: Caller<Public>,
    mut call: Call,
) -> Result<HttpResponse, ApiError> {
    let body = typed_body(&mut call).await?;
    let typed: Typed = serde_json::from_slice(&body).map_err(|_wrong| {
        ApiError::new(
            Code::BadRequest,
            "Send {\"username\": \"…\", \"password\": \"…\"}.",
        )
        .param("request_body")
    })?;
    let session = signed_in(&call, &typed)?;
    let app = call.app();
    Ok(HttpResponse::Ok()
        .insert_header((SET_COOKIE, cookie::session(app, &session)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({"redirect_url": first_page(app), "token": session.expose()})))
}

/// What was sent by somebody who may try.
async fn typed_body(call: &mut Call) -> Result<Bytes, ApiError> {
    sessions(call.app())?;
    check_page(call)?;
    check_attempts(call)?;
    call.body_within(MOST_BYTES).await
}

/// Another site must not sign somebody in as whom it likes.
fn check_page(call: &Call) -> Result<(), ApiError> {
    let (method, headers) = (call.request.method(), call.request.headers());
    let base = call.app().config.sign_in.base_url.as_ref();
    if is_page(headers) && !is_own_page(method, headers, base) {
        return Err(ApiError::new(
            Code::OthersData,
            "People sign in on this gateway's own pages. Set PROXY_BASE_URL if this is one.",
        ));
    }
    Ok(())
}

/// Answers from where somebody tries.
fn check_attempts(call: &Call) -> Result<Option<IpAddr>, ApiError> {
    let app = call.app();
    let address = call.address();
    let may_try = app.attempts.check(address, app.shared.clock.now());
    may_try.map(|()| address).map_err(|wait| {
        ApiError::new(
            Code::RateLimited,
            "Too many sign-ins failed from this address. Wait, or use the master key as a bearer.",
        )
        .retry_after(wait)
    })
}

/// The administrator's session, if name and password are its.
fn signed_in(call: &Call, typed: &Typed) -> Result<Secret, ApiError> {
    let app = call.app();
    let sessions = sessions(app)?;
    let settings = &app.config.sign_in;
    // Once more: who sends many bodies slowly has not failed yet when each of them begins.
    let address = check_attempts(call)?;
    let password = settings.password.as_ref();
    let password = password.or(app.config.general.master_key.as_ref());
    let same = |typed: &str, wanted: &str| KeyDigest::of(typed).same(&KeyDigest::of(wanted));
    // Both are always compared: the time tells nothing.
    let is_name = same(&typed.username, &settings.username);
    let is_password = password.is_some_and(|password| same(&typed.password, password.expose()));
    if !(is_name & is_password) {
        app.attempts.failed(address, app.shared.clock.now());
        return Err(refused(address));
    }
    let user = settings.admin_user.as_deref().unwrap_or(DEFAULT_USER);
    info!(user; "an administrator signed in by the form");
    Ok(sessions.issue(user, true, UnixMs::now()))
}

fn refused(address: Option<IpAddr>) -> ApiError {
    let address = address.map(|address| address.to_string());
    warn!(address = address.unwrap_or_default().as_str(); "a sign-in by the form failed");
    ApiError::new(
        Code::Auth,
        "Invalid credentials. Check UI_USERNAME and UI_PASSWORD; without UI_PASSWORD the password is the master key.",
    )
    .status(StatusCode::UNAUTHORIZED)
}
