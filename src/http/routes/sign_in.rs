//! People who sign in.

use super::{Entry, get, post};
use crate::http::sign_in;

/// There and back, and the form.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        get(
            &["/sso/key/generate"],
            "Sign in: on to the identity provider, or a form",
            sign_in::oidc::begin,
        ),
        get(
            &["/sso/callback"],
            "Back from the identity provider, with a session",
            sign_in::oidc::back,
        ),
        post(
            &["/login"],
            "Sign in by a form's username and password",
            sign_in::password::by_form,
        ),
        post(
            &["/v2/login"],
            "The same by JSON; the answer holds the session",
            sign_in::password::by_json,
        ),
        post(
            &["/logout"],
            "Have the browser forget its session",
            sign_in::sign_out,
        ),
    ]
}
