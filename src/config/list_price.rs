//! What a deployment costs: its own prices over those of the price book.

use std::sync::Arc;

use super::model::DeploymentConfig;
use crate::cost::{Part, Price, PriceBook, PricedModel, Region};

impl DeploymentConfig {
    /// What the price book knows of the deployment's model: of `base_model` if that is set and known, else of
    /// `upstream_model`.
    pub fn listed<'b>(&self, book: &'b PriceBook, upstream_model: &str) -> Option<&'b PricedModel> {
        let lookup = |model: &str| book.lookup(self.provider.name, model);
        let base = self.model_info.base_model.as_deref();
        base.and_then(lookup).or_else(|| lookup(upstream_model))
    }

    /// What `upstream_model` costs here: the deployment's own prices, completed from the list price of its region, under
    /// the operator's terms. `None` is unknown.
    pub fn price(&self, book: &PriceBook, upstream_model: &str) -> Option<Arc<Price>> {
        let listed = self
            .listed(book, upstream_model)
            .map(|entry| entry.price_in(self.region()));
        match listed {
            Some(listed) if self.prices == Price::default() => Some(listed),
            Some(listed) => Some(Arc::new(self.prices.or(&listed))),
            // Nobody is called, so nothing is owed.
            None if self.prices.is_empty() => {
                let mocked = self.mock_response.is_some();
                mocked.then(|| Arc::new(Price::free()))
            }
            None => Some(Arc::new(self.prices.clone())),
        }
    }

    /// Whether a call can be priced. Of a wildcard nobody knows, and a mocked one costs nothing.
    pub(super) fn has_price(&self, book: &PriceBook) -> bool {
        let own = |part| self.prices.of(part).is_some();
        self.upstream_model.contains('*')
            || self.mock_response.is_some()
            || (own(Part::Input) && own(Part::Output))
            || self.listed(book, &self.upstream_model).is_some()
    }

    /// The region that its address names, where that has a price of its own.
    ///
    /// Source: OpenAI "Data residency" (`eu.api.openai.com`), Vertex AI "Locations" (`us-east5-aiplatform…`), November
    /// 2026.
    fn region(&self) -> Option<Region> {
        let host = self.api_base.host_str()?;
        match self.provider.name {
            "openai" => match host.strip_suffix(".api.openai.com")? {
                "eu" => Some(Region::Eu),
                "us" => Some(Region::Us),
                _ => None,
            },
            "vertex_ai" => host
                .ends_with("-aiplatform.googleapis.com")
                .then_some(Region::Regional),
            _ => None,
        }
    }
}
