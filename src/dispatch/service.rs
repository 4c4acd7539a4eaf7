//! Which service tier a call asks for, and which one the provider says it gave: it decides the price.

use serde_json::{Map, Value};
use trunkline_wire::request::RequestPeek;
use trunkline_wire::usage::Served;

use crate::config::{DeploymentConfig, Dialect};
use crate::cost::ServiceTier;

const KEY: &str = "service_tier";

/// What the client asks for; `None` if it does not say.
pub(super) fn asked(peek: &RequestPeek) -> Option<ServiceTier> {
    match ServiceTier::named(peek.service_tier.as_deref()?) {
        // A batch is not asked for by a call; a provider that ignores the word must not make it cheaper.
        ServiceTier::Batch => Some(ServiceTier::Standard),
        service => Some(service),
    }
}

/// What becomes of the client's word at a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    /// Sent whatever the client says.
    always: Option<ServiceTier>,
    /// The client's word is passed on. A translated request may have lost it.
    passes_on: bool,
    /// Sent when the client says nothing.
    default: Option<ServiceTier>,
}

impl Service {
    /// As the deployment's config has it.
    pub(super) fn of(config: &DeploymentConfig) -> Self {
        let said = |members: &Map<String, Value>| {
            let text = members.get(KEY)?.as_str()?;
            Some(ServiceTier::named(text))
        };
        Self {
            always: said(&config.extra_body),
            passes_on: matches!(config.provider.dialect, Dialect::OpenAi)
                && !config.additional_drop_params.iter().any(|name| name == KEY),
            default: said(&config.defaults),
        }
    }

    /// What is sent when the client asks so.
    pub(super) fn sent(self, asked: Option<ServiceTier>) -> ServiceTier {
        self.always
            .or(asked.filter(|_| self.passes_on))
            .or(self.default)
            .unwrap_or_default()
    }
}

/// What a provider says it gave, as prices name it.
pub(super) fn served(said: Served) -> ServiceTier {
    match said {
        Served::Standard => ServiceTier::Standard,
        Served::Batch => ServiceTier::Batch,
        Served::Flex => ServiceTier::Flex,
        Served::Priority => ServiceTier::Priority,
    }
}

#[cfg(test)]
mod tests {
    use trunkline_wire::request::{Endpoint, RequestPeek};

    use super::asked;
    use crate::cost::ServiceTier::{Flex, Priority, Standard};

    #[test]
    fn a_request_asks_at_its_top_level_only() {
        let asked = |body: &str| {
            let body = body.replacen('{', r#"{"input":"x","#, 1);
            asked(&RequestPeek::parse(Endpoint::Embeddings, body.as_bytes()).unwrap())
        };
        for (body, want) in [
            (r#"{"model":"m","service_tier":"flex"}"#, Some(Flex)),
            (r#"{"service_tier": "priority"}"#, Some(Priority)),
            (r#"{"service_tier":"auto"}"#, Some(Standard)),
            (r#"{"service_tier":"batch"}"#, Some(Standard)),
            (r#"{"service_tier":null}"#, None),
            (r#"{"metadata":{"service_tier":"flex"}}"#, None),
            (
                r#"{"messages":[{"role":"user","content":"service_tier"}]}"#,
                None,
            ),
            (r#"{"model":"m"}"#, None),
        ] {
            assert_eq!(asked(body), want, "{body}");
        }
    }
}
