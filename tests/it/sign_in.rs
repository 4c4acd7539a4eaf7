//! People who sign in: with an identity provider that the test runs, and by name and password; and what a session may.

mod password;
mod provider;
mod roles;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

use self::provider::{CLIENT, Cheat, IdentityProvider, SECRET};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

const BASE: &str = "https://llm.example/gw";
const ORIGIN: &str = "https://llm.example";

/// What a browser keeps of cookies.
#[derive(Default)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    fn takes(&mut self, answer: &Answer) {
        for (name, value) in &answer.headers {
            if !name.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            for wanted in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/gw/"] {
                assert!(value.contains(wanted), "{value}");
            }
            let (pair, _) = value.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a value");
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    fn sends(&self, request: Request) -> Request {
        let pairs = self.0.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request.header("cookie", &pairs.join("; "))
    }

    fn session(&self) -> &str {
        &self.0["token"]
    }
}

struct Scene {
    gateway: Gateway,
    provider: IdentityProvider,
    _home: Home,
    _upstream: Upstream,
}

fn scene(variables: &[(&str, &str)]) -> Scene {
    let upstream = Upstream::always(Reply::chat("hi"));
    let provider = IdentityProvider::for_gateway_at(&format!("{BASE}/sso/callback"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .litellm("default_internal_user_params: {user_role: internal_user, max_budget: 5, budget_duration: 30d, models: [m]}");
    let mut home = Home::with(&config)
        .variable("PROXY_BASE_URL", BASE)
        .variable("GENERIC_CLIENT_ID", CLIENT)
        .variable("GENERIC_CLIENT_SECRET", SECRET)
        .variable(
            "GENERIC_AUTHORIZATION_ENDPOINT",
            &provider.address("/authorize"),
        )
        .variable("GENERIC_TOKEN_ENDPOINT", &provider.address("/token"))
        .variable("GENERIC_USERINFO_ENDPOINT", &provider.address("/userinfo"))
        .variable("GENERIC_USER_ID_ATTRIBUTE", "sub");
    for (name, value) in variables {
        home = home.variable(name, value);
    }
    let mut gateway = home.start();
    gateway.keeps_secret(SECRET);
    Scene {
        gateway,
        provider,
        _home: home,
        _upstream: upstream,
    }
}

impl Scene {
    fn send(&self, request: &Request) -> Answer {
        self.gateway.send(request)
    }

    /// The person begins to sign in; answers where the provider sends it back to.
    fn begin(&self, browser: &mut Browser) -> String {
        let answer = self.send(&Request::get("/sso/key/generate"));
        answer.assert_status(303);
        browser.takes(&answer);
        let back = self
            .provider
            .visit(answer.header("location").expect("a location"));
        local(&back)
    }

    fn signs_in(&self, person: &Value) -> Answer {
        self.provider.is_visited_by(person);
        let mut browser = Browser::default();
        let back = self.begin(&mut browser);
        self.send(&browser.sends(Request::get(&back)))
    }

    /// The session of somebody who signs in.
    fn session_of(&self, person: &Value) -> String {
        let answer = self.signs_in(person);
        assert_eq!(answer.status, 303, "{}", answer.text());
        let mut browser = Browser::default();
        browser.takes(&answer);
        browser.session().to_owned()
    }

    fn user(&self, id: &str) -> Answer {
        self.send(&Request::get(&format!("/user/info?user_id={id}")).bearer(MASTER_KEY))
    }
}

/// The path and query of an address below the gateway's, which people see elsewhere.
fn local(url: &Url) -> String {
    url.as_str()
        .strip_prefix(BASE)
        .expect("it is the gateway's")
        .to_owned()
}

#[test]
fn who_signs_in_with_the_provider_manages_what_is_its_own_and_calls_no_model() {
    let scene = scene(&[]);
    let session = scene.session_of(&json!({"sub": "ann", "email": "ann@example.com"}));
    let ann = scene.user("ann").json();
    assert_eq!(ann["user_info"]["user_email"], "ann@example.com");
    assert_eq!(ann["user_info"]["user_role"], "internal_user");
    assert_eq!(ann["user_info"]["max_budget"], 5.0);
    assert_eq!(ann["user_info"]["models"], json!(["m"]));
    let log = Request::get("/audit?object_id=ann").bearer(MASTER_KEY);
    let log = scene.send(&log).json();
    assert_eq!(log["audit_logs"][0]["changed_by"], "sign-in");

    let made = scene.send(&Request::post("/key/generate", &json!({})).bearer(&session));
    made.assert_status(200);
    assert_eq!(made.json()["user_id"], "ann");
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    scene
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);
    scene
        .send(&chat_request("m").bearer(&session))
        .assert_status(403);
    scene
        .send(&Request::get("/global/spend").bearer(&session))
        .assert_status(401);
    let new = json!({"user_id": "eve"});
    scene
        .send(&Request::post("/user/new", &new).bearer(&session))
        .assert_status(401);

    let gone = json!({"user_ids": ["ann"]});
    scene
        .send(&Request::post("/user/delete", &gone).bearer(MASTER_KEY))
        .assert_status(200);
    let own = Request::get("/user/info").bearer(&session);
    eventually("its sessions are gone with it", &401, || {
        scene.send(&own).status
    });
}

#[test]
fn a_session_in_a_cookie_counts_for_pages_of_the_gateway_alone() {
    let scene = scene(&[]);
    let answer = scene.signs_in(&json!({"sub": "ann"}));
    assert_eq!(answer.header("location"), Some("https://llm.example/gw/"));
    let mut browser = Browser::default();
    browser.takes(&answer);
    let status = |request: Request, headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(browser.sends(request), |request, (name, value)| {
                request.header(name, value)
            });
        scene.send(&request).status
    };
    let read = || Request::get("/user/info");
    let write = || Request::post("/key/generate", &json!({}));
    for (request, headers, want) in [
        (read(), &[][..], 200),
        (read(), &[("sec-fetch-site", "same-origin")], 200),
        (read(), &[("sec-fetch-site", "none")], 200),
        (read(), &[("sec-fetch-site", "cross-site")], 401),
        (read(), &[("sec-fetch-site", "same-site")], 401),
        (read(), &[("origin", "https://evil.example")], 401),
        (write(), &[], 401),
        (write(), &[("origin", ORIGIN)], 200),
        (write(), &[("origin", "https://evil.example")], 401),
        (write(), &[("origin", "null")], 401),
        (
            write(),
            &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
            401,
        ),
        (
            write(),
            &[("sec-fetch-site", "same-origin"), ("origin", ORIGIN)],
            200,
        ),
    ] {
        assert_eq!(status(request, headers), want, "{headers:?}");
    }
    // A key that is shown is what counts, cookie or not.
    let shown = browser.sends(write()).bearer(MASTER_KEY);
    scene.send(&shown).assert_status(200);
    // Nothing but a session is taken from a cookie.
    for other in [MASTER_KEY, "sk-unknown-0123456789"] {
        let request = read().header("cookie", &format!("token={other}"));
        assert_eq!(scene.send(&request).status, 401);
    }
    let out = scene.send(&browser.sends(Request::post("/logout", &json!({}))));
    out.assert_status(200);
    assert!(
        out.header("set-cookie")
            .is_some_and(|cookie| cookie.starts_with("token=;"))
    );
}

#[test]
fn a_sign_in_holds_for_the_browser_that_began_it_and_once() {
    let scene = scene(&[]);
    scene.provider.is_visited_by(&json!({"sub": "ann"}));
    let (mut own, mut other) = (Browser::default(), Browser::default());
    let back = scene.begin(&mut own);
    scene.begin(&mut other);
    let at = |browser: &Browser, path: &str| scene.send(&browser.sends(Request::get(path))).status;
    assert_eq!(at(&Browser::default(), &back), 400, "no cookie");
    assert_eq!(at(&other, &back), 400, "another sign-in's");
    let code = back
        .split(['?', '&'])
        .find(|pair| pair.starts_with("code="))
        .expect("a code");
    assert_eq!(at(&own, &format!("/sso/callback?{code}")), 400, "no state");
    let mut forged = Browser::default();
    let state = back.split("state=").nth(1).expect("a state");
    forged.0.insert(
        "trunkline_sign_in".to_owned(),
        format!("{state}.99999999999999.{}", "A".repeat(43)),
    );
    assert_eq!(
        at(&forged, &back),
        400,
        "a cookie that the gateway did not seal"
    );
    assert_eq!(
        at(&own, &format!("/sso/callback?state={state}")),
        400,
        "no code"
    );
    let denied = format!("/sso/callback?state={state}&error=access_denied");
    assert_eq!(at(&own, &denied), 403);
    assert_eq!(at(&own, &back), 303);
    assert_eq!(at(&own, &back), 403, "a code is for one use");
    // A code of another sign-in has another verifier.
    let theirs = scene.begin(&mut other);
    let theirs = theirs
        .split(['?', '&'])
        .find(|pair| pair.starts_with("code="))
        .expect("a code");
    let again = scene.begin(&mut own);
    let state = again.split("state=").nth(1).expect("a state");
    assert_eq!(
        at(&own, &format!("/sso/callback?state={state}&{theirs}")),
        403
    );
}

#[test]
fn an_answer_that_is_not_of_this_sign_in_lets_nobody_in() {
    let scene = scene(&[("ALLOWED_EMAIL_DOMAINS", "example.com, example.org")]);
    let ann = json!({"sub": "ann", "email": "ann@Example.org"});
    for cheat in [
        Cheat::Nonce,
        Cheat::Audience,
        Cheat::Expired,
        Cheat::Subject,
    ] {
        scene.provider.cheats(cheat);
        let answer = scene.signs_in(&ann);
        assert_eq!(answer.status, 403, "{cheat:?}: {}", answer.text());
        assert!(answer.header("set-cookie").is_none(), "{cheat:?}");
    }
    scene.provider.cheats(Cheat::None);
    for nobody in [
        json!({"email": "ann@example.com"}),
        json!({"sub": "ann"}),
        json!({"sub": "ann", "email": "ann@example.com.evil"}),
    ] {
        assert_eq!(scene.signs_in(&nobody).status, 403, "{nobody}");
    }
    scene.user("ann").assert_status(404);
    scene.provider.cheats(Cheat::NoIdToken);
    assert_eq!(scene.signs_in(&ann).status, 303);
    scene.user("ann").assert_status(200);
}

#[test]
fn without_a_provider_there_is_a_form_and_without_a_master_key_nobody_to_be() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&ConfigText::one("m", &upstream).with_master_key());
    let gateway = home.start();
    let page = gateway.get("/sso/key/generate");
    page.assert_status(200);
    assert!(
        page.text().contains("action=\"../../login\""),
        "{}",
        page.text()
    );
    gateway
        .get("/sso/callback?code=a&state=b")
        .assert_status(400);
    let body = json!({"username": "admin", "password": MASTER_KEY});
    let session = gateway.post("/v2/login", &body).json()["token"].clone();
    let session = session.as_str().expect("a session");
    let own = Request::get("/global/spend").bearer(session);
    gateway.send(&own).assert_status(200);
    drop(gateway);

    let open = Home::with(&ConfigText::one("m", &upstream));
    let gateway = open.start();
    gateway.post("/v2/login", &body).assert_status(400);
    // A session of a gateway that had a key is nobody's in particular here.
    let manage = Request::post("/key/generate", &json!({})).bearer(session);
    gateway.send(&manage).assert_status(401);
}
