//! Reads the key that a request presents. First header present wins, in LiteLLM's order.
//!
//! Source: contract `auth-budgets-limits` §1 (LiteLLM 1.106.2).

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::AuthError;
use crate::config::Secret;

/// What a request presented as its key.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing at all.
    Absent,
    /// The key's text.
    Key(Secret),
}

/// The gateway's own header; before `Authorization`.
const OWN_HEADER: HeaderName = HeaderName::from_static("x-litellm-api-key");
/// Headers that hold a bare key, after `Authorization`.
const RAW_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
];

/// Finds the key in `headers`; `custom_header` is `general_settings.litellm_key_header_name`.
///
/// # Errors
/// [`AuthError::Malformed`] when `Authorization` is the first header present and names no scheme that holds a key.
pub fn present(
    headers: &HeaderMap,
    custom_header: Option<&HeaderName>,
) -> Result<Credential, AuthError> {
    for name in [Some(&OWN_HEADER), custom_header].into_iter().flatten() {
        if let Some(text) = text_of(headers, name) {
            return Ok(key(strip_bearer(text).unwrap_or(text)));
        }
    }
    if let Some(text) = text_of(headers, &AUTHORIZATION) {
        if let Some(bearer) = strip_bearer(text) {
            return Ok(key(bearer));
        }
        if let Some(basic) = text.strip_prefix("Basic ") {
            return basic_key(basic).ok_or(AuthError::Malformed);
        }
        return Err(AuthError::Malformed);
    }
    Ok(RAW_HEADERS
        .iter()
        .find_map(|name| text_of(headers, name))
        .map_or(Credential::Absent, key))
}

fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

fn strip_bearer(text: &str) -> Option<&str> {
    let (scheme, key) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// `Basic base64(user:key)`: the password, or the user when there is none, so that `curl -u key:` and `-u user:key` work.
fn basic_key(encoded: &str) -> Option<Credential> {
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':').unwrap_or((&text, ""));
    let text = if password.is_empty() { user } else { password };
    (!text.is_empty()).then(|| key(text))
}

fn key(text: &str) -> Credential {
    Credential::Key(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Option<String>, AuthError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let custom = HeaderName::from_static("x-company-key");
        present(&headers, Some(&custom)).map(|credential| match credential {
            Credential::Absent => None,
            Credential::Key(key) => Some(key.expose().to_owned()),
        })
    }

    #[test]
    fn every_header_spelling_of_the_contract_presents_a_key() {
        for (name, value) in [
            ("authorization", "Bearer sk-1"),
            ("authorization", "bearer sk-1"),
            ("authorization", "Basic c2stMTo="),
            ("authorization", "Basic dXNlcjpzay0x"),
            ("x-litellm-api-key", "sk-1"),
            ("x-litellm-api-key", "Bearer sk-1"),
            ("x-company-key", "Bearer sk-1"),
            ("api-key", "sk-1"),
            ("x-api-key", "sk-1"),
            ("x-goog-api-key", "sk-1"),
            ("ocp-apim-subscription-key", "sk-1"),
        ] {
            let found = read(&[(name, value)]).unwrap();
            assert_eq!(found.as_deref(), Some("sk-1"), "{name}: {value}");
        }
    }

    #[test]
    fn the_gateways_own_header_comes_before_authorization() {
        let found = read(&[
            ("authorization", "Bearer other"),
            ("x-litellm-api-key", "sk-1"),
        ]);
        assert_eq!(found.unwrap().as_deref(), Some("sk-1"));
    }

    #[test]
    fn an_authorization_header_without_a_scheme_is_malformed() {
        assert!(matches!(
            read(&[("authorization", "sk-1")]),
            Err(AuthError::Malformed)
        ));
        assert!(matches!(
            read(&[("authorization", "Basic Og==")]),
            Err(AuthError::Malformed)
        ));
        assert!(matches!(read(&[]), Ok(None)));
    }
}
