//! Where replicas meet: `router_settings.redis_*`, completed from `rate_limit_config` and from the environment's `REDIS_*`.
//!
//! One server. Clusters and sentinels are refused, not ignored: limits that are kept on the wrong server are not kept.

use std::time::Duration;

use url::Url;

use super::env::Env;
use super::raw::{RawRateLimits, RawRouter, RawTrunkline};
use super::report::Report;
use super::secret::Secret;
use super::section::{self, seconds_above_zero};
use super::settings::{duration, number};
use super::yaml::{KeyPath, Node};

/// Redis's own port.
const PORT: u16 = 6379;
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
    /// The same without user and password, for people.
    pub shown: String,
    /// What all keys begin with. Default `trunkline`.
    pub namespace: String,
    /// How long a request waits for an answer. Default 25 ms.
    pub deadline: Duration,
}

/// The parts of an address, of one place that may name them.
#[derive(Default)]
struct Parts<'a> {
    url: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<u16>,
    username: Option<&'a str>,
    password: Option<&'a str>,
    db: Option<u32>,
    tls: bool,
}

/// The server, if any is named. The first place that names a URL or a host gives it; what it leaves out is not taken from
/// another one, or a password would be sent to a server that it is not for.
pub(super) fn redis(
    root: &Node,
    router: &RawRouter,
    own: &RawTrunkline,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<RedisSettings> {
    let path = KeyPath::of(&["rate_limit_config"]);
    let node = root.get("rate_limit_config").unwrap_or(&Node::Null);
    let tutorial: RawRateLimits = section::read(node, &path, report);
    let fleet = (namespace(own, report), deadline(own, report));
    if env.var("REDIS_CLUSTER_NODES").is_some() {
        report.problem_outside(
            "REDIS_CLUSTER_NODES",
            "Redis clusters are not supported",
            "remove the variable and name one server as REDIS_URL",
        );
    }
    let router_path = KeyPath::of(&["router_settings"]);
    let of_router = Parts {
        url: text(router.redis_url.as_ref()),
        host: text(router.redis_host.as_ref()),
        port: router.redis_port,
        username: text(router.redis_username.as_ref()),
        password: text(router.redis_password.as_ref()),
        db: router.redis_db,
        tls: router.redis_ssl.unwrap_or(false),
    };
    let of_tutorial = Parts {
        url: text(tutorial.redis_url.as_ref()),
        host: text(tutorial.redis_host.as_ref()),
        port: tutorial.redis_port,
        password: text(tutorial.redis_password.as_ref()),
        db: tutorial.redis_db,
        ..Parts::default()
    };
    for (parts, path) in [(of_router, &router_path), (of_tutorial, &path)] {
        match parts.address() {
            Some(Ok(url)) => return Some(settings(&url, &fleet)),
            Some(Err(what)) => {
                let key = parts.named("redis_url", "redis_host");
                report.problem(&path.key(key), what, FIX);
                return None;
            }
            None => {}
        }
    }
    let (url, host) = (env.var("REDIS_URL"), env.var("REDIS_HOST"));
    let (username, password) = (env.var("REDIS_USERNAME"), env.var("REDIS_PASSWORD"));
    let parts = Parts {
        url: text(url.as_ref()),
        host: text(host.as_ref()),
        port: number(env, "REDIS_PORT", report),
        username: text(username.as_ref()),
        password: text(password.as_ref()),
        db: number(env, "REDIS_DB", report),
        tls: env.is_on("REDIS_SSL"),
    };
    match parts.address()? {
        Ok(url) => Some(settings(&url, &fleet)),
        Err(what) => {
            report.problem_outside(parts.named("REDIS_URL", "REDIS_HOST"), what, FIX);
            None
        }
    }
}

const FIX: &str =
    "write redis://host:6379/0, redis://:password@host:6379/0 or, over TLS, rediss://host:6379/0";

// === impl Parts ===

impl Parts<'_> {
    /// The whole address; `None` where nothing is named.
    fn address(&self) -> Option<Result<Url, String>> {
        if let Some(url) = self.url {
            return Some(read(url));
        }
        let host = self.host?;
        Some(self.assembled(host))
    }

    /// Where the address stands, by the names that the place has for it.
    fn named<'n>(&self, url: &'n str, host: &'n str) -> &'n str {
        if self.url.is_some() { url } else { host }
    }

    fn assembled(&self, host: &str) -> Result<Url, String> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let host = host.trim();
        let bracketed = host.contains(':') && !host.starts_with('[');
        let host = if bracketed {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self.port.unwrap_or(PORT);
        let db = self.db.unwrap_or(0);
        // The host must not bring a path, a user or a port of its own along.
        let broken = || format!("`{host}` is no host");
        let mut url =
            Url::parse(&format!("{scheme}://{host}:{port}/{db}")).map_err(|_err| broken())?;
        if url.path() != format!("/{db}") || !url.username().is_empty() {
            return Err(broken());
        }
        let set = url.set_username(self.username.unwrap_or_default()).is_ok()
            && url.set_password(self.password).is_ok();
        if set { Ok(url) } else { Err(broken()) }
    }
}

/// A URL as written. What cannot be acted on is refused; the text is not repeated, since it may hold a password.
fn read(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|err| format!("the URL cannot be read: {err}"))?;
    if !matches!(url.scheme(), "redis" | "rediss") {
        return Err(format!("`{}` is no way to a Redis server", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the URL names no host".to_owned());
    }
    if url.fragment().is_some() {
        return Err("the URL must not end in `#…`: certificates are always checked".to_owned());
    }
    Ok(url)
}

fn settings(url: &Url, (namespace, deadline): &(String, Duration)) -> RedisSettings {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().unwrap_or(PORT);
    RedisSettings {
        shown: format!("{}://{host}:{port}{}", url.scheme(), url.path()),
        url: Secret::new(url.as_str()),
        namespace: namespace.clone(),
        deadline: *deadline,
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

/// An empty text is none.
fn text(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{CliOverrides, ConfigErrors, ConfigSource, MapEnv, load};
    use super::RedisSettings;

    const ONE: &str =
        "model_list: [{model_name: a, litellm_params: {model: openai/m, api_key: k}}]\n";

    fn redis(text: &str, env: &MapEnv) -> Result<Option<RedisSettings>, ConfigErrors> {
        let text = format!("{ONE}{text}");
        let source = ConfigSource::Text {
            name: "config.yaml",
            text: &text,
        };
        load(source, &CliOverrides::default(), env).map(|config| config.redis)
    }

    #[test]
    fn the_server_is_read_from_wherever_it_is_named() {
        let none = MapEnv::default();
        let env = MapEnv::new([
            ("REDIS_HOST", "e"),
            ("REDIS_PORT", "1"),
            ("REDIS_PASSWORD", "p@ss"),
            ("REDIS_USERNAME", "u"),
            ("REDIS_SSL", "True"),
            ("REDIS_DB", "3"),
        ]);
        for (text, env, url) in [
            ("", &none, None),
            (
                "router_settings: {redis_host: h}",
                &none,
                Some("redis://h:6379/0"),
            ),
            (
                "router_settings: {redis_host: h, redis_port: 7, redis_password: 'a/b', redis_db: 2, redis_ssl: true}",
                &none,
                Some("rediss://:a%2Fb@h:7/2"),
            ),
            (
                "router_settings: {redis_url: 'rediss://u:p@h:7/1'}",
                &env,
                Some("rediss://u:p@h:7/1"),
            ),
            (
                "rate_limit_config: {redis_host: localhost}",
                &env,
                Some("redis://localhost:6379/0"),
            ),
            (
                "router_settings: {redis_host: '::1'}",
                &none,
                Some("redis://[::1]:6379/0"),
            ),
            ("", &env, Some("rediss://u:p%40ss@e:1/3")),
        ] {
            let found = redis(text, env).unwrap();
            let found = found.as_ref().map(|redis| redis.url.expose());
            assert_eq!(found, url, "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let text = "router_settings: {redis_url: 'redis://user:hush@h:7/1?x=hush'}";
        let redis = redis(text, &MapEnv::default()).unwrap().unwrap();
        assert_eq!(redis.shown, "redis://h:7/1");
        assert!(!format!("{redis:?}").contains("hush"));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_what_to_write() {
        for (text, said) in [
            (
                "router_settings: {redis_url: 'http://h'}",
                "is no way to a Redis server; write redis://",
            ),
            (
                "router_settings: {redis_url: 'rediss://h#insecure'}",
                "certificates are always checked",
            ),
            (
                "router_settings: {redis_host: 'a/b:hush@c'}",
                "is no host; write redis://",
            ),
            (
                "router_settings: {redis_startup_nodes: []}",
                "name one server as redis_url",
            ),
            (
                "trunkline: {fleet: {namespace: 'a b'}}",
                "write up to 64 letters",
            ),
        ] {
            let err = redis(text, &MapEnv::default()).unwrap_err().to_string();
            assert!(err.contains(said), "{text}: {err}");
        }
        let env = MapEnv::new([("REDIS_CLUSTER_NODES", "[]")]);
        let err = redis("", &env).unwrap_err().to_string();
        assert!(err.contains("clusters are not supported"), "{err}");
        let env = MapEnv::new([("REDIS_HOST", "h"), ("REDIS_PORT", "many")]);
        let err = redis("", &env).unwrap_err().to_string();
        assert!(err.contains("REDIS_PORT"), "{err}");
    }
}
