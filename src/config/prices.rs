//! Prices of a deployment: USD for each, taken from the source text, never from a float.

use rust_decimal::Decimal;

use super::error::NoticeKind;
use super::report::Report;
use super::yaml::{KeyPath, Node};
use crate::cost::{Figure, Part, Price, figure_key, parse_price};

/// How LiteLLM's price keys begin.
pub(super) const FAMILIES: [&str; 4] = [
    "input_cost_per_",
    "output_cost_per_",
    "cache_read_input_",
    "cache_creation_input_",
];

/// The prices in the mapping at `path`: every price key that LiteLLM's price map knows of tokens, pictures, characters,
/// seconds, queries and calls, with `_above_200k_tokens`, `_batches`, `_flex` and `_priority` behind it.
pub(super) fn read(node: &Node, path: &KeyPath, report: &mut Report<'_>) -> Price {
    let Node::Map(map) = node else {
        return Price::default();
    };
    let mut figures = Vec::new();
    for entry in &map.0 {
        let key = entry.key.as_str();
        let Some((part, when)) = figure_key(key) else {
            if FAMILIES.iter().any(|family| key.starts_with(family)) && entry.value != Node::Null {
                let message = "has no effect: nothing is billed by this";
                report.notice(NoticeKind::NotActedOn, &path.key(key), message);
            }
            continue;
        };
        if let Some(usd) = price(&entry.value, part, &path.key(key), report) {
            figures.push(Figure { part, when, usd });
        }
    }
    Price::new(figures)
}

fn price(value: &Node, part: Part, path: &KeyPath, report: &mut Report<'_>) -> Option<Decimal> {
    let text = match value {
        Node::Null => return None,
        Node::Number(number) => number.text.as_str(),
        Node::Text(text) => text.as_str(),
        _ => "",
    };
    let price = parse_price(text);
    if price.is_none() {
        let each = part.unit().name();
        report.problem(
            path,
            "is not a price",
            format!("write USD per {each}, 0 or more, such as 2.5e-06"),
        );
    }
    price
}
