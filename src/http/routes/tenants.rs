//! Organisations, teams, users, customers, tags and shared budgets.

use super::{Entry, get, patch, post};
use crate::http::admin::tenants::{
    BUDGET, CUSTOMER, ORGANISATION, TAG, TEAM, USER, create, list, members, remove, reset,
    set_blocked, show, show_named, update, users,
};
use crate::http::extract::{AdminOnly, Caller};

type Admin = Caller<AdminOnly>;

/// All of them.
pub(super) fn entries() -> Vec<Entry> {
    [groups(), people(), labels()]
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
