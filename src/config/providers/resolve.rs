//! From a model string to its provider and the provider's own name for the model.
//!
//! Source: the compatibility contract, "resolving a model string": the forced provider, a known prefix, a known
//! `api_base` host, the catalogue; then, where LiteLLM gives up, any `api_base` as OpenAI-compatible and a guess by
//! the name's beginning.

use thiserror::Error;
use url::Url;

use super::Provider;

/// Beginnings of bare model names that say who makes the model. Longer ones come first where they overlap.
const GUESSES: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("babbage-", "openai"),
    ("davinci-", "openai"),
    ("ft:gpt-", "openai"),
    ("codex-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "gemini"),
    ("command-", "cohere"),
    ("c4ai-", "cohere"),
    ("embed-english", "cohere"),
    ("embed-multilingual", "cohere"),
    ("rerank-", "cohere"),
    ("mistral-", "mistral"),
    ("ministral-", "mistral"),
    ("magistral-", "mistral"),
    ("devstral-", "mistral"),
    ("pixtral-", "mistral"),
    ("codestral-", "mistral"),
    ("open-mistral-", "mistral"),
    ("open-mixtral-", "mistral"),
    ("grok-", "xai"),
    ("deepseek-", "deepseek"),
    ("sonar", "perplexity"),
    ("jamba-", "ai21_chat"),
    ("kimi-", "moonshot"),
    ("moonshot-", "moonshot"),
    ("voyage-", "voyage"),
    ("jina-", "jina_ai"),
    ("qwen-", "dashscope"),
    ("glm-", "zai"),
];

/// Why a model string names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// `custom_llm_provider` holds a name that is not in the table.
    #[error("no provider is called `{0}`")]
    UnknownProvider(String),
    /// The prefix is unknown, or there is none, and nothing else tells.
    #[error("the provider of `{0}` is not said")]
    NoProvider(String),
    /// `openai/` and nothing after it, or an empty string.
    #[error("`{0}` names no model")]
    NoModel(String),
}

/// Finds who serves `model`, and under which name.
///
/// `known_openai` says whether a bare name is one of OpenAI's catalogue.
///
/// # Errors
/// [`ResolveError`], when nothing tells the provider.
pub fn resolve_model(
    model: &str,
    custom_llm_provider: Option<&str>,
    api_base: Option<&str>,
    known_openai: &dyn Fn(&str) -> bool,
) -> Result<(&'static Provider, String), ResolveError> {
    let model = model.trim();
    if model.is_empty() {
        return Err(ResolveError::NoModel(model.to_owned()));
    }
    let prefixed = model
        .split_once('/')
        .and_then(|(prefix, name)| Provider::by_name(prefix).map(|provider| (provider, name)));
    let (provider, name) = if let Some(forced) = custom_llm_provider {
        let provider = Provider::by_name(forced)
            .ok_or_else(|| ResolveError::UnknownProvider(forced.to_owned()))?;
        match prefixed {
            Some((named, name)) if named == provider => (provider, name),
            _ => (provider, model),
        }
    } else if let Some(found) = prefixed {
        found
    } else {
        let provider = api_base
            .and_then(by_host)
            .or_else(|| {
                known_openai(model)
                    .then(|| Provider::by_name("openai"))
                    .flatten()
            })
            .or_else(|| api_base.and_then(|_| Provider::by_name("custom_openai")))
            .or_else(|| guess(model))
            .ok_or_else(|| ResolveError::NoProvider(model.to_owned()))?;
        (provider, model)
    };
    if name.is_empty() {
        return Err(ResolveError::NoModel(model.to_owned()));
    }
    Ok((provider, upstream_name(provider, name)))
}

/// Patterns of bare names that [`resolve_model`] would guess to be `provider`'s: `gpt-*`, `o1*`, …
pub fn bare_patterns(provider: &Provider) -> impl Iterator<Item = String> {
    GUESSES
        .iter()
        .filter(|(_, name)| *name == provider.name)
        .map(|(start, _)| format!("{start}*"))
}

fn guess(model: &str) -> Option<&'static Provider> {
    let (_, name) = GUESSES.iter().find(|(start, _)| model.starts_with(start))?;
    Provider::by_name(name)
}

fn by_host(api_base: &str) -> Option<&'static Provider> {
    let url = Url::parse(api_base).ok()?;
    let host = url.host_str()?;
    super::PROVIDERS.iter().find(|provider| {
        provider
            .base_url
            .filter(|base| base.starts_with("https://"))
            .and_then(|base| Url::parse(base).ok())
            .is_some_and(|base| base.host_str() == Some(host))
    })
}

/// Two providers spell their models differently from the config.
fn upstream_name(provider: &Provider, name: &str) -> String {
    match provider.name {
        // Short names live under this account.
        "fireworks_ai" if !name.contains('/') && !name.contains('#') && name != "*" => {
            format!("accounts/fireworks/models/{name}")
        }
        // The router wants `org/model:provider` for `provider/org/model`.
        "huggingface" => match name.split_once('/') {
            Some((through, model)) if model.contains('/') => format!("{model}:{through}"),
            _ => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ResolveError, resolve_model};

    fn resolved(
        model: &str,
        custom: Option<&str>,
        base: Option<&str>,
    ) -> Result<String, ResolveError> {
        resolve_model(model, custom, base, &|name| name == "gpt-4")
            .map(|(provider, name)| format!("{} -> {name}", provider.name))
    }

    #[test]
    fn every_way_to_name_a_model_finds_its_provider() {
        for (model, custom, base, want) in [
            ("openai/gpt-4o", None, None, "openai -> gpt-4o"),
            ("groq/llama-3.3-70b", None, None, "groq -> llama-3.3-70b"),
            ("openai/*", None, None, "openai -> *"),
            ("gpt-4", None, None, "openai -> gpt-4"),
            (
                "gpt-4",
                None,
                Some("http://localhost:1/v1"),
                "openai -> gpt-4",
            ),
            ("gpt-9-new", None, None, "openai -> gpt-9-new"),
            ("o3-mini", None, None, "openai -> o3-mini"),
            (
                "claude-3-opus-20240229",
                None,
                None,
                "anthropic -> claude-3-opus-20240229",
            ),
            ("command-r-plus", None, None, "cohere -> command-r-plus"),
            (
                "mistral-large-latest",
                None,
                None,
                "mistral -> mistral-large-latest",
            ),
            ("grok-4", None, None, "xai -> grok-4"),
            ("sonar", None, None, "perplexity -> sonar"),
            (
                "smollm2",
                None,
                Some("http://localhost:8080/v1"),
                "custom_openai -> smollm2",
            ),
            (
                "meta-llama/Llama-3",
                None,
                Some("http://localhost:8080/v1"),
                "custom_openai -> meta-llama/Llama-3",
            ),
            (
                "x",
                None,
                Some("https://api.groq.com/openai/v1"),
                "groq -> x",
            ),
            ("x", Some("groq"), None, "groq -> x"),
            (
                "openai/gpt-oss-120b",
                Some("groq"),
                None,
                "groq -> openai/gpt-oss-120b",
            ),
            ("groq/x", Some("groq"), None, "groq -> x"),
            (
                "openrouter/openai/gpt-4o",
                None,
                None,
                "openrouter -> openai/gpt-4o",
            ),
            (
                "fireworks_ai/kimi-k2",
                None,
                None,
                "fireworks_ai -> accounts/fireworks/models/kimi-k2",
            ),
            ("fireworks_ai/*", None, None, "fireworks_ai -> *"),
            (
                "huggingface/together/org/m",
                None,
                None,
                "huggingface -> org/m:together",
            ),
        ] {
            assert_eq!(
                resolved(model, custom, base).as_deref(),
                Ok(want),
                "{model} {custom:?} {base:?}"
            );
        }
    }

    #[test]
    fn a_string_that_names_nobody_is_refused() {
        assert_eq!(
            resolved("llama3", None, None),
            Err(ResolveError::NoProvider("llama3".to_owned()))
        );
        assert_eq!(
            resolved("foo/bar", None, None),
            Err(ResolveError::NoProvider("foo/bar".to_owned()))
        );
        assert_eq!(
            resolved("openai/", None, None),
            Err(ResolveError::NoModel("openai/".to_owned()))
        );
        assert_eq!(
            resolved("x", Some("nobody"), None),
            Err(ResolveError::UnknownProvider("nobody".to_owned()))
        );
    }
}
