//! The gateway itself: how it is, what it routes to, what it can do.

use actix_web::http::Method;

use super::{Entry, entry, get, post};
use crate::http::{admin, docs, health, metrics};

/// All of them.
pub(super) fn entries() -> Vec<Entry> {
    [about_the_gateway(), operation(), stored_settings()]
        .into_iter()
        .flatten()
        .collect()
}

/// How the gateway is, and what it can do.
fn about_the_gateway() -> Vec<Entry> {
    vec![
        get(
            &["/health"],
            "Cheap status; ?detailed=true is a report on every deployment and needs a key",
            health::status,
        ),
        get(
            &["/health/liveliness", "/health/liveness"],
            "Whether the process runs",
            health::liveness,
        ),
        get(
            &["/health/readiness"],
            "Whether requests can be served",
            health::readiness,
        ),
        get(
            &["/health/readiness/details"],
            "The same with facts about the process",
            health::readiness_details,
        ),
        get(
            &["/health/services"],
            "Whether the database or the journal works (?service=)",
            health::service,
        ),
        get(
            &["/metrics", "/metrics/"],
            "Prometheus metrics",
            metrics::show,
        ),
        get(&["/"], "This page", docs::page),
        get(
            &["/openapi.json"],
            "The route table as OpenAPI",
            docs::openapi,
        ),
    ]
}

/// Settings that are stored in the database.
fn stored_settings() -> Vec<Entry> {
    vec![
        post(
            &["/add/allowed_ip"],
            "Allows callers at one more address or network",
            admin::allowed_ips::add,
        ),
        post(
            &["/delete/allowed_ip"],
            "Takes a stored address from the list of those allowed",
            admin::allowed_ips::delete,
        ),
        get(
            &["/get/allowed_ips"],
            "Addresses that callers may be at, of the config file and of the database",
            admin::allowed_ips::list,
        ),
        post(
            &["/fallback"],
            "Stores the fallbacks of a model, which count at once",
            admin::fallbacks::put,
        ),
        get(
            &["/fallback/{model:.+}"],
            "The fallbacks of a model that count (?fallback_type=)",
            admin::fallbacks::show,
        ),
        entry(
            Method::DELETE,
            &["/fallback/{model:.+}"],
            "Removes stored fallbacks of a model: those of the config file count again",
            admin::fallbacks::delete,
        ),
    ]
}

/// What the operator asks of the running gateway.
fn operation() -> Vec<Entry> {
    vec![
        get(
            &["/config/list"],
            "Settings with their values, secrets removed",
            admin::settings::list,
        ),
        get(
            &["/config/field/info"],
            "One setting, secrets removed",
            admin::settings::field,
        ),
        get(
            &["/get/config/callbacks"],
            "Where requests are to be reported, and how routing is set",
            admin::settings::callbacks,
        ),
        get(
            &["/router/settings"],
            "Settings of routing with the values that count",
            admin::settings::router,
        ),
        get(
            &["/router/fields"],
            "Settings of routing that there are, without values",
            admin::settings::router_fields,
        ),
        get(
            &["/provider/budgets"],
            "What each provider may cost and has cost in the running period",
            admin::provider_budgets::list,
        ),
        get(
            &["/audit"],
            "Who changed which key or tenant, from what to what",
            admin::audit::list,
        ),
        get(
            &["/audit/{id}"],
            "One line of the audit log",
            admin::audit::show,
        ),
        post(
            &["/reload/model_cost_map"],
            "Read prices anew from the configuration, without a restart",
            admin::prices::reload,
        ),
        get(
            &["/router/state"],
            "Model groups and the state of their deployments",
            admin::router_state::show,
        ),
    ]
}
