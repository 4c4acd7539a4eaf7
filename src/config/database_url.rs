//! Where the books are kept: `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;
use url::Url;

use super::secret::Secret;

/// A database address. `Display` never shows a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file; a relative path is relative to the working directory.
    Sqlite(PathBuf),
    /// A server.
    Postgres(PostgresUrl),
}

/// A `postgresql://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: Secret,
    shown: String,
}

impl PostgresUrl {
    /// The whole URL, password included, for the driver.
    pub fn expose(&self) -> &str {
        self.url.expose()
    }

    /// The URL without what may be secret, for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl DatabaseUrl {
    /// The database used when none is named: `trunkline.db` in `data_dir`.
    pub fn default_in(data_dir: &Path) -> Self {
        Self::Sqlite(data_dir.join("trunkline.db"))
    }
}

/// Why a database URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DatabaseUrlError {
    /// In-memory SQLite.
    #[error("an in-memory database would lose keys and spend at every stop")]
    InMemory,
    /// `sqlite://` without a path.
    #[error("the SQLite URL names no file")]
    NoFile,
    /// `sqlite://name.db`: what follows two slashes is a host.
    #[error(
        "a SQLite URL needs three slashes before a relative path and four before an absolute one"
    )]
    TwoSlashes,
    /// Another scheme.
    #[error("only sqlite and postgresql databases are known")]
    Scheme,
    /// A broken Postgres URL.
    #[error("the URL cannot be read")]
    Broken,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return sqlite(rest);
        }
        if text.starts_with("postgresql://") || text.starts_with("postgres://") {
            return postgres(text).map(Self::Postgres);
        }
        Err(DatabaseUrlError::Scheme)
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let path = rest.split('?').next().unwrap_or_default();
    if path.contains(":memory:") {
        return Err(DatabaseUrlError::InMemory);
    }
    let path = match path.strip_prefix("//") {
        Some(after_slashes) => match after_slashes.strip_prefix('/') {
            Some(file) => file,
            None if after_slashes.is_empty() => return Err(DatabaseUrlError::NoFile),
            None => return Err(DatabaseUrlError::TwoSlashes),
        },
        None => path,
    };
    if path.is_empty() || path.ends_with('/') {
        return Err(DatabaseUrlError::NoFile);
    }
    Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
}

fn postgres(text: &str) -> Result<PostgresUrl, DatabaseUrlError> {
    // A parse error would quote nothing useful and might one day quote the password: it is dropped on purpose.
    let parsed = Url::parse(text)
        .ok()
        .filter(Url::has_host)
        .ok_or(DatabaseUrlError::Broken)?;
    let host = parsed.host_str().unwrap_or_default();
    let port = parsed
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let user = match parsed.username() {
        "" => String::new(),
        user => format!("{user}:[REDACTED]@"),
    };
    // Query parameters may hold a password too (`?password=…`), so they are not shown.
    let shown = format!("postgresql://{user}{host}{port}{}", parsed.path());
    Ok(PostgresUrl {
        url: Secret::new(text),
        shown,
    })
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:///{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{DatabaseUrl, DatabaseUrlError};

    #[test]
    fn sqlite_urls_name_relative_and_absolute_files() {
        for (text, path) in [
            ("sqlite:///litellm.db", "litellm.db"),
            ("sqlite:///./x/y.db", "./x/y.db"),
            ("sqlite:////var/lib/t.db", "/var/lib/t.db"),
            ("sqlite:file.db", "file.db"),
            ("sqlite:///a.db?mode=rwc", "a.db"),
        ] {
            assert_eq!(
                text.parse(),
                Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
                "{text}"
            );
        }
    }

    #[test]
    fn urls_that_cannot_work_are_refused_with_the_reason() {
        for (text, err) in [
            ("sqlite://:memory:", DatabaseUrlError::InMemory),
            ("sqlite:///:memory:", DatabaseUrlError::InMemory),
            ("sqlite://", DatabaseUrlError::NoFile),
            ("sqlite:///", DatabaseUrlError::NoFile),
            ("sqlite://host.db", DatabaseUrlError::TwoSlashes),
            ("mysql://u:p@h/d", DatabaseUrlError::Scheme),
            ("postgresql://", DatabaseUrlError::Broken),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(err), "{text}");
        }
    }

    #[test]
    fn a_postgres_password_is_never_shown() {
        let url: DatabaseUrl = "postgresql://user:pa55@host:5432/litellm?password=pa55"
            .parse()
            .unwrap();
        assert_eq!(
            url.to_string(),
            "postgresql://user:[REDACTED]@host:5432/litellm"
        );
        assert!(!format!("{url:?}").contains("pa55"));
        let DatabaseUrl::Postgres(inner) = url else {
            panic!("not postgres")
        };
        assert!(inner.expose().contains("pa55"));
    }
}
