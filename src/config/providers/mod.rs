//! The providers: where each one lives, which variables hold its key, how it is spoken to.
//!
//! [`PROVIDERS`] holds the facts, [`resolve_model`] finds the provider of a model string. Providers whose own dialect is not
//! spoken yet are in the table too, so that a config naming one gets a plain sentence instead of a wrong guess.

mod resolve;
mod table;

use std::ptr;

pub use resolve::{ResolveError, bare_patterns, resolve_model};
pub use table::PROVIDERS;

/// One provider. All values are constants of [`PROVIDERS`]; compare with `==` (identity).
#[derive(Debug)]
pub struct Provider {
    /// Our name and its prefix in `provider/model`.
    pub name: &'static str,
    /// Further prefixes.
    pub aliases: &'static [&'static str],
    /// Variables that may hold the key; the first that is set wins.
    pub key_env: &'static [&'static str],
    /// Where it is reached; `{NAME}` stands for the variable `NAME`. `None`: `api_base` must be given.
    pub base_url: Option<&'static str>,
    /// Variables that override `base_url`; the first that is set wins.
    pub base_env: &'static [&'static str],
    /// Whether a deployment without a key can work.
    pub needs_key: bool,
    /// How the key is sent.
    pub auth: AuthScheme,
    /// Which wire format it speaks.
    pub dialect: Dialect,
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Provider {}

/// How the key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`; `Authorization: Bearer KEY` for the tokens of an OAuth login (`sk-ant-oat…`).
    Anthropic,
}

/// The wire format of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's, at `{api_base}/chat/completions`, `/completions` and `/embeddings`.
    OpenAi,
    /// Anthropic's, at `{api_base}/v1/messages`.
    Anthropic,
    /// One that this build does not speak.
    NotYet,
}

/// Under which name the output limit is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// As the client wrote it.
    Keep,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

impl Provider {
    /// The provider whose name or alias is `prefix`.
    pub fn by_name(prefix: &str) -> Option<&'static Self> {
        PROVIDERS
            .iter()
            .find(|provider| provider.name == prefix || provider.aliases.contains(&prefix))
    }

    /// Whether this build speaks its dialect.
    pub fn is_spoken(&self) -> bool {
        self.dialect != Dialect::NotYet
    }

    /// Under which name `upstream_model` wants the output limit.
    ///
    /// Source: the provider quirks of the compatibility contract. OpenAI's reasoning models refuse `max_tokens`, its
    /// other models and unknown servers take what the client wrote; the other providers are documented with
    /// `max_tokens` alone.
    pub fn max_tokens_field(&self, upstream_model: &str) -> MaxTokensField {
        match self.name {
            "openai" if is_openai_reasoning(upstream_model) => MaxTokensField::MaxCompletionTokens,
            "openai" | "custom_openai" | "litellm_proxy" | "hosted_vllm" | "openrouter"
            | "groq" | "cerebras" => MaxTokensField::Keep,
            _ => MaxTokensField::MaxTokens,
        }
    }
}

fn is_openai_reasoning(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| {
        model
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use url::Url;

    use super::{MaxTokensField, PROVIDERS, Provider};

    #[test]
    fn names_and_aliases_are_unique_and_base_urls_are_whole() {
        let mut seen = BTreeSet::new();
        for provider in PROVIDERS {
            for name in [provider.name].iter().chain(provider.aliases) {
                assert!(seen.insert(*name), "{name} twice");
            }
            if let Some(base) = provider.base_url {
                assert!(Url::parse(&base.replace(['{', '}'], "")).is_ok(), "{base}");
                assert!(!base.ends_with('/'), "{base}");
            }
            if provider.is_spoken() {
                assert!(
                    provider.base_url.is_some()
                        || !provider.base_env.is_empty()
                        || provider.name == "custom_openai"
                );
                assert!(
                    !provider.needs_key || !provider.key_env.is_empty(),
                    "{}",
                    provider.name
                );
            }
        }
    }

    #[test]
    fn the_output_limit_is_named_as_the_model_wants_it() {
        for (provider, model, field) in [
            ("openai", "o3-mini", MaxTokensField::MaxCompletionTokens),
            ("openai", "o1", MaxTokensField::MaxCompletionTokens),
            (
                "openai",
                "gpt-5.4-nano",
                MaxTokensField::MaxCompletionTokens,
            ),
            ("openai", "gpt-4o", MaxTokensField::Keep),
            ("openai", "gpt-50", MaxTokensField::Keep),
            ("custom_openai", "o3-mini", MaxTokensField::Keep),
            ("mistral", "mistral-large-latest", MaxTokensField::MaxTokens),
        ] {
            assert_eq!(
                Provider::by_name(provider).unwrap().max_tokens_field(model),
                field,
                "{provider}/{model}"
            );
        }
    }
}
