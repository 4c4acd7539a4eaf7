//! `user_config`: the users that there must be, in the tutorial's dialect. Their keys are generated, never written here.

use std::collections::BTreeMap;

use super::error::NoticeKind;
use super::model::UserConfig;
use super::raw::RawUser;
use super::report::Report;
use super::section;
use super::sign_in::USER_ROLES;
use super::span;
use super::yaml::{KeyPath, Node};
use crate::cost::parse_price;

/// The users of the list at `user_config`.
pub(super) fn users(root: &Node, report: &mut Report<'_>) -> Vec<UserConfig> {
    let path = KeyPath::of(&["user_config"]);
    let items = match root.get("user_config") {
        None | Some(Node::Null) => return Vec::new(),
        Some(Node::List(items)) => items,
        Some(other) => {
            let what = format!("expected a list, found {}", other.describe());
            report.problem(&path, what, "write one `- user_id: …` entry for each user");
            return Vec::new();
        }
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut users = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let raw: RawUser = section::read(item, &path, report);
        let Some(user) = user(&raw, &path, report) else {
            continue;
        };
        if let Some(first) = seen.get(&user.user_id) {
            let what = format!("`{}` is the id of user_config[{first}] too", user.user_id);
            report.problem(&path.key("user_id"), what, "write each user once");
            continue;
        }
        seen.insert(user.user_id.clone(), index);
        users.push(user);
    }
    users
}

fn user(raw: &RawUser, path: &KeyPath, report: &mut Report<'_>) -> Option<UserConfig> {
    let user_id = raw.user_id.as_deref().map(str::trim).unwrap_or_default();
    if user_id.is_empty() || user_id.chars().any(char::is_control) {
        report.problem(
            &path.key("user_id"),
            "is missing or not a name",
            "write `user_id: NAME`",
        );
        return None;
    }
    let max_budget = raw.max_budget.as_deref().and_then(|text| {
        let amount = parse_price(text);
        if amount.is_none() {
            report.problem(
                &path.key("max_budget"),
                "is not an amount",
                "write USD, 0 or more, such as 100.0",
            );
        }
        amount
    });
    let budget_duration = raw.budget_duration.as_deref().map(str::trim);
    if budget_duration.is_some_and(|text| span::parse(text).is_none()) {
        report.problem(
            &path.key("budget_duration"),
            "is not a length of time",
            span::FIX,
        );
    }
    Some(UserConfig {
        user_id: user_id.to_owned(),
        email: raw.user_email.clone(),
        role: role(raw, path, report),
        models: raw.models.clone(),
        rpm_limit: raw.rpm_limit,
        tpm_limit: raw.tpm_limit,
        max_budget,
        budget_duration: budget_duration.map(str::to_owned),
    })
}

fn role(raw: &RawUser, path: &KeyPath, report: &mut Report<'_>) -> String {
    let role = raw.user_role.as_deref().map_or("internal_user", str::trim);
    if USER_ROLES.contains(&role) {
        return role.to_owned();
    }
    if role != "app_user" {
        report.notice(
            NoticeKind::Adjusted,
            &path.key("user_role"),
            format!(
                "is not a role, so the user is an internal_user; the roles are {}",
                USER_ROLES.join(", ")
            ),
        );
    }
    "internal_user".to_owned()
}
