//! What role somebody has who signs in with the provider.

use serde_json::json;

use super::{Scene, scene};
use crate::support::config::MASTER_KEY;
use crate::support::http::Request;

impl Scene {
    fn role_of(&self, user: &str) -> String {
        let role = self.user(user).json()["user_info"]["user_role"].clone();
        role.as_str().expect("a role").to_owned()
    }
}

#[test]
fn roles_are_as_the_provider_says_at_the_last_sign_in() {
    let scene = scene(&[
        ("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM", "realm.groups"),
        (
            "GENERIC_ROLE_MAPPINGS_ROLES",
            "{'proxy_admin': ['ops'], 'internal_user': ['dev']}",
        ),
        ("GENERIC_ROLE_MAPPINGS_DEFAULT_ROLE", "internal_user_viewer"),
        ("PROXY_ADMIN_ID", "root"),
    ]);
    let of =
        |groups: &[&str]| json!({"sub": "ann", "realm": {"groups": groups}, "role": "proxy_admin"});
    let making = |session: &str, id: &str| {
        let body = json!({"user_id": id, "auto_create_key": false});
        scene
            .send(&Request::post("/user/new", &body).bearer(session))
            .status
    };
    let session = scene.session_of(&of(&["x", "dev", "ops"]));
    assert_eq!(scene.role_of("ann"), "proxy_admin");
    assert_eq!(making(&session, "u1"), 200);
    scene.session_of(&of(&["dev"]));
    assert_eq!(scene.role_of("ann"), "internal_user");
    assert_eq!(
        making(&session, "u2"),
        401,
        "the session acts with the role of now"
    );
    scene.session_of(&of(&[]));
    assert_eq!(scene.role_of("ann"), "internal_user_viewer");
    let root = scene.session_of(&json!({"sub": "root"}));
    assert_eq!(making(&root, "u3"), 200);
}

#[test]
fn who_leaves_a_group_loses_the_role_that_it_gave() {
    let scene = scene(&[
        ("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM", "groups"),
        ("GENERIC_ROLE_MAPPINGS_ROLES", "{'proxy_admin': ['ops']}"),
        ("PROXY_ADMIN_ID", "root"),
    ]);
    let ann = |groups: &[&str]| json!({"sub": "ann", "groups": groups});
    scene.session_of(&ann(&["ops"]));
    assert_eq!(scene.role_of("ann"), "proxy_admin");
    scene.session_of(&ann(&["x"]));
    assert_eq!(scene.role_of("ann"), "internal_user", "as a new user");
    scene.session_of(&ann(&["ops"]));
    scene.session_of(&json!({"sub": "ann"}));
    assert_eq!(scene.role_of("ann"), "internal_user", "in no group at all");

    // No group gives this role, so none takes it.
    let viewer = json!({"user_id": "ann", "user_role": "proxy_admin_viewer"});
    let update = Request::post("/user/update", &viewer).bearer(MASTER_KEY);
    scene.send(&update).assert_status(200);
    scene.session_of(&ann(&[]));
    assert_eq!(scene.role_of("ann"), "proxy_admin_viewer");
    for _ in 0..2 {
        scene.session_of(&json!({"sub": "root"}));
        assert_eq!(scene.role_of("root"), "proxy_admin");
    }
}
