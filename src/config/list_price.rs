//! What a deployment costs: its own prices over those of the price book.

use std::sync::Arc;

use super::model::DeploymentConfig;
use crate::cost::{Part, Price, PriceBook, PricedModel, Region, Unit};

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
        let figures = self.prices.figures();
        self.upstream_model.contains('*')
            || self.mock_response.is_some()
            || (own(Part::Input) && own(Part::Output))
            || figures
                .iter()
                .any(|figure| figure.part.unit() != Unit::Token)
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

#[cfg(test)]
mod tests {
    use crate::config::{CliOverrides, Config, ConfigSource, MapEnv, load};
    use crate::cost::{Part, ServiceTier};

    fn config(params: &str) -> Config {
        let text = format!(
            "model_list:\n- model_name: m\n  litellm_params: {{api_key: sk-of-the-provider, {params}}}\n"
        );
        let source = ConfigSource::Text {
            name: "config.yaml",
            text: &text,
        };
        load(source, &CliOverrides::default(), &MapEnv::new([])).expect("loads")
    }

    /// What a token costs, sent and answered, in a call with 300,000 tokens.
    fn rates(params: &str) -> [Option<String>; 2] {
        let config = config(params);
        let one = &config.deployments[0];
        let price = one.price(&config.price_book, &one.upstream_model);
        [Part::Input, Part::Output].map(|part| {
            let usd = price.as_ref()?.at(part, 300_000, ServiceTier::Standard)?;
            Some(usd.to_string())
        })
    }

    fn known(input: &str, output: &str) -> [Option<String>; 2] {
        [Some(input.to_owned()), Some(output.to_owned())]
    }

    #[test]
    fn the_address_decides_the_region_and_own_prices_know_none() {
        let astra = "model: openai/gpt-6-astra";
        assert_eq!(rates(astra), known("0.00002", "0.000075"));
        let eu = format!("{astra}, api_base: 'https://eu.api.openai.com/v1'");
        assert_eq!(rates(&eu), known("0.000022", "0.0000825"));
        let own = format!("{eu}, input_cost_per_token: 1e-05");
        assert_eq!(rates(&own), known("0.00001", "0.0000825"));
        let elsewhere = format!("{astra}, api_base: 'https://eu.example.com/v1'");
        assert_eq!(rates(&elsewhere), known("0.00002", "0.000075"));
    }

    #[test]
    fn the_base_model_may_be_named_with_its_provider() {
        let model = "model: openai/our-own-name";
        assert_eq!(rates(model), [None, None]);
        let based = format!("{model}, base_model: openai/gpt-4o");
        assert_eq!(rates(&based), known("0.0000025", "0.00001"));
    }
}
