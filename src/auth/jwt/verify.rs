//! Whether a token holds: its signature, its times, whom it is for and of whom.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, AlgorithmFamily, Validation, decode, decode_header};
use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;

use super::TokenFault;
use super::keys::{KeySet, Lookup, SigningKeys};
use crate::config::{JwtSettings, TokenRules};

/// Longer ones are not looked at.
const MOST_BYTES: usize = 16 * 1024;

/// What a token says, after everything of it was checked.
pub(super) struct Claims {
    pub(super) all: Map<String, Value>,
    pub(super) expires_at: UnixMs,
}

/// Whether a text that is no key may be a token: three parts, the first of which is JSON in base64.
pub(in crate::auth) fn looks_like_one(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Checks all of a token.
pub(super) async fn verify(
    token: &str,
    keys: &SigningKeys,
    settings: &JwtSettings,
    now: UnixMs,
) -> Result<Claims, TokenFault> {
    if token.len() > MOST_BYTES {
        return Err(TokenFault::Unreadable);
    }
    let head = decode_header(token).map_err(|_not_one| TokenFault::Unreadable)?;
    if head.alg.family() == AlgorithmFamily::Hmac {
        // Whoever can check such a signature can make it.
        return Err(TokenFault::Algorithm);
    }
    // By what nobody has signed yet: it says which keys may have, and with them it is held to the rules of that issuer.
    let claims: Map<String, Value> =
        insecure_decode_claims(token).map_err(|_no_claims| TokenFault::Unreadable)?;
    let rules = settings.rules(issuer(&claims));
    if rules.keys.is_empty() {
        return Err(TokenFault::Issuer);
    }
    let signed = keys.find(rules.keys.clone(), |keys| {
        signed(token, head.kid.as_deref(), head.alg, keys)
    });
    let claims = match signed.await {
        Lookup::Found(claims) => claims?,
        Lookup::NoSuchKey => return Err(TokenFault::UnknownKey),
        Lookup::NoKeys => return Err(TokenFault::NoKeys),
    };
    let expires_at = check(&claims, &rules, settings.leeway, now)?;
    Ok(Claims {
        all: claims,
        expires_at,
    })
}

/// The claims, if one of the keys signed them; `None` where no key can have.
fn signed(
    token: &str,
    id: Option<&str>,
    algorithm: Algorithm,
    keys: &[Arc<KeySet>],
) -> Option<Result<Map<String, Value>, TokenFault>> {
    // Times, audience and issuer are checked here, with a time that is an argument.
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let mut result = None;
    for key in keys.iter().flat_map(|keys| keys.of(id, algorithm)) {
        match decode(token, key, &validation) {
            Ok(data) => return Some(Ok(data.claims)),
            Err(err) => {
                result = Some(Err(match err.kind() {
                    ErrorKind::InvalidSignature => TokenFault::Signature,
                    _ => TokenFault::Unreadable,
                }));
            }
        }
    }
    result
}

/// When it ends, if everything that it says of itself is right.
fn check(
    claims: &Map<String, Value>,
    rules: &TokenRules<'_>,
    leeway: Duration,
    now: UnixMs,
) -> Result<UnixMs, TokenFault> {
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(unix_ms);
    let expires_at = time("exp").ok_or(TokenFault::Expired)?;
    let expires_at = expires_at.after(leeway);
    if expires_at <= now {
        return Err(TokenFault::Expired);
    }
    if time("nbf").is_some_and(|from| from > now.after(leeway)) {
        return Err(TokenFault::NotYet);
    }
    if !rules.audiences.is_empty() {
        let mut named = texts(claims.get("aud"));
        if !named.any(|audience| rules.audiences.iter().any(|own| own == audience)) {
            return Err(TokenFault::Audience);
        }
    }
    if rules.issuer.is_some() && issuer(claims) != rules.issuer {
        return Err(TokenFault::Issuer);
    }
    Ok(expires_at)
}

/// Of whom it says that it is.
pub(super) fn issuer(claims: &Map<String, Value>) -> Option<&str> {
    claims.get("iss").and_then(Value::as_str)
}

/// One text, or a list of them.
pub(super) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, list) = match value {
        Some(Value::Array(list)) => (None, Some(list)),
        value => (value, None),
    };
    let list = list.into_iter().flatten();
    one.into_iter().chain(list).filter_map(Value::as_str)
}

/// Seconds, whole or not, as RFC 7519 has times. What no clock shows is as far off as it can be.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float stops at the ends of the range"
)]
fn unix_ms(seconds: f64) -> UnixMs {
    UnixMs((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> JwtSettings {
        JwtSettings {
            audiences: vec!["trunkline".to_owned()],
            issuer: Some("https://idp.example".to_owned()),
            leeway: Duration::from_secs(5),
            ..JwtSettings::default()
        }
    }

    fn checked(changes: &Value) -> Result<UnixMs, TokenFault> {
        let mut claims =
            json!({"exp": 2000, "nbf": 1000, "aud": "trunkline", "iss": "https://idp.example"});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let settings = settings();
        let claims = claims.as_object().unwrap();
        let rules = settings.rules(issuer(claims));
        check(claims, &rules, settings.leeway, UnixMs(1_500_000))
    }

    #[test]
    fn a_token_is_for_its_time_its_audience_and_its_issuer() {
        use TokenFault as Fault;
        let good = Ok(UnixMs(2_005_000));
        for (changes, want) in [
            (json!({}), good.clone()),
            (json!({"aud": ["others", "trunkline"]}), good.clone()),
            (json!({"nbf": null}), good.clone()),
            (json!({"nbf": 1504.5}), good),
            (json!({"nbf": 1506}), Err(Fault::NotYet)),
            (json!({"exp": 1495}), Err(Fault::Expired)),
            (json!({"exp": 1495.5}), Ok(UnixMs(1_500_500))),
            (json!({"exp": null}), Err(Fault::Expired)),
            (json!({"exp": "2000"}), Err(Fault::Expired)),
            (json!({"exp": -1}), Err(Fault::Expired)),
            (json!({"exp": 1e300}), Ok(UnixMs(u64::MAX))),
            (json!({"aud": null}), Err(Fault::Audience)),
            (json!({"aud": "trunkline-2"}), Err(Fault::Audience)),
            (json!({"aud": []}), Err(Fault::Audience)),
            (json!({"iss": null}), Err(Fault::Issuer)),
            (json!({"iss": "https://idp.example/"}), Err(Fault::Issuer)),
        ] {
            assert_eq!(checked(&changes), want, "{changes}");
        }
    }

    #[test]
    fn keys_and_words_do_not_look_like_tokens() {
        for (text, want) in [
            ("eyJhbGciOiJFUzI1NiJ9.e30.c2ln", true),
            ("ey..", true),
            ("sk-1234", false),
            ("a.b.c", false),
            ("eyJ.e30", false),
            ("", false),
        ] {
            assert_eq!(looks_like_one(text), want, "{text}");
        }
    }
}
