//! What is deleted stops at once, takes with it what would otherwise lose its limits, and stays on the books. A key that gets
//! another secret stays the same key.

use serde_json::{Value, json};

use crate::keys::{generate, generate_key};
use crate::spend::{COST_PICO, pico};
use crate::support::config::MASTER_KEY;
use crate::support::gateway::{Gateway, chat_request};
use crate::support::http::Request;
use crate::support::wait::eventually;
use crate::tenants::{admin, by, scene, told, user};

#[track_caller]
fn works(gateway: &Gateway, key: &str, works: bool) {
    let answer = gateway.send(&chat_request("m").bearer(key));
    assert_eq!(answer.status == 200, works, "{}", answer.text());
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn keys_are_deleted_by_secret_hash_or_alias_all_or_none() {
    let (_upstream, _home, gateway) = scene();
    let made: Vec<Value> = ["a", "b", "c", "d"]
        .iter()
        .map(|alias| generate(&gateway, &json!({"key_alias": alias, "user_id": "ann"})))
        .collect();
    let secret = |at: usize| text(&made[at]["key"]);
    works(&gateway, &secret(0), true);

    let some = json!({"keys": [secret(0), "no-such-key"]});
    let refused = by(&gateway, MASTER_KEY, "/key/delete", &some);
    let error = refused.assert_error(400, "invalid_request_error");
    assert_eq!(error["param"], "keys");
    works(&gateway, &secret(0), true);

    let keys = json!([secret(0), made[1]["token"]]);
    let answer = admin(&gateway, "/key/delete", &json!({"keys": keys}));
    assert_eq!(answer["deleted_keys"], keys);
    let answer = admin(&gateway, "/key/delete", &json!({"key_aliases": ["c"]}));
    assert_eq!(answer["deleted_keys"], json!(["c"]));

    for at in 0..3 {
        works(&gateway, &secret(at), false);
    }
    works(&gateway, &secret(3), true);
    let spend = told(&gateway, MASTER_KEY, "/user/spend?user_id=ann").json();
    assert_eq!(pico(&spend["total_spend"]), 3 * COST_PICO, "{spend}");
    // The alias is free again.
    generate_key(&gateway, &json!({"key_alias": "c"}));
}

#[test]
fn a_user_goes_with_its_keys_and_memberships() {
    let (_upstream, _home, gateway) = scene();
    let own = user(&gateway, "ann", &json!({}));
    admin(&gateway, "/team/new", &json!({"team_id": "t"}));
    admin(
        &gateway,
        "/team/member_add",
        &json!({"team_id": "t", "member": {"user_id": "ann"}}),
    );
    let of_team = generate_key(&gateway, &json!({"team_id": "t", "user_id": "ann"}));
    let service = generate_key(&gateway, &json!({"team_id": "t"}));
    works(&gateway, &own, true);

    let refused = by(
        &gateway,
        MASTER_KEY,
        "/user/delete",
        &json!({"user_ids": ["ann", "nobody"]}),
    );
    refused.assert_status(404);
    works(&gateway, &own, true);
    let answer = admin(&gateway, "/user/delete", &json!({"user_ids": ["ann"]}));

    assert_eq!(answer, json!(1));
    works(&gateway, &own, false);
    works(&gateway, &of_team, false);
    works(&gateway, &service, true);
    told(&gateway, MASTER_KEY, "/user/info?user_id=ann").assert_status(404);
    let team = told(&gateway, MASTER_KEY, "/team/info?team_id=t").json();
    assert_eq!(team["team_info"]["members_with_roles"], json!([]));
    let logs = told(&gateway, MASTER_KEY, "/spend/logs?user_id=ann").json();
    assert_eq!(logs.as_array().unwrap().len(), 2, "{logs}");
}

#[test]
fn an_organisation_goes_with_its_teams_and_keys_and_its_users_stay() {
    let (_upstream, _home, gateway) = scene();
    admin(
        &gateway,
        "/organization/new",
        &json!({"organization_id": "o", "organization_alias": "o"}),
    );
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "t", "organization_id": "o"}),
    );
    let personal = user(&gateway, "ann", &json!({"organization_id": "o"}));
    admin(
        &gateway,
        "/organization/member_add",
        &json!({"organization_id": "o", "member": {"user_id": "ann"}}),
    );
    let of_team = generate_key(&gateway, &json!({"team_id": "t"}));
    let direct = generate_key(&gateway, &json!({"organization_id": "o"}));
    for key in [&personal, &of_team, &direct] {
        works(&gateway, key, true);
    }

    let body = json!({"organization_ids": ["o"]});
    let request = Request::with_body("DELETE", "/organization/delete", &body).bearer(MASTER_KEY);
    gateway.send(&request).assert_status(200);

    works(&gateway, &of_team, false);
    works(&gateway, &direct, false);
    works(&gateway, &personal, true);
    told(&gateway, MASTER_KEY, "/team/info?team_id=t").assert_status(404);
    let info = told(&gateway, MASTER_KEY, "/user/info?user_id=ann").json();
    assert_eq!(info["organization_id"], Value::Null);
}

#[test]
fn a_team_goes_with_its_keys() {
    let (_upstream, _home, gateway) = scene();
    admin(&gateway, "/team/new", &json!({"team_id": "t"}));
    let key = generate_key(&gateway, &json!({"team_id": "t"}));
    works(&gateway, &key, true);

    let answer = admin(&gateway, "/team/delete", &json!({"team_ids": ["t"]}));

    assert_eq!(answer, json!({"deleted_teams": ["t"]}));
    works(&gateway, &key, false);
}

#[test]
fn a_shared_budget_is_deleted_when_nobody_has_it() {
    let (_upstream, _home, gateway) = scene();
    admin(
        &gateway,
        "/budget/new",
        &json!({"budget_id": "b", "max_budget": 1}),
    );
    let key = generate_key(&gateway, &json!({"budget_id": "b"}));
    admin(
        &gateway,
        "/team/new",
        &json!({"team_id": "t", "budget_id": "b"}),
    );
    let delete = |status: u16| {
        by(&gateway, MASTER_KEY, "/budget/delete", &json!({"id": "b"})).assert_status(status);
    };

    delete(400);
    admin(
        &gateway,
        "/key/update",
        &json!({"key": key, "budget_id": null}),
    );
    delete(400);
    admin(
        &gateway,
        "/team/update",
        &json!({"team_id": "t", "budget_id": null}),
    );
    delete(200);
    delete(404);
}

#[test]
fn a_regenerated_key_has_another_secret_and_the_same_budget() {
    let (_upstream, _home, mut gateway) = scene();
    let wishes = json!({"max_budget": 0.000_06, "user_id": "ann", "key_alias": "mine"});
    let made = generate(&gateway, &wishes);
    let (first, token) = (text(&made["key"]), text(&made["token"]));
    works(&gateway, &first, true);

    let answer = admin(&gateway, "/key/regenerate", &json!({"key": first}));
    let second = text(&answer["key"]);
    gateway.keeps_secret(&second);

    assert_eq!(answer["token"], token);
    assert_eq!(
        answer["key_name"],
        format!("sk-...{}", second.split_at(second.len() - 4).1)
    );
    assert_eq!(pico(&answer["spend"]), COST_PICO);
    works(&gateway, &first, false);
    works(&gateway, &second, true);
    works(&gateway, &second, true);
    gateway
        .send(&chat_request("m").bearer(&second))
        .assert_error(422, "budget_exceeded");
    let info = told(&gateway, &second, "/key/info").json();
    assert_eq!(info["info"]["key_alias"], "mine");
    assert_eq!(pico(&info["info"]["spend"]), 3 * COST_PICO);
    told(&gateway, MASTER_KEY, &format!("/key/info?key={first}")).assert_status(404);
    // By its own key, by the path, with a secret of the caller's.
    let path = format!("/key/{token}/regenerate");
    let answer = admin(
        &gateway,
        &path,
        &json!({"new_key": "sk-chosen-0123456789abcdef", "max_budget": 1}),
    );
    assert_eq!(answer["key"], "sk-chosen-0123456789abcdef");
    works(&gateway, "sk-chosen-0123456789abcdef", true);
    works(&gateway, &second, false);
    let chosen = json!({"key": "sk-chosen-0123456789abcdef"});
    by(&gateway, MASTER_KEY, "/key/generate", &chosen).assert_status(400);
    admin(&gateway, "/key/delete", &json!({"keys": [token]}));
    works(&gateway, "sk-chosen-0123456789abcdef", false);
}

#[test]
fn the_old_secret_works_through_its_grace_period() {
    let (_upstream, _home, gateway) = scene();
    let first = generate_key(&gateway, &json!({"user_id": "ann", "rpm_limit": 100}));
    let body = json!({"key": first, "grace_period": "2s"});

    let second = text(&admin(&gateway, "/key/regenerate", &body)["key"]);

    works(&gateway, &first, true);
    works(&gateway, &second, true);
    eventually(
        "the status for the secret in its grace period",
        &401,
        || gateway.send(&chat_request("m").bearer(&first)).status,
    );
    works(&gateway, &second, true);
    // Both were one key.
    let spend = told(&gateway, MASTER_KEY, "/user/spend?user_id=ann").json();
    assert_eq!(spend["keys"].as_array().unwrap().len(), 1, "{spend}");
    let bad = json!({"key": second, "grace_period": "soon"});
    let error = by(&gateway, MASTER_KEY, "/key/regenerate", &bad)
        .assert_error(400, "invalid_request_error");
    assert_eq!(error["param"], "grace_period");
}
