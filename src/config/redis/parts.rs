//! The parts of an address, of one place that may name them, and the server that they make together.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::super::env::Env;
use super::super::error::NoticeKind;
use super::super::raw::{RawRateLimits, RawRouter};
use super::super::report::Report;
use super::super::secret::Secret;
use super::super::settings::number;
use super::super::yaml::KeyPath;
use super::{RedisSettings, RedisTls};

/// Redis's own port.
const PORT: u16 = 6379;

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
}

/// Where they stand.
pub(super) enum At<'a> {
    /// In that section, under names that begin so.
    File(&'a KeyPath, &'static str),
    /// In the variables `REDIS_*`.
    Environment,
}

// === impl At ===

impl<'a> At<'a> {
    pub(super) fn file(section: &'a KeyPath, prefix: &'static str) -> Self {
        Self::File(section, prefix)
    }

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
            ..Self::default()
        };
        parts.port = number(env, "REDIS_PORT", report);
        parts.db = number(env, "REDIS_DB", report);
        parts
    }

    pub(super) fn names_a_server(&self) -> bool {
        self.url.is_some() || self.host.is_some()
    }

    /// The server; `None` when what is wrong with it was said.
    pub(super) fn settings(
        &self,
        (namespace, deadline): (String, Duration),
        at: &At<'_>,
        report: &mut Report<'_>,
    ) -> Option<RedisSettings> {
        let (key, url) = match (&self.url, &self.host) {
            (Some(url), _) => ("url", read(url)),
            (None, Some(host)) => ("host", self.url_of(host)),
            (None, None) => return None,
        };
        let url = match url {
            Ok(url) => url,
            Err(what) => {
                at.problem(key, what, FIX, report);
                return None;
            }
        };
        let tls = self.tls(url.scheme() == "rediss", at, report);
        let host = url.host_str().unwrap_or_default();
        let port = url.port().unwrap_or(PORT);
        Some(RedisSettings {
            shown: format!("{}://{host}:{port}{}", url.scheme(), url.path()),
            url: Secret::new(url.as_str()),
            tls,
            namespace,
            deadline,
        })
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
    fn url_of(&self, host: &str) -> Result<Url, String> {
        let scheme = if self.tls { "rediss" } else { "redis" };
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
        let username = self.username.as_deref().unwrap_or_default();
        let set = url.set_username(username).is_ok()
            && url.set_password(self.password.as_deref()).is_ok();
        if set { Ok(url) } else { Err(broken()) }
    }
}

fn variable(key: &str) -> String {
    format!("REDIS_{}", key.to_ascii_uppercase())
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
