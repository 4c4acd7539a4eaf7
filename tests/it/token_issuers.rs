//! Tokens of several identity providers, each with keys, an audience and claims of its own.

use serde_json::{Value, json};

use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;
use crate::tokens::{AUDIENCE, Provider, claims, token_by, trusting};

const CI: &str = "https://ci.example";

fn config(upstream: &Upstream, issuers: &str) -> ConfigText {
    ConfigText::one("m", upstream)
        .general("enable_jwt_auth: true")
        .general(&format!(
            "litellm_jwtauth: {{user_id_upsert: true, issuers: [{issuers}]}}"
        ))
        .with_master_key()
}

/// Claims for the gateway as the issuer of continuous integration makes them, and `more`.
fn of_ci(more: &Value) -> Value {
    let mut said = claims("a-job", &json!({"iss": CI, "aud": "ci-gateway"}));
    said["job"] = json!({"owner": "cem"});
    let more = more.as_object().expect("an object").clone();
    said.as_object_mut().expect("an object").extend(more);
    said
}

fn status(gateway: &Gateway, signer: &str, claims: &Value) -> u16 {
    let token = token_by(signer, Some(signer), claims);
    gateway.send(&chat_request("m").bearer(&token)).status
}

#[test]
fn an_issuer_of_the_list_is_held_to_its_own_keys_audience_and_claims() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (people, ci) = (Provider::new(&["rsa-one"]), Provider::new(&["ec"]));
    let entry = format!(
        "{{issuer: '{CI}', jwks_url: '{}', audience: [x, ci-gateway], user_id_jwt_field: job.owner}}",
        ci.address("/keys")
    );
    let home = trusting(&config(&upstream, &entry), &people.address("/keys"));
    let gateway = home.start();
    let of_ann = claims("ann", &json!({}));
    eventually("the keys are there", &200, || {
        status(&gateway, "ec", &of_ci(&json!({})))
    });
    assert_eq!(status(&gateway, "rsa-one", &of_ann), 200);
    let rows = Request::get("/spend/logs/v2").bearer(MASTER_KEY);
    let rows = gateway.send(&rows).json()["data"].clone();
    assert_eq!(
        (&rows[0]["user"], &rows[1]["user"]),
        (&json!("ann"), &json!("cem"))
    );

    for (what, signer, said) in [
        ("another issuer's key", "rsa-one", of_ci(&json!({}))),
        ("a key of the list for others", "ec", of_ann),
        (
            "the others' audience",
            "ec",
            of_ci(&json!({"aud": AUDIENCE})),
        ),
        (
            "an issuer almost of the list",
            "ec",
            of_ci(&json!({"iss": format!("{CI}/")})),
        ),
        ("no issuer", "ec", of_ci(&json!({"iss": null}))),
    ] {
        assert_eq!(status(&gateway, signer, &said), 401, "{what}");
    }
}

#[test]
fn the_list_alone_is_enough_and_an_issuers_discovery_document_is_found() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (people, away) = (Provider::new(&["rsa-one"]), Provider::new(&[]));
    let issuer = people.address("");
    let entries = format!(
        "{{issuer: '{issuer}', disable_audience_validation: true}}, {{issuer: '{CI}', audience: ci-gateway, jwks_url: '{}'}}",
        away.address("/keys")
    );
    let home = Home::with(&config(&upstream, &entries));
    let mut gateway = home.start();
    gateway.allow_errors();
    let own = claims("ann", &json!({"iss": issuer, "aud": "anybody"}));
    eventually("the keys are there", &200, || {
        status(&gateway, "rsa-one", &own)
    });
    let unlisted = claims("ann", &json!({}));
    assert_eq!(status(&gateway, "rsa-one", &unlisted), 401);
    assert_eq!(
        status(&gateway, "ec", &own),
        401,
        "not its key, and its are there"
    );
    assert_eq!(status(&gateway, "ec", &of_ci(&json!({}))), 503);
}
