//! Where replicas meet: `general_settings.coordination_redis`, else `router_settings.redis_*`, else `rate_limit_config`, else the
//! environment's `REDIS_*`.

mod nodes;
mod parts;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use self::parts::{At, Parts};
use super::env::Env;
use super::error::NoticeKind;
use super::raw::{RawGeneral, RawRateLimits, RawRouter, RawTrunkline};
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
    /// `redis://…` or, over TLS, `rediss://…`, with user, password and number of the database. Of sentinels and clusters: how to
    /// sign in to any of their servers, whose host and port take the place of those here.
    pub url: Secret,
    /// How the server is found.
    pub place: RedisPlace,
    /// Files for TLS.
    pub tls: RedisTls,
    /// Where it is, without user and password, for people: `redis://a:6379/0`, `redis+sentinel://a:26379,b:26379/mymaster/0`,
    /// `redis+cluster://a:7001,b:7002`.
    pub shown: String,
    /// What all keys begin with. Default `trunkline`.
    pub namespace: String,
    /// How long a request waits for an answer. Default 25 ms.
    pub deadline: Duration,
}

/// How a server is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// It is the one of the URL.
    Address,
    /// Sentinels know who is master.
    Sentinels {
        /// At least one.
        nodes: Vec<RedisNode>,
        /// What they call it.
        service: String,
        /// How to sign in to the sentinels themselves.
        username: Option<String>,
        /// As above.
        password: Option<Secret>,
    },
    /// The node of a cluster that has the slot of all our keys. At least one node to begin with.
    Cluster(Vec<RedisNode>),
}

/// The address of a sentinel or of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisNode {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// TCP.
    pub port: u16,
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
    general: &RawGeneral,
    router: &RawRouter,
    own: &RawTrunkline,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<RedisSettings> {
    let tutorial_path = KeyPath::of(&["rate_limit_config"]);
    let node = root.get("rate_limit_config").unwrap_or(&Node::Null);
    let tutorial: RawRateLimits = section::read(node, &tutorial_path, report);
    let fleet = (namespace(own, report), deadline(own, report));
    if let Some(raw) = &general.coordination_redis {
        let path = KeyPath::of(&["general_settings", "coordination_redis"]);
        let parts = Parts::of_coordination(raw);
        if !parts.names_a_server() {
            report.problem(
                &path,
                "names no server",
                "write `url`, `host`, `startup_nodes` or `sentinel_nodes` below it",
            );
            return None;
        }
        of_environment_without_effect(env, report);
        return parts.settings(fleet, &At::File(&path, ""), report);
    }
    let router_path = KeyPath::of(&["router_settings"]);
    for (parts, path) in [
        (Parts::of_router(router), &router_path),
        (Parts::of_tutorial(&tutorial), &tutorial_path),
    ] {
        if parts.names_a_server() {
            of_environment_without_effect(env, report);
            return parts.settings(fleet, &At::File(path, "redis_"), report);
        }
    }
    let parts = Parts::of_environment(env, report);
    if parts.names_a_server() {
        return parts.settings(fleet, &At::Environment, report);
    }
    None
}

/// Who names a server in the file and others in the environment may mean the latter: LiteLLM reads nodes there in any case.
fn of_environment_without_effect(env: &dyn Env, report: &mut Report<'_>) {
    for name in ["REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"] {
        if env.var(name).is_some() {
            let message = "has no effect: the config file names the Redis server";
            report.notice_outside(NoticeKind::Weak, name, message);
        }
    }
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
