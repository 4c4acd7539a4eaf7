//! What a browser keeps: the session, and for ten minutes a sign-in that has begun.
//!
//! ```text
//! token=eyJ…; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax; Secure
//! ```
//!
//! `Lax`, since who comes back from an identity provider comes from another site. `Secure` where people see the gateway by
//! `https`.

use std::time::Duration;

use actix_web::http::header::{COOKIE, HeaderMap};

use crate::app::App;
use crate::config::Secret;

/// LiteLLM's name of the session.
const SESSION: &str = "token";
/// A sign-in with an identity provider that has begun.
const HANDSHAKE: &str = "trunkline_sign_in";

/// How long somebody may take at the identity provider.
pub(super) const HANDSHAKE_LIFE: Duration = Duration::from_mins(10);

/// Keeps a session.
pub(super) fn session(app: &App, session: &Secret) -> String {
    let life = app.config.sign_in.session_life;
    kept(app, SESSION, "", session.expose(), life)
}

/// Forgets it.
pub(super) fn ended(app: &App) -> String {
    kept(app, SESSION, "", "", Duration::ZERO)
}

/// Keeps a sign-in that has begun, for the way back alone.
pub(super) fn handshake(app: &App, sealed: &str) -> String {
    kept(app, HANDSHAKE, "sso/", sealed, HANDSHAKE_LIFE)
}

/// Forgets it.
pub(super) fn handshake_ended(app: &App) -> String {
    kept(app, HANDSHAKE, "sso/", "", Duration::ZERO)
}

/// The sign-in that the browser has begun.
pub(super) fn begun(headers: &HeaderMap) -> Option<&str> {
    read(headers, HANDSHAKE)
}

/// The session that the browser keeps.
pub(in crate::http) fn held(headers: &HeaderMap) -> Option<&str> {
    read(headers, SESSION)
}

fn kept(app: &App, name: &str, below: &str, value: &str, life: Duration) -> String {
    let base = app.config.sign_in.base_url.as_ref();
    let path = base.map_or("/", |base| base.path());
    let secure = if base.is_some_and(|base| base.scheme() == "https") {
        "; Secure"
    } else {
        ""
    };
    let seconds = life.as_secs();
    format!("{name}={value}; Path={path}{below}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

fn read<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let lines = headers
        .get_all(COOKIE)
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        let line = "a=b; mytoken=x; token=ey.a=; token=late";
        headers.append(COOKIE, HeaderValue::from_static(line));
        assert_eq!(held(&headers), Some("ey.a="));
        assert_eq!(begun(&headers), None);
        let mut empty = HeaderMap::new();
        empty.append(COOKIE, HeaderValue::from_static("token="));
        assert_eq!(held(&empty), None);
    }
}
