//! Tokens of an identity provider whose roles, scopes and names of teams decide what they may, and what is stored of them.

use serde_json::{Value, json};

use crate::support::config::MASTER_KEY;
use crate::support::gateway::chat_request;
use crate::support::http::Request;
use crate::support::wait::eventually;
use crate::tokens::{Scene, claims, scene, scene_with, token};

impl Scene {
    /// What the gateway says of a chat with that group.
    fn chats(&self, token: &str, group: &str) -> u16 {
        self.gateway.send(&chat_request(group).bearer(token)).status
    }

    fn asked(&self, path: &str) -> Value {
        let answer = self.gateway.send(&Request::get(path).bearer(MASTER_KEY));
        answer.assert_status(200);
        answer.json()
    }

    /// Whom the newest row was charged to: user, team, organisation.
    pub(crate) fn charged(&self) -> (Value, Value, Value) {
        let row = self.asked("/spend/logs/v2")["data"][0].clone();
        let named = |name: &str| row[name].clone();
        (named("user"), named("team_id"), named("organization_id"))
    }

    /// The teams that `ann` is in.
    pub(crate) fn teams_of_ann(&self) -> Vec<String> {
        let user = self.asked("/user/info?user_id=ann");
        let teams = user["teams"].as_array().expect("teams").iter();
        teams
            .map(|team| team["team_id"].as_str().expect("an id").to_owned())
            .collect()
    }
}

fn of_ann(more: &Value) -> String {
    token(&claims("ann", more))
}

#[test]
fn teams_and_organisations_are_found_by_their_names() {
    let scene = scene("team_alias_jwt_field: team.name, org_alias_jwt_field: org");
    let organisation = json!({"organization_id": "o1", "organization_alias": "Acme"});
    scene.admin("/organization/new", &organisation);
    scene.admin(
        "/team/new",
        &json!({"team_id": "t1", "team_alias": "Search"}),
    );
    for id in ["t2", "t3"] {
        scene.admin("/team/new", &json!({"team_id": id, "team_alias": "Twins"}));
    }
    let named = of_ann(&json!({"team": {"name": "Search"}, "org": "Acme"}));
    assert_eq!(scene.status(&named), 200);
    assert_eq!(
        scene.charged(),
        (json!("ann"), json!("t1"), json!("o1")),
        "by name"
    );
    for (team, org) in [("Twins", "Acme"), ("t1", "Acme"), ("Search", "o1")] {
        let wrong = of_ann(&json!({"team": {"name": team}, "org": org}));
        assert_eq!(scene.status(&wrong), 401, "{team} {org}");
    }
}

#[test]
fn a_team_that_is_not_known_is_made_where_the_file_says_so() {
    let scene = scene("team_id_jwt_field: team, team_ids_jwt_field: groups, team_id_upsert: true");
    assert_eq!(scene.status(&of_ann(&json!({"groups": ["none"]}))), 401);
    assert_eq!(scene.status(&of_ann(&json!({"team": "new"}))), 200);
    assert_eq!(scene.charged().1, "new");
    let made = scene.asked("/team/info?team_id=new");
    assert_eq!(made["team_id"], "new");
    let log = scene.asked("/audit?object_id=new")["audit_logs"][0].clone();
    assert_eq!(log["changed_by"], "identity provider", "{log}");
}

#[test]
fn tokens_without_a_team_are_refused_where_one_is_needed() {
    let scene = scene("team_id_jwt_field: team, enforce_team_based_model_access: true");
    scene.admin("/team/new", &json!({"team_id": "t1"}));
    assert_eq!(scene.status(&of_ann(&json!({}))), 403);
    assert_eq!(scene.status(&of_ann(&json!({"team": "t1"}))), 200);
    let admin = of_ann(&json!({"scope": "litellm_proxy_admin"}));
    let listed = Request::get("/team/list").bearer(&admin);
    scene.gateway.send(&listed).assert_status(200);
}

#[test]
fn a_mapped_role_says_whether_a_token_is_a_teams_a_users_or_an_administrators() {
    let scene = scene(
        "roles_jwt_field: realm.roles, object_id_jwt_field: azp, enforce_rbac: true, role_mappings: \
         [{role: gw-admin, internal_role: proxy_admin}, {role: gw-team, internal_role: team}, \
          {role: gw-user, internal_role: internal_user}]",
    );
    scene.admin("/team/new", &json!({"team_id": "t1"}));
    let with = |roles: &[&str], object: &str| {
        let more = json!({"realm": {"roles": roles}, "azp": object});
        token(&claims("some-client", &more))
    };
    assert_eq!(scene.status(&with(&["x", "gw-team"], "t1")), 200);
    assert_eq!(scene.charged().1, "t1");
    assert_eq!(scene.charged().0, "", "a team's token is nobody's");
    assert_eq!(scene.status(&with(&["gw-user"], "ann")), 200);
    assert_eq!(scene.charged().0, "ann");
    assert_eq!(scene.status(&with(&["gw-team"], "gone")), 401);
    assert_eq!(scene.status(&with(&["gw-user"], "nobody")), 401);
    let making = |token: &str, id: &str| {
        let body = json!({"user_id": id, "auto_create_key": false});
        let made = Request::post("/user/new", &body).bearer(token);
        scene.gateway.send(&made).status
    };
    assert_eq!(making(&with(&["gw-admin"], "ann"), "u1"), 200);
    assert_eq!(making(&with(&["gw-user"], "ann"), "u2"), 401);
    // Without a role it is none of the three, whatever its `sub` is.
    let roleless = token(&claims("ann", &json!({"azp": "ann"})));
    assert_eq!(scene.status(&roleless), 403);
}

#[test]
fn a_token_may_what_its_scopes_open() {
    let scene = scene(
        "enforce_scope_based_access: true, scope_mappings: [{scope: chat, models: [m]}, \
         {scope: meta, models: [other], routes: [info_routes]}]",
    );
    let with = |scope: &str| of_ann(&json!({"scope": scope}));
    assert_eq!(scene.chats(&with("openid chat"), "m"), 200);
    assert_eq!(scene.chats(&with("openid chat"), "other"), 403);
    assert_eq!(scene.chats(&with("chat meta"), "other"), 200);
    assert_eq!(scene.chats(&with("meta"), "other"), 403, "no chat by that");
    assert_eq!(scene.chats(&with("openid"), "m"), 403);
    let seen = |scope: &str| {
        let models = Request::get("/v1/models").bearer(&with(scope));
        scene.gateway.send(&models).json()["data"].clone()
    };
    assert_eq!(seen("meta")[0]["id"], "other");
    assert_eq!(seen("meta").as_array().expect("models").len(), 1);
}

#[test]
fn each_sort_of_token_may_what_the_file_permits_it() {
    let scene = scene_with(
        "enforce_rbac: true, team_id_jwt_field: team, user_id_jwt_field: user",
        &[
            "role_permissions: [{role: team, models: [other]}, {role: internal_user, routes: [info_routes]}]",
        ],
    );
    scene.admin("/team/new", &json!({"team_id": "t1"}));
    let of_team = of_ann(&json!({"team": "t1"}));
    assert_eq!(scene.chats(&of_team, "other"), 200);
    assert_eq!(scene.chats(&of_team, "m"), 403);
    let of_user = of_ann(&json!({"user": "ann"}));
    assert_eq!(scene.chats(&of_user, "m"), 403);
    let own = Request::get("/user/info?user_id=ann").bearer(&of_user);
    scene.gateway.send(&own).assert_status(200);
    assert_eq!(scene.chats(&of_ann(&json!({})), "m"), 403, "of nobody");
}

#[test]
fn a_users_role_and_teams_are_stored_as_its_token_says_them() {
    let scene = scene(
        "team_ids_jwt_field: groups, roles_jwt_field: roles, sync_user_role_and_teams: true, \
         jwt_litellm_role_map: [{jwt_role: 'ops-*', litellm_role: proxy_admin_viewer}, \
         {jwt_role: dev, litellm_role: internal_user}]",
    );
    for team in ["t1", "t2", "t3"] {
        scene.admin("/team/new", &json!({"team_id": team}));
    }
    let ann = json!({"user_id": "ann"});
    scene.admin("/team/member_add", &json!({"team_id": "t1", "member": ann}));
    let wishes = json!({"user_id": "ann", "team_id": "t1"});
    let key = scene.admin("/key/generate", &wishes)["key"].clone();
    let key = key.as_str().expect("a key");
    assert_eq!(scene.status(key), 200);

    let role = || scene.asked("/user/info?user_id=ann")["user_info"]["user_role"].clone();
    assert_eq!(scene.status(&of_ann(&json!({"roles": ["none"]}))), 200);
    assert_eq!(scene.teams_of_ann(), ["t1"], "no word of teams");
    assert_eq!(role(), "internal_user");

    let told = json!({"groups": ["t2", "t3", "gone"], "roles": ["dev", "ops-eu"]});
    assert_eq!(scene.status(&of_ann(&told)), 200);
    assert_eq!(scene.teams_of_ann(), ["t2", "t3"]);
    assert_eq!(role(), "proxy_admin_viewer");
    eventually("its key of the team is gone", &401, || scene.status(key));

    assert_eq!(scene.status(&of_ann(&json!({}))), 200);
    assert_eq!(role(), "proxy_admin_viewer", "no word of roles");
    assert_eq!(scene.status(&of_ann(&json!({"roles": ["none"]}))), 200);
    assert_eq!(role(), "internal_user", "the role is taken back");
    let given = json!({"user_id": "ann", "user_role": "internal_user_viewer"});
    scene.admin("/user/update", &given);
    assert_eq!(scene.status(&of_ann(&json!({"roles": ["other"]}))), 200);
    assert_eq!(role(), "internal_user_viewer", "it was none of the map's");

    let back = json!({"groups": [], "roles": ["dev"]});
    assert_eq!(scene.status(&of_ann(&back)), 200);
    assert!(scene.teams_of_ann().is_empty());
    assert_eq!(role(), "internal_user");
}

#[test]
fn a_user_becomes_a_member_of_the_team_that_its_token_is_of() {
    let scene =
        scene("team_id_jwt_field: team, upsert_sso_user_to_team: true, user_id_upsert: true");
    scene.admin("/team/new", &json!({"team_id": "t1"}));
    scene.admin("/team/new", &json!({"team_id": "t2"}));
    assert_eq!(scene.status(&of_ann(&json!({"team": "t1"}))), 200);
    assert_eq!(scene.status(&of_ann(&json!({"team": "t2"}))), 200);
    assert_eq!(scene.teams_of_ann(), ["t1", "t2"]);
    let new = token(&claims("new", &json!({"team": "t1"})));
    assert_eq!(scene.status(&new), 200);
    let team = scene.asked("/team/info?team_id=t1");
    let members = team["team_info"]["members_with_roles"].clone();
    let want = json!([{"user_id": "ann", "role": "user"}, {"user_id": "new", "role": "user"}]);
    assert_eq!(members, want);
}

#[test]
fn the_team_that_a_user_is_to_join_is_not_left_for_not_being_among_its_groups() {
    let scene = scene(
        "team_id_jwt_field: team, team_ids_jwt_field: groups, upsert_sso_user_to_team: true, \
         sync_user_role_and_teams: true",
    );
    for team in ["t1", "t2", "t3"] {
        scene.admin("/team/new", &json!({"team_id": team}));
    }
    let ann = json!({"user_id": "ann"});
    scene.admin("/team/member_add", &json!({"team_id": "t3", "member": ann}));
    let told = |jti: &str| of_ann(&json!({"team": "t1", "groups": ["t2"], "jti": jti}));
    assert_eq!(scene.status(&told("first")), 200);
    assert_eq!(scene.teams_of_ann(), ["t1", "t2"]);
    let wishes = json!({"user_id": "ann", "team_id": "t1"});
    let key = scene.admin("/key/generate", &wishes)["key"].clone();
    let key = key.as_str().expect("a key");

    let lines = || scene.asked("/audit")["total"].clone();
    let before = lines();
    assert_eq!(scene.status(&told("second")), 200);
    assert_eq!(lines(), before, "nothing is left to change");
    assert_eq!(scene.teams_of_ann(), ["t1", "t2"]);
    assert_eq!(scene.status(key), 200, "its key of that team is kept");
}

#[test]
fn a_user_is_made_with_the_role_that_its_token_gives() {
    let scene = scene(
        "user_id_upsert: true, roles_jwt_field: roles, sync_user_role_and_teams: true, \
         jwt_litellm_role_map: [{jwt_role: ops, litellm_role: proxy_admin_viewer}]",
    );
    let new = token(&claims("new", &json!({"roles": ["ops"]})));
    assert_eq!(scene.status(&new), 200);
    let log = scene.asked("/audit?object_id=new");
    let lines = log["audit_logs"].as_array().expect("lines");
    assert_eq!(lines.len(), 1, "it never was anything else: {log}");
    let user = scene.asked("/user/info?user_id=new");
    assert_eq!(user["user_info"]["user_role"], "proxy_admin_viewer");
}

#[test]
fn a_token_that_is_refused_leaves_nothing_behind() {
    let there_is = |scene: &Scene, what: &str| {
        let info = Request::get(what).bearer(MASTER_KEY);
        scene.gateway.send(&info).status
    };
    let makes_teams = scene("team_id_jwt_field: team, team_id_upsert: true");
    let of_nobody = token(&claims("nobody", &json!({"team": "new"})));
    assert_eq!(makes_teams.status(&of_nobody), 401);
    assert_eq!(there_is(&makes_teams, "/team/info?team_id=new"), 404);

    let makes_users = scene(
        "team_id_jwt_field: team, user_id_upsert: true, upsert_sso_user_to_team: true, \
         org_alias_jwt_field: org",
    );
    for more in [json!({"team": "gone"}), json!({"org": "gone"})] {
        assert_eq!(makes_users.status(&token(&claims("new", &more))), 401);
        assert_eq!(there_is(&makes_users, "/user/info?user_id=new"), 404);
    }
}
