//! The layout of `config/model_prices.json`: one model a line, figures by name.
//!
//! ```json
//! {"version": "2026-11-22", "providers": {"gemini": {
//!  "gemini-2.5-pro": {"mode": "chat", "max_input": 1048576, "max_output": 65536,
//!   "usd": {"input": "1.25", "input/batch": "0.625", "input>200k": "2.5", "output": "10", "output>200k": "15"}}}}}
//! ```
//!
//! A figure is called `part`, `part>200k` for prompts above that length, `part/batch` for a service, or both. Tokens,
//! characters and pixels are priced by the million, everything else each.

use std::collections::HashMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::part::Part;
use super::price::{Figure, Price, parse_price};
use super::prices::{Models, PricedModel, Region};
use super::tier::When;

#[derive(Deserialize)]
struct File {
    version: String,
    providers: HashMap<String, HashMap<String, Row>>,
}

#[derive(Deserialize)]
struct Row {
    mode: String,
    max_input: Option<u64>,
    max_output: Option<u64>,
    usd: Figures,
    #[serde(default)]
    uplift: Uplifts,
}

struct Figures(Price);

#[derive(Default, Deserialize)]
struct Uplifts {
    regional: Option<String>,
    eu: Option<String>,
    us: Option<String>,
}

/// Version and models of a book.
pub(super) fn parse(json: &str) -> Result<(String, HashMap<String, Models>), serde_json::Error> {
    let file: File = serde_json::from_str(json)?;
    let models = file.providers.into_iter().map(|(provider, rows)| {
        let models: Models = rows
            .into_iter()
            .map(|(name, row)| (name, row.into()))
            .collect();
        (provider, models)
    });
    Ok((file.version, models.collect()))
}

/// The figure called `name` in a book.
pub(super) fn figure(name: &str, text: &str) -> Option<Figure> {
    let (part, when) = self::name(name)?;
    let factor = if part.unit().by_the_million() {
        Decimal::new(1, 6)
    } else {
        Decimal::ONE
    };
    Some(Figure {
        part,
        when,
        usd: parse_price(text)?.checked_mul(factor)?.normalize(),
    })
}

/// What a figure's name stands for: `output>200k/batch`.
pub(super) fn name(name: &str) -> Option<(Part, When)> {
    let end = name.find(['>', '/']).unwrap_or(name.len());
    let (part, condition) = name.split_at_checked(end)?;
    Some((Part::named(part)?, When::parse(condition)?))
}

// === impl Row ===

impl From<Row> for PricedModel {
    fn from(row: Row) -> Self {
        let uplifts = [
            (Region::Regional, row.uplift.regional),
            (Region::Eu, row.uplift.eu),
            (Region::Us, row.uplift.us),
        ];
        Self {
            price: row.usd.0.into(),
            mode: row.mode,
            max_input_tokens: row.max_input,
            max_output_tokens: row.max_output,
            uplifts: uplifts
                .into_iter()
                .filter_map(|(region, factor)| Some((region, parse_price(&factor?)?)))
                .collect(),
        }
    }
}

// === impl Figures ===

impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Figures;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("figures by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Figures, A::Error> {
                let mut figures = Vec::with_capacity(8);
                while let Some((name, text)) = map.next_entry::<&str, &str>()? {
                    let figure = figure(name, text).ok_or_else(|| {
                        A::Error::custom(format!("`{name}`: {text} is no figure"))
                    })?;
                    figures.push(figure);
                }
                Ok(Figures(Price::new(figures)))
            }
        }

        deserializer.deserialize_map(Read)
    }
}
