//! Organisations, teams, users, customers, tags and shared budgets.

use actix_web::http::Method;

use super::{Entry, entry, get, post};
use crate::http::admin::tenants::{
    BUDGET, CUSTOMER, ORGANISATION, TAG, TEAM, USER, budgets, create, delete, list, members,
    organisations, reset, set_blocked, show_customer, show_named, teams, update, users,
};
use crate::http::extract::{AdminOnly, Caller, Manage, Own, View};

type Reader = Caller<Own>;
type Writer = Caller<Manage>;
type Viewer = Caller<View>;
type Admin = Caller<AdminOnly>;

/// All of them.
pub(super) fn entries() -> Vec<Entry> {
    [groups(), memberships(), people(), labels()]
        .into_iter()
        .flatten()
        .collect()
}

/// Organisations and teams.
fn groups() -> Vec<Entry> {
    vec![
        post(
            &["/organization/new"],
            "Make an organisation",
            |caller: Admin, call| create(&ORGANISATION, caller.identity, call),
        ),
        entry(
            Method::PATCH,
            &["/organization/update"],
            "Change an organisation; what is absent stays",
            |caller: Writer, call| update(&ORGANISATION, caller.identity, call),
        ),
        get(
            &["/organization/info"],
            "An organisation with its terms, spend, members and teams",
            organisations::show,
        ),
        get(
            &["/organization/list"],
            "Organisations",
            |caller: Reader, call| list(&ORGANISATION, caller.identity, call),
        ),
        post(&["/team/new"], "Make a team", |caller: Writer, call| {
            create(&TEAM, caller.identity, call)
        }),
        post(
            &["/team/update"],
            "Change a team; what is absent stays",
            |caller: Writer, call| update(&TEAM, caller.identity, call),
        ),
        get(
            &["/team/info"],
            "A team with its terms, spend and members",
            members::show_team,
        ),
        get(&["/team/list"], "Teams with their keys", teams::list),
        get(&["/v2/team/list"], "Teams, page by page", teams::page),
        post(
            &["/team/block"],
            "Refuse a team's keys from now on",
            |caller: Writer, call| set_blocked(&TEAM, true, caller.identity, call),
        ),
        post(
            &["/team/unblock"],
            "Serve a blocked team again",
            |caller: Writer, call| set_blocked(&TEAM, false, caller.identity, call),
        ),
        post(
            &["/team/delete"],
            "Delete teams, their keys and memberships",
            |caller: Writer, call| delete::remove(&TEAM, caller.identity, call),
        ),
        entry(
            Method::DELETE,
            &["/organization/delete"],
            "Delete organisations, their teams, keys and memberships",
            |caller: Admin, call| delete::remove(&ORGANISATION, caller.identity, call),
        ),
    ]
}

/// Members of teams and organisations, and what they may do.
fn memberships() -> Vec<Entry> {
    vec![
        post(
            &["/team/member_add", "/team/bulk_member_add"],
            "Add users to a team",
            members::add,
        ),
        post(
            &[
                "/team/{team_id}/member/{user_id}/reset_spend",
                "/team/{team_id}/member/{user_id}/reset_budget",
            ],
            "Begin a member's budget anew, with reset_to spent",
            reset::member,
        ),
        post(
            &["/team/model/add"],
            "Let a team use more models",
            teams::add_models,
        ),
        post(
            &["/team/model/delete"],
            "Let a team use fewer models",
            teams::delete_models,
        ),
        get(
            &["/team/permissions_list"],
            "What members of a team may do",
            teams::permissions,
        ),
        post(
            &["/team/permissions_update"],
            "Say what members of a team may do",
            teams::permit,
        ),
        post(
            &["/organization/member_add"],
            "Add users to an organisation",
            organisations::add,
        ),
        entry(
            Method::PATCH,
            &["/organization/member_update"],
            "Change a member's role",
            organisations::update,
        ),
        entry(
            Method::DELETE,
            &["/organization/member_delete"],
            "Take a user out of an organisation",
            organisations::remove,
        ),
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
            |caller: Writer, call| update(&USER, caller.identity, call),
        ),
        post(
            &["/user/delete"],
            "Delete users, their keys and memberships",
            |caller: Writer, call| delete::remove(&USER, caller.identity, call),
        ),
        get(
            &["/user/info"],
            "A user with its terms and spend, its keys and teams",
            users::show,
        ),
        get(&["/user/list"], "Users, page by page", users::list),
        get(&["/v2/user/info"], "A user alone", users::show_alone),
        get(
            &["/user/available_roles"],
            "What a user may be",
            users::roles,
        ),
        get(
            &["/user/available_users"],
            "How many users and teams there are",
            users::count,
        ),
        post(
            &["/user/bulk_update"],
            "Change several users",
            users::update_several,
        ),
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
            |caller: Admin, call| create(&CUSTOMER, caller.identity, call),
        ),
        post(
            &["/customer/update", "/end_user/update"],
            "Change a customer; what is absent stays",
            |caller: Admin, call| update(&CUSTOMER, caller.identity, call),
        ),
        get(
            &["/customer/info", "/end_user/info"],
            "A customer with its terms and spend",
            show_customer,
        ),
        get(
            &["/customer/list", "/end_user/list"],
            "Customers that have terms",
            |caller: Viewer, call| list(&CUSTOMER, caller.identity, call),
        ),
        post(
            &["/customer/delete", "/end_user/delete"],
            "Forget the terms of customers",
            |caller: Admin, call| delete::remove(&CUSTOMER, caller.identity, call),
        ),
        post(
            &["/customer/block", "/end_user/block"],
            "Refuse requests that name these customers",
            |caller: Admin, call| set_blocked(&CUSTOMER, true, caller.identity, call),
        ),
        post(
            &["/customer/unblock", "/end_user/unblock"],
            "Serve blocked customers again",
            |caller: Admin, call| set_blocked(&CUSTOMER, false, caller.identity, call),
        ),
    ]
}

/// Tags and shared budgets.
fn labels() -> Vec<Entry> {
    vec![
        post(
            &["/tag/new"],
            "Give a tag a budget or limits",
            |caller: Admin, call| create(&TAG, caller.identity, call),
        ),
        post(
            &["/tag/update"],
            "Change a tag; what is absent stays",
            |caller: Admin, call| update(&TAG, caller.identity, call),
        ),
        post(
            &["/tag/info"],
            "Tags with their terms and spend",
            |caller: Viewer, call| show_named(&TAG, caller.identity, call),
        ),
        get(
            &["/tag/list"],
            "Tags that have terms",
            |caller: Viewer, call| list(&TAG, caller.identity, call),
        ),
        post(
            &["/tag/delete"],
            "Forget the terms of a tag",
            |caller: Admin, call| delete::remove(&TAG, caller.identity, call),
        ),
        post(
            &["/budget/new"],
            "Make a budget that others share by its id",
            |caller: Admin, call| create(&BUDGET, caller.identity, call),
        ),
        post(
            &["/budget/update"],
            "Change a shared budget; what is absent stays",
            |caller: Admin, call| update(&BUDGET, caller.identity, call),
        ),
        post(
            &["/budget/info"],
            "Shared budgets by their ids",
            |caller: Viewer, call| show_named(&BUDGET, caller.identity, call),
        ),
        post(
            &["/budget/delete"],
            "Delete a shared budget that nobody has",
            delete::budget,
        ),
        get(
            &["/budget/settings"],
            "What can be set on a shared budget, and what is",
            budgets::settings,
        ),
        get(
            &["/budget/list"],
            "Shared budgets",
            |caller: Viewer, call| list(&BUDGET, caller.identity, call),
        ),
    ]
}
