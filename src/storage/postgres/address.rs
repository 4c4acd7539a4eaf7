//! Reads a database URL as operators write it: for libpq, or for LiteLLM, whose database client has parameters that the
//! driver does not know. Nothing is connected here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::{debug, info};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::form_urlencoded;

use super::tls::{self, Checked};
use crate::storage::{PoolSettings, StorageError};

/// Connections to the server when nobody says how many.
const CONNECTIONS: usize = 10;
/// How long a connection is waited for when nobody says how long.
const WAIT: Duration = Duration::from_secs(10);
/// Making one connection: longer than a lost packet, shorter than [`WAIT`].
const CONNECT: Duration = Duration::from_secs(5);
/// A server that vanished without a word is noticed after this.
const SILENCE: Duration = Duration::from_secs(30);

/// Parameters that the driver reads itself.
const DRIVERS: &[&str] = &[
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "sslnegotiation",
];

/// Parameters of LiteLLM's database client that change nothing here.
const TOLERATED: &[&str] = &[
    "schema",
    "pgbouncer",
    "statement_cache_size",
    "socket_timeout",
];

/// A server and how to use it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// Without secrets.
    pub(super) shown: String,
    /// The most connections at the same time.
    pub(super) connections: usize,
    /// How long a connection is waited for.
    pub(super) wait: Duration,
    /// How long making one connection may take.
    pub(super) connect: Duration,
}

/// What the URL's query says and the driver does not read.
#[derive(Debug, Default)]
struct Own {
    mode: Option<String>,
    root_certificate: Option<PathBuf>,
    strict: bool,
    connections: Option<usize>,
    wait: Option<Duration>,
}

// === impl Address ===

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// `shown` is the URL without secrets; `settings` win over the URL.
    pub(super) fn read(
        url: &str,
        shown: &str,
        settings: PoolSettings,
    ) -> Result<Self, StorageError> {
        let refused = |reason: String| StorageError::Address {
            database: shown.to_owned(),
            reason,
        };
        let (driver_url, own) = split(url.trim(), shown).map_err(refused)?;
        let mut config: Config = driver_url.parse().map_err(|err: tokio_postgres::Error| {
            // The cause names a parameter, never its value.
            let cause = err.into_source().map(|cause| cause.to_string());
            refused(cause.unwrap_or_else(|| "the URL cannot be read".to_owned()))
        })?;
        let (mode, checked) = own.tls().map_err(refused)?;
        config.ssl_mode(mode);
        if config.get_application_name().is_none() {
            config.application_name("trunkline");
        }
        let wait = settings.wait.or(own.wait).unwrap_or(WAIT);
        let connect = config.get_connect_timeout().copied().unwrap_or(CONNECT);
        let connect = connect.min(wait);
        config.connect_timeout(connect);
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        Ok(Self {
            config,
            tls: tls::connector(checked, own.root_certificate.as_deref()).map_err(refused)?,
            shown: shown.to_owned(),
            connections: settings
                .connections
                .or(own.connections)
                .unwrap_or(CONNECTIONS)
                .max(1),
            wait,
            connect,
        })
    }
}

// === impl Own ===

impl Own {
    fn tls(&self) -> Result<(SslMode, Checked), String> {
        Ok(match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, Checked::Nothing),
            Some("verify-full") => (SslMode::Require, Checked::AuthorityAndName),
            None | Some("allow" | "prefer" | "require") if self.strict => {
                (SslMode::Require, Checked::AuthorityAndName)
            }
            // A server, or somebody before it, may refuse TLS here: a check would protect nothing.
            None | Some("allow" | "prefer") => (SslMode::Prefer, Checked::Nothing),
            Some("verify-ca") => (SslMode::Require, Checked::Authority),
            Some("require") if self.root_certificate.is_some() => {
                (SslMode::Require, Checked::Authority)
            }
            Some("require") => (SslMode::Require, Checked::Nothing),
            Some(_) => {
                return Err(
                    "sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned(),
                );
            }
        })
    }

    /// Whether the parameter is one of ours.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let number = || {
            value
                .parse::<u32>()
                .map_err(|err| format!("{name} must be a whole number: {err}"))
        };
        match name {
            "sslmode" => self.mode = Some(value.to_owned()),
            // "system" is libpq's word for the system's own.
            "sslrootcert" if value == "system" => self.strict = true,
            "sslrootcert" => self.root_certificate = Some(Path::new(value).to_owned()),
            "sslaccept" => self.strict = value == "strict",
            "connection_limit" => self.connections = usize::try_from(number()?).ok(),
            "pool_timeout" => self.wait = Some(Duration::from_secs(number()?.into())),
            // Leaving them out would connect as somebody else, or not at all, without a reason.
            "sslcert" | "sslkey" | "sslidentity" | "sslpassword" | "sslcrl" => {
                return Err(format!(
                    "{name}: client certificates are not supported; remove it and use a password"
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Takes what the driver does not know out of the URL.
fn split(url: &str, shown: &str) -> Result<(String, Own), String> {
    let mut own = Own::default();
    let Some((base, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), own));
    };
    let mut kept = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        for (name, value) in form_urlencoded::parse(parameter.as_bytes()) {
            if DRIVERS.contains(&&*name) {
                kept.push(parameter);
            } else if TOLERATED.contains(&&*name) {
                debug!(database = shown, parameter = &*name; "the database URL's parameter changes nothing here");
            } else if !own.take(&name, &value)? {
                info!(database = shown, parameter = &*name; "the database URL's parameter is not known and has no effect");
            }
        }
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    Ok((url, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, StorageError> {
        Address::read(url, "postgresql://shown", PoolSettings::default())
    }

    #[test]
    fn parameters_of_other_clients_are_taken_out_and_the_drivers_stay() {
        let address = read(
            "postgresql://u:p%40ss@h:6432/d?schema=public&connection_limit=3&pool_timeout=7&pgbouncer=true\
             &connect_timeout=2&application_name=gate&whatever=1",
        )
        .unwrap();
        assert_eq!(
            (address.connections, address.wait),
            (3, Duration::from_secs(7))
        );
        assert_eq!(address.connect, Duration::from_secs(2));
        assert_eq!(address.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(address.config.get_ports(), [6432]);
        assert_eq!(address.config.get_dbname(), Some("d"));
        assert_eq!(address.config.get_application_name(), Some("gate"));
    }

    #[test]
    fn the_configuration_wins_over_the_url_and_there_is_always_a_cap() {
        let settings = PoolSettings {
            connections: Some(5),
            wait: Some(Duration::from_secs(1)),
        };
        let url = "postgresql://h/d?connection_limit=3&pool_timeout=7";
        let address = Address::read(url, "shown", settings).unwrap();
        assert_eq!(
            (address.connections, address.wait),
            (5, Duration::from_secs(1))
        );
        let address = read("postgresql://h/d").unwrap();
        assert_eq!((address.connections, address.wait), (CONNECTIONS, WAIT));
        assert_eq!(
            read("postgresql://h/d?connection_limit=0")
                .unwrap()
                .connections,
            1
        );
    }

    #[test]
    fn each_sslmode_means_what_it_means_to_libpq() {
        for (query, mode, checked) in [
            ("", SslMode::Prefer, Checked::Nothing),
            ("sslmode=disable", SslMode::Disable, Checked::Nothing),
            ("sslmode=prefer", SslMode::Prefer, Checked::Nothing),
            ("sslmode=require", SslMode::Require, Checked::Nothing),
            (
                "sslmode=require&sslrootcert=/ca.pem",
                SslMode::Require,
                Checked::Authority,
            ),
            ("sslmode=verify-ca", SslMode::Require, Checked::Authority),
            (
                "sslmode=verify-full",
                SslMode::Require,
                Checked::AuthorityAndName,
            ),
            (
                "sslmode=require&sslaccept=strict",
                SslMode::Require,
                Checked::AuthorityAndName,
            ),
            (
                "sslrootcert=system",
                SslMode::Require,
                Checked::AuthorityAndName,
            ),
        ] {
            let (_, own) = split(&format!("postgresql://h/d?{query}"), "shown").unwrap();
            assert_eq!(own.tls(), Ok((mode, checked)), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_acted_on_is_refused_without_the_secret() {
        for (query, said) in [
            ("sslmode=sometimes", "sslmode must be"),
            (
                "sslmode=verify-full&sslrootcert=/not/there.pem",
                "/not/there.pem",
            ),
            (
                "sslcert=/client.pem",
                "client certificates are not supported",
            ),
            (
                "connection_limit=many",
                "connection_limit must be a whole number",
            ),
            ("target_session_attrs=any-of-them", "target_session_attrs"),
        ] {
            let err = read(&format!("postgresql://u:hush@h/d?{query}"))
                .err()
                .unwrap()
                .to_string();
            assert!(err.contains(said), "{query}: {err}");
            assert!(
                err.contains("postgresql://shown") && !err.contains("hush"),
                "{err}"
            );
        }
    }
}
