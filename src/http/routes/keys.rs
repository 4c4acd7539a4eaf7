//! Virtual keys.

use super::{Entry, get, post};
use crate::http::admin;

/// Making, changing and showing them.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        post(
            &["/key/generate"],
            "Make a virtual key; its secret is shown once",
            admin::keys::generate::create,
        ),
        post(
            &["/key/update"],
            "Change a virtual key; what is absent stays",
            admin::keys::update::update,
        ),
        post(
            &["/key/service-account/generate"],
            "Make a key of a team that belongs to no user",
            admin::keys::generate::create_service_account,
        ),
        post(
            &["/key/delete"],
            "Delete keys; what they spent stays on the books",
            admin::keys::delete::delete,
        ),
        post(
            &["/key/regenerate"],
            "Give a key another secret; spend and budgets go on",
            admin::keys::regenerate::by_body,
        ),
        post(
            &["/key/{key}/regenerate"],
            "Give the key of the path another secret",
            admin::keys::regenerate::by_path,
        ),
        post(
            &["/key/bulk_update"],
            "Change several keys",
            admin::keys::many::update,
        ),
        post(
            &["/v2/key/info"],
            "Several keys with their terms and spend",
            admin::keys::many::info,
        ),
        get(
            &["/key/aliases"],
            "The names of keys",
            admin::keys::many::aliases,
        ),
        post(
            &["/key/health"],
            "Whether the key that asks is of use",
            admin::keys::many::health,
        ),
        post(
            &["/key/block"],
            "Refuse a key from now on",
            admin::keys::update::block,
        ),
        post(
            &["/key/unblock"],
            "Serve a blocked key again",
            admin::keys::update::unblock,
        ),
        post(
            &["/key/{key}/reset_spend"],
            "Begin a key's budgets anew, with reset_to spent",
            admin::keys::reset_spend::reset,
        ),
        get(
            &["/key/info"],
            "A key with its terms and what it has spent",
            admin::keys::info::show,
        ),
        get(
            &["/key/list"],
            "Keys, page by page",
            admin::keys::info::list,
        ),
    ]
}
