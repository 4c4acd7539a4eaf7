//! Where replicas meet: `router_settings.redis_*`, else `rate_limit_config`, else the environment's `REDIS_*`.

mod parts;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use self::parts::{At, Parts};
use super::env::Env;
use super::raw::{RawRateLimits, RawRouter, RawTrunkline};
use super::report::Report;
use super::secret::Secret;
use super::section::{self, seconds_above_zero};
use super::settings::duration;
use super::yaml::{KeyPath, Node};

/// The first part of every key's name.
const NAMESPACE: &str = "trunkline";
/// What a request waits, if nobody says otherwise: many times what an answer takes.
const DEADLINE: Duration = Duration::from_millis(25);
/// Characters of a namespace.
const LONGEST_NAMESPACE: usize = 64;

/// A Redis server and what is ours of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// `redis://…` or, over TLS, `rediss://…`, with user, password and number of the database.
    pub url: Secret,
    /// Files for TLS.
    pub tls: RedisTls,
    /// The same without user and password, for people.
    pub shown: String,
    /// What all keys begin with. Default `trunkline`.
    pub namespace: String,
    /// How long a request waits for an answer. Default 25 ms.
    pub deadline: Duration,
}

/// What TLS needs from files, all of them PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// Who may sign the server's certificate; without it the system's authorities, else Mozilla's.
    pub authorities: Option<PathBuf>,
    /// Our own certificate and its key, for a server that asks for one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The server, if any is named. The first place that names one gives all of it; what it leaves out is not taken from
/// another one, or a password would be sent to a server that it is not for.
pub(super) fn redis(
    root: &Node,
    router: &RawRouter,
    own: &RawTrunkline,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<RedisSettings> {
    let tutorial_path = KeyPath::of(&["rate_limit_config"]);
    let node = root.get("rate_limit_config").unwrap_or(&Node::Null);
    let tutorial: RawRateLimits = section::read(node, &tutorial_path, report);
    let fleet = (namespace(own, report), deadline(own, report));
    if env.var("REDIS_CLUSTER_NODES").is_some() {
        report.problem_outside(
            "REDIS_CLUSTER_NODES",
            "Redis clusters are not supported",
            "remove the variable and name one server as REDIS_URL",
        );
    }
    let router_path = KeyPath::of(&["router_settings"]);
    let places = [
        (Parts::of_router(router), At::file(&router_path, "redis_")),
        (
            Parts::of_tutorial(&tutorial),
            At::file(&tutorial_path, "redis_"),
        ),
    ];
    for (parts, at) in places {
        if parts.names_a_server() {
            return parts.settings(fleet, &at, report);
        }
    }
    let parts = Parts::of_environment(env, report);
    if parts.names_a_server() {
        return parts.settings(fleet, &At::Environment, report);
    }
    None
}

fn namespace(own: &RawTrunkline, report: &mut Report<'_>) -> String {
    let Some(written) = &own.fleet.namespace else {
        return NAMESPACE.to_owned();
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:".contains(letter);
    if written.is_empty() || written.len() > LONGEST_NAMESPACE || !written.chars().all(plain) {
        let path = KeyPath::of(&["trunkline", "fleet", "namespace"]);
        report.problem(
            &path,
            "cannot begin the names of keys",
            "write up to 64 letters, digits, `-`, `_`, `.` or `:`",
        );
        return NAMESPACE.to_owned();
    }
    written.clone()
}

fn deadline(own: &RawTrunkline, report: &mut Report<'_>) -> Duration {
    let path = KeyPath::of(&["trunkline", "fleet", "deadline_secs"]);
    seconds_above_zero(own.fleet.deadline_secs, &path, report);
    let deadline = own.fleet.deadline_secs.and_then(duration);
    deadline.unwrap_or(DEADLINE)
}
