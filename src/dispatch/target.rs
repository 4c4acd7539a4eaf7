//! What a deployment is to the request path: where to send, with which headers, at what price.
//!
//! Built once from the config; the routing table names deployments by id and [`Targets`](super::Targets) maps the id to this.
//! Immutable but for its prices and [`Typical`], a running figure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use awc::http::Uri;
use awc::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use trunkline_wire::exchange::Dialect;
use trunkline_wire::request::Endpoint;

use super::priced::{Priced, Remembered};
use super::service::Service;
use crate::config::{self, AuthScheme, DeploymentConfig, Provider, Secret};
use crate::cost::{PriceBook, PricedModel};
use crate::telemetry::metrics::{GroupMetrics, Metrics};
use crate::tokenizer::Tokenizer;

/// How the tokens of an OAuth login with Anthropic begin: they are no API keys.
const OAUTH_TOKEN: &str = "sk-ant-oat";
/// A configured header with a shorter value is taken for a plain word.
const SHORTEST_SECRET: usize = 8;

/// One deployment.
#[derive(Debug)]
pub struct Target {
    /// As configured.
    pub config: DeploymentConfig,
    /// Headers of every request: authorisation and what the config adds.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers of every answer that are the same each time.
    pub(super) shown: Vec<(HeaderName, HeaderValue)>,
    /// The counters of its group.
    pub(super) metrics: GroupMetrics,
    /// The wire format of its provider.
    pub(super) dialect: Dialect,
    /// Which service tier it is asked for.
    pub(super) service: Service,
    addresses: Addresses,
    /// Where the provider lists its models.
    pub(super) models: Uri,
    /// What its models cost, and what else the price list knows of them.
    pricing: ArcSwap<Pricing>,
    /// Output tokens that its answers usually have.
    pub typical: Typical,
}

/// Replaced as a whole when prices are read anew.
#[derive(Debug)]
struct Pricing {
    /// For its prices and the operator's terms.
    config: DeploymentConfig,
    book: Arc<PriceBook>,
    /// Known for every deployment whose upstream model is no pattern.
    own: Option<Arc<Priced>>,
    own_bounds: Bounds,
    /// Prices of what its pattern stood for.
    looked_up: Remembered,
}

/// What the price list says of how much a model takes and gives, in tokens.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// Where the endpoints of a provider are.
#[derive(Debug)]
enum Addresses {
    OpenAi {
        chat: Uri,
        completions: Uri,
        embeddings: Uri,
    },
    Anthropic {
        messages: Uri,
        count_tokens: Uri,
    },
}

/// An exponentially weighted mean of output tokens, for holds and reservations of requests that name no maximum.
///
/// Each answer counts one eighth. Lost updates between workers only slow it down.
#[derive(Debug)]
pub struct Typical(AtomicU64);

// === impl Target ===

impl Target {
    pub(super) fn build(
        config: &DeploymentConfig,
        prices: &Arc<PriceBook>,
        metrics: &Metrics,
    ) -> Result<Self, anyhow::Error> {
        Ok(Self {
            headers: headers(config)?,
            shown: shown(config),
            metrics: metrics.group(&config.model_name),
            dialect: dialect(config.provider),
            service: Service::of(config),
            addresses: Addresses::of(config)?,
            models: uri(config, "/models")?,
            pricing: ArcSwap::from_pointee(Pricing::of(config, prices)),
            typical: Typical::default(),
            config: config.clone(),
        })
    }

    /// Takes over the prices of `config`, which is this deployment read anew.
    pub(super) fn reprice(&self, config: &DeploymentConfig, book: &Arc<PriceBook>) {
        let pricing = Pricing::of(config, book);
        self.pricing.store(Arc::new(pricing));
    }

    /// Where requests of that kind go: to the endpoint that answers them in the provider's own dialect.
    pub fn uri(&self, endpoint: Endpoint) -> &Uri {
        match (&self.addresses, endpoint) {
            (Addresses::OpenAi { completions, .. }, Endpoint::Completions) => completions,
            (Addresses::OpenAi { embeddings, .. }, Endpoint::Embeddings) => embeddings,
            (Addresses::OpenAi { chat, .. }, _) => chat,
            (Addresses::Anthropic { count_tokens, .. }, Endpoint::CountTokens) => count_tokens,
            (Addresses::Anthropic { messages, .. }, _) => messages,
        }
    }

    /// Whether its key is the token of an OAuth login with Anthropic.
    pub(super) fn signs_in_by_oauth(&self) -> bool {
        is_oauth(&self.config)
    }

    /// What `upstream_model` costs here; `None` is unknown.
    pub fn price(&self, upstream_model: &str) -> Option<Arc<Priced>> {
        self.pricing.load().price(upstream_model)
    }

    /// The longest answer of `upstream_model`, in tokens, where known; of a pattern, what the config says of all its models.
    pub(super) fn max_output_tokens(&self, upstream_model: &str) -> Option<u64> {
        self.config.model_info.max_output_tokens.or_else(|| {
            let pricing = self.pricing.load();
            pricing.bounds(upstream_model).output_tokens
        })
    }

    /// Tokens of a prompt that `upstream_model` takes here, where that is known.
    pub(super) fn max_input_tokens(&self, upstream_model: &str) -> Option<u64> {
        self.config.model_info.max_input_tokens.or_else(|| {
            let pricing = self.pricing.load();
            pricing.bounds(upstream_model).input_tokens
        })
    }

    /// Counts as `upstream_model` does, or the model that it is said to be.
    pub(super) fn tokenizer(&self, upstream_model: &str) -> Tokenizer {
        let base = self.config.model_info.base_model.as_deref();
        Tokenizer::for_model(base.unwrap_or(upstream_model))
    }

    /// Every secret that a provider's answer might echo.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        // A header that is no secret (`true`, `v1`) would be cut out of every text that holds the word.
        let headers = self.config.extra_headers.iter().map(|(_, value)| value);
        let headers = headers.filter(|value| value.expose().len() >= SHORTEST_SECRET);
        self.config
            .api_key
            .iter()
            .chain(headers)
            .map(Secret::expose)
    }
}

// === impl Pricing ===

impl Pricing {
    fn of(config: &DeploymentConfig, book: &Arc<PriceBook>) -> Self {
        let is_fixed = !config.upstream_model.contains('*');
        let own = is_fixed.then(|| priced(config, book, &config.upstream_model));
        Self {
            own: own.flatten().map(Arc::new),
            own_bounds: Bounds::of(config.listed(book, &config.upstream_model)),
            looked_up: Remembered::default(),
            book: Arc::clone(book),
            config: config.clone(),
        }
    }

    fn price(&self, upstream_model: &str) -> Option<Arc<Priced>> {
        if upstream_model == self.config.upstream_model {
            return self.own.clone();
        }
        // What the pattern stands for, or the model of a health check.
        self.looked_up.get(upstream_model, || {
            priced(&self.config, &self.book, upstream_model)
        })
    }

    /// Looked up for each attempt only where it is not the deployment's own model.
    fn bounds(&self, upstream_model: &str) -> Bounds {
        if upstream_model == self.config.upstream_model {
            return self.own_bounds;
        }
        Bounds::of(self.config.listed(&self.book, upstream_model))
    }
}

// === impl Bounds ===

impl Bounds {
    fn of(listed: Option<&PricedModel>) -> Self {
        listed.map_or_else(Self::default, |listed| Self {
            input_tokens: listed.max_input_tokens,
            output_tokens: listed.max_output_tokens,
        })
    }
}

fn priced(config: &DeploymentConfig, prices: &PriceBook, upstream_model: &str) -> Option<Priced> {
    let price = config.price(prices, upstream_model)?;
    Some(Priced::new(price, prices.version()))
}

// === impl Addresses ===

impl Addresses {
    fn of(config: &DeploymentConfig) -> Result<Self, anyhow::Error> {
        let uri = |path: &str| uri(config, path);
        Ok(match config.provider.dialect {
            config::Dialect::Anthropic => Self::Anthropic {
                messages: uri(Endpoint::Messages.path())?,
                count_tokens: uri(Endpoint::CountTokens.path())?,
            },
            // A mocked deployment may be of a provider that is not spoken; nobody is called then.
            config::Dialect::OpenAi | config::Dialect::NotYet => Self::OpenAi {
                chat: uri(Endpoint::ChatCompletions.path())?,
                completions: uri(Endpoint::Completions.path())?,
                embeddings: uri(Endpoint::Embeddings.path())?,
            },
        })
    }
}

fn uri(config: &DeploymentConfig, path: &str) -> Result<Uri, anyhow::Error> {
    config
        .url(path)
        .as_str()
        .parse()
        .with_context(|| format!("api_base {} cannot be called", config.api_base))
}

fn is_oauth(config: &DeploymentConfig) -> bool {
    config.provider.auth == AuthScheme::Anthropic
        && config
            .api_key
            .as_ref()
            .is_some_and(|key| key.expose().starts_with(OAUTH_TOKEN))
}

pub(crate) fn dialect(provider: &Provider) -> Dialect {
    match provider.dialect {
        config::Dialect::Anthropic => Dialect::Anthropic,
        config::Dialect::OpenAi | config::Dialect::NotYet => Dialect::OpenAi,
    }
}

fn headers(config: &DeploymentConfig) -> Result<Vec<(HeaderName, HeaderValue)>, anyhow::Error> {
    let mut headers = Vec::new();
    if let Some(key) = &config.api_key {
        let bearer = || (AUTHORIZATION, format!("Bearer {}", key.expose()));
        let (name, value) = match config.provider.auth {
            AuthScheme::Anthropic if !is_oauth(config) => (
                HeaderName::from_static("x-api-key"),
                key.expose().to_owned(),
            ),
            AuthScheme::Anthropic | AuthScheme::Bearer => bearer(),
        };
        let mut value = HeaderValue::from_str(&value)
            .context("the api_key holds characters that no header can")?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    if let Some(organization) = &config.organization {
        headers.push((
            HeaderName::from_static("openai-organization"),
            HeaderValue::from_str(organization).context("organization cannot be a header value")?,
        ));
    }
    for (name, value) in &config.extra_headers {
        let mut value = HeaderValue::from_str(value.expose())
            .with_context(|| format!("extra_headers.{name} cannot be a header value"))?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name.as_str())
            .with_context(|| format!("extra_headers.{name} is no header name"))?;
        headers.push((name, value));
    }
    Ok(headers)
}

/// A value that no header can hold, such as a model id with an umlaut, is left out.
fn shown(config: &DeploymentConfig) -> Vec<(HeaderName, HeaderValue)> {
    let model = format!("{}/{}", config.provider.name, config.upstream_model);
    // A wildcard's model differs from request to request.
    let model = (!config.upstream_model.contains('*')).then_some(model);
    [
        ("x-litellm-model-id", Some(config.id.as_str())),
        ("x-litellm-model-name", model.as_deref()),
        ("x-litellm-model-api-base", Some(config.api_base.as_str())),
        ("x-litellm-version", Some(env!("CARGO_PKG_VERSION"))),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        let value = HeaderValue::from_str(value?).ok()?;
        Some((HeaderName::from_static(name), value))
    })
    .collect()
}

// === impl Typical ===

impl Typical {
    /// Starting guess, in tokens: a paragraph or two.
    const START: u64 = 512;

    /// Tokens that an answer usually has.
    pub fn tokens(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on where another one is.
    pub(super) fn take_over(&self, before: &Self) {
        self.0.store(before.tokens(), Ordering::Relaxed);
    }

    /// Counts one answer. The figure is the provider's word, so nothing it says may overflow.
    pub fn learn(&self, tokens: u64) {
        let weighted = self.tokens().saturating_mul(7).saturating_add(tokens);
        self.0.store(weighted.div_ceil(8).max(1), Ordering::Relaxed);
    }
}

impl Default for Typical {
    fn default() -> Self {
        Self(AtomicU64::new(Self::START))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_length_follows_the_answers_and_survives_nonsense() {
        let typical = Typical::default();
        for _ in 0..100 {
            typical.learn(100);
        }
        assert!((100..=108).contains(&typical.tokens()), "{typical:?}");
        typical.learn(u64::MAX);
        typical.learn(u64::MAX);
        assert!(typical.tokens() > 0);
    }
}
