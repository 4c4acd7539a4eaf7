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
