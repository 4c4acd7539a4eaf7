//! Sessions of people who signed in: signed, kept nowhere, short.
//!
//! A session is a JSON Web Token (RFC 7519), signed by HMAC-SHA-256 with a key that is made of the master key: every replica
//! knows it, and another master key ends all of them. It says whose it is and until when; what its user may is read with it,
//! as of a key. It calls no models.
//!
//! ```json
//! {"iss": "trunkline", "sub": "ann", "iat": 1795390000, "exp": 1795418800}
//! ```

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use ring::hmac;
use serde::{Deserialize, Serialize};
use trunkline_actors::clock::UnixMs;

use super::jwt::TokenFault;
use crate::config::Secret;

const ISSUER: &str = "trunkline";

/// Makes and checks sessions, and seals what a browser keeps for a moment.
pub struct Sessions {
    key: hmac::Tag,
    /// What each of them begins with.
    head: String,
    life: Duration,
}

/// A session that holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) user: String,
    pub(super) is_admin: bool,
    pub(super) expires_at: UnixMs,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// An administrator by the form, whatever is stored of a user of that name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
    iat: u64,
    exp: u64,
}

// === impl Sessions ===

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Signed with a key of that master key, for that long.
    pub fn new(master: &Secret, life: Duration) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, master.expose().as_bytes());
        let mut sessions = Self {
            key: hmac::sign(&key, b"trunkline sessions, first version"),
            head: String::new(),
            life,
        };
        let first = sessions.issue("", false, UnixMs(0));
        sessions.head = first.expose().split_inclusive('.').take(1).collect();
        sessions
    }

    /// A session of the user, from now on.
    pub fn issue(&self, user: &str, is_admin: bool, now: UnixMs) -> Secret {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user.to_owned(),
            admin: is_admin,
            iat: now.0 / 1000,
            exp: now.after(self.life).0 / 1000,
        };
        let key = EncodingKey::from_secret(self.key.as_ref());
        // A secret of bytes signs any claims; nobody is let in by an empty text.
        Secret::new(encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap_or_default())
    }

    /// Whether a text looks like a session: an identity provider's token never does, being signed otherwise.
    pub fn is_one(&self, text: &str) -> bool {
        !self.head.is_empty() && text.starts_with(&self.head)
    }

    pub(super) fn read(&self, text: &str, now: UnixMs) -> Result<Session, TokenFault> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        // With a time that is an argument.
        validation.validate_exp = false;
        let key = DecodingKey::from_secret(self.key.as_ref());
        let read = decode::<Claims>(text, &key, &validation);
        let claims = read
            .map_err(|err| match err.kind() {
                ErrorKind::InvalidSignature => TokenFault::Signature,
                _ => TokenFault::Unreadable,
            })?
            .claims;
        if claims.iss != ISSUER {
            return Err(TokenFault::Issuer);
        }
        let expires_at = UnixMs(claims.exp.saturating_mul(1000));
        if expires_at <= now {
            return Err(TokenFault::Expired);
        }
        Ok(Session {
            user: claims.sub,
            is_admin: claims.admin,
            expires_at,
        })
    }

    /// A text that only this gateway makes of `text`, and another one for each purpose: 43 letters of base64url.
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.as_ref());
        let mut context = hmac::Context::with_key(&key);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(text.as_bytes());
        URL_SAFE_NO_PAD.encode(context.sign())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(master: &str) -> Sessions {
        Sessions::new(&Secret::new(master), Duration::from_mins(1))
    }

    #[test]
    fn a_session_holds_for_its_life_and_with_its_master_key() {
        let own = sessions("sk-one");
        let session = own.issue("ann", false, UnixMs(1_000_000));
        let want = Session {
            user: "ann".to_owned(),
            is_admin: false,
            expires_at: UnixMs(1_060_000),
        };
        assert!(own.is_one(session.expose()));
        assert_eq!(own.read(session.expose(), UnixMs(1_059_999)), Ok(want));
        assert_eq!(
            own.read(session.expose(), UnixMs(1_060_000)),
            Err(TokenFault::Expired)
        );
        let other = sessions("sk-two").read(session.expose(), UnixMs(1_000_000));
        assert_eq!(other, Err(TokenFault::Signature));
        let admin = own.issue("default_user_id", true, UnixMs(0));
        assert!(own.read(admin.expose(), UnixMs(1)).unwrap().is_admin);
    }

    #[test]
    fn a_session_that_was_changed_or_signed_by_nobody_does_not_hold() {
        let own = sessions("sk-one");
        let session = own.issue("ann", false, UnixMs(0));
        let parts: Vec<&str> = session.expose().split('.').collect();
        let claims = r#"{"iss":"trunkline","sub":"ann","admin":true,"iat":0,"exp":60}"#;
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let changed = format!("{}.{claims}.{}", parts[0], parts[2]);
        assert_eq!(own.read(&changed, UnixMs(1)), Err(TokenFault::Signature));
        let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
        let unsigned = format!("{none}.{claims}.");
        assert!(!own.is_one(&unsigned));
        assert_eq!(own.read(&unsigned, UnixMs(1)), Err(TokenFault::Unreadable));
    }

    #[test]
    fn seals_differ_by_purpose_text_and_master_key() {
        let own = sessions("sk-one");
        let seals = [
            own.seal("a", "b"),
            own.seal("a", "c"),
            own.seal("ab", ""),
            own.seal("b", "b"),
            sessions("sk-two").seal("a", "b"),
        ];
        for (at, seal) in seals.iter().enumerate() {
            assert_eq!(seal.len(), 43);
            assert!(!seals[..at].contains(seal));
        }
    }
}
