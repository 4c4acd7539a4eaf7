//! The whole route table. A handler states its permission in its type ([`Caller<P>`]); one that states none does not fit.
//!
//! `/openapi.json` and the docs page are made from the same table, so they cannot disagree with it.

use std::fmt;

use actix_web::http::Method;
use actix_web::{Handler, HttpResponse, Responder, Route, web};

use super::admin::tenants::{
    BUDGET, CUSTOMER, ORGANISATION, TAG, TEAM, USER, create, list, members, remove, reset,
    set_blocked, show, show_named, update, users,
};
use super::error::{ApiError, Code};
use super::extract::{AdminOnly, Call, Caller, Demand};
use super::{admin, anthropic, docs, health, metrics, openai, utils};
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
        model_calls(),
        about_models(),
        management(),
        groups(),
        people(),
        labels(),
        spend(),
        dearest(),
        spend_reports(),
        spend_by_day(),
        about_the_gateway(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Calls of a model, in each dialect that clients speak.
fn model_calls() -> Vec<Entry> {
    vec![
        post(
            &[
                "/v1/chat/completions",
                "/chat/completions",
                "/engines/{model}/chat/completions",
                "/openai/deployments/{model:.+}/chat/completions",
            ],
            "Chat completion, whole or streamed (OpenAI shape)",
            openai::chat::create,
        ),
        post(
            &[
                "/v1/completions",
                "/completions",
                "/engines/{model}/completions",
                "/openai/deployments/{model:.+}/completions",
            ],
            "Text completion, whole or streamed (OpenAI shape)",
            openai::completions::create,
        ),
        post(
            &[
                "/v1/embeddings",
                "/embeddings",
                "/engines/{model}/embeddings",
                "/openai/deployments/{model:.+}/embeddings",
            ],
            "Embeddings (OpenAI shape)",
            openai::embeddings::create,
        ),
        post(
            &["/v1/messages", "/anthropic/v1/messages"],
            "Message, whole or streamed (Anthropic shape)",
            anthropic::messages::create,
        ),
        post(
            &[
                "/v1/messages/count_tokens",
                "/anthropic/v1/messages/count_tokens",
            ],
            "How many tokens a prompt is (Anthropic shape)",
            anthropic::count_tokens::count,
        ),
    ]
}

/// What there is to call, told without calling it.
fn about_models() -> Vec<Entry> {
    vec![
        get(
            &["/v1/models", "/models"],
            "Models that the caller may use",
            openai::models::list,
        ),
        get(
            &["/v1/models/{id:.+}", "/models/{id:.+}"],
            "One model",
            openai::models::show,
        ),
        post(
            &["/utils/token_counter"],
            "Tokens of a prompt or chat, counted here",
            utils::token_counter::count,
        ),
    ]
}

/// Keys, spend, routing.
fn management() -> Vec<Entry> {
    vec![
        get(
            &["/model/info", "/v1/model/info"],
            "Deployments with prices and limits, secrets removed",
            admin::model_info::list,
        ),
        post(
            &["/key/generate"],
            "Make a virtual key; its secret is shown once",
            admin::keys::generate::create,
        ),
        post(
            &["/key/update"],
            "Change a virtual key; what is absent stays",
            admin::keys::update::update,
        ),
        post(
            &["/key/block"],
            "Refuse a key from now on",
            admin::keys::update::block,
        ),
        post(
            &["/key/unblock"],
            "Serve a blocked key again",
            admin::keys::update::unblock,
        ),
        post(
            &["/key/{key}/reset_spend"],
            "Begin a key's budgets anew, with reset_to spent",
            admin::keys::reset_spend::reset,
        ),
        get(
            &["/key/info"],
            "A key with its terms and what it has spent",
            admin::keys::info::show,
        ),
        get(
            &["/key/list"],
            "Keys, page by page",
            admin::keys::info::list,
        ),
        get(
            &["/provider/budgets"],
            "What each provider may cost and has cost in the running period",
            admin::provider_budgets::list,
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

type Admin = Caller<AdminOnly>;

/// Organisations and teams.
fn groups() -> Vec<Entry> {
    vec![
        post(
            &["/organization/new"],
            "Make an organisation",
            |caller: Admin, call| create(&ORGANISATION, caller, call),
        ),
        patch(
            &["/organization/update"],
            "Change an organisation; what is absent stays",
            |caller: Admin, call| update(&ORGANISATION, caller, call),
        ),
        get(
            &["/organization/info"],
            "An organisation with its terms and spend",
            |caller: Admin, call| show(&ORGANISATION, caller, call),
        ),
        get(
            &["/organization/list"],
            "Organisations",
            |caller: Admin, call| list(&ORGANISATION, caller, call),
        ),
        post(&["/team/new"], "Make a team", |caller: Admin, call| {
            create(&TEAM, caller, call)
        }),
        post(
            &["/team/update"],
            "Change a team; what is absent stays",
            |caller: Admin, call| update(&TEAM, caller, call),
        ),
        get(
            &["/team/info"],
            "A team with its terms, spend and members",
            members::show_team,
        ),
        get(&["/team/list"], "Teams", |caller: Admin, call| {
            list(&TEAM, caller, call)
        }),
        post(
            &["/team/block"],
            "Refuse a team's keys from now on",
            |_: Admin, call| set_blocked(&TEAM, true, call),
        ),
        post(
            &["/team/unblock"],
            "Serve a blocked team again",
            |_: Admin, call| set_blocked(&TEAM, false, call),
        ),
        post(&["/team/member_add"], "Add users to a team", members::add),
        post(
            &["/team/member_update"],
            "Change a member's budget, limits or role",
            members::update,
        ),
        post(
            &["/team/member_delete"],
            "Take a user out of a team",
            members::remove,
        ),
    ]
}

/// Users and customers.
fn people() -> Vec<Entry> {
    vec![
        post(
            &["/user/new"],
            "Make a user, and a key for it",
            users::create,
        ),
        post(
            &["/user/update"],
            "Change a user; what is absent stays",
            |caller: Admin, call| update(&USER, caller, call),
        ),
        get(
            &["/user/info"],
            "A user with its terms and spend",
            |caller: Admin, call| show(&USER, caller, call),
        ),
        get(&["/user/list"], "Users", |caller: Admin, call| {
            list(&USER, caller, call)
        }),
        post(
            &["/user/reset_budget"],
            "Begin a user's budgets anew",
            reset::user,
        ),
        post(
            &["/global/spend/reset"],
            "Begin the budgets of all keys and teams anew; with the master key",
            reset::everything,
        ),
        post(
            &["/customer/new", "/end_user/new"],
            "Make a customer with a budget or limits",
            |caller: Admin, call| create(&CUSTOMER, caller, call),
        ),
        post(
            &["/customer/update", "/end_user/update"],
            "Change a customer; what is absent stays",
            |caller: Admin, call| update(&CUSTOMER, caller, call),
        ),
        get(
            &["/customer/info", "/end_user/info"],
            "A customer with its terms and spend",
            |caller: Admin, call| show(&CUSTOMER, caller, call),
        ),
        get(
            &["/customer/list", "/end_user/list"],
            "Customers that have terms",
            |caller: Admin, call| list(&CUSTOMER, caller, call),
        ),
        post(
            &["/customer/delete", "/end_user/delete"],
            "Forget the terms of customers",
            |caller: Admin, call| remove(&CUSTOMER, caller, call),
        ),
        post(
            &["/customer/block", "/end_user/block"],
            "Refuse requests that name these customers",
            |_: Admin, call| set_blocked(&CUSTOMER, true, call),
        ),
        post(
            &["/customer/unblock", "/end_user/unblock"],
            "Serve blocked customers again",
            |_: Admin, call| set_blocked(&CUSTOMER, false, call),
        ),
    ]
}

/// Tags and shared budgets.
fn labels() -> Vec<Entry> {
    vec![
        post(
            &["/tag/new"],
            "Give a tag a budget or limits",
            |caller: Admin, call| create(&TAG, caller, call),
        ),
        post(
            &["/tag/update"],
            "Change a tag; what is absent stays",
            |caller: Admin, call| update(&TAG, caller, call),
        ),
        post(
            &["/tag/info"],
            "Tags with their terms and spend",
            |caller: Admin, call| show_named(&TAG, caller, call),
        ),
        get(
            &["/tag/list"],
            "Tags that have terms",
            |caller: Admin, call| list(&TAG, caller, call),
        ),
        post(
            &["/tag/delete"],
            "Forget the terms of a tag",
            |caller: Admin, call| remove(&TAG, caller, call),
        ),
        post(
            &["/budget/new"],
            "Make a budget that others share by its id",
            |caller: Admin, call| create(&BUDGET, caller, call),
        ),
        post(
            &["/budget/update"],
            "Change a shared budget; what is absent stays",
            |caller: Admin, call| update(&BUDGET, caller, call),
        ),
        post(
            &["/budget/info"],
            "Shared budgets by their ids",
            |caller: Admin, call| show_named(&BUDGET, caller, call),
        ),
        get(
            &["/budget/list"],
            "Shared budgets",
            |caller: Admin, call| list(&BUDGET, caller, call),
        ),
    ]
}

/// What was spent: totals and rows.
fn spend() -> Vec<Entry> {
    use admin::spend::{lists, logs, transcript};
    vec![
        get(
            &["/user/spend"],
            "What a user has spent, by model and key",
            admin::spend::totals::of_user,
        ),
        get(
            &["/global/spend"],
            "What everybody has spent in the last 30 days",
            admin::spend::totals::global,
        ),
        get(
            &["/spend/logs"],
            "Spend by day (start_date, end_date), or the newest rows of the books",
            logs::list,
        ),
        get(
            &["/spend/logs/ui/{request_id}"],
            "What a request asked and was answered, where that is kept",
            transcript::show,
        ),
        get(
            &["/spend/logs/v2"],
            "Rows of the books, page by page, by many filters",
            logs::page,
        ),
        get(
            &["/spend/keys"],
            "Keys with what they spent",
            lists::own_keys,
        ),
        get(
            &["/spend/users"],
            "Users with what they spent",
            lists::users,
        ),
        get(&["/spend/tags"], "Spend by request tag", lists::tags),
    ]
}

/// Who and what cost the most.
fn dearest() -> Vec<Entry> {
    use admin::spend::lists;
    vec![
        get(
            &["/global/spend/keys"],
            "The dearest keys of the last 30 days",
            lists::keys,
        ),
        get(
            &["/global/spend/models"],
            "The dearest models of the last 30 days",
            lists::models,
        ),
        get(
            &["/global/spend/teams"],
            "Spend by team and day of the last 30 days",
            lists::teams,
        ),
        get(
            &["/global/spend/tags"],
            "Spend by request tag between two dates",
            lists::global_tags,
        ),
        get(
            &["/global/spend/provider"],
            "Spend by provider between two dates",
            lists::providers,
        ),
        post(
            &["/global/spend/end_users"],
            "The dearest customers",
            lists::end_users,
        ),
        get(
            &["/global/spend/logs"],
            "Spend by day of the last 30 days",
            lists::days,
        ),
        get(
            &["/global/spend/all_tag_names"],
            "Every request tag that was used",
            lists::all_tag_names,
        ),
        get(
            &["/global/spend/all_end_users", "/global/all_end_users"],
            "Every customer that was named",
            lists::all_end_users,
        ),
    ]
}

/// Reports of a stretch of days, and what calls would cost.
fn spend_reports() -> Vec<Entry> {
    use admin::spend::{calculate, estimate, report};
    vec![
        get(
            &["/global/spend/report"],
            "Spend by day and team or customer, or by key",
            report::global,
        ),
        get(
            &["/key/spend/report"],
            "Spend of a key by model",
            report::of_key,
        ),
        get(
            &["/user/spend/report"],
            "Spend of a user by key and model",
            report::of_user,
        ),
        get(
            &["/team/spend/report"],
            "Spend of a team by key and model",
            report::of_team,
        ),
        get(
            &["/organization/spend/report"],
            "Spend of an organisation by key and model",
            report::of_organisation,
        ),
        post(
            &["/spend/calculate"],
            "What a prompt would cost, or what an answer cost",
            calculate::calculate,
        ),
        post(
            &["/cost/estimate"],
            "What calls of some size would cost by the day and by the month",
            estimate::estimate,
        ),
    ]
}

/// What was spent on each day.
fn spend_by_day() -> Vec<Entry> {
    use admin::spend::{activity, daily};
    vec![
        get(
            &["/global/activity"],
            "Requests and tokens by day",
            activity::all,
        ),
        get(
            &["/global/activity/model"],
            "Requests and tokens by day of the busiest models",
            activity::by_model,
        ),
        get(
            &["/global/activity/cache_hits"],
            "Answers from the cache by day",
            activity::cache_hits,
        ),
        get(
            &["/global/activity/exceptions"],
            "Failed requests by day",
            activity::exceptions,
        ),
        get(
            &["/user/daily/activity"],
            "A user's spend, tokens and requests by day, with break-downs",
            daily::of_user,
        ),
        get(
            &["/team/daily/activity"],
            "The same of teams",
            daily::of_team,
        ),
        get(
            &["/organization/daily/activity"],
            "The same of organisations",
            daily::of_organisation,
        ),
        get(
            &["/tag/daily/activity"],
            "The same of request tags",
            daily::of_tag,
        ),
        get(
            &["/customer/daily/activity", "/end_user/daily/activity"],
            "The same of customers",
            daily::of_customer,
        ),
    ]
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

/// Registers the table.
pub fn configure(service: &mut web::ServiceConfig) {
    let table = table();
    let mut paths: Vec<&'static str> = table
        .iter()
        .flat_map(|entry| entry.paths.iter().copied())
        .collect();
    // Fixed paths first: they are compared as text, patterns as regular expressions, one after the other.
    paths.sort_unstable_by_key(|path| (path.contains('{'), *path));
    paths.dedup();
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

fn patch<P, F>(paths: &'static [&'static str], summary: &'static str, handler: F) -> Entry
where
    P: Demand,
    F: Handler<(Caller<P>, Call)>,
    F::Output: Responder + 'static,
{
    entry(Method::PATCH, paths, summary, handler)
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
