//! What was spent: totals, rows, reports.

use super::{Entry, get, post};
use crate::http::admin;

/// All of them.
pub(super) fn entries() -> Vec<Entry> {
    [spend(), dearest(), spend_reports(), spend_by_day()]
        .into_iter()
        .flatten()
        .collect()
}

/// What was spent: totals and rows.
fn spend() -> Vec<Entry> {
    use admin::spend::{lists, logs, own, transcript};
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
        get(&["/spend/keys"], "Keys with what they spent", own::keys),
        get(&["/spend/users"], "Users with what they spent", own::users),
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
