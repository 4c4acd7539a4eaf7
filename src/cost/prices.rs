//! The price book: list prices as data, built into the program.
//!
//! ```json
//! {"version": "2026-11-22", "models": [{"provider": "openai", "model": "gpt-4o", "mode": "chat",
//!  "max_input_tokens": 128000, "price_per_million_usd": {"input": "2.5", "cache_read": "1.25", "output": "10"}}]}
//! ```
//!
//! Only flat prices are kept: no batch, flex or priority tariffs, and no dearer tier for very long prompts.

use std::collections::HashMap;
use std::sync::LazyLock;

use rust_decimal::Decimal;
use serde::Deserialize;

use super::price::{Price, parse_price};

const BUILT_IN: &str = include_str!("../../config/model_prices.json");

/// What is known about one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PricedModel {
    /// USD per token.
    pub price: Price,
    /// `chat`, `completion` or `embedding`.
    pub mode: String,
    /// Context window, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
}

/// List prices by provider and model.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    version: String,
    providers: HashMap<String, HashMap<String, PricedModel>>,
}

impl PriceBook {
    /// The book that the program was built with.
    pub fn built_in() -> &'static Self {
        // A broken file would be an empty book, and every cost unknown; a test reads it, so it is not broken.
        static BOOK: LazyLock<PriceBook> =
            LazyLock::new(|| PriceBook::parse(BUILT_IN).unwrap_or_default());
        &BOOK
    }

    /// Reads a book in the layout above. Prices that are no decimals count as absent.
    ///
    /// # Errors
    /// The JSON parser's.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let file: File = serde_json::from_str(json)?;
        let mut providers: HashMap<String, HashMap<String, PricedModel>> = HashMap::new();
        for row in file.models {
            let model = PricedModel {
                price: row.price_per_million_usd.per_token(),
                mode: row.mode,
                max_input_tokens: row.max_input_tokens,
                max_output_tokens: row.max_output_tokens,
            };
            providers
                .entry(row.provider)
                .or_default()
                .insert(row.model, model);
        }
        Ok(Self {
            version: file.version,
            providers,
        })
    }

    /// Goes with every cost on the books.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The entry of `model`; a dated snapshot that is not listed has the price of its family
    /// (`gpt-4o-2030-01-01` → `gpt-4o`).
    pub fn lookup(&self, provider: &str, model: &str) -> Option<&PricedModel> {
        let models = self.providers.get(provider)?;
        models
            .get(model)
            .or_else(|| models.get(without_date(model)?))
    }

    /// Whether exactly this model is listed.
    pub fn knows(&self, provider: &str, model: &str) -> bool {
        self.providers
            .get(provider)
            .is_some_and(|models| models.contains_key(model))
    }

    /// The models of `provider`, sorted by name.
    pub fn models(&self, provider: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .providers
            .get(provider)
            .into_iter()
            .flat_map(|models| models.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names
    }
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

#[derive(Deserialize)]
struct File {
    version: String,
    models: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    provider: String,
    model: String,
    mode: String,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    price_per_million_usd: PerMillion,
}

#[derive(Deserialize)]
struct PerMillion {
    input: Option<String>,
    cache_read: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    audio_input: Option<String>,
    image_input: Option<String>,
    output: Option<String>,
    reasoning: Option<String>,
    audio_output: Option<String>,
}

impl PerMillion {
    fn per_token(&self) -> Price {
        let part = |text: &Option<String>| -> Option<Decimal> {
            parse_price(text.as_deref()?)?
                .checked_mul(Decimal::new(1, 6))
                .map(|price| price.normalize())
        };
        Price {
            input: part(&self.input),
            cache_read: part(&self.cache_read),
            cache_write_5m: part(&self.cache_write_5m),
            cache_write_1h: part(&self.cache_write_1h),
            audio_input: part(&self.audio_input),
            image_input: part(&self.image_input),
            output: part(&self.output),
            reasoning: part(&self.reasoning),
            audio_output: part(&self.audio_output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, PriceBook, without_date};

    #[test]
    fn the_built_in_book_is_whole() {
        let book = PriceBook::parse(BUILT_IN).unwrap();
        assert!(!book.version().is_empty());
        for (provider, models) in &book.providers {
            for (name, model) in models {
                assert!(model.price.input.is_some(), "{provider}/{name}");
            }
        }
        let gpt_4o = book.lookup("openai", "gpt-4o").unwrap();
        assert_eq!(gpt_4o.price.input.unwrap().to_string(), "0.0000025");
        assert_eq!(gpt_4o.price.cache_read.unwrap().to_string(), "0.00000125");
        assert_eq!(gpt_4o.price.output.unwrap().to_string(), "0.00001");
        assert_eq!(gpt_4o.max_input_tokens, Some(128_000));
    }

    #[test]
    fn an_unlisted_snapshot_has_the_price_of_its_family() {
        let book = PriceBook::built_in();
        assert_eq!(
            book.lookup("openai", "gpt-4o-2030-01-01"),
            book.lookup("openai", "gpt-4o")
        );
        assert_eq!(book.lookup("openai", "gpt-4o-unheard-of"), None);
        assert_eq!(book.lookup("nobody", "gpt-4o"), None);
    }

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
