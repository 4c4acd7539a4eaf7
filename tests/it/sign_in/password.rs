//! The administrator's name and password, at the form and by JSON.

use serde_json::json;

use super::{Browser, ORIGIN, scene};
use crate::support::config::MASTER_KEY;
use crate::support::http::Request;

#[test]
fn the_administrator_signs_in_by_name_and_password() {
    let scene = scene(&[
        ("UI_USERNAME", "boss"),
        ("UI_PASSWORD", "open sesame & more"),
    ]);
    let typed = |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        scene.send(&Request::post("/v2/login", &body))
    };
    for (name, password) in [
        ("boss", "open sesame"),
        ("admin", "open sesame & more"),
        ("boss", MASTER_KEY),
        ("", ""),
    ] {
        let answer = typed(name, password);
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        assert!(answer.header("set-cookie").is_none());
    }
    let answer = typed("boss", "open sesame & more");
    answer.assert_status(200);
    assert_eq!(answer.json()["redirect_url"], "https://llm.example/gw/");
    let session = answer.json()["token"]
        .as_str()
        .expect("a session")
        .to_owned();
    let spend = Request::get("/global/spend").bearer(&session);
    scene.send(&spend).assert_status(200);
    // What is the master key's alone is not the session's.
    let reset = Request::post("/global/spend/reset", &json!({})).bearer(&session);
    scene.send(&reset).assert_status(401);

    let by_form = |origin: &str| {
        let body = "username=boss&password=open+sesame+%26+more";
        let request = Request::post_bytes("/login", body)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", origin);
        scene.send(&request)
    };
    assert_eq!(by_form("https://evil.example").status, 403);
    let answer = by_form(ORIGIN);
    answer.assert_status(303);
    let mut browser = Browser::default();
    browser.takes(&answer);
    scene
        .send(&browser.sends(Request::get("/global/spend")))
        .assert_status(200);

    for _ in 0..6 {
        typed("boss", "guess");
    }
    let refused = typed("boss", "open sesame & more");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    let bearer = Request::get("/global/spend").bearer(MASTER_KEY);
    scene.send(&bearer).assert_status(200);
}

#[test]
fn a_sign_in_by_password_is_short_and_who_may_not_try_is_not_read() {
    let scene = scene(&[("UI_USERNAME", "boss"), ("UI_PASSWORD", "open sesame")]);
    let json = |body: &str| {
        Request::post_bytes("/v2/login", body).header("content-type", "application/json")
    };
    let form = |body: &str| {
        Request::post_bytes("/login", body)
            .header("content-type", "application/x-www-form-urlencoded")
    };
    let long = "x".repeat(16 * 1024);
    let typed = format!(r#"{{"username": "boss", "password": "open sesame", "more": "{long}"}}"#);
    let answer = scene.send(&json(&typed));
    assert_eq!(answer.status, 413, "{}", answer.text());
    let typed = format!("username=boss&password=open+sesame&more={long}");
    assert_eq!(scene.send(&form(&typed)).status, 413);

    assert_eq!(scene.send(&json("no JSON")).status, 400);
    let elsewhere = json("no JSON").header("origin", "https://evil.example");
    assert_eq!(scene.send(&elsewhere).status, 403);
    for _ in 0..10 {
        let wrong = form("username=boss&password=guess");
        assert_eq!(scene.send(&wrong).status, 401);
    }
    assert_eq!(scene.send(&json("no JSON")).status, 429);
}
