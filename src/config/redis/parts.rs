//! The parts of an address, of one place that may name them, and the server that they make together.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::super::env::Env;
use super::super::error::NoticeKind;
use super::super::raw::{RawRateLimits, RawRedis, RawRouter};
use super::super::report::Report;
use super::super::secret::Secret;
use super::super::settings::number;
use super::super::yaml::KeyPath;
use super::{RedisNode, RedisPlace, RedisSettings, RedisTls, nodes};

/// Redis's own port.
const PORT: u16 = 6379;
/// That of its sentinels.
const SENTINEL_PORT: u16 = 26379;

const FIX: &str =
    "write redis://host:6379/0, redis://:password@host:6379/0 or, over TLS, rediss://host:6379/0";

/// See the module. Texts are trimmed, and empty ones are none.
#[derive(Default)]
pub(super) struct Parts {
    url: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    username: Option<String>,
    password: Option<String>,
    db: Option<u32>,
    tls: bool,
    /// `ssl_cert_reqs`.
    checked: Option<String>,
    /// `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`.
    authorities: Option<String>,
    certificate: Option<String>,
    certificate_key: Option<String>,
    startup_nodes: Option<Value>,
    sentinel_nodes: Option<Value>,
    sentinel_username: Option<String>,
    sentinel_password: Option<String>,
    service_name: Option<String>,
}

/// Where they stand.
pub(super) enum At<'a> {
    /// In that section, under names that begin so.
    File(&'a KeyPath, &'static str),
    /// In the variables `REDIS_*`.
    Environment,
}

// === impl At ===

impl At<'_> {
    fn problem(
        &self,
        key: &str,
        what: impl Into<String>,
        fix: impl Into<String>,
        report: &mut Report<'_>,
    ) {
        match self {
            Self::File(section, prefix) => {
                report.problem(&section.key(&format!("{prefix}{key}")), what, fix);
            }
            Self::Environment => {
                report.problem_outside(&variable(key), what, fix);
            }
        }
    }

    fn name(&self, key: &str) -> String {
        match self {
            Self::File(_, prefix) => format!("{prefix}{key}"),
            Self::Environment => variable(key),
        }
    }

    fn notice(&self, kind: NoticeKind, key: &str, message: &str, report: &mut Report<'_>) {
        match self {
            Self::File(section, prefix) => {
                report.notice(kind, &section.key(&format!("{prefix}{key}")), message);
            }
            Self::Environment => report.notice_outside(kind, &variable(key), message),
        }
    }
}

// === impl Parts ===

impl Parts {
    pub(super) fn of_router(raw: &RawRouter) -> Self {
        Self {
            url: text(raw.redis_url.as_ref()),
            host: text(raw.redis_host.as_ref()),
            port: raw.redis_port,
            username: text(raw.redis_username.as_ref()),
            password: text(raw.redis_password.as_ref()),
            db: raw.redis_db,
            tls: raw.redis_ssl.unwrap_or(false),
            checked: text(raw.redis_ssl_cert_reqs.as_ref()),
            authorities: text(raw.redis_ssl_ca_certs.as_ref()),
            certificate: text(raw.redis_ssl_certfile.as_ref()),
            certificate_key: text(raw.redis_ssl_keyfile.as_ref()),
            startup_nodes: raw.redis_startup_nodes.clone(),
            sentinel_nodes: raw.redis_sentinel_nodes.clone(),
            sentinel_username: text(raw.redis_sentinel_username.as_ref()),
            sentinel_password: text(raw.redis_sentinel_password.as_ref()),
            service_name: text(raw.redis_service_name.as_ref()),
        }
    }

    pub(super) fn of_coordination(raw: &RawRedis) -> Self {
        Self {
            url: text(raw.url.as_ref()),
            host: text(raw.host.as_ref()),
            port: raw.port,
            username: text(raw.username.as_ref()),
            password: text(raw.password.as_ref()),
            db: raw.db,
            tls: raw.ssl.unwrap_or(false),
            checked: text(raw.ssl_cert_reqs.as_ref()),
            authorities: text(raw.ssl_ca_certs.as_ref()),
            certificate: text(raw.ssl_certfile.as_ref()),
            certificate_key: text(raw.ssl_keyfile.as_ref()),
            startup_nodes: raw.startup_nodes.clone(),
            sentinel_nodes: raw.sentinel_nodes.clone(),
            sentinel_username: text(raw.sentinel_username.as_ref()),
            sentinel_password: text(raw.sentinel_password.as_ref()),
            service_name: text(raw.service_name.as_ref()),
        }
    }

    pub(super) fn of_tutorial(raw: &RawRateLimits) -> Self {
        Self {
            url: text(raw.redis_url.as_ref()),
            host: text(raw.redis_host.as_ref()),
            port: raw.redis_port,
            password: text(raw.redis_password.as_ref()),
            db: raw.redis_db,
            ..Self::default()
        }
    }

    pub(super) fn of_environment(env: &dyn Env, report: &mut Report<'_>) -> Self {
        let var = |name: &str| text(env.var(name).as_ref());
        let mut parts = Self {
            url: var("REDIS_URL"),
            host: var("REDIS_HOST"),
            username: var("REDIS_USERNAME"),
            password: var("REDIS_PASSWORD"),
            tls: env.is_on("REDIS_SSL"),
            checked: var("REDIS_SSL_CERT_REQS"),
            authorities: var("REDIS_SSL_CA_CERTS"),
            certificate: var("REDIS_SSL_CERTFILE"),
            certificate_key: var("REDIS_SSL_KEYFILE"),
            startup_nodes: var("REDIS_CLUSTER_NODES").map(Value::String),
            sentinel_nodes: var("REDIS_SENTINEL_NODES").map(Value::String),
            sentinel_username: var("REDIS_SENTINEL_USERNAME"),
            sentinel_password: var("REDIS_SENTINEL_PASSWORD"),
            service_name: var("REDIS_SERVICE_NAME"),
            ..Self::default()
        };
        parts.port = number(env, "REDIS_PORT", report);
        parts.db = number(env, "REDIS_DB", report);
        parts
    }

    pub(super) fn names_a_server(&self) -> bool {
        self.url.is_some()
            || self.host.is_some()
            || self.startup_nodes.is_some()
            || self.sentinel_nodes.is_some()
    }

    /// The server; `None` when what is wrong with it was said. Nodes of a cluster win over a URL, a URL over sentinels, and these
    /// over a host, as in LiteLLM.
    pub(super) fn settings(
        &self,
        (namespace, deadline): (String, Duration),
        at: &At<'_>,
        report: &mut Report<'_>,
    ) -> Option<RedisSettings> {
        let (url, place) = if let Some(nodes) = &self.startup_nodes {
            self.without_effect(
                &["url", "host", "sentinel_nodes"],
                "startup_nodes",
                at,
                report,
            );
            self.cluster(nodes, at, report)?
        } else if let Some(url) = &self.url {
            self.without_effect(&["host", "sentinel_nodes"], "url", at, report);
            let url = said(read(url), "url", at, report)?;
            (url, RedisPlace::Address)
        } else if let Some(nodes) = &self.sentinel_nodes {
            self.without_effect(&["host"], "sentinel_nodes", at, report);
            self.sentinels(nodes, at, report)?
        } else {
            let port = self.port.unwrap_or(PORT);
            let url = self.url_of(self.host.as_ref()?, port);
            (said(url, "host", at, report)?, RedisPlace::Address)
        };
        let tls = self.tls(url.scheme() == "rediss", at, report);
        Some(RedisSettings {
            shown: shown(&url, &place),
            url: Secret::new(url.as_str()),
            place,
            tls,
            namespace,
            deadline,
        })
    }

    /// Says of parts that are there too that others win.
    fn without_effect(&self, keys: &[&str], beside: &str, at: &At<'_>, report: &mut Report<'_>) {
        for key in keys {
            let is_there = match *key {
                "url" => self.url.is_some(),
                "host" => self.host.is_some(),
                _ => self.sentinel_nodes.is_some(),
            };
            if is_there {
                let message = format!("has no effect beside `{}`", at.name(beside));
                at.notice(NoticeKind::Weak, key, &message, report);
            }
        }
    }

    fn cluster(
        &self,
        written: &Value,
        at: &At<'_>,
        report: &mut Report<'_>,
    ) -> Option<(Url, RedisPlace)> {
        let nodes =
            nodes::read(written, PORT).map_err(|what| (what, "[{host: 10.0.0.1, port: 7001}]"));
        let nodes = nodes_said(nodes, "startup_nodes", at, report)?;
        if self.db.is_some_and(|db| db != 0) {
            let fix = "remove it, and set `trunkline.fleet.namespace` to keep fleets apart";
            at.problem("db", "a cluster has but database 0", fix, report);
            return None;
        }
        let first = nodes.first()?;
        let url = self.url_of(&first.host, first.port);
        let url = said(url, "startup_nodes", at, report)?;
        Some((url, RedisPlace::Cluster(nodes)))
    }

    fn sentinels(
        &self,
        written: &Value,
        at: &At<'_>,
        report: &mut Report<'_>,
    ) -> Option<(Url, RedisPlace)> {
        let nodes =
            nodes::read(written, SENTINEL_PORT).map_err(|what| (what, "[[10.0.0.1, 26379]]"));
        let nodes = nodes_said(nodes, "sentinel_nodes", at, report)?;
        let Some(service) = self.service_name.clone() else {
            let fix = format!(
                "write what they call the server in `{}`, such as mymaster",
                at.name("service_name")
            );
            at.problem(
                "sentinel_nodes",
                "do not say which server is meant",
                fix,
                report,
            );
            return None;
        };
        let first = nodes.first()?;
        let url = self.url_of(&first.host, first.port);
        let url = said(url, "sentinel_nodes", at, report)?;
        let place = RedisPlace::Sentinels {
            nodes,
            service,
            username: self.sentinel_username.clone(),
            password: self.sentinel_password.as_deref().map(Secret::new),
        };
        Some((url, place))
    }

    fn tls(&self, is_used: bool, at: &At<'_>, report: &mut Report<'_>) -> RedisTls {
        if let Some(checked) = &self.checked
            && checked != "required"
        {
            at.problem(
                "ssl_cert_reqs",
                "certificates are always checked",
                "remove it, and name the authority of a certificate of your own in `ssl_ca_certs`",
                report,
            );
        }
        let files = [
            ("ssl_ca_certs", &self.authorities),
            ("ssl_certfile", &self.certificate),
            ("ssl_keyfile", &self.certificate_key),
        ];
        for (key, _) in files.iter().filter(|(_, file)| file.is_some() && !is_used) {
            let message = "is of no use without TLS: write rediss://…, or switch `ssl` on";
            at.notice(NoticeKind::Weak, key, message, report);
        }
        let path = |file: &String| PathBuf::from(file);
        let own = match (&self.certificate, &self.certificate_key) {
            (Some(certificate), Some(key)) => Some((path(certificate), path(key))),
            (None, None) => None,
            (certificate, _) => {
                let (there, missing) = if certificate.is_some() {
                    ("ssl_certfile", "ssl_keyfile")
                } else {
                    ("ssl_keyfile", "ssl_certfile")
                };
                let fix = format!("name the other file in `{missing}`");
                at.problem(there, "is one half of a certificate", fix, report);
                None
            }
        };
        RedisTls {
            authorities: self.authorities.as_ref().map(path),
            own,
        }
    }

    /// The URL of a server at that host.
    fn url_of(&self, host: &str, port: u16) -> Result<Url, String> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let bracketed = host.contains(':') && !host.starts_with('[');
        let host = if bracketed {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let db = self.db.unwrap_or(0);
        // The host must not bring a path, a user or a port of its own along. It is not repeated, since it may bring a password.
        let broken = || "what is written is no host".to_owned();
        let mut url =
            Url::parse(&format!("{scheme}://{host}:{port}/{db}")).map_err(|_err| broken())?;
        if url.path() != format!("/{db}") || !url.username().is_empty() {
            return Err(broken());
        }
        let username = self.username.as_deref().unwrap_or_default();
        let set = url.set_username(username).is_ok()
            && url.set_password(self.password.as_deref()).is_ok();
        if set { Ok(url) } else { Err(broken()) }
    }
}

/// A URL, if it is one; else the problem is said.
fn said(url: Result<Url, String>, key: &str, at: &At<'_>, report: &mut Report<'_>) -> Option<Url> {
    url.map_err(|what| at.problem(key, what, FIX, report)).ok()
}

/// Nodes, if they are some; else the problem is said.
fn nodes_said(
    nodes: Result<Vec<RedisNode>, (String, &str)>,
    key: &str,
    at: &At<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<RedisNode>> {
    let wrong = |(what, example)| at.problem(key, what, format!("write {example}"), report);
    nodes.map_err(wrong).ok()
}

/// An address for people.
fn shown(url: &Url, place: &RedisPlace) -> String {
    let (scheme, path) = (url.scheme(), url.path());
    match place {
        RedisPlace::Address => {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().unwrap_or(PORT);
            format!("{scheme}://{host}:{port}{path}")
        }
        RedisPlace::Sentinels { nodes, service, .. } => {
            format!(
                "{scheme}+sentinel://{}/{service}{path}",
                nodes::shown(nodes)
            )
        }
        RedisPlace::Cluster(nodes) => format!("{scheme}+cluster://{}", nodes::shown(nodes)),
    }
}

fn variable(key: &str) -> String {
    match key {
        "startup_nodes" => "REDIS_CLUSTER_NODES".to_owned(),
        key => format!("REDIS_{}", key.to_ascii_uppercase()),
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

/// An empty text is none.
fn text(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}
