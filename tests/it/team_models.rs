//! Deployments that are one team's: the team calls them by a name of its own, and nobody else sees or calls them.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::stored_models::{config, home, model, start, store};
use crate::support::gateway::{Gateway, Home, chat_request_body};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::tenants::admin;

/// A gateway with the group `m` for everybody, and the teams `t` and `other`.
fn scene() -> (Upstream, Upstream, Home, Gateway) {
    scene_with(Reply::chat("everybody's"))
}

fn scene_with(everybodys: Reply) -> (Upstream, Upstream, Home, Gateway) {
    let everybodys = Upstream::always(everybodys);
    let teams = Upstream::always(Reply::chat("the team's"));
    let home = home(&config(&everybodys));
    let gateway = start(&home);
    for team in [
        json!({"team_id": "t", "models": ["m"]}),
        json!({"team_id": "other"}),
    ] {
        admin(&gateway, "/team/new", &team);
    }
    (everybodys, teams, home, gateway)
}

fn of_team(name: &str, id: &str, upstream: &Upstream) -> Value {
    let mut body = model(name, id, upstream);
    body["model_info"]["team_id"] = json!("t");
    body
}

fn ask(gateway: &Gateway, key: &str, model: &str) -> Answer {
    let body = chat_request_body(model);
    gateway.send(&Request::post("/v1/chat/completions", &body).bearer(key))
}

/// The ids that `/v1/models` shows.
fn seen(gateway: &Gateway, key: &str) -> Vec<String> {
    let list = gateway.send(&Request::get("/v1/models").bearer(key)).json();
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_teams_model_is_called_by_the_teams_name_for_it_and_by_nobody_else() {
    let (everybodys, teams, _home, gateway) = scene();
    store(&gateway, &of_team("m", "own-1", &teams));
    store(&gateway, &of_team("own", "own-2", &teams));
    let key = generate_key(&gateway, &json!({"team_id": "t"}));
    let other = generate_key(&gateway, &json!({"team_id": "other"}));
    let alone = generate_key(&gateway, &json!({}));

    // The team's group goes before everybody's of that name, and its list of models need not name it.
    for (key, model, status, of_team) in [
        (&key, "m", 200, true),
        (&key, "own", 200, true),
        (&other, "m", 200, false),
        (&alone, "m", 200, false),
        (&other, "own", 400, false),
        (&alone, "own", 400, false),
        (&alone, "model_name_t_own", 400, false),
        (&other, "own-2", 400, false),
    ] {
        let before = (teams.request_count(), everybodys.request_count());
        let answer = ask(&gateway, key, model);
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
        let asked = (
            teams.request_count() - before.0,
            everybodys.request_count() - before.1,
        );
        let want = match (status, of_team) {
            (200, true) => (1, 0),
            (200, false) => (0, 1),
            _ => (0, 0),
        };
        assert_eq!(asked, want, "{model}");
        if status == 200 {
            assert_eq!(answer.json()["model"], model);
        } else {
            let missing = ask(&gateway, key, "nothing-at-all").json();
            let error = answer.json()["error"].clone();
            assert_eq!(error["code"], missing["error"]["code"], "{error}");
        }
    }
    gateway.chat("own-2").assert_status(200);

    assert_eq!(seen(&gateway, &key), ["m", "own"]);
    assert_eq!(seen(&gateway, &other), ["m"]);
    let rows = |key: &str| {
        let info = gateway
            .send(&Request::get("/model/info").bearer(key))
            .json();
        info["data"].as_array().unwrap().clone()
    };
    assert_eq!(rows(&other).len(), 1);
    let own = rows(&key).pop().unwrap();
    assert_eq!(own["model_info"]["team_id"], "t");
    assert_eq!(own["model_info"]["team_public_model_name"], "own");
    let groups = gateway.send(&Request::get("/model_group/info").bearer(&key));
    assert_eq!(groups.json()["data"][1]["model_group"], "own");
}

#[test]
fn no_request_falls_back_to_another_teams_model() {
    let broken = Reply::error(500, "server_error", "broken");
    let (_everybodys, teams, _home, gateway) = scene_with(broken);
    store(&gateway, &of_team("own", "own-1", &teams));
    let key = generate_key(&gateway, &json!({"team_id": "t"}));
    let other = generate_key(&gateway, &json!({"team_id": "other"}));
    let ask = |key: &str, fallback: &str| {
        let mut body = chat_request_body("m");
        body["fallbacks"] = json!([fallback]);
        gateway.send(&Request::post("/v1/chat/completions", &body).bearer(key))
    };
    ask(&key, "own").assert_status(200);
    for fallback in ["own-1", "model_name_t_own"] {
        ask(&other, fallback).assert_status(400);
    }
    assert_eq!(teams.request_count(), 1);
}

#[test]
fn a_keys_list_holds_for_its_teams_models_too() {
    let (_everybodys, teams, _home, gateway) = scene();
    store(&gateway, &of_team("own", "own-1", &teams));
    for (models, status) in [(json!(["own"]), 200), (json!(["m"]), 403)] {
        let key = generate_key(&gateway, &json!({"team_id": "t", "models": models}));
        ask(&gateway, &key, "own").assert_status(status);
    }
}

#[test]
fn a_teams_model_is_one_model_of_a_team_that_there_is() {
    let (_everybodys, teams, _home, gateway) = scene();
    let mut nobodys = of_team("own", "own-1", &teams);
    nobodys["model_info"]["team_id"] = json!("nobody");
    let mut pattern = of_team("own/*", "own-2", &teams);
    pattern["litellm_params"]["model"] = json!("openai/*");
    for body in [nobodys, pattern] {
        let err = gateway.post("/model/new", &body);
        let err = err.assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], "model_info.team_id", "{err}");
    }
}
