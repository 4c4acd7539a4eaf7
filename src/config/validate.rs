//! Checks that need more than one key: ids, what is left, unset variables. What names a group is checked in
//! [`super::references`], limits and prices in [`super::limits`].

use std::collections::BTreeMap;

use super::env_refs::Missing;
use super::error::{NoticeKind, Problem};
use super::model::DeploymentConfig;
use super::report::Report;
use super::yaml::KeyPath;

/// A deployment and the entry it came from.
pub(super) type Placed = (KeyPath, DeploymentConfig);

/// Ids are unique: a repeated one that was written is a problem, a repeated computed one (two equal entries) gets a
/// number.
pub(super) fn unique_ids(deployments: &mut [Placed], report: &mut Report<'_>) {
    let mut seen: BTreeMap<String, (KeyPath, usize)> = BTreeMap::new();
    for (path, deployment) in deployments {
        match seen.get_mut(&deployment.id) {
            None => {
                seen.insert(deployment.id.clone(), (path.clone(), 1));
            }
            Some((_, times)) if is_computed(&deployment.id) => {
                *times += 1;
                deployment.id = super::deployment::stable_id(&[&deployment.id, &times.to_string()]);
            }
            Some((first, _)) => {
                let what = format!("`{}` is the id of {first} too", deployment.id);
                report.problem(
                    &path.key("model_info").key("id"),
                    what,
                    "write another id or remove the key",
                );
            }
        }
    }
}

fn is_computed(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An empty list is only an error when there was something in it: then every reason becomes a problem.
pub(super) fn something_is_left(deployments: &[Placed], report: &mut Report<'_>) {
    if !deployments.is_empty() || !report.problems.is_empty() {
        return;
    }
    left_out(report, " (and no other deployment remains)");
    if report.problems.is_empty() {
        report.problem(
            &KeyPath::of(&["model_list"]),
            "is empty",
            "write at least one deployment, or remove the key",
        );
    }
}

/// Makes a problem of each reason for which a deployment was left out; `and` is said with it.
pub(super) fn left_out(report: &mut Report<'_>, and: &str) {
    let (skipped, kept) = report
        .notices
        .drain(..)
        .partition(|notice| notice.kind == NoticeKind::SkippedDeployment);
    report.notices = kept;
    let skipped: Vec<super::error::Notice> = skipped;
    for notice in skipped {
        let (what, fix) = notice
            .message
            .split_once("; ")
            .unwrap_or((&notice.message, "correct the entry"));
        let what = format!("{what}{and}");
        report.problems.push(Problem {
            location: notice.location,
            path: notice.path,
            what,
            fix: fix.to_owned(),
        });
    }
}

/// Says which variables were wanted and are not set, wherever no other message does.
pub(super) fn unset_variables(missing: &[Missing], report: &mut Report<'_>) {
    for Missing { path, variable } in missing {
        let shown = path.to_string();
        let mut said = report.notices.iter().any(|notice| notice.path == shown);
        for problem in report
            .problems
            .iter_mut()
            .filter(|problem| problem.path == shown)
        {
            said = true;
            if !problem.what.contains(variable.as_str()) {
                problem.what = format!("environment variable {variable} is not set");
                problem.fix = format!("set {variable} or write the value");
            }
        }
        if !said {
            let message =
                format!("environment variable {variable} is not set, so this counts as not given");
            report.notice(NoticeKind::Adjusted, path, message);
        }
    }
}
