//! Prices in a config file: USD per token, taken from the source text, never from a float.

use rust_decimal::Decimal;

use super::report::Report;
use super::yaml::{KeyPath, Node};
use crate::cost::{Price, parse_price};

/// One price key and the part it sets.
type PriceKey = (&'static str, fn(&mut Price) -> &mut Option<Decimal>);

const KEYS: &[PriceKey] = &[
    ("input_cost_per_token", |price| &mut price.input),
    ("output_cost_per_token", |price| &mut price.output),
    ("cache_read_input_token_cost", |price| &mut price.cache_read),
    ("cache_creation_input_token_cost", |price| {
        &mut price.cache_write_5m
    }),
    ("cache_creation_input_token_cost_above_1hr", |price| {
        &mut price.cache_write_1h
    }),
    ("input_cost_per_audio_token", |price| &mut price.audio_input),
    ("input_cost_per_image_token", |price| &mut price.image_input),
    ("output_cost_per_reasoning_token", |price| {
        &mut price.reasoning
    }),
    ("output_cost_per_audio_token", |price| {
        &mut price.audio_output
    }),
];

/// The keys that are read here.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}

/// The prices in the mapping at `path`.
pub(super) fn read(node: &Node, path: &KeyPath, report: &mut Report<'_>) -> Price {
    let mut price = Price::default();
    for (key, part) in KEYS {
        let text = match node.get(key) {
            None | Some(Node::Null) => continue,
            Some(Node::Number(number)) => number.text.as_str(),
            Some(Node::Text(text)) => text.as_str(),
            Some(_) => "",
        };
        match parse_price(text) {
            Some(value) => *part(&mut price) = Some(value),
            None => report.problem(
                &path.key(key),
                "is not a price",
                "write USD per token, 0 or more, such as 2.5e-06",
            ),
        }
    }
    price
}
