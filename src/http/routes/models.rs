//! Calls of models, and what is told of them.

use actix_web::http::Method;

use super::{Entry, entry, get, post};
use crate::http::{admin, anthropic, openai, utils};

/// All of them.
pub(super) fn entries() -> Vec<Entry> {
    [
        model_calls(),
        about_models(),
        stored_models(),
        credentials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Calls of a model, in each dialect that clients speak.
fn model_calls() -> Vec<Entry> {
    vec![
        post(
            &[
                "/v1/chat/completions",
                "/chat/completions",
                "/engines/{model}/chat/completions",
                "/openai/deployments/{model:.+}/chat/completions",
            ],
            "Chat completion, whole or streamed (OpenAI shape)",
            openai::chat::create,
        ),
        post(
            &[
                "/v1/completions",
                "/completions",
                "/engines/{model}/completions",
                "/openai/deployments/{model:.+}/completions",
            ],
            "Text completion, whole or streamed (OpenAI shape)",
            openai::completions::create,
        ),
        post(
            &[
                "/v1/embeddings",
                "/embeddings",
                "/engines/{model}/embeddings",
                "/openai/deployments/{model:.+}/embeddings",
            ],
            "Embeddings (OpenAI shape)",
            openai::embeddings::create,
        ),
        post(
            &["/v1/messages", "/anthropic/v1/messages"],
            "Message, whole or streamed (Anthropic shape)",
            anthropic::messages::create,
        ),
        post(
            &[
                "/v1/messages/count_tokens",
                "/anthropic/v1/messages/count_tokens",
            ],
            "How many tokens a prompt is (Anthropic shape)",
            anthropic::count_tokens::count,
        ),
    ]
}

/// Deployments that are stored in the database.
fn stored_models() -> Vec<Entry> {
    vec![
        post(
            &["/model/new"],
            "Stores a deployment, and serves it",
            admin::models::create,
        ),
        post(
            &["/model/update"],
            "Changes a stored deployment, named by model_info.id",
            admin::models::update,
        ),
        entry(
            Method::PATCH,
            &["/model/{id:.+}/update"],
            "Changes a stored deployment",
            admin::models::patch,
        ),
        post(
            &["/model/delete"],
            "Removes a stored deployment",
            admin::models::delete,
        ),
        post(
            &["/model/block"],
            "Pauses a stored deployment",
            admin::models::block,
        ),
        post(
            &["/model/unblock"],
            "Starts a paused deployment again",
            admin::models::unblock,
        ),
    ]
}

/// Parameters that stored deployments take over by name.
fn credentials() -> Vec<Entry> {
    vec![
        post(
            &["/credentials"],
            "Stores a credential",
            admin::credentials::create,
        ),
        get(
            &["/credentials"],
            "Credentials of the config and of the database, secrets removed",
            admin::credentials::list,
        ),
        get(
            &["/credentials/by_name/{name:.+}"],
            "One credential, secrets removed",
            admin::credentials::show,
        ),
        entry(
            Method::PATCH,
            &["/credentials/{name:.+}"],
            "Changes a stored credential",
            admin::credentials::update,
        ),
        entry(
            Method::DELETE,
            &["/credentials/{name:.+}"],
            "Removes a stored credential that nobody uses",
            admin::credentials::delete,
        ),
    ]
}

/// What there is to call, told without calling it.
fn about_models() -> Vec<Entry> {
    vec![
        get(
            &["/v1/models", "/models"],
            "Models that the caller may use",
            openai::models::list,
        ),
        get(
            &["/v1/models/{id:.+}", "/models/{id:.+}"],
            "One model",
            openai::models::show,
        ),
        post(
            &["/utils/token_counter"],
            "Tokens of a prompt or chat, counted here",
            utils::token_counter::count,
        ),
        get(
            &["/model/info", "/v1/model/info"],
            "Deployments with prices and limits, secrets removed",
            admin::model_info::list,
        ),
        get(
            &["/v2/model/info"],
            "The same page by page, searched and sorted",
            admin::model_pages::list,
        ),
        get(
            &["/model_group/info"],
            "Models that the caller may use, with windows, prices and what they support",
            admin::model_groups::list,
        ),
        get(
            &["/utils/supported_openai_params"],
            "Which of OpenAI's chat parameters a model takes",
            utils::supported_params::list,
        ),
    ]
}
