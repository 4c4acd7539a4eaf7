//! Tokens of an identity provider in place of keys: who is let in, as whom, and what it may do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;

use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, chat_request_body, stream_request};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

pub(crate) const AUDIENCE: &str = "trunkline";
const ISSUER: &str = "https://idp.example";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tokens")
        .join(name)
}

/// The public keys, each under its name.
fn public_keys(names: &[&str]) -> Value {
    let text = fs::read_to_string(fixture("keys.json")).expect("the fixture is there");
    let all: Value = serde_json::from_str(&text).expect("the fixture is JSON");
    let keys = all["keys"].as_array().expect("keys").iter();
    let wanted = keys.filter(|key| names.contains(&key["kid"].as_str().expect("a name")));
    json!({"keys": wanted.collect::<Vec<_>>()})
}

fn private_key(name: &str) -> (Algorithm, EncodingKey) {
    let read = |file: &str| fs::read(fixture(file)).expect("the fixture is there");
    match name {
        "ec" => (Algorithm::ES256, EncodingKey::from_ec_der(&read("ec.der"))),
        "ed25519" => (
            Algorithm::EdDSA,
            EncodingKey::from_ed_der(&read("ed25519.der")),
        ),
        rsa => (
            Algorithm::RS256,
            EncodingKey::from_rsa_der(&read(&format!("{}.der", rsa.replace('-', "_")))),
        ),
    }
}

/// A token of `signer` that says it is signed by `named`.
pub(crate) fn token_by(signer: &str, named: Option<&str>, claims: &Value) -> String {
    let (algorithm, key) = private_key(signer);
    let mut header = Header::new(algorithm);
    header.kid = named.map(str::to_owned);
    encode(&header, claims, &key).expect("a token is signed")
}

pub(crate) fn token(claims: &Value) -> String {
    token_by("rsa-one", Some("rsa-one"), claims)
}

/// Claims of `user` for a minute, and `more`.
pub(crate) fn claims(user: &str, more: &Value) -> Value {
    let now = UnixMs::now().0 / 1000;
    let mut claims = json!({"sub": user, "aud": AUDIENCE, "iss": ISSUER, "exp": now + 60});
    let more = more.as_object().expect("an object").clone();
    claims.as_object_mut().expect("an object").extend(more);
    claims
}

/// An identity provider whose keys can change.
pub(crate) struct Provider {
    server: Upstream,
    keys: Arc<Mutex<Value>>,
}

impl Provider {
    pub(crate) fn new(names: &[&str]) -> Self {
        let keys = Arc::new(Mutex::new(public_keys(names)));
        let shown = Arc::clone(&keys);
        let base = Arc::new(Mutex::new(String::new()));
        let at = Arc::clone(&base);
        let server = Upstream::answering(move |request| match request.path.as_str() {
            "/keys" => Reply::json(200, &shown.lock().expect("the keys")),
            "/.well-known/openid-configuration" => {
                let base = at.lock().expect("the address").clone();
                Reply::json(
                    200,
                    &json!({"issuer": ISSUER, "jwks_uri": format!("{base}/keys")}),
                )
            }
            _ => Reply::json(404, &json!({})),
        });
        *base.lock().expect("the address") = format!("http://{}", server.address());
        Self { server, keys }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }
}

pub(crate) struct Scene {
    upstream: Upstream,
    _provider: Provider,
    _home: Home,
    pub(crate) gateway: Gateway,
}

pub(crate) fn scene(jwtauth: &str) -> Scene {
    scene_with(jwtauth, &[])
}

/// A gateway with `litellm_jwtauth` and more of `general_settings`, and the user `ann`.
pub(crate) fn scene_with(jwtauth: &str, general: &[&str]) -> Scene {
    let upstream = Upstream::answering(|request| {
        if request.json()["stream"] == true {
            Reply::stream(&["hi"])
        } else {
            Reply::chat("hi")
        }
    });
    let provider = Provider::new(&["rsa-one", "ec", "ed25519"]);
    let home = home_with(&upstream, &provider.address("/keys"), jwtauth, general);
    let gateway = home.start();
    let scene = Scene {
        upstream,
        _provider: provider,
        _home: home,
        gateway,
    };
    scene.admin("/user/new", &json!({"user_id": "ann"}));
    scene
}

fn home(upstream: &Upstream, keys_at: &str, jwtauth: &str) -> Home {
    home_with(upstream, keys_at, jwtauth, &[])
}

fn home_with(upstream: &Upstream, keys_at: &str, jwtauth: &str, general: &[&str]) -> Home {
    let mut config = ConfigText::one("m", upstream)
        .deployment(Deployment::of("other", upstream))
        .general("enable_jwt_auth: true")
        .general(&format!("litellm_jwtauth: {{{jwtauth}}}"))
        .with_master_key();
    for line in general {
        config = config.general(line);
    }
    trusting(&config, keys_at)
}

/// A gateway that believes the tokens of the provider whose keys are there.
pub(crate) fn trusting(config: &ConfigText, keys_at: &str) -> Home {
    Home::with(config)
        .variable("JWT_PUBLIC_KEY_URL", keys_at)
        .variable("JWT_AUDIENCE", "others,trunkline")
        .variable("JWT_ISSUER", ISSUER)
}

impl Scene {
    pub(crate) fn admin(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .gateway
            .send(&Request::post(path, body).bearer(MASTER_KEY));
        answer.assert_status(200);
        answer.json()
    }

    pub(crate) fn status(&self, token: &str) -> u16 {
        self.gateway.send(&chat_request("m").bearer(token)).status
    }

    fn rows(&self) -> Vec<Value> {
        let rows = self
            .gateway
            .send(&Request::get("/spend/logs/v2").bearer(MASTER_KEY));
        rows.json()["data"].as_array().expect("rows").clone()
    }
}

#[test]
fn tokens_of_every_kind_of_key_let_their_user_in_and_are_on_its_books() {
    let scene = scene("");
    for key in ["rsa-one", "ec", "ed25519"] {
        for named in [Some(key), None] {
            let token = token_by(key, named, &claims("ann", &json!({})));
            let answer = scene.gateway.send(&chat_request("m").bearer(&token));
            assert_eq!(answer.status, 200, "{key} {named:?}: {}", answer.text());
        }
    }
    let token = token(&claims("ann", &json!({"aud": ["x", AUDIENCE]})));
    let streamed = stream_request("m").bearer(&token);
    scene.gateway.send(&streamed).assert_status(200);
    let own = scene
        .gateway
        .send(&Request::get("/spend/logs/v2").bearer(&token));
    own.assert_status(200);
    let rows = own.json()["data"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 7);
    for row in rows {
        assert_eq!(row["user"], "ann");
        assert_eq!(row["api_key"], "", "a token is no key");
    }
}

#[test]
fn tokens_that_do_not_hold_let_nobody_in_and_are_not_repeated() {
    let scene = scene("");
    let now = UnixMs::now().0 / 1000;
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let good = claims("ann", &json!({}));
    let unsigned = format!(
        "{}.{}.",
        part(&json!({"alg": "none", "typ": "JWT"})),
        part(&good)
    );
    let modulus = public_keys(&["rsa-one"])["keys"][0]["n"]
        .as_str()
        .expect("a modulus")
        .to_owned();
    let by_public_key = {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("rsa-one".to_owned());
        let key = EncodingKey::from_secret(modulus.as_bytes());
        encode(&header, &good, &key).expect("a token is signed")
    };
    let changed = {
        let token = token(&good);
        let parts: Vec<&str> = token.split('.').collect();
        let claims = part(&claims("eve", &json!({})));
        format!("{}.{claims}.{}", parts[0], parts[2])
    };
    let wrong = [
        ("unsigned", unsigned),
        ("signed with the public key as a secret", by_public_key),
        ("changed", changed),
        ("another's key", token_by("rsa-two", Some("rsa-one"), &good)),
        (
            "an unknown key",
            token_by("rsa-two", Some("rsa-two"), &good),
        ),
        ("an unnamed unknown key", token_by("rsa-two", None, &good)),
        ("expired", token(&claims("ann", &json!({"exp": now - 1})))),
        (
            "without an end",
            token(&claims("ann", &json!({"exp": null}))),
        ),
        (
            "of tomorrow",
            token(&claims("ann", &json!({"nbf": now + 90}))),
        ),
        ("for others", token(&claims("ann", &json!({"aud": "else"})))),
        (
            "of others",
            token(&claims("ann", &json!({"iss": "https://evil.example"}))),
        ),
        ("of nobody known", token(&claims("eve", &json!({})))),
        ("no token", "ey.ey.ey".to_owned()),
        ("too long", format!("ey{}.ey.ey", "x".repeat(20_000))),
    ];
    for (what, token) in wrong {
        let answer = scene.gateway.send(&chat_request("m").bearer(&token));
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "auth_error", "{what}");
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!answer.text().contains(part), "{what}: {}", answer.text());
        }
    }
    assert_eq!(scene.upstream.request_count(), 0);
}

#[test]
fn a_token_of_a_team_spends_the_teams_money_within_its_routes() {
    let scene = scene(
        "team_ids_jwt_field: groups, org_id_jwt_field: org, end_user_id_jwt_field: realm.customer",
    );
    let team = json!({"team_id": "search", "max_budget": 0.000_000_1});
    scene.admin("/team/new", &team);
    scene.admin("/team/new", &json!({"team_id": "ads"}));
    let more = json!({"groups": ["gone", "search", "ads"], "realm": {"customer": "c-1"}});
    let of_team = token(&claims("ann", &more));

    let mut body = chat_request_body("m");
    body["user"] = json!("somebody-else");
    let request = Request::post("/v1/chat/completions", &body).bearer(&of_team);
    scene.gateway.send(&request).assert_status(200);
    let spent_out = scene.gateway.send(&chat_request("m").bearer(&of_team));
    assert_eq!(spent_out.json()["error"]["type"], "budget_exceeded");
    let row = &scene.rows()[0];
    assert_eq!(row["team_id"], "search");
    assert_eq!(row["end_user"], "c-1", "the token says whom it serves");
    let other = Request::post("/key/generate", &json!({})).bearer(&of_team);
    scene.gateway.send(&other).assert_status(403);

    let of_none = token(&claims("ann", &json!({"groups": ["gone"]})));
    assert_eq!(scene.status(&of_none), 401);
    let of_no_team = token(&claims("ann", &json!({})));
    assert_eq!(scene.status(&of_no_team), 200);
}

#[test]
fn an_administrators_scope_manages_and_calls_no_model() {
    let scene = scene("admin_jwt_scope: gateway:admin");
    let admin = token(&claims("root", &json!({"scope": "openid gateway:admin"})));
    let made = Request::post("/user/new", &json!({"user_id": "ben"})).bearer(&admin);
    scene.gateway.send(&made).assert_status(200);
    let rows = Request::get("/global/spend").bearer(&admin);
    scene.gateway.send(&rows).assert_status(200);
    assert_eq!(scene.status(&admin), 403);
    let user = token(&claims("ann", &json!({"scope": "openid"})));
    let made = Request::post("/user/new", &json!({"user_id": "cem"})).bearer(&user);
    scene.gateway.send(&made).assert_status(401);
}

#[test]
fn domains_roles_and_unknown_users_are_as_the_file_says() {
    let scene = scene(
        "user_id_upsert: true, user_email_jwt_field: email, user_allowed_email_domain: example.com, \
         user_roles_jwt_field: roles, user_allowed_roles: [engineer]",
    );
    let of =
        |email: &str, role: &str| token(&claims("new", &json!({"email": email, "roles": [role]})));
    assert_eq!(scene.status(&of("new@elsewhere.example", "engineer")), 403);
    assert_eq!(scene.status(&of("new@example.com", "guest")), 403);
    assert_eq!(scene.status(&of("new@example.com", "engineer")), 200);
    let made = scene
        .gateway
        .send(&Request::get("/user/info?user_id=new").bearer(MASTER_KEY));
    made.assert_status(200);
    assert!(made.text().contains("new@example.com"), "{}", made.text());
}

#[test]
fn keys_that_change_are_fetched_anew_and_a_provider_that_is_away_is_no_401() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let provider = Provider::new(&[]);
    let discovery = provider.address("/.well-known/openid-configuration");
    let home = home(&upstream, &discovery, "user_id_upsert: true");
    let mut gateway = home.start();
    gateway.allow_errors();
    let ask = |key: &str| {
        let token = token_by(key, Some(key), &claims("ann", &json!({})));
        gateway.send(&chat_request("m").bearer(&token)).status
    };
    let readiness = || gateway.get("/health/readiness").json()["signing_keys"].clone();
    assert_eq!(ask("rsa-one"), 503);
    assert_eq!(readiness(), "missing");

    *provider.keys.lock().expect("the keys") = public_keys(&["rsa-one"]);
    eventually("the keys are there", &200, || ask("rsa-one"));
    assert_eq!(readiness(), "there");
    assert_eq!(ask("rsa-two"), 401);
    *provider.keys.lock().expect("the keys") = public_keys(&["rsa-two"]);
    eventually("the new key is fetched", &200, || ask("rsa-two"));
    assert_eq!(ask("rsa-one"), 401, "the old one is gone");
}

#[test]
fn a_provider_that_is_away_takes_no_other_providers_keys_along() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let here = Provider::new(&["rsa-one"]);
    let away = Provider::new(&[]);
    let keys_at = format!("{},{}", here.address("/keys"), away.address("/keys"));
    let home = home(&upstream, &keys_at, "user_id_upsert: true");
    let mut gateway = home.start();
    gateway.allow_errors();
    let ask = |key: &str| {
        let token = token_by(key, Some(key), &claims("ann", &json!({})));
        gateway.send(&chat_request("m").bearer(&token)).status
    };
    eventually("its keys are there", &200, || ask("rsa-one"));
    assert_eq!(ask("rsa-two"), 503, "it may be a key of the other one");
    let readiness = gateway.get("/health/readiness").json();
    assert_eq!(readiness["signing_keys"], "missing");
    *away.keys.lock().expect("the keys") = public_keys(&["rsa-two"]);
    eventually("the other one is back", &200, || ask("rsa-two"));
    assert_eq!(ask("rsa-one"), 200);
}

#[test]
fn a_token_that_is_known_ends_at_its_time() {
    let scene = scene("");
    let now = UnixMs::now().0 / 1000;
    let short = token(&claims("ann", &json!({"exp": now + 2})));
    assert_eq!(scene.status(&short), 200);
    eventually("it ends", &401, || scene.status(&short));
}
