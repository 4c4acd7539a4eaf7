//! What handlers take: a [`Caller`] that was identified and may use the route, and the [`Call`] itself (`call`).

use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};

use super::call::{address_of, worker_of};
use super::error::ApiError;
use super::origin::{SEC_FETCH_SITE, is_own_page};
use super::sign_in::cookie;
use crate::app::App;
use crate::auth::{AuthError, Credential, Identity, Permission, Route, check_address, present};
use crate::config::Secret;

pub use super::call::Call;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A permission as a type: what a handler's first argument demands.
pub trait Demand: 'static {
    /// The permission.
    const PERMISSION: Permission;
}

/// Nobody is asked for a key.
#[derive(Debug)]
pub struct Public;

/// Calling models.
#[derive(Debug)]
pub struct Models;

/// Being told of models.
#[derive(Debug)]
pub struct AboutModels;

/// Reading what is the caller's own; the handler narrows.
#[derive(Debug)]
pub struct Own;

/// Changing what is the caller's own; the handler checks what it changes.
#[derive(Debug)]
pub struct Manage;

/// Reading everything.
#[derive(Debug)]
pub struct View;

/// An administrator.
#[derive(Debug)]
pub struct AdminOnly;

/// The holder of the master key.
#[derive(Debug)]
pub struct MasterOnly;

/// A caller that may use the route: identified, unless the route is public, and authorised.
pub struct Caller<P: Demand> {
    /// Who it is; [`Identity::Open`] on public routes.
    pub identity: Identity,
    demand: PhantomData<P>,
}

// === impl Demand ===

impl Demand for Public {
    const PERMISSION: Permission = Permission::Public;
}

impl Demand for Models {
    const PERMISSION: Permission = Permission::Models;
}

impl Demand for AboutModels {
    const PERMISSION: Permission = Permission::AboutModels;
}

impl Demand for Own {
    const PERMISSION: Permission = Permission::Own;
}

impl Demand for Manage {
    const PERMISSION: Permission = Permission::Manage;
}

impl Demand for View {
    const PERMISSION: Permission = Permission::View;
}

impl Demand for MasterOnly {
    const PERMISSION: Permission = Permission::Master;
}

impl Demand for AdminOnly {
    const PERMISSION: Permission = Permission::Admin;
}

// === impl Caller ===

impl<P: Demand> fmt::Debug for Caller<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl<P: Demand> Caller<P> {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            demand: PhantomData,
        }
    }

    fn admitted(
        known: Result<Identity, AuthError>,
        app: &App,
        request: &HttpRequest,
    ) -> Result<Self, ApiError> {
        admitted(known, P::PERMISSION, app, request).map(Self::new)
    }
}

impl<P: Demand> FromRequest for Caller<P> {
    type Error = ApiError;
    type Future =
        Either<Ready<Result<Self, ApiError>>, LocalBoxFuture<'static, Result<Self, ApiError>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let is_public = P::PERMISSION == Permission::Public;
        // Probes come from anywhere and by any name; they learn nothing else.
        if is_public && request.path().starts_with("/health") {
            return Either::Left(ready(Ok(Self::new(Identity::Open))));
        }
        let worker = match worker_of(request) {
            Ok(worker) => worker,
            Err(err) => return Either::Left(ready(Err(err))),
        };
        // Scrapers come from anywhere too; where metrics ask for a key, `identify` looks.
        let is_scraper = is_public && request.path().starts_with("/metrics");
        if !is_scraper && let Err(err) = check_place(request, &worker.app) {
            return Either::Left(ready(Err(refused(&worker.app, err))));
        }
        let credential = match (credential(request, &worker.app), is_public) {
            (Err(err @ (AuthError::NoMasterKey | AuthError::ForeignHost)), _)
            | (Err(err), false) => {
                return Either::Left(ready(Err(refused(&worker.app, err))));
            }
            (_, true) => return Either::Left(ready(Ok(Self::new(Identity::Open)))),
            (Ok(credential), false) => credential,
        };
        let request = request.clone();
        if let Some(known) = worker.app.keys.identify_cached(&credential) {
            return Either::Left(ready(Self::admitted(known, &worker.app, &request)));
        }
        Either::Right(Box::pin(async move {
            let known = worker.app.keys.identify(&credential).await;
            Self::admitted(known, &worker.app, &request)
        }))
    }
}

/// Identifies the caller of a route that is public by default, when a setting or its query asks for a key.
///
/// # Errors
/// As for any route that asks for a key.
pub async fn identify(call: &Call) -> Result<Identity, ApiError> {
    let app = call.app();
    check_place(&call.request, app).map_err(|err| refused(app, err))?;
    let credential = credential(&call.request, app).map_err(|err| refused(app, err))?;
    let known = app.keys.identify(&credential).await;
    admitted(known, Permission::AboutModels, app, &call.request)
}

/// Who is known and may use the route; whoever is not is counted as refused.
fn admitted(
    known: Result<Identity, AuthError>,
    permission: Permission,
    app: &App,
    request: &HttpRequest,
) -> Result<Identity, ApiError> {
    known
        .and_then(|identity| authorise(&identity, permission, request).map(|()| identity))
        .map_err(|err| refused(app, err))
}

fn authorise(
    identity: &Identity,
    permission: Permission,
    request: &HttpRequest,
) -> Result<(), AuthError> {
    // Putting a pattern together costs something; most keys are for every route.
    let has_routes = identity.key().is_some_and(|key| key.rules.has_routes());
    let pattern = has_routes.then(|| request.match_pattern()).flatten();
    let route = Route {
        path: request.path(),
        pattern: pattern.as_deref(),
    };
    identity.authorise(permission, route, address_of(request))
}

/// Whether the gateway is for callers at that address, whoever they are.
fn check_place(request: &HttpRequest, app: &App) -> Result<(), AuthError> {
    check_address(&app.catalogue.addresses(), address_of(request))
}

fn refused(app: &App, err: AuthError) -> ApiError {
    let err = ApiError::from(err);
    app.shared.metrics.refused(err.code().label());
    err
}

/// The key that a request presents, after the checks that hold while no master key is set.
fn credential(request: &HttpRequest, app: &App) -> Result<Credential, AuthError> {
    if !app.keys.has_master_key() {
        if app.closed {
            return Err(AuthError::NoMasterKey);
        }
        if !is_local(request.headers()) {
            return Err(AuthError::ForeignHost);
        }
        // A malformed key is as good as none here: any or no key is an internal user.
        return Ok(
            present(request.headers(), app.key_header.as_ref()).unwrap_or(Credential::Absent)
        );
    }
    Ok(match present(request.headers(), app.key_header.as_ref())? {
        Credential::Absent => session(request, app).unwrap_or(Credential::Absent),
        shown @ Credential::Key(_) => shown,
    })
}

/// The session that a browser keeps, for requests of own pages: it goes along with those of any page.
fn session(request: &HttpRequest, app: &App) -> Option<Credential> {
    let sessions = app.sessions.as_ref()?;
    let held = cookie::held(request.headers())?;
    let base = app.config.sign_in.base_url.as_ref();
    let counts = sessions.is_one(held) && is_own_page(request.method(), request.headers(), base);
    counts.then(|| Credential::Key(Secret::new(held)))
}

/// Whether the request comes from this machine and not from a web page that a browser on it shows. The Host header must
/// name loopback: a page's own name may resolve to 127.0.0.1. So must the Origin: a page may post a form to any address,
/// and a body that looks like one is not asked about first. Images and scripts have no Origin, but say that they are
/// another site's; a link that somebody follows is no harm.
fn is_local(headers: &HeaderMap) -> bool {
    let text = |name| Some(headers.get(name)?.to_str().unwrap_or_default());
    // Without them it is no browser: HTTP/1.0 has no Host, and only browsers send the others.
    let host = text(HOST);
    let origin = text(ORIGIN);
    let origin = origin.map(|origin| origin.split_once("://").map_or("", |(_scheme, host)| host));
    let is_embedded =
        text(SEC_FETCH_SITE) == Some("cross-site") && text(SEC_FETCH_MODE) != Some("navigate");
    [host, origin].into_iter().flatten().all(names_loopback) && !is_embedded
}

/// `host` or `host:port`.
fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn without_a_master_key_only_loopback_names_and_no_foreign_pages_are_local() {
        for (host, origin, want) in [
            (None, None, true),
            (Some("localhost:4000"), None, true),
            (Some("127.0.0.1"), None, true),
            (Some("[::1]:4000"), None, true),
            (Some("evil.example"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("\u{e4}"), None, false),
            (Some("localhost"), Some("http://localhost:3000"), true),
            (Some("localhost"), Some("http://[::1]:3000"), true),
            (Some("localhost"), Some("https://evil.example"), false),
            (
                Some("localhost"),
                Some("http://localhost.evil.example"),
                false,
            ),
            (Some("localhost"), Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            let mut insert = |name: HeaderName, value: Option<&str>| {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            };
            insert(HOST, host);
            insert(ORIGIN, origin);
            assert_eq!(is_local(&headers), want, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn what_a_foreign_page_embeds_is_not_local_but_a_link_is() {
        for (site, mode, want) in [
            ("cross-site", "no-cors", false),
            ("cross-site", "navigate", true),
            ("same-site", "cors", true),
            ("none", "navigate", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:4000"));
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            headers.insert(SEC_FETCH_MODE, HeaderValue::from_static(mode));
            assert_eq!(is_local(&headers), want, "{site} {mode}");
        }
    }
}
