//! The price book: list prices as data, built into the program, with the operator's own entries over them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rust_decimal::Decimal;

use super::book_file;
use super::price::Price;

const BUILT_IN: &str = include_str!("../../config/model_prices.json");

/// What is known about one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PricedModel {
    /// USD for each part.
    pub price: Arc<Price>,
    /// `chat`, `completion`, `responses`, `embedding`, `rerank`, `moderation`, `realtime`, `image_generation`,
    /// `image_edit`, `audio_speech` or `audio_transcription`.
    pub mode: String,
    /// Context window, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What the price is multiplied with where it is not served from the default region.
    pub uplifts: Vec<(Region, Decimal)>,
}

/// From where a provider serves, as far as that changes the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// One of many regions instead of the provider's choice: Vertex AI outside `global`.
    Regional,
    /// The European Union: OpenAI's data residency.
    Eu,
    /// The United States: the same.
    Us,
}

/// The models of one provider, by name.
pub(super) type Models = HashMap<String, PricedModel>;

/// List prices by provider and model.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    version: String,
    /// Shared with every other book made from the built-in one.
    listed: Arc<HashMap<String, Models>>,
    /// What the operator says: looked at first.
    own: HashMap<String, Models>,
}

impl PriceBook {
    /// The book that the program was built with.
    pub fn built_in() -> &'static Arc<Self> {
        // A broken file would be an empty book, and every cost unknown; a test reads it, so it is not broken.
        static BOOK: LazyLock<Arc<PriceBook>> =
            LazyLock::new(|| Arc::new(PriceBook::parse(BUILT_IN).unwrap_or_default()));
        &BOOK
    }

    /// Reads a book in the layout of `config/model_prices.json`.
    ///
    /// # Errors
    /// The JSON parser's; also for a figure that is no price, or has an unknown name.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let (version, listed) = book_file::parse(json)?;
        Ok(Self {
            version,
            listed: Arc::new(listed),
            own: HashMap::new(),
        })
    }

    /// This book with entries of the operator's over it: `(provider, model, entry)`, of which the last of a name counts.
    /// `version` tells the records apart, it is put behind the list's: `2026-11-22+3f9a`.
    #[must_use]
    pub fn with(
        &self,
        entries: impl IntoIterator<Item = (String, String, PricedModel)>,
        version: &str,
    ) -> Self {
        let mut book = self.clone();
        for (provider, model, entry) in entries {
            book.own.entry(provider).or_default().insert(model, entry);
        }
        if !book.own.is_empty() {
            book.version = format!("{}+{version}", self.version);
        }
        book
    }

    /// Goes with every cost on the books.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The entry of `model`.
    ///
    /// The name may begin with the provider's (`azure/gpt-4o`), as `base_model` often does. A fine-tuned model that is
    /// not listed has the price of fine-tuned ones of its base (`ft:gpt-4o-mini-2024-07-18:acme::x`), a dated snapshot
    /// that of its family (`gpt-4o-2030-01-01` → `gpt-4o`).
    pub fn lookup(&self, provider: &str, model: &str) -> Option<&PricedModel> {
        self.exact(provider, model)
            .or_else(|| self.exact(provider, model.strip_prefix(provider)?.strip_prefix('/')?))
            .or_else(|| self.exact(provider, fine_tuned(model)?))
            .or_else(|| self.exact(provider, without_date(model)?))
    }

    /// Whether exactly this model is listed.
    pub fn knows(&self, provider: &str, model: &str) -> bool {
        self.exact(provider, model).is_some()
    }

    fn exact(&self, provider: &str, model: &str) -> Option<&PricedModel> {
        let own = self.own.get(provider).and_then(|models| models.get(model));
        own.or_else(|| self.listed.get(provider)?.get(model))
    }

    /// The models of `provider` that clients may name, sorted. Entries for one size of a picture (`1024-x-1024/dall-e-2`)
    /// are none.
    pub fn models(&self, provider: &str) -> Vec<&str> {
        let mut names: Vec<&str> = [self.own.get(provider), self.listed.get(provider)]
            .into_iter()
            .flatten()
            .flat_map(|models| models.keys().map(String::as_str))
            .filter(|name| !name.contains("-x-"))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every entry, with its provider and name, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &PricedModel)> {
        let listed = self.listed.iter().flat_map(|(provider, models)| {
            models
                .iter()
                .map(move |(model, entry)| (provider.as_str(), model.as_str(), entry))
        });
        let listed = listed.filter(|(provider, model, _)| {
            let own = self.own.get(*provider);
            own.is_none_or(|models| !models.contains_key(*model))
        });
        let own = self.own.iter().flat_map(|(provider, models)| {
            models
                .iter()
                .map(move |(model, entry)| (provider.as_str(), model.as_str(), entry))
        });
        own.chain(listed)
    }

    /// Whether any model of `provider` is listed.
    pub fn has_provider(&self, provider: &str) -> bool {
        self.own.contains_key(provider) || self.listed.contains_key(provider)
    }
}

impl PricedModel {
    /// The list price in `region`; without an uplift for it the plain one.
    pub fn price_in(&self, region: Option<Region>) -> Arc<Price> {
        let uplift = self
            .uplifts
            .iter()
            .find(|(known, _)| Some(*known) == region);
        match uplift {
            Some((_, factor)) => Arc::new(self.price.times(*factor)),
            None => Arc::clone(&self.price),
        }
    }
}

/// `ft:gpt-4o:acme::id` → `ft:gpt-4o`.
fn fine_tuned(model: &str) -> Option<&str> {
    let base = model.strip_prefix("ft:")?.split(':').next()?;
    model.get(..base.len() + "ft:".len())
}

/// Cuts `-2024-08-06`, `-20240806` or `-0806` off the end.
fn without_date(model: &str) -> Option<&str> {
    let start = model
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-')
        .len();
    // The run may begin before the date (`gpt-4-0613`): only its last one, or three, pieces are the date.
    let run = model.get(start..)?;
    let pieces: Vec<usize> = run.split('-').rev().map(str::len).collect();
    let date_length = match pieces.as_slice() {
        [2, 2, 4, ..] => 11,
        [8, ..] => 9,
        [4, ..] => 5,
        _ => return None,
    };
    let family = model.get(..model.len().checked_sub(date_length)?)?;
    (!family.is_empty() && model.get(family.len()..)?.starts_with('-')).then_some(family)
}

#[cfg(test)]
mod tests {
    use super::without_date;

    #[test]
    fn dates_are_cut_off_and_version_numbers_are_not() {
        for (model, family) in [
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("gpt-4-0613", Some("gpt-4")),
            ("x-20240806", Some("x")),
            ("gpt-5.4", None),
            ("o3", None),
            ("2024", None),
            ("", None),
        ] {
            assert_eq!(without_date(model), family, "{model}");
        }
    }
}
