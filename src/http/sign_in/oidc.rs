//! There and back: a person is sent to the identity provider with a state, a nonce and a challenge, and comes back with a code that
//! becomes tokens here, out of the browser's sight.
//!
//! What was begun is bound to the browser by a cookie with the state in it, sealed. Nonce and verifier are seals of the state: who
//! sees the addresses that the browser goes to learns neither, and nothing is kept here. Source: RFC 6749 §4.1, RFC 7636,
//! `OpenID` Connect Core 1.0 §3.1 and §5.3; RFC 9700 §2.1.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use log::{info, warn};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use trunkline_actors::clock::UnixMs;
use url::{Url, form_urlencoded};

use super::{cookie, sessions, users, welcome};
use crate::app::App;
use crate::auth::Sessions;
use crate::config::{Secret, SsoProvider};
use crate::dispatch::{FetchError, Fetcher};
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, Public};

/// Tokens and claims have a few kilobytes.
const MOST_BYTES: usize = 256 * 1024;

/// Where the provider sends people back to.
const BACK: &str = "sso/callback";

/// One sign-in: everything of it follows from what the browser keeps.
#[derive(Debug, PartialEq, Eq)]
struct Handshake {
    state: String,
    expires_at: UnixMs,
}

/// What a code becomes.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    #[serde(default)]
    id_token: Option<String>,
}

/// `GET /sso/key/generate`: on to the identity provider, or the form where there is none.
pub(crate) async fn begin(_caller: Caller<Public>, call: Call) -> Result<HttpResponse, ApiError> {
    let app = call.app();
    let sessions = sessions(app)?;
    let Some((provider, back)) = provider(app) else {
        return Ok(form());
    };
    let handshake = Handshake {
        state: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()),
        expires_at: UnixMs::now().after(cookie::HANDSHAKE_LIFE),
    };
    let location = handshake.location(sessions, provider, &back);
    let sealed = handshake.sealed(sessions);
    Ok(HttpResponse::build(StatusCode::SEE_OTHER)
        .insert_header((LOCATION, location.as_str()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((SET_COOKIE, cookie::handshake(app, &sealed)))
        .finish())
}

/// `GET /sso/callback`: back from the identity provider.
pub(crate) async fn back(_caller: Caller<Public>, call: Call) -> Result<HttpResponse, ApiError> {
    let app = call.app();
    let sessions = sessions(app)?;
    let (Some((provider, back)), Some(fetcher)) = (provider(app), &call.worker.fetcher) else {
        return Err(ApiError::new(
            Code::BadRequest,
            "No identity provider is set up. Set GENERIC_CLIENT_ID, GOOGLE_CLIENT_ID or MICROSOFT_CLIENT_ID, and what belongs to it.",
        ));
    };
    let now = UnixMs::now();
    let begun = cookie::begun(call.request.headers());
    let begun = begun.and_then(|sealed| Handshake::opened(sealed, sessions, now));
    let state = call.query("state").unwrap_or_default();
    let handshake = begun.filter(|begun| same(&begun.state, &state)).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "This sign-in was begun in another browser, or too long ago. Begin again at /sso/key/generate.",
        )
        .param("state")
    })?;
    if let Some(error) = call.query("error") {
        let error: String = error
            .chars()
            .filter(|letter| !letter.is_control())
            .take(100)
            .collect();
        return Err(ApiError::new(
            Code::CallerDenied,
            format!("The identity provider let nobody in: {error}."),
        ));
    }
    let code = call.query("code").ok_or_else(|| {
        ApiError::new(Code::BadRequest, "The identity provider sent no code back.").param("code")
    })?;
    let exchange = Exchange {
        fetcher,
        provider,
        sessions,
        handshake: &handshake,
    };
    let claims = exchange.claims(&code, &back, now).await;
    let claims = claims.map_err(|err| refused(&err))?;
    let user = users::signed_in(app, provider, &claims).await?;
    info!(user = user.as_str(); "somebody signed in with the identity provider");
    let session = sessions.issue(&user, false, now);
    Ok(welcome(app, &session))
}

/// The provider, and where it sends people back to.
fn provider(app: &App) -> Option<(&SsoProvider, Url)> {
    let settings = &app.config.sign_in;
    let back = settings.base_url.as_ref()?.join(BACK).ok()?;
    Some((settings.provider.as_ref()?, back))
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// A page with the form of [`password`](super::password).
fn form() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Trunkline: sign in</title><style>\
         body{font:16px/1.5 system-ui,sans-serif;max-width:20rem;margin:4rem auto;padding:0 1rem}\
         label,input,button{display:block;width:100%;box-sizing:border-box;margin:.4rem 0;font:inherit}</style></head><body>\
         <h1>Sign in</h1><form method=\"post\" action=\"../../login\">\
         <label>Name <input name=\"username\" autocomplete=\"username\" required></label>\
         <label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
         <button>Sign in</button></form></body></html>",
    )
}

// === impl Handshake ===

impl Handshake {
    /// What the browser keeps: `state.expiry.seal`.
    fn sealed(&self, sessions: &Sessions) -> String {
        let text = format!("{}.{}", self.state, self.expires_at.0);
        let seal = sessions.seal("sign-in", &text);
        format!("{text}.{seal}")
    }

    /// The same, if this gateway sealed it and its time is not over.
    fn opened(sealed: &str, sessions: &Sessions, now: UnixMs) -> Option<Self> {
        let (text, seal) = sealed.rsplit_once('.')?;
        let (state, expires_at) = text.split_once('.')?;
        let expires_at = UnixMs(expires_at.parse().ok()?);
        let holds = same(&sessions.seal("sign-in", text), seal);
        (holds && now < expires_at).then(|| Self {
            state: state.to_owned(),
            expires_at,
        })
    }

    fn nonce(&self, sessions: &Sessions) -> String {
        sessions.seal("nonce", &self.state)
    }

    fn verifier(&self, sessions: &Sessions) -> String {
        sessions.seal("verifier", &self.state)
    }

    /// Where the person signs in.
    fn location(&self, sessions: &Sessions, provider: &SsoProvider, back: &Url) -> Url {
        let challenge = Sha256::digest(self.verifier(sessions).as_bytes());
        let mut url = provider.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", back.as_str())
            .append_pair("scope", &provider.scope)
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce(sessions))
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256");
        url
    }
}

/// A code on its way to claims.
struct Exchange<'a> {
    fetcher: &'a Fetcher,
    provider: &'a SsoProvider,
    sessions: &'a Sessions,
    handshake: &'a Handshake,
}

/// Why a code became nobody.
#[derive(Debug, thiserror::Error)]
enum NoClaims {
    #[error("{0}: {1}")]
    Fetch(&'static str, FetchError),
    #[error("{0} cannot be read")]
    Unreadable(&'static str),
    #[error("the id token is not of this sign-in: {0} differs")]
    OfAnother(&'static str),
    #[error("the id token is expired")]
    Expired,
}

fn refused(err: &NoClaims) -> ApiError {
    warn!(err:% = err; "somebody came back from the identity provider and could not be signed in");
    let code = match err {
        NoClaims::Fetch(_, FetchError::Status(status)) if *status < 500 => Code::CallerDenied,
        NoClaims::Fetch(..) => Code::IdentityProvider,
        _ => Code::CallerDenied,
    };
    ApiError::new(
        code,
        format!(
            "The identity provider's answer lets nobody in: {err}. Begin again at /sso/key/generate."
        ),
    )
}

// === impl Exchange ===

impl Exchange<'_> {
    /// What the provider says of whoever has the code.
    async fn claims(
        &self,
        code: &str,
        back: &Url,
        now: UnixMs,
    ) -> Result<Map<String, Value>, NoClaims> {
        let tokens = self.tokens(code, back).await?;
        let mut claims = match &tokens.id_token {
            Some(token) => self.id_claims(token, now)?,
            None => Map::new(),
        };
        let what = "the user's claims";
        let proof = Secret::new(format!("Bearer {}", tokens.access_token));
        let url = &self.provider.userinfo_endpoint;
        let body = self.fetcher.ask(url, Some(&proof), None, MOST_BYTES).await;
        let body = body.map_err(|err| NoClaims::Fetch(what, err))?;
        let told: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|_no_object| NoClaims::Unreadable(what))?;
        // Core 1.0 §5.3.2: else it may be somebody else's.
        if let (Some(one), Some(other)) = (claims.get("sub"), told.get("sub"))
            && one != other
        {
            return Err(NoClaims::OfAnother("sub"));
        }
        claims.extend(told);
        Ok(claims)
    }

    async fn tokens(&self, code: &str, back: &Url) -> Result<Tokens, NoClaims> {
        let verifier = self.handshake.verifier(self.sessions);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", back.as_str())
            .append_pair("code_verifier", &verifier);
        if self.provider.includes_client_id {
            form.append_pair("client_id", &self.provider.client_id);
        }
        let what = "the tokens";
        let form = Secret::new(form.finish());
        let proof = self.basic();
        let url = &self.provider.token_endpoint;
        let body = self
            .fetcher
            .ask(url, Some(&proof), Some(&form), MOST_BYTES)
            .await;
        let body = body.map_err(|err| NoClaims::Fetch(what, err))?;
        serde_json::from_slice(&body).map_err(|_no_tokens| NoClaims::Unreadable(what))
    }

    /// RFC 6749 §2.3.1: both are encoded as in a form before.
    fn basic(&self) -> Secret {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let id = encoded(&self.provider.client_id);
        let secret = encoded(self.provider.client_secret.expose());
        Secret::new(format!(
            "Basic {}",
            STANDARD.encode(format!("{id}:{secret}"))
        ))
    }

    /// The claims of an id token that came from the provider itself, which is what its signature would prove (Core 1.0 §3.1.3.7).
    fn id_claims(&self, token: &str, now: UnixMs) -> Result<Map<String, Value>, NoClaims> {
        let unreadable = || NoClaims::Unreadable("the id token");
        let claims = token.split('.').nth(1).ok_or_else(unreadable)?;
        let claims = URL_SAFE_NO_PAD
            .decode(claims)
            .map_err(|_no_base64| unreadable())?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&claims).map_err(|_no_object| unreadable())?;
        let nonce = claims
            .get("nonce")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !same(nonce, &self.handshake.nonce(self.sessions)) {
            return Err(NoClaims::OfAnother("nonce"));
        }
        let own = self.provider.client_id.as_str();
        let is_own = match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(|one| one == own),
            one => one.and_then(Value::as_str) == Some(own),
        };
        if !is_own {
            return Err(NoClaims::OfAnother("aud"));
        }
        let seconds = claims
            .get("exp")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        if UnixMs(seconds.saturating_mul(1000)) <= now {
            return Err(NoClaims::Expired);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sessions(master: &str) -> Sessions {
        Sessions::new(&Secret::new(master), Duration::from_mins(1))
    }

    #[test]
    fn what_the_browser_keeps_holds_for_its_time_and_is_not_made_elsewhere() {
        let own = sessions("sk-one");
        let begun = || Handshake {
            state: "s".repeat(43),
            expires_at: UnixMs(1_000),
        };
        let sealed = begun().sealed(&own);
        let open = |sealed: &str, now| Handshake::opened(sealed, &own, UnixMs(now));
        assert_eq!(open(&sealed, 999), Some(begun()));
        assert_eq!(open(&sealed, 1_000), None);
        assert_eq!(open(&begun().sealed(&sessions("sk-two")), 1), None);
        assert_eq!(open(&sealed.replacen("1000", "9000", 1), 1), None);
        assert_eq!(open(&sealed.replacen('s', "t", 1), 1), None);
        assert_eq!(open("..", 1), None);
        let nonce = begun().nonce(&own);
        assert_ne!(nonce, begun().verifier(&own));
        assert!(!sealed.contains(&nonce));
    }
}
