//! Which service tier a call asks for, and which one the provider says it gave: it decides the price.
//!
//! Most answers do not speak of it, so they are searched for the word before anything is parsed.

use memchr::memmem;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_wire::json::Object;
use trunkline_wire::request::RequestPeek;

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

/// What is sent to this deployment when the client asks so.
pub(super) fn sent(asked: Option<ServiceTier>, config: &DeploymentConfig) -> ServiceTier {
    let said = |members: &Map<String, Value>| {
        let text = members.get(KEY)?.as_str()?;
        Some(ServiceTier::named(text))
    };
    // A translated request may have lost the word.
    let passed_on = matches!(config.provider.dialect, Dialect::OpenAi)
        && !config.additional_drop_params.iter().any(|name| name == KEY);
    said(&config.extra_body)
        .or(asked.filter(|_| passed_on))
        .or_else(|| said(&config.defaults))
        .unwrap_or_default()
}

/// What a whole answer says it was served with, OpenAI's at its top, Anthropic's within `usage`; `None` if it does not say.
pub(super) fn served(body: &[u8]) -> Option<ServiceTier> {
    memmem::find(body, KEY.as_bytes())?;
    // Parsed in earnest: the word may be in what the model wrote, the input of a tool for one.
    let object = Object::parse(body).ok()?;
    let named = |value: &RawValue| {
        let text: &str = serde_json::from_str(value.get()).ok()?;
        Some(ServiceTier::named(text))
    };
    object.get(KEY).and_then(named).or_else(|| {
        let usage = Object::parse_str(object.get("usage")?.get()).ok()?;
        named(usage.get(KEY)?)
    })
}

#[cfg(test)]
mod tests {
    use trunkline_wire::request::{Endpoint, RequestPeek};

    use super::{asked, served};
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

    #[test]
    fn an_answer_says_what_it_was_served_with() {
        for (body, want) in [
            (r#"{"id":"x","service_tier":"default"}"#, Some(Standard)),
            (r#"{"service_tier" : "priority","id":"x"}"#, Some(Priority)),
            (
                r#"{"usage":{"service_tier":"batch"}}"#,
                Some(super::ServiceTier::Batch),
            ),
            (
                r#"{"choices":[{"text":"\"service_tier\":\"flex\""}]}"#,
                None,
            ),
            (
                r#"{"content":[{"type":"tool_use","input":{"service_tier":"batch"}}],"usage":{}}"#,
                None,
            ),
            (r#"{"service_tier":null}"#, None),
            (r#"{"service_tier":"#, None),
            ("{}", None),
        ] {
            assert_eq!(served(body.as_bytes()), want, "{body}");
        }
    }
}
