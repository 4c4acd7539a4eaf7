//! Users, teams and organisations manage what is theirs and nothing else, and nobody becomes more than they are.

use serde_json::{Value, json};

use crate::keys::{generate, generate_key};
use crate::support::config::{ConfigText, Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, start};
use crate::support::http::{Answer, Request};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

pub(crate) fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .deployment(Deployment::of("other", &upstream))
        .with_master_key();
    let (home, gateway) = start(&config);
    (upstream, home, gateway)
}

/// Does something as an administrator.
#[track_caller]
pub(crate) fn admin(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let answer = by(gateway, MASTER_KEY, path, body);
    answer.assert_status(200);
    answer.json()
}

pub(crate) fn by(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Answer {
    gateway.send(&Request::post(path, body).bearer(key))
}

pub(crate) fn told(gateway: &Gateway, key: &str, path: &str) -> Answer {
    gateway.send(&Request::get(path).bearer(key))
}

/// A user with a key of its own.
pub(crate) fn user(gateway: &Gateway, id: &str, more: &Value) -> String {
    let mut body = json!({"user_id": id});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let made = admin(gateway, "/user/new", &body);
    made["key"].as_str().expect("a key").to_owned()
}

/// A team with an admin and a member, each with a key of its own.
fn team(gateway: &Gateway, id: &str, more: &Value) -> (String, String) {
    let mut body = json!({"team_id": id});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    admin(gateway, "/team/new", &body);
    let (lead, member) = (format!("{id}-lead"), format!("{id}-member"));
    let keys = (
        user(gateway, &lead, &json!({})),
        user(gateway, &member, &json!({})),
    );
    let members = json!({"team_id": id, "member": [
        {"user_id": lead, "role": "admin"}, {"user_id": member}]});
    admin(gateway, "/team/member_add", &members);
    keys
}

fn secret(answer: &Answer) -> String {
    answer.assert_status(200);
    answer.json()["key"].as_str().expect("a key").to_owned()
}

#[test]
fn an_internal_user_makes_changes_and_deletes_keys_of_its_own() {
    let (_upstream, _home, gateway) = scene();
    let ann = user(&gateway, "ann", &json!({}));
    user(&gateway, "ben", &json!({}));

    let made = secret(&by(
        &gateway,
        &ann,
        "/key/generate",
        &json!({"models": ["m"]}),
    ));
    gateway
        .send(&chat_request("m").bearer(&made))
        .assert_status(200);
    let info = told(&gateway, &made, "/key/info").json();
    assert_eq!(info["info"]["user_id"], "ann");
    let keys = told(&gateway, &ann, "/key/list").json();
    assert_eq!(keys["total_count"], 2);

    let for_ben = by(&gateway, &ann, "/key/generate", &json!({"user_id": "ben"}));
    for_ben.assert_error(401, "auth_error");
    by(
        &gateway,
        &ann,
        "/key/update",
        &json!({"key": made, "rpm_limit": 5}),
    )
    .assert_status(200);
    let given_away = json!({"key": made, "user_id": "ben"});
    by(&gateway, &ann, "/key/update", &given_away).assert_error(401, "auth_error");

    by(&gateway, &ann, "/key/delete", &json!({"keys": [made]})).assert_status(200);
    gateway
        .send(&chat_request("m").bearer(&made))
        .assert_error(401, "token_not_found_in_db");
}

#[test]
fn limits_of_a_key_that_was_made_for_somebody_are_not_lifted_by_that_one() {
    let (_upstream, _home, gateway) = scene();
    user(&gateway, "ann", &json!({"auto_create_key": true}));
    let key = generate_key(&gateway, &json!({"user_id": "ann", "rpm_limit": 1}));

    for more in [
        json!({"rpm_limit": 100}),
        json!({"models": []}),
        json!({"metadata": {}}),
        json!({"team_id": null}),
    ] {
        let mut body = more.clone();
        body["key"] = json!(key);
        let refused = by(&gateway, &key, "/key/update", &body);
        refused.assert_error(403, "auth_error");
        let refused = by(&gateway, &key, "/key/regenerate", &body);
        refused.assert_error(403, "auth_error");
    }
    let alias = json!({"key": key, "key_alias": "mine"});
    by(&gateway, &key, "/key/update", &alias).assert_status(200);
    let info = told(&gateway, &key, "/key/info").json();
    assert_eq!(info["info"]["rpm_limit"], 1);
}

#[test]
fn a_viewer_sees_and_changes_nothing() {
    let (_upstream, _home, gateway) = scene();
    let all = user(&gateway, "eve", &json!({"user_role": "proxy_admin_viewer"}));
    let own = user(
        &gateway,
        "eli",
        &json!({"user_role": "internal_user_viewer"}),
    );
    let other = generate(&gateway, &json!({"user_id": "ann"}));
    let token = other["token"].as_str().unwrap();

    told(&gateway, &all, &format!("/key/info?key={token}")).assert_status(200);
    told(&gateway, &all, "/global/spend").assert_status(200);
    told(&gateway, &own, &format!("/key/info?key={token}")).assert_error(403, "auth_error");
    assert_eq!(told(&gateway, &own, "/key/list").json()["total_count"], 1);
    for key in [&all, &own] {
        by(&gateway, key, "/key/generate", &json!({})).assert_error(401, "auth_error");
        gateway
            .send(&chat_request("m").bearer(key))
            .assert_status(200);
    }
}

#[test]
fn an_admin_of_a_team_manages_its_members_and_keys_alone() {
    let (_upstream, _home, gateway) = scene();
    let (lead, member) = team(&gateway, "red", &json!({"max_budget": 10}));
    let (other_lead, _) = team(&gateway, "blue", &json!({}));

    let for_member = json!({"team_id": "red", "user_id": "red-member", "max_budget": 1});
    let key = secret(&by(&gateway, &lead, "/key/generate", &for_member));
    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);
    secret(&by(
        &gateway,
        &lead,
        "/key/generate",
        &json!({"team_id": "red"}),
    ));
    by(&gateway, &lead, "/key/block", &json!({"key": key})).assert_status(200);
    by(&gateway, &lead, "/key/unblock", &json!({"key": key})).assert_status(200);
    let keys = told(&gateway, &lead, "/key/list?team_id=red").json();
    assert_eq!(keys["total_count"], 2);

    // Nothing of the other team, and nothing for who is in neither.
    for body in [
        json!({"team_id": "blue"}),
        json!({"team_id": "red", "user_id": "blue-member"}),
    ] {
        by(&gateway, &lead, "/key/generate", &body).assert_error(403, "auth_error");
    }
    by(
        &gateway,
        &other_lead,
        "/key/delete",
        &json!({"keys": [key]}),
    )
    .assert_status(400);
    let in_red = json!({"team_id": "red", "user_id": "red-member"});
    by(&gateway, &other_lead, "/team/member_delete", &in_red).assert_error(403, "auth_error");
    // A member makes keys of the team once that is permitted, for itself.
    let own = json!({"team_id": "red"});
    by(&gateway, &member, "/key/generate", &own).assert_error(403, "auth_error");
    let permit = json!({"team_id": "red", "team_member_permissions": ["/key/generate"]});
    by(&gateway, &member, "/team/permissions_update", &permit).assert_error(403, "auth_error");
    by(&gateway, &lead, "/team/permissions_update", &permit).assert_status(200);
    let made = by(&gateway, &member, "/key/generate", &own).json();
    assert_eq!(made["user_id"], "red-member");
    // Its own budget is given from above.
    let lift = json!({"team_id": "red", "max_budget": 100});
    by(&gateway, &lead, "/team/update", &lift).assert_error(403, "auth_error");
    let name = json!({"team_id": "red", "team_alias": "Red"});
    by(&gateway, &lead, "/team/update", &name).assert_status(200);
}

#[test]
fn who_leaves_a_team_leaves_its_keys_there() {
    let (_upstream, _home, gateway) = scene();
    let (lead, own) = team(&gateway, "red", &json!({}));
    let body = json!({"team_id": "red", "user_id": "red-member"});
    let key = secret(&by(&gateway, &lead, "/key/generate", &body));
    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(200);

    by(&gateway, &lead, "/team/member_delete", &body).assert_status(200);

    gateway
        .send(&chat_request("m").bearer(&key))
        .assert_status(401);
    gateway
        .send(&chat_request("m").bearer(&own))
        .assert_status(200);
}

#[test]
fn a_key_of_a_team_does_not_act_for_its_user_elsewhere() {
    let (_upstream, _home, gateway) = scene();
    let (lead, _) = team(&gateway, "red", &json!({}));
    let personal = generate(
        &gateway,
        &json!({"user_id": "red-member", "key_alias": "personal"}),
    );
    let personal_id = personal["token"].as_str().unwrap();
    let body = json!({"team_id": "red", "user_id": "red-member"});
    let minted = secret(&by(&gateway, &lead, "/key/generate", &body));

    let info = format!("/key/info?key={personal_id}");
    told(&gateway, &minted, &info).assert_error(403, "auth_error");
    by(
        &gateway,
        &minted,
        "/key/regenerate",
        &json!({"key": personal_id}),
    )
    .assert_error(403, "auth_error");
    by(
        &gateway,
        &minted,
        "/key/delete",
        &json!({"key_aliases": ["personal"]}),
    )
    .assert_status(400);
    let list = told(&gateway, &minted, "/key/list").json();
    assert_eq!(list["total_count"], 1, "itself: {list}");
    // Nor does it become a key of its user's own.
    let out = json!({"key": minted, "team_id": null});
    by(&gateway, &minted, "/key/update", &out).assert_error(403, "auth_error");
    by(&gateway, &lead, "/key/update", &out).assert_error(401, "auth_error");
    // What the user spent elsewhere is not told either.
    let secret_of_user = personal["key"].as_str().unwrap();
    gateway
        .send(&chat_request("m").bearer(secret_of_user))
        .assert_status(200);
    let spend = told(&gateway, &minted, "/user/spend").json();
    assert_eq!(spend["total_spend"], 0, "{spend}");
    let spend = told(&gateway, secret_of_user, "/user/spend").json();
    assert_ne!(spend["total_spend"], 0, "{spend}");
}

#[test]
fn nobody_makes_a_key_that_may_more_than_its_maker() {
    let (_upstream, _home, gateway) = scene();
    let (lead, _) = team(&gateway, "red", &json!({}));
    let root = user(&gateway, "root", &json!({"user_role": "proxy_admin"}));
    let add = json!({"team_id": "red", "member": {"user_id": "root"}});
    let added = by(&gateway, &lead, "/team/member_add", &add).json();
    assert_eq!(added["updated_users"], json!([{"user_id": "root"}]));
    assert_eq!(added["updated_team_memberships"][0]["user_id"], "root");
    assert_eq!(
        added["members_with_roles"],
        added["team_info"]["members_with_roles"]
    );

    let of_root = json!({"team_id": "red", "user_id": "root"});
    by(&gateway, &lead, "/key/generate", &of_root).assert_error(403, "auth_error");
    let in_team = generate(&gateway, &of_root);
    let token = in_team["token"].as_str().unwrap();
    for path in ["/key/regenerate", "/key/update", "/key/block"] {
        by(&gateway, &lead, path, &json!({"key": token})).assert_error(403, "auth_error");
    }
    // Not even when the user becomes an administrator later.
    let member = json!({"team_id": "red", "user_id": "red-member"});
    let minted = secret(&by(&gateway, &lead, "/key/generate", &member));
    admin(
        &gateway,
        "/user/update",
        &json!({"user_id": "red-member", "user_role": "proxy_admin"}),
    );
    told(&gateway, &minted, "/global/spend").assert_error(401, "auth_error");
    told(&gateway, &root, "/global/spend").assert_status(200);
    // And nobody makes itself one.
    let ann = user(&gateway, "ann", &json!({}));
    let raise = json!({"user_id": "ann", "user_role": "proxy_admin"});
    by(&gateway, &ann, "/user/update", &raise).assert_error(403, "auth_error");
    let raise = json!({"user_id": "ann", "max_budget": 1000});
    by(&gateway, &ann, "/user/update", &raise).assert_error(403, "auth_error");
    let name = json!({"user_id": "ann", "user_alias": "Ann"});
    by(&gateway, &ann, "/user/update", &name).assert_status(200);
}

#[test]
fn an_admin_of_an_organisation_manages_what_is_in_it() {
    let (_upstream, _home, gateway) = scene();
    for id in ["acme", "rival"] {
        let body = json!({"organization_id": id, "organization_alias": id});
        admin(&gateway, "/organization/new", &body);
    }
    let boss = user(&gateway, "boss", &json!({}));
    let member =
        json!({"organization_id": "acme", "member": {"user_id": "boss", "role": "org_admin"}});
    admin(&gateway, "/organization/member_add", &member);
    let (stranger, _) = team(&gateway, "blue", &json!({"organization_id": "rival"}));

    let team = |organisation: &str| json!({"team_id": format!("t-{organisation}"), "organization_id": organisation});
    by(&gateway, &boss, "/team/new", &team("acme")).assert_status(200);
    by(&gateway, &boss, "/team/new", &team("rival")).assert_error(401, "auth_error");
    by(&gateway, &boss, "/team/new", &json!({})).assert_error(401, "auth_error");
    let made = by(
        &gateway,
        &boss,
        "/user/new",
        &json!({"user_id": "new", "organization_id": "acme"}),
    );
    let of_new = secret(&made);
    for role in ["proxy_admin", "proxy_admin_viewer"] {
        let body = json!({"user_id": role, "organization_id": "acme", "user_role": role});
        by(&gateway, &boss, "/user/new", &body).assert_error(403, "auth_error");
    }
    let budget = json!({"user_id": "new", "max_budget": 3});
    by(&gateway, &boss, "/user/update", &budget).assert_status(200);
    by(
        &gateway,
        &boss,
        "/team/update",
        &json!({"team_id": "t-acme", "max_budget": 3}),
    )
    .assert_status(200);
    by(
        &gateway,
        &boss,
        "/team/update",
        &json!({"team_id": "t-acme", "organization_id": null}),
    )
    .assert_error(403, "auth_error");
    by(
        &gateway,
        &boss,
        "/team/update",
        &json!({"team_id": "blue", "max_budget": 3}),
    )
    .assert_error(403, "auth_error");
    // Who was merely added keeps its home.
    let lured = json!({"organization_id": "acme", "member": {"user_id": "blue-lead"}});
    by(&gateway, &boss, "/organization/member_add", &lured).assert_status(200);
    by(
        &gateway,
        &boss,
        "/user/delete",
        &json!({"user_ids": ["blue-lead"]}),
    )
    .assert_error(403, "auth_error");
    let users = told(&gateway, &boss, "/user/list").json();
    let ids: Vec<&str> = users["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["user_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["boss", "new"], "{users}");
    let teams = told(&gateway, &stranger, "/team/list").json();
    assert_eq!(teams.as_array().unwrap().len(), 1, "{teams}");
    let unfiltered = told(&gateway, &stranger, "/team/list?organization_id=");
    assert_eq!(unfiltered.json(), teams, "an empty filter is none");
    // The key that the admin was shown does not grow with its user, nor what it makes.
    let child = secret(&by(&gateway, &of_new, "/key/generate", &json!({})));
    let own = generate(&gateway, &json!({"user_id": "new"}));
    let taken = json!({"key": own["token"]});
    let taken = secret(&by(&gateway, &of_new, "/key/regenerate", &taken));
    admin(
        &gateway,
        "/user/update",
        &json!({"user_id": "new", "user_role": "proxy_admin"}),
    );
    for key in [&of_new, &child, &taken] {
        told(&gateway, key, "/global/spend").assert_error(401, "auth_error");
    }
}

#[test]
fn a_teams_key_is_not_told_what_its_user_spends_and_changes_nothing_of_it() {
    let (_upstream, _home, gateway) = scene();
    let (_lead, own) = team(&gateway, "red", &json!({}));
    let wishes = json!({"team_id": "red", "user_id": "red-member"});
    let of_team = generate_key(&gateway, &wishes);
    let info = |key: &str, path: &str| told(&gateway, key, path).json();
    let listed = |key: &str| info(key, "/user/list")["users"][0].clone();

    for (path, by_team, by_user) in [
        (
            "/user/info",
            info(&of_team, "/user/info"),
            info(&own, "/user/info"),
        ),
        (
            "/v2/user/info",
            info(&of_team, "/v2/user/info"),
            info(&own, "/v2/user/info"),
        ),
        ("/user/list", listed(&of_team), listed(&own)),
    ] {
        assert_eq!(by_team["user_id"], "red-member", "{path}: {by_team}");
        assert_eq!(by_team.get("spend"), None, "{path}");
        assert_eq!(by_user["spend"], 0.0, "{path}: {by_user}");
    }

    let renamed = json!({"user_id": "red-member", "user_alias": "mine", "metadata": {"a": 1}});
    by(&gateway, &of_team, "/user/update", &renamed).assert_error(403, "auth_error");
    let unchanged = info(&own, "/v2/user/info");
    assert_eq!(unchanged["user_alias"], Value::Null, "{unchanged}");
    let changed = by(&gateway, &own, "/user/update", &renamed);
    changed.assert_status(200);
    assert_eq!(changed.json()["data"]["spend"], 0.0);
}

#[test]
fn a_page_too_far_down_is_refused_and_not_another_one_shown() {
    let (_upstream, _home, gateway) = scene();
    user(&gateway, "ann", &json!({}));
    for path in [
        "/user/list?page=202&page_size=500",
        "/v2/team/list?page=202&page_size=500",
        "/key/list?page=1002&size=100",
        "/audit?page=1002&page_size=100",
        "/user/list?page=4294967295",
    ] {
        let refused = told(&gateway, MASTER_KEY, path);
        let error = refused.assert_error(400, "invalid_request_error");
        assert_eq!(error["param"], "page", "{path}");
    }
    let last = told(&gateway, MASTER_KEY, "/user/list?page=201&page_size=500");
    assert_eq!(last.json()["users"], json!([]));
}

#[test]
fn an_admin_of_an_organisation_takes_no_name_that_is_on_the_books() {
    let (_upstream, _home, gateway) = scene();
    let organisation = json!({"organization_id": "acme", "organization_alias": "acme"});
    admin(&gateway, "/organization/new", &organisation);
    let boss = user(
        &gateway,
        "boss",
        &json!({"user_role": "org_admin", "organization_id": "acme"}),
    );
    admin(&gateway, "/team/new", &json!({"team_id": "gone"}));
    let of_team = generate_key(&gateway, &json!({"team_id": "gone"}));
    let of_user = user(&gateway, "left", &json!({}));
    for key in [&of_team, &of_user] {
        gateway
            .send(&chat_request("m").bearer(key))
            .assert_status(200);
    }
    admin(&gateway, "/team/delete", &json!({"team_ids": ["gone"]}));
    admin(&gateway, "/user/delete", &json!({"user_ids": ["left"]}));

    let acme = |field: &str, id: &str| json!({field: id, "organization_id": "acme"});
    for (path, field, id, status) in [
        ("/team/new", "team_id", "gone", 403),
        ("/user/new", "user_id", "left", 403),
        ("/user/new", "user_id", "default_user_id", 403),
        ("/user/new", "user_id", "fresh", 200),
        ("/team/new", "team_id", "fresh", 200),
    ] {
        let answer = by(&gateway, &boss, path, &acme(field, id));
        assert_eq!(answer.status, status, "{path} {id}: {}", answer.text());
    }
    // An administrator may.
    admin(&gateway, "/user/new", &json!({"user_id": "left"}));
}

#[test]
fn without_a_master_key_nobody_makes_keys() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream));

    gateway.chat("m").assert_status(200);

    let made = gateway.post("/key/generate", &json!({}));
    made.assert_error(401, "auth_error");
}

#[test]
fn an_admin_of_a_team_begins_a_members_budget_anew() {
    let (_upstream, _home, gateway) = scene();
    let (lead, member) = team(&gateway, "red", &json!({}));
    let little = json!({"team_id": "red", "user_id": "red-member", "max_budget_in_team": 0.000_02});
    by(&gateway, &lead, "/team/member_update", &little).assert_status(200);
    let key = secret(&by(
        &gateway,
        &lead,
        "/key/generate",
        &json!({"team_id": "red", "user_id": "red-member"}),
    ));
    let ask = || gateway.send(&chat_request("m").bearer(&key));
    ask().assert_status(200);
    ask().assert_error(422, "budget_exceeded");

    let path = "/team/red/member/red-member/reset_spend";
    by(&gateway, &member, path, &json!({})).assert_error(403, "auth_error");
    let answer = by(&gateway, &lead, path, &json!({})).json();

    assert_eq!(answer["spend"], 0);
    assert_eq!(answer["previous_spend"], 0.000_025);
    ask().assert_status(200);
    let nobody = by(
        &gateway,
        &lead,
        "/team/red/member/nobody/reset_spend",
        &json!({}),
    );
    nobody.assert_status(404);
}
