//! Tokens that name no team, or none that there is: their user's own teams count where the file says so.

use serde_json::{Value, json};

use crate::support::config::MASTER_KEY;
use crate::support::http::Request;
use crate::tokens::{Scene, claims, scene, token};

fn of_ann(more: &Value) -> String {
    token(&claims("ann", more))
}

/// Teams `t1` to `t3`, and `ann` in those.
fn scene_of_member(jwtauth: &str, teams: &[&str]) -> Scene {
    let scene = scene(jwtauth);
    for team in ["t1", "t2", "t3"] {
        scene.admin("/team/new", &json!({"team_id": team}));
    }
    for team in teams {
        let member = json!({"team_id": team, "member": {"user_id": "ann"}});
        scene.admin("/team/member_add", &member);
    }
    scene
}

/// Two tokens that are not the same text.
fn twice(more: &Value) -> [String; 2] {
    ["one", "two"].map(|jti| {
        let mut more = more.clone();
        more["jti"] = json!(jti);
        of_ann(&more)
    })
}

#[test]
fn a_token_that_names_no_team_is_of_one_of_its_users() {
    let scene = scene_of_member(
        "team_ids_jwt_field: groups, team_id_default: t3, user_id_upsert: true, \
         fallback_to_db_teams: true, sync_user_role_and_teams: true, enforce_team_based_model_access: true",
        &["t2", "t1"],
    );
    for nothing in [json!({}), json!({"groups": []})] {
        assert_eq!(scene.status(&of_ann(&nothing)), 200);
        assert_eq!(scene.charged().1, "t1", "the first by id");
    }
    assert_eq!(scene.teams_of_ann(), ["t1", "t2"], "no word about leaving");
    let key = Request::post("/key/generate", &json!({})).bearer(&of_ann(&json!({})));
    scene.gateway.send(&key).assert_status(403);
    assert_eq!(scene.status(&of_ann(&json!({"groups": ["gone"]}))), 401);
    let stranger = token(&claims("new", &json!({})));
    assert_eq!(scene.status(&stranger), 200);
    assert_eq!(scene.charged().1, "t3", "who is in no team has the default");
}

#[test]
fn who_is_in_no_team_is_refused_where_one_is_needed() {
    let scene = scene_of_member(
        "fallback_to_db_teams: true, enforce_team_based_model_access: true, user_id_upsert: true",
        &["t2"],
    );
    assert_eq!(scene.status(&of_ann(&json!({}))), 200);
    assert_eq!(scene.charged().1, "t2");
    assert_eq!(scene.status(&token(&claims("new", &json!({})))), 403);
    let made = Request::get("/user/info?user_id=new").bearer(MASTER_KEY);
    scene.gateway.send(&made).assert_status(404);
}

#[test]
fn a_token_whose_teams_do_not_exist_is_of_its_users_only_one() {
    let wrong = json!({"team": "gone", "groups": ["gone", "too"]});
    let fields = "team_id_jwt_field: team, team_ids_jwt_field: groups";
    let strict = scene_of_member(fields, &["t2"]);
    assert_eq!(strict.status(&of_ann(&wrong)), 401);

    let forgiving = format!("{fields}, team_claim_fallback: true");
    let scene = scene_of_member(&forgiving, &["t2"]);
    let [first, second] = twice(&wrong);
    assert_eq!(scene.status(&first), 200);
    assert_eq!(scene.charged().1, "t2");
    assert_eq!(
        scene.status(&of_ann(&json!({"groups": ["gone", "t3"]}))),
        200
    );
    assert_eq!(scene.charged().1, "t3", "one that exists counts");
    let more = json!({"team_id": "t1", "member": {"user_id": "ann"}});
    scene.admin("/team/member_add", &more);
    assert_eq!(scene.status(&second), 200);
    assert_eq!(scene.charged().1, Value::Null, "nobody knows which of two");

    let needing = format!("{forgiving}, enforce_team_based_model_access: true");
    let scene = scene_of_member(&needing, &["t1", "t2"]);
    assert_eq!(scene.status(&of_ann(&wrong)), 403);
}

#[test]
fn a_user_that_leaves_its_teams_by_a_token_has_none_to_fall_back_on() {
    let scene = scene_of_member(
        "team_ids_jwt_field: groups, team_claim_fallback: true, sync_user_role_and_teams: true",
        &["t2"],
    );
    assert_eq!(scene.status(&of_ann(&json!({"groups": ["gone"]}))), 200);
    assert_eq!(scene.charged().1, Value::Null);
    assert!(scene.teams_of_ann().is_empty());
}

#[test]
fn no_team_is_made_whose_members_would_be_anothers() {
    let scene = scene_of_member(
        "team_id_jwt_field: team, team_id_upsert: true, user_id_upsert: true, upsert_sso_user_to_team: true",
        &["t2"],
    );
    let of_new = |team: &str| token(&claims("new", &json!({"team": team})));
    assert_eq!(scene.status(&of_new("t4")), 200);
    // A member of it would be `t1:x:new`, which is `x:new` of `t1`.
    assert_eq!(scene.status(&of_new("t1:x")), 401);
    let made = Request::get("/team/info?team_id=t1:x").bearer(MASTER_KEY);
    scene.gateway.send(&made).assert_status(404);
}
