//! The whole route table. A handler states its permission in its type ([`Caller<P>`]); one that states none does not fit.
//!
//! `/openapi.json` and the docs page are made from the same table, so they cannot disagree with it. The entries are in a file for each
//! family of endpoints.

mod gateway;
mod keys;
mod models;
mod sign_in;
mod spend;
mod tenants;

use std::fmt;

use actix_web::http::Method;
use actix_web::{Handler, HttpResponse, Responder, Route, web};

use super::error::{ApiError, Code};
use super::extract::{Call, Caller, Demand};
use crate::auth::Permission;

/// One endpoint: what it is called with, what it asks of the caller, what it does.
pub struct Entry {
    /// HTTP method.
    pub method: Method,
    /// All spellings of its path; the first is the documented one.
    pub paths: &'static [&'static str],
    /// What it asks of the caller.
    pub permission: Permission,
    /// One line for the docs.
    pub summary: &'static str,
    route: Box<dyn Fn() -> Route>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("method", &self.method)
            .field("paths", &self.paths)
            .field("permission", &self.permission)
            .finish_non_exhaustive()
    }
}

/// Every endpoint.
pub fn table() -> Vec<Entry> {
    [
        models::entries(),
        keys::entries(),
        tenants::entries(),
        spend::entries(),
        sign_in::entries(),
        gateway::entries(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Registers the table.
pub fn configure(service: &mut web::ServiceConfig) {
    let table = table();
    let mut paths: Vec<&'static str> = table
        .iter()
        .flat_map(|entry| entry.paths.iter().copied())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let calls_models = |path: &&str| {
        let mut entries = table.iter().filter(|entry| entry.paths.contains(path));
        entries.any(|entry| entry.permission == Permission::Models)
    };
    // They are compared one after the other: fixed paths as text, patterns as regular expressions. So the fixed ones come
    // first, and of them those that are called all the time.
    paths.sort_by_key(|path| (path.contains('{'), !calls_models(path)));
    for path in paths {
        let mut resource = web::resource(path);
        for entry in table.iter().filter(|entry| entry.paths.contains(&path)) {
            resource = resource.route((entry.route)());
        }
        service.service(resource.default_service(web::to(method_not_allowed)));
    }
}

/// For paths that no route has.
pub(crate) async fn not_found(call: Call) -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        Code::NotFound,
        format!(
            "There is no {}. GET /openapi.json lists every path.",
            call.request.path()
        ),
    ))
}

async fn method_not_allowed(call: Call) -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        Code::MethodNotAllowed,
        format!(
            "{} does not take {}.",
            call.request.path(),
            call.request.method()
        ),
    ))
}

fn get<P, F>(paths: &'static [&'static str], summary: &'static str, handler: F) -> Entry
where
    P: Demand,
    F: Handler<(Caller<P>, Call)>,
    F::Output: Responder + 'static,
{
    entry(Method::GET, paths, summary, handler)
}

fn post<P, F>(paths: &'static [&'static str], summary: &'static str, handler: F) -> Entry
where
    P: Demand,
    F: Handler<(Caller<P>, Call)>,
    F::Output: Responder + 'static,
{
    entry(Method::POST, paths, summary, handler)
}

fn entry<P, F>(
    method: Method,
    paths: &'static [&'static str],
    summary: &'static str,
    handler: F,
) -> Entry
where
    P: Demand,
    F: Handler<(Caller<P>, Call)>,
    F::Output: Responder + 'static,
{
    let verb = method.clone();
    Entry {
        method,
        paths,
        permission: P::PERMISSION,
        summary,
        route: Box::new(move || web::method(verb.clone()).to(handler.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_entries_share_a_method_and_a_path() {
        let table = table();
        let mut seen = Vec::new();
        for entry in &table {
            for path in entry.paths {
                assert!(
                    !seen.contains(&(entry.method.clone(), path)),
                    "{} {path}",
                    entry.method
                );
                seen.push((entry.method.clone(), path));
            }
        }
    }

    #[test]
    fn whoever_may_call_without_a_key_is_listed_here() {
        let table = table();
        let public: Vec<&str> = table
            .iter()
            .filter(|entry| entry.permission == Permission::Public)
            .map(|entry| entry.paths[0])
            .collect();
        assert_eq!(
            public,
            [
                "/sso/key/generate",
                "/sso/callback",
                "/login",
                "/v2/login",
                "/logout",
                "/health",
                "/health/liveliness",
                "/health/readiness",
                "/metrics",
                "/",
                "/openapi.json"
            ]
        );
    }
}
