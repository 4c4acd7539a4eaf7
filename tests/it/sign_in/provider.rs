//! An `OpenID` Connect provider that checks what a real one checks, and that can be told to cheat.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use trunkline_actors::clock::UnixMs;
use url::{Url, form_urlencoded};

use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::{Recorded, Upstream};
use crate::tokens::token;

pub(super) const CLIENT: &str = "the gateway";
/// With letters that a header must not take as they are.
pub(super) const SECRET: &str = "s3cret:/%+ä";

/// What the provider does besides what it should.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cheat {
    #[default]
    None,
    /// The id token of another sign-in.
    Nonce,
    /// An id token for somebody else's gateway.
    Audience,
    /// An id token that is over.
    Expired,
    /// Claims of another user than the id token's.
    Subject,
    /// No id token at all, as plain OAuth has it.
    NoIdToken,
}

/// A code that was given, and for what.
struct Given {
    challenge: String,
    nonce: String,
    back: String,
}

#[derive(Default)]
struct State {
    codes: HashMap<String, Given>,
    number: u32,
    /// Who signs in at the moment.
    person: Map<String, Value>,
    cheat: Cheat,
}

pub(super) struct IdentityProvider {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

impl IdentityProvider {
    /// It sends people back to that address alone.
    pub(super) fn for_gateway_at(back: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, back) = (Arc::clone(&state), back.to_owned());
        let server = Upstream::answering(move |request| {
            let mut state = shared.lock().expect("the state");
            state
                .answer(request, &back)
                .unwrap_or_else(|wrong| Reply::json(400, &json!({"error": wrong})))
        });
        Self { server, state }
    }

    pub(super) fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Who signs in from now on.
    pub(super) fn is_visited_by(&self, person: &Value) {
        let person = person.as_object().expect("claims").clone();
        self.state.lock().expect("the state").person = person;
    }

    pub(super) fn cheats(&self, cheat: Cheat) {
        self.state.lock().expect("the state").cheat = cheat;
    }

    /// Signs the person in whom a gateway sent here; answers where it is sent back to.
    pub(super) fn visit(&self, location: &str) -> Url {
        let url = Url::parse(location).expect("an address");
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let answer = Request::get(&path).send(self.server.address());
        assert_eq!(answer.status, 302, "{}", answer.text());
        Url::parse(answer.header("location").expect("a location")).expect("an address")
    }
}

impl State {
    fn answer(&mut self, request: &Recorded, back: &str) -> Result<Reply, &'static str> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        match (request.method.as_str(), path) {
            ("GET", "/authorize") => self.authorize(query, back),
            ("POST", "/token") => self.token(request),
            ("GET", "/userinfo") => self.userinfo(request),
            _ => Err("no such page"),
        }
    }

    /// RFC 6749 §4.1.1, RFC 7636 §4.3.
    fn authorize(&mut self, query: &str, back: &str) -> Result<Reply, &'static str> {
        let asked = form(query.as_bytes());
        let said = |name: &str| asked.get(name).map_or("", String::as_str);
        check(said("response_type") == "code", "response_type")?;
        check(said("client_id") == CLIENT, "client_id")?;
        check(said("redirect_uri") == back, "redirect_uri")?;
        check(said("scope").split(' ').any(|one| one == "openid"), "scope")?;
        check(
            said("code_challenge_method") == "S256",
            "code_challenge_method",
        )?;
        check(said("code_challenge").len() == 43, "code_challenge")?;
        check(
            said("state").len() >= 32 && said("nonce").len() >= 32,
            "state",
        )?;
        check(said("state") != said("nonce"), "nonce")?;
        self.number += 1;
        let code = format!("code-{}", self.number);
        let given = Given {
            challenge: said("code_challenge").to_owned(),
            nonce: said("nonce").to_owned(),
            back: said("redirect_uri").to_owned(),
        };
        self.codes.insert(code.clone(), given);
        let mut to = Url::parse(back).map_err(|_wrong| "redirect_uri")?;
        to.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", said("state"));
        Ok(Reply::json(302, &json!({})).header("location", to.as_str()))
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6: a code is for one use, for whom it was given.
    fn token(&mut self, request: &Recorded) -> Result<Reply, &'static str> {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let proof = STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
        let shown = request.header("authorization").unwrap_or_default();
        check(shown == format!("Basic {proof}"), "invalid_client")?;
        let kind = request.header("content-type").unwrap_or_default();
        check(kind == "application/x-www-form-urlencoded", "content-type")?;
        let sent = form(&request.body);
        let said = |name: &str| sent.get(name).map_or("", String::as_str);
        check(said("grant_type") == "authorization_code", "grant_type")?;
        let given = self.codes.remove(said("code")).ok_or("invalid_grant")?;
        check(said("redirect_uri") == given.back, "redirect_uri")?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(said("code_verifier").as_bytes()));
        check(challenge == given.challenge, "code_verifier")?;
        let mut claims = json!({"iss": "https://idp.example", "aud": [CLIENT], "sub": self.person.get("sub"),
            "nonce": given.nonce, "exp": UnixMs::now().0 / 1000 + 60});
        match self.cheat {
            Cheat::Nonce => claims["nonce"] = json!("another"),
            Cheat::Audience => claims["aud"] = json!("another"),
            Cheat::Expired => claims["exp"] = json!(1),
            Cheat::Subject => claims["sub"] = json!("another"),
            Cheat::None | Cheat::NoIdToken => {}
        }
        let mut tokens =
            json!({"access_token": format!("access to {}", self.number), "token_type": "Bearer"});
        if self.cheat != Cheat::NoIdToken {
            tokens["id_token"] = json!(token(&claims));
        }
        Ok(Reply::json(200, &tokens))
    }

    fn userinfo(&self, request: &Recorded) -> Result<Reply, &'static str> {
        let proof = format!("Bearer access to {}", self.number);
        check(
            request.header("authorization") == Some(&proof),
            "invalid_token",
        )?;
        Ok(Reply::json(200, &Value::Object(self.person.clone())))
    }
}

fn check(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

fn form(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}
