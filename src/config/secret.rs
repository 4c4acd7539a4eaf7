//! Text that must never be shown: provider keys, the master key, passwords.
//!
//! A [`Secret`] prints as `[REDACTED]`, is not serialised, and is wiped when dropped. The one way to its text is
//! [`Secret::expose`], so a search for that name finds every place that reads one.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A secret text. `Debug` and `Display` print `[REDACTED]`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself: for headers, hashes and connection strings, never for logs, errors or answers.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Only for comparing whole configurations, not for checking what a client sent: it is not constant-time.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("sk-very-secret");
        assert_eq!(format!("{secret} {secret:?}"), "[REDACTED] [REDACTED]");
        assert_eq!(secret.expose(), "sk-very-secret");
    }
}
