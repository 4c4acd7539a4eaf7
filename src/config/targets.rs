//! Whom a `model_list` entry means: one provider, or with `*` every provider whose key is set.

use super::deployment::{Context, skip};
use super::env::Env;
use super::env_refs::missing_at;
use super::excerpt::scrub;
use super::providers::{PROVIDERS, Provider, ResolveError, resolve_model};
use super::raw::RawParams;
use super::report::Report;
use super::suggest::nearest;
use super::yaml::KeyPath;

/// Whom the entry means: nobody (a notice or problem says why), one, or for `*` everybody with a key.
pub(super) fn targets(
    model: &str,
    params: &RawParams,
    mocked: bool,
    path: &KeyPath,
    context: Context<'_>,
    report: &mut Report<'_>,
) -> Vec<(&'static Provider, String)> {
    let api_base = params.api_base.as_deref().or(params.base_url.as_deref());
    let custom = params.custom_llm_provider.as_deref();
    if model == "*" && custom.is_none() && api_base.is_none() && !mocked {
        let found: Vec<_> = with_key(context.env)
            .map(|provider| (provider, "*".to_owned()))
            .collect();
        if found.is_empty() {
            skip(
                report,
                path,
                "`*` stands for every provider whose key is set, and none is",
                "set OPENAI_API_KEY",
            );
        }
        return found;
    }
    match resolve_model(model, custom, api_base, context.known_openai) {
        Ok((provider, name)) if provider.is_spoken() || mocked => {
            vec![(provider, name)]
        }
        Ok((provider, _)) => {
            let what = format!(
                "provider {} is not spoken by this version yet",
                provider.name
            );
            skip(
                report,
                &path.key("model"),
                &what,
                "use an OpenAI-compatible provider, or api_base of such a server",
            );
            Vec::new()
        }
        Err(_) if mocked => Provider::by_name("custom_openai")
            .map(|provider| (provider, model.to_owned()))
            .into_iter()
            .collect(),
        Err(err) => {
            let key = if matches!(err, ResolveError::UnknownProvider(_)) {
                "custom_llm_provider"
            } else {
                "model"
            };
            let fix = meant(&err).unwrap_or_else(|| {
                "write `provider/model`, such as openai/gpt-4o, or add the api_base of an OpenAI-compatible server".to_owned()
            });
            match missing_at(context.missing, &path.key("api_base")) {
                Some(name) => skip(
                    report,
                    path,
                    &format!("environment variable {name} (api_base) is not set"),
                    "set it",
                ),
                None => report.problem(&path.key(key), err.to_string(), fix),
            }
            Vec::new()
        }
    }
}

/// What a provider's name that nobody knows was most likely meant to be.
fn meant(err: &ResolveError) -> Option<String> {
    let names = || {
        PROVIDERS.iter().flat_map(|provider| {
            [provider.name]
                .into_iter()
                .chain(provider.aliases.iter().copied())
        })
    };
    match err {
        ResolveError::UnknownProvider(name) => {
            nearest(name, names()).map(|near| format!("did you mean `{near}`?"))
        }
        ResolveError::NoProvider(model) => {
            let (prefix, rest) = model.split_once('/')?;
            nearest(prefix, names()).map(|near| scrub(&format!("did you mean `{near}/{rest}`?")))
        }
        ResolveError::NoModel(_) => None,
    }
}

/// The providers spoken here whose key is in the environment.
pub(super) fn with_key(env: &dyn Env) -> impl Iterator<Item = &'static Provider> + '_ {
    PROVIDERS.iter().filter(|provider| {
        provider.is_spoken()
            && provider.needs_key
            && provider.key_env.iter().any(|name| env.var(name).is_some())
    })
}
