//! Reading LiteLLM's price map: names, providers and figures of its entries.
//!
//! ```json
//! {"gemini/gemini-2.5-pro": {"litellm_provider": "gemini", "mode": "chat", "max_input_tokens": 1048576,
//!   "input_cost_per_token": 1.25e-06, "input_cost_per_token_above_200k_tokens": 2.5e-06, "output_cost_per_token": 1e-05}}
//! ```
//!
//! Figures are read from the source text, never as floats. What has no place in [`Part`] (pages, video, web searches,
//! storage, off-peak hours) is left out.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::value::RawValue;
use thiserror::Error;

use super::part::Part;
use super::price::{Figure, Price, parse_price};
use super::prices::{PriceBook, PricedModel, Region};
use super::tier::When;

/// What the gateway can bill. Other modes (video, OCR, search, …) are billed by what it does not count.
const MODES: &[&str] = &[
    "chat",
    "completion",
    "responses",
    "embedding",
    "rerank",
    "image_generation",
    "image_edit",
    "audio_speech",
    "audio_transcription",
    "moderation",
    "realtime",
];

/// LiteLLM's words for providers that have another name here.
const PROVIDERS: &[(&str, &str)] = &[
    ("text-completion-openai", "openai"),
    ("text-completion-codestral", "codestral"),
    ("fireworks_ai-embedding-models", "fireworks_ai"),
    ("ai21", "ai21_chat"),
    ("meta", "meta_llama"),
    ("bedrock_converse", "bedrock"),
    ("azure_text", "azure"),
    ("cohere_chat", "cohere"),
];

const UPLIFTS: &[(&str, Region)] = &[
    ("regional_endpoint_uplift_multiplier", Region::Regional),
    ("regional_processing_uplift_multiplier_eu", Region::Eu),
    ("regional_processing_uplift_multiplier_us", Region::Us),
];

/// Why a price map cannot be read.
#[derive(Debug, Error)]
pub enum MapError {
    /// It is no JSON object of objects.
    #[error("this is no price map: a JSON object with an object for each model")]
    Json(#[from] serde_json::Error),
    /// No entry has a price.
    #[error("no entry of this price map has a price")]
    Empty,
}

/// Reads a price map. Of two entries for the same model of a provider the one that names the provider counts.
///
/// # Errors
/// When it is no JSON of that shape, or holds no price at all.
pub(super) fn price_map(json: &str) -> Result<PriceBook, MapError> {
    let map: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    let mut found: HashMap<(String, String), (bool, PricedModel)> = HashMap::new();
    for (name, entry) in &map {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(entry.get())?;
        let texts: BTreeMap<&str, &str> = members
            .iter()
            .map(|(key, value)| (key.as_str(), unquoted(value.get())))
            .collect();
        let (Some(provider), Some(mode)) = (texts.get("litellm_provider"), texts.get("mode"))
        else {
            continue;
        };
        if !MODES.contains(mode) {
            continue;
        }
        let tiers = members.get("tiered_pricing").map(|raw| tiers(raw));
        let Some(model) = model(&texts, tiers.unwrap_or_default()) else {
            continue;
        };
        let key = place(name, provider);
        let named = key.1 != *name;
        let known = found.get(&key).map(|(named, _)| *named);
        if known.is_none_or(|known| named && !known) {
            found.insert(key, (named, model));
        }
    }
    if found.is_empty() {
        return Err(MapError::Empty);
    }
    let entries = found
        .into_iter()
        .map(|((provider, name), (_, model))| (provider, name, model));
    Ok(PriceBook::default().with(entries, "map"))
}

/// Reads a list in our own layout or a LiteLLM price map, whichever `json` is.
///
/// # Errors
/// When it is neither.
pub fn read_book(json: &str) -> Result<PriceBook, MapError> {
    PriceBook::parse(json).or_else(|_| price_map(json))
}

/// One entry of a price map, from its keys and the source texts of their values; `chat` if it names no mode. `None`
/// without any price.
pub fn read_entry<'a>(
    members: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<PricedModel> {
    model(&members.into_iter().collect(), Vec::new())
}

/// Which figure a key of LiteLLM's sets: `cache_read_input_token_cost_above_200k_tokens` is a cache read with a prompt
/// above 200,000 tokens. `None`: it is no price, or none that is billed here.
pub fn figure_key(key: &str) -> Option<(Part, When)> {
    // The longest name that fits: `cache_creation_input_token_cost_above_1hr` is no tier of its beginning.
    let part = Part::all()
        .filter(|part| key.starts_with(part.litellm_key()))
        .max_by_key(|part| part.litellm_key().len())?;
    let when = When::parse_litellm(key.strip_prefix(part.litellm_key())?)?;
    Some((part, when))
}

/// Provider and model that a name of the map stands for.
pub(super) fn place(name: &str, litellm_provider: &str) -> (String, String) {
    let provider = match litellm_provider.split_once('-') {
        Some(("vertex_ai", _)) => "vertex_ai",
        _ => PROVIDERS
            .iter()
            .find(|(theirs, _)| *theirs == litellm_provider)
            .map_or(litellm_provider, |(_, ours)| ours),
    };
    let without = |prefix: &str| name.strip_prefix(prefix)?.strip_prefix('/');
    let model = without(litellm_provider)
        .or_else(|| without(provider))
        .unwrap_or(name);
    (provider.to_owned(), model.to_owned())
}

fn model(members: &BTreeMap<&str, &str>, tiers: Vec<Figure>) -> Option<PricedModel> {
    let figures = members
        .iter()
        .filter_map(|(key, text)| figure(key, text, 0));
    let price = Price::new(figures.chain(tiers));
    if price.is_empty() {
        return None;
    }
    let number = |key: &str| parse_price(members.get(key)?);
    let count = |key: &str| number(key)?.to_u64().filter(|tokens| *tokens > 0);
    Some(PricedModel {
        price: price.into(),
        mode: members.get("mode").copied().unwrap_or("chat").to_owned(),
        max_input_tokens: count("max_input_tokens"),
        max_output_tokens: count("max_output_tokens"),
        uplifts: UPLIFTS
            .iter()
            .filter_map(|(key, region)| Some((*region, number(key)?)))
            .collect(),
    })
}

fn figure(key: &str, text: &str, above: u32) -> Option<Figure> {
    let (part, when) = figure_key(key)?;
    let above = if when.above == 0 { above } else { when.above };
    Some(Figure {
        part,
        when: When { above, ..when },
        usd: parse_price(text)?,
    })
}

/// `tiered_pricing`: `[{"range": [0, 256000], "input_cost_per_token": 5e-08}, …]`. A tier counts for prompts longer than
/// the beginning of its range.
fn tiers(raw: &RawValue) -> Vec<Figure> {
    let tiers: Vec<BTreeMap<&str, &RawValue>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut figures = Vec::new();
    for tier in &tiers {
        let range: Vec<&RawValue> = tier
            .get("range")
            .and_then(|range| serde_json::from_str(range.get()).ok())
            .unwrap_or_default();
        let above = range
            .first()
            .and_then(|from| from.get().parse::<Decimal>().ok())
            .and_then(|from| from.to_u32());
        let Some(above) = above else { continue };
        figures.extend(
            tier.iter()
                .filter_map(|(key, value)| figure(key, value.get(), above)),
        );
    }
    figures
}

/// A JSON string without its quotes; anything else as it is.
fn unquoted(json: &str) -> &str {
    json.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(json)
}
